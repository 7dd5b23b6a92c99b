#include "tests/e2e/raw_client.hpp"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "tests/support/wait.hpp"

namespace fresnel::test {

std::shared_ptr<RawClient> RawClient::connect(boost::asio::io_context& io, net::DialRequest request) {
  std::shared_ptr<RawClient> self(new RawClient(io));
  asio::co_spawn(io, run(self, std::move(request)), asio::detached);
  EXPECT_TRUE(run_until(
      io, [&] { return self->stream_ != nullptr || self->error_; }, 15s));
  return self;
}

awaitable<void> RawClient::run(std::shared_ptr<RawClient> self, net::DialRequest request) {
  auto dialling = self->dialer_.dial(std::move(request));
  auto stream = co_await std::move(dialling);
  if (!stream) {
    self->error_ = stream.error();
    co_return;
  }
  self->stream_ = std::move(*stream);
  for (;;) {
    auto reading = self->stream_->read();
    auto message = co_await std::move(reading);
    if (!message) {
      self->error_ = message.error();
      co_return;
    }
    self->received_.push_back(std::move(message->payload));
  }
}

void RawClient::send(std::string text, bool binary) {
  outbound_.push_back({std::move(text), binary});
  if (!std::exchange(writing_, true)) asio::co_spawn(io_, write(shared_from_this()), asio::detached);
}

awaitable<void> RawClient::write(std::shared_ptr<RawClient> self) {
  while (!self->outbound_.empty()) {
    net::Message message = std::move(self->outbound_.front());
    self->outbound_.pop_front();
    auto writing = self->stream_->write(std::move(message));
    auto written = co_await std::move(writing);
    if (!written) break;
  }
  self->writing_ = false;
}

std::vector<kube::WatchEvent> RawClient::events(std::string_view path, std::string_view query) const {
  std::vector<kube::WatchEvent> events;
  for (const auto& text : received_) {
    const auto message = wire::parse_server_message(text);
    if (!message || message->type != wire::ServerMessage::Type::data) continue;
    if (message->path != path || message->query != query) continue;
    auto event = kube::parse_watch_event(SharedBytes(message->data));
    if (event) events.push_back(*std::move(event));
  }
  return events;
}

int RawClient::count(wire::ServerMessage::Type type, std::string_view query) const {
  int count = 0;
  for (const auto& text : received_) {
    const auto message = wire::parse_server_message(text);
    if (message && message->type == type && message->query == query) ++count;
  }
  return count;
}

}  // namespace fresnel::test
