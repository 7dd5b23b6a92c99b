// The gateway's end of a MessageDialer in memory: the test answers dials, reads what the client sent and pushes what it
// is to receive. No sockets, no time.
//
// Thread safety: one thread.
#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fresnel/net/message_stream.hpp"

namespace fresnel::client::testing {

// Wakes whoever waits; a wait that nobody wakes ends by cancellation only.
class Signal {
 public:
  explicit Signal(const Executor& executor) : timer_(executor, asio::steady_timer::time_point::max()) {}
  void wake() { timer_.cancel(); }
  awaitable<void> wait() { co_await timer_.async_wait(asio::as_tuple(asio::use_awaitable)); }

 private:
  asio::steady_timer timer_;
};

// One connection, as both ends see it.
class FakeSocket {
 public:
  explicit FakeSocket(const Executor& executor) : readable(executor), writable(executor) {}

  // The gateway's side.
  void push(std::string text, bool binary = false) {
    inbound.push_back({std::move(text), binary});
    readable.wake();
  }
  void drop(std::string why = "the connection was lost") {
    ended = Error{.code = Errc::closed, .message = std::move(why), .status = 1006};
    readable.wake();
    writable.wake();
  }
  // What the client sent since the last call.
  std::vector<std::string> take_sent() { return std::exchange(sent, {}); }
  void stall_writes(bool stalled) {
    writes_stalled = stalled;
    writable.wake();
  }
  [[nodiscard]] bool is_open() const noexcept { return !ended; }

  Signal readable;
  Signal writable;
  std::deque<net::Message> inbound;
  std::vector<std::string> sent;
  std::optional<Error> ended;
  std::optional<int> close_code;  // of the client's Close
  bool writes_stalled = false;
  bool destroyed = false;  // the client let go of it
};

class FakeStream final : public net::MessageStream {
 public:
  explicit FakeStream(std::shared_ptr<FakeSocket> socket) : socket_(std::move(socket)) {}
  ~FakeStream() override { socket_->destroyed = true; }

  [[nodiscard]] awaitable<result<net::Message>> read() override {
    const auto socket = socket_;
    while (socket->inbound.empty() && !socket->ended) co_await socket->readable.wait();
    if (socket->ended) co_return *socket->ended;
    net::Message message = std::move(socket->inbound.front());
    socket->inbound.pop_front();
    co_return message;
  }
  [[nodiscard]] awaitable<result<void>> write(net::Message message) override {
    const auto socket = socket_;
    while (socket->writes_stalled && !socket->ended) co_await socket->writable.wait();
    result<void> outcome;
    if (socket->ended) {
      outcome = *socket->ended;
    } else {
      socket->sent.push_back(std::move(message.payload));
    }
    co_return outcome;
  }
  [[nodiscard]] awaitable<result<Duration>> ping(Duration) override {
    if (socket_->ended) co_return *socket_->ended;
    co_return Duration::zero();
  }
  [[nodiscard]] awaitable<void> close(int code, std::string) override {
    socket_->close_code = code;
    socket_->drop("closed");
    co_return;
  }
  void abort() noexcept override {
    if (!socket_->ended) socket_->drop("aborted");
  }
  [[nodiscard]] std::string_view protocol() const noexcept override { return {}; }

 private:
  std::shared_ptr<FakeSocket> socket_;
};

class FakeDialer final : public net::MessageDialer {
 public:
  explicit FakeDialer(const Executor& executor) : executor_(executor) {}

  // Dials that wait for an answer.
  [[nodiscard]] std::size_t waiting() const noexcept { return attempts_.size(); }
  // Answers the oldest.
  std::shared_ptr<FakeSocket> accept() {
    const auto socket = std::make_shared<FakeSocket>(executor_);
    answer(std::make_unique<FakeStream>(socket));
    return socket;
  }
  void refuse(Error error) { answer(std::move(error)); }

  [[nodiscard]] awaitable<result<std::unique_ptr<net::MessageStream>>> dial(net::DialRequest request) override {
    requests.push_back(std::move(request));
    const auto attempt = std::make_shared<Attempt>(executor_);
    attempts_.push_back(attempt);
    co_await attempt->answered.wait();
    if (attempt->outcome) co_return std::move(*attempt->outcome);
    ++cancelled;
    std::erase(attempts_, attempt);
    co_return Error{.code = Errc::cancelled, .message = "cancelled"};
  }

  std::vector<net::DialRequest> requests;
  int cancelled = 0;

 private:
  struct Attempt {
    explicit Attempt(const Executor& executor) : answered(executor) {}
    Signal answered;
    std::optional<result<std::unique_ptr<net::MessageStream>>> outcome;
  };

  void answer(result<std::unique_ptr<net::MessageStream>> outcome) {
    const auto attempt = attempts_.at(0);
    attempts_.erase(attempts_.begin());
    attempt->outcome.emplace(std::move(outcome));
    attempt->answered.wake();
  }

  Executor executor_;
  std::vector<std::shared_ptr<Attempt>> attempts_;
};

}  // namespace fresnel::client::testing
