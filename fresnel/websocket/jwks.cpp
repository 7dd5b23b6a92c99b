#include "fresnel/websocket/jwks.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <optional>
#include <utility>

#include "fresnel/base/log.hpp"

namespace fresnel::websocket {

class Jwks::Impl : public std::enable_shared_from_this<Impl> {
 public:
  Impl(const Executor& executor, Clock& clock, std::shared_ptr<net::HttpTransport> transport, JwksOptions options)
      : executor_(executor),
        clock_(clock),
        transport_(std::move(transport)),
        options_(std::move(options)),
        fetched_(executor) {}

  static awaitable<result<std::vector<JwtKey>>> find(std::shared_ptr<Impl> self, std::string key_id,
                                                     std::string algorithm) {
    auto keys = self->matching(key_id, algorithm);
    // Known keys serve while newer ones are fetched: a hanging issuer keeps nobody out.
    if (!self->is_fresh() && !keys.empty()) self->start_fetch();
    if (!self->is_fresh() && keys.empty()) {
      co_await refresh(self);
      keys = self->matching(key_id, algorithm);
    }
    if (keys.empty() && self->may_fetch()) {  // the issuer may have a new key
      co_await refresh(self);
      keys = self->matching(key_id, algorithm);
    }
    if (!keys.empty()) co_return keys;
    if (!self->is_usable()) co_return self->failure_.value_or(Error{Errc::unauthorized, "the issuer has no keys", 401});
    co_return Error{Errc::unauthorized, "the token is signed by a key that its issuer does not have", 401};
  }

  // What emit() posts refers to the signal: it must live until that has run, and the fetch may be over before.
  void stop() {
    if (!fetching_) return;
    cancel_.emit(asio::cancellation_type::terminal);
    asio::post(executor_, [self = shared_from_this()] {});
  }

 private:
  [[nodiscard]] bool is_fresh() const { return got_ && clock_.now() < *got_ + options_.lifetime; }
  [[nodiscard]] bool is_usable() const { return got_ && clock_.now() < *got_ + options_.lifetime + options_.max_stale; }
  [[nodiscard]] bool may_fetch() const {
    return fetching_ || !asked_ || clock_.now() >= *asked_ + options_.min_refresh_interval;
  }

  [[nodiscard]] std::vector<JwtKey> matching(const std::string& key_id, const std::string& algorithm) const {
    std::vector<JwtKey> found;
    if (!is_usable()) return found;
    for (const auto& key : keys_) {
      if (key.verifies(algorithm) && (key_id.empty() || key.id() == key_id)) found.push_back(key);
    }
    return found;
  }

  static awaitable<void> refresh(std::shared_ptr<Impl> self) {
    self->start_fetch();
    if (self->fetching_) co_await self->fetched_.async_wait(asio::as_tuple(asio::use_awaitable));
  }

  // One fetch at a time, which goes on when those who wait for it give up.
  void start_fetch() {
    if (fetching_ || !may_fetch()) return;
    fetching_ = true;
    asked_ = clock_.now();
    fetched_.expires_at(TimePoint::max());
    auto fetching = get(shared_from_this());
    auto ended = [self = shared_from_this()](const std::exception_ptr& failure, result<std::string> text) {
      if (failure) text = Error{Errc::internal, "the request failed"};
      self->end_fetch(text);
    };
    asio::co_spawn(executor_, std::move(fetching), asio::bind_cancellation_slot(cancel_.slot(), std::move(ended)));
  }

  void end_fetch(const result<std::string>& text) {
    fetching_ = false;
    auto keys = text ? parse_jwks(*text, options_.max_keys) : text.error();
    if (keys) {
      keys_ = *std::move(keys);
      got_ = clock_.now();
      failure_.reset();
    } else {
      // Without the issuer's status: it is about this program, not about who brought a token.
      failure_ = Error{keys.error().code, "the keys of " + options_.url + " could not be had: " + keys.error().message};
      log::warn("{}", failure_->message);
    }
    fetched_.expires_at(TimePoint::min());
  }

  static awaitable<result<std::string>> get(std::shared_ptr<Impl> self) {
    const auto deadline = std::chrono::steady_clock::now() + 2 * self->options_.timeout;
    net::HttpRequest request;
    request.url = self->options_.url;
    request.headers.add("accept", "application/json");
    request.tls = self->options_.tls;
    request.connect_timeout = self->options_.timeout;
    request.response_timeout = self->options_.timeout;
    request.idle_timeout = self->options_.timeout;
    auto opened = co_await self->transport_->open(std::move(request));
    if (!opened) co_return opened.error();
    const auto response = *std::move(opened);
    if (response->status() != 200) co_return Error{Errc::api, "status " + std::to_string(response->status())};
    std::string text;
    for (;;) {
      auto part = co_await response->read();
      if (!part) co_return part.error();
      if (part->empty()) co_return text;
      text += *part;
      if (text.size() > self->options_.max_body) co_return Error{Errc::too_large, "the answer is too large"};
      if (std::chrono::steady_clock::now() > deadline) co_return Error{Errc::timeout, "the answer takes too long"};
    }
  }

  Executor executor_;
  Clock& clock_;
  std::shared_ptr<net::HttpTransport> transport_;
  const JwksOptions options_;
  std::vector<JwtKey> keys_;
  std::optional<TimePoint> got_;    // the keys
  std::optional<TimePoint> asked_;  // for them, the last time
  std::optional<Error> failure_;    // of the last fetch
  bool fetching_ = false;
  asio::cancellation_signal cancel_;
  asio::steady_timer fetched_;  // expires with the end of a fetch
};

Jwks::Jwks(const Executor& executor, Clock& clock, std::shared_ptr<net::HttpTransport> transport, JwksOptions options)
    : impl_(std::make_shared<Impl>(executor, clock, std::move(transport), std::move(options))) {}

Jwks::~Jwks() { impl_->stop(); }

awaitable<result<std::vector<JwtKey>>> Jwks::find(std::string key_id, std::string algorithm) {
  return Impl::find(impl_, std::move(key_id), std::move(algorithm));
}

}  // namespace fresnel::websocket
