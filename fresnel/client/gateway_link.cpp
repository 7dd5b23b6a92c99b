#include "fresnel/client/gateway_link.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/url/parse.hpp>
#include <boost/url/url.hpp>
#include <exception>
#include <utility>

#include "fresnel/base/log.hpp"

namespace fresnel::client {

result<std::string> multiplexer_url(std::string_view gateway) {
  constexpr std::string_view kRoute = "/wsMultiplexer";
  const Error unfit{.code = Errc::invalid_argument,
                    .message = "the gateway's URL: expected http, https, ws or wss://host[:port][/base-path]"};
  const auto parsed = boost::urls::parse_uri(gateway);
  if (!parsed || parsed->host().empty()) return unfit;
  boost::urls::url url(*parsed);
  if (url.scheme() == "http" || url.scheme() == "ws") {
    url.set_scheme("ws");
  } else if (url.scheme() == "https" || url.scheme() == "wss") {
    url.set_scheme("wss");
  } else {
    return unfit;
  }
  std::string path(url.encoded_path());
  while (path.ends_with('/')) path.pop_back();
  if (!path.ends_with(kRoute)) path += kRoute;
  url.set_encoded_path(path);
  url.remove_fragment();
  return std::string(url.buffer());
}

awaitable<void> DialAttempt::dial(std::shared_ptr<DialAttempt> self, std::shared_ptr<net::MessageDialer> dialer,
                                  net::DialRequest request) {
  if (self->abandoned_) co_return;
  auto outcome = co_await dialer->dial(std::move(request));
  if (self->abandoned_) co_return;
  self->outcome_.emplace(std::move(outcome));
  self->done_.cancel();
}

awaitable<DialAttempt::Outcome> DialAttempt::run(std::shared_ptr<DialAttempt> self,
                                                 std::shared_ptr<net::MessageDialer> dialer, net::DialRequest request) {
  const auto limit = request.timeout;
  auto on_end = [self](std::exception_ptr thrown) {
    if (!thrown || self->abandoned_) return;
    self->outcome_.emplace(Error{.code = Errc::internal, .message = "connecting to the gateway: the dialer threw"});
    self->done_.cancel();
  };
  asio::co_spawn(self->executor_, dial(self, std::move(dialer), std::move(request)),
                 asio::bind_cancellation_slot(self->cancel_.slot(), std::move(on_end)));
  if (!self->outcome_ && !self->abandoned_) co_await self->done_.wait_for(limit);
  if (self->outcome_) co_return std::move(*self->outcome_);
  const bool was_abandoned = self->abandoned_;
  self->abandon();
  if (was_abandoned) co_return Error{.code = Errc::cancelled, .message = "connecting to the gateway: given up"};
  co_return Error{.code = Errc::timeout, .message = "connecting to the gateway: no connection within the time limit"};
}

void DialAttempt::abandon() {
  abandoned_ = true;
  outcome_.reset();
  cancel_.emit(asio::cancellation_type::terminal);
  done_.cancel();
}

GatewayLink::GatewayLink(const Executor& executor, Clock& clock, std::unique_ptr<net::MessageStream> stream)
    : executor_(executor), stream_(std::move(stream)), queued_(executor, clock) {}

void GatewayLink::start() {
  asio::co_spawn(executor_, write_all(shared_from_this()), [](std::exception_ptr thrown) {
    if (thrown) log::error("the writer of a gateway's connection threw");
  });
}

void GatewayLink::send(std::string text) {
  if (ended_) return;
  if (queue_.size() >= kMaxQueued) {
    end(Error{.code = Errc::too_large, .message = "the gateway does not read: too many requests are waiting"});
    return;
  }
  queue_.push_back(std::move(text));
  queued_.cancel();
}

awaitable<void> GatewayLink::write_all(std::shared_ptr<GatewayLink> self) {
  while (!self->ended_) {
    if (self->queue_.empty()) {
      co_await self->queued_.wait();
      continue;
    }
    net::Message message{std::move(self->queue_.front()), false};
    self->queue_.pop_front();
    const auto written = co_await self->stream_->write(std::move(message));
    if (!written && !self->ended_) self->end(written.error());
  }
}

awaitable<result<net::Message>> GatewayLink::read(std::shared_ptr<GatewayLink> self) {
  if (self->ended_) co_return *self->ended_;
  auto message = co_await self->stream_->read();
  if (!message && !self->ended_) self->end(message.error());
  if (self->ended_) co_return *self->ended_;
  co_return message;
}

awaitable<void> GatewayLink::close(std::shared_ptr<GatewayLink> self) {
  constexpr int kNormalClosure = 1000;  // RFC 6455 section 7.4.1
  if (self->ended_) co_return;
  // The reader and the writer end by the stream's end; queued texts are of no more use.
  self->ended_ = Error{.code = Errc::cancelled, .message = "the connection to the gateway was closed"};
  self->queue_.clear();
  self->queued_.cancel();
  std::string reason;
  co_await self->stream_->close(kNormalClosure, std::move(reason));
  self->stream_->abort();
}

void GatewayLink::end(Error error) noexcept {
  if (!ended_) ended_ = std::move(error);
  queue_.clear();
  queued_.cancel();
  stream_->abort();
}

}  // namespace fresnel::client
