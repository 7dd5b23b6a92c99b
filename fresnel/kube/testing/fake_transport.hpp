// An HttpTransport for unit tests: answers by path and query, and remembers what it was asked. No sockets, no waiting.
//
//   FakeTransport transport;
//   transport.answer("/api/v1/pods", {200, R"({"items":[]})"});
//   auto response = run(client.request(std::move(request)));
//
// Thread safety: one thread.
#pragma once

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "fresnel/net/http.hpp"

namespace fresnel::kube {

struct FakeAnswer {
  int status = 200;
  std::string body;
  net::Headers headers = {};
  std::vector<std::string> parts = {};             // instead of body: one read() each
  std::optional<Error> read_error = std::nullopt;  // after the parts, instead of the end
  bool stays_open = false;                         // after the parts, like a watch
};

class FakeTransport final : public net::HttpTransport {
 public:
  // `target` is the URL's path and query, or its path alone for every query that has no answer of its own.
  void answer(std::string target, FakeAnswer answer) { answers_[std::move(target)] = std::move(answer); }
  // Every request fails with this from now on.
  void fail(Error error) { failure_ = std::move(error); }
  [[nodiscard]] std::size_t most_at_once() const noexcept { return most_at_once_; }
  [[nodiscard]] const std::vector<net::HttpRequest>& requests() const noexcept { return requests_; }

  [[nodiscard]] awaitable<result<std::unique_ptr<net::HttpResponse>>> open(net::HttpRequest request) override {
    const auto host = request.url.find("://") + 3;
    const std::string target = request.url.substr(request.url.find('/', host));
    requests_.push_back(std::move(request));
    most_at_once_ = std::max(most_at_once_, ++under_way_);
    co_await asio::post(asio::use_awaitable);
    --under_way_;
    if (failure_) co_return *failure_;
    auto found = answers_.find(target);
    if (found == answers_.end()) found = answers_.find(target.substr(0, target.find('?')));
    FakeAnswer answer = found == answers_.end() ? FakeAnswer{404, "404 page not found"} : found->second;
    if (answer.parts.empty() && !answer.body.empty()) answer.parts.push_back(answer.body);
    std::unique_ptr<net::HttpResponse> response = std::make_unique<Response>(std::move(answer));
    co_return response;
  }

 private:
  class Response final : public net::HttpResponse {
   public:
    explicit Response(FakeAnswer answer) : answer_(std::move(answer)) {}
    [[nodiscard]] int status() const noexcept override { return answer_.status; }
    [[nodiscard]] const net::Headers& headers() const noexcept override { return answer_.headers; }
    [[nodiscard]] awaitable<result<std::string>> read() override {
      if (next_ < answer_.parts.size()) co_return answer_.parts[next_++];
      if (answer_.read_error) co_return *answer_.read_error;
      if (answer_.stays_open) {
        asio::steady_timer never(co_await asio::this_coro::executor, asio::steady_timer::time_point::max());
        co_await never.async_wait(asio::as_tuple(asio::use_awaitable));
        co_return Error{Errc::cancelled, "cancelled"};
      }
      co_return std::string();
    }

   private:
    FakeAnswer answer_;
    std::size_t next_ = 0;
  };

  std::map<std::string, FakeAnswer> answers_;
  std::optional<Error> failure_;
  std::vector<net::HttpRequest> requests_;
  std::size_t under_way_ = 0;
  std::size_t most_at_once_ = 0;
};

// Runs a coroutine to its end on this thread.
template <class T>
T run(awaitable<T> work) {
  asio::io_context io;
  std::optional<T> value;
  std::exception_ptr failed;
  asio::co_spawn(io, std::move(work), [&](std::exception_ptr error, T done) {
    failed = error;
    value.emplace(std::move(done));
  });
  io.run();
  if (failed) std::rethrow_exception(failed);
  if (!value) throw std::logic_error("the coroutine never ended");
  return std::move(*value);
}

}  // namespace fresnel::kube
