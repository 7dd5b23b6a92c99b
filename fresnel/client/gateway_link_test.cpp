#include "fresnel/client/gateway_link.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "fresnel/client/testing/fake_gateway.hpp"

namespace fresnel::client {
namespace {

using ::testing::ElementsAre;
using testing::FakeSocket;
using testing::FakeStream;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class GatewayLinkTest : public ::testing::Test {
 protected:
  GatewayLinkTest() { link_->start(); }

  void settle() {
    io_.restart();
    io_.poll();
  }
  static awaitable<void> read_into(std::shared_ptr<GatewayLink> link, std::optional<result<net::Message>>& into) {
    auto message = co_await GatewayLink::read(link);
    into.emplace(std::move(message));
  }
  void start_reading() {
    read_.reset();
    asio::co_spawn(io_, read_into(link_, read_), [](std::exception_ptr) {});
    settle();
  }

  ManualClock clock_;
  asio::io_context io_;
  std::shared_ptr<FakeSocket> socket_ = std::make_shared<FakeSocket>(io_.get_executor());
  std::shared_ptr<GatewayLink> link_ =
      std::make_shared<GatewayLink>(io_.get_executor(), clock_, std::make_unique<FakeStream>(socket_));
  std::optional<result<net::Message>> read_;
};

TEST_F(GatewayLinkTest, WritesInOrder) {
  link_->send("1");
  link_->send("2");
  settle();
  link_->send("3");
  settle();
  EXPECT_THAT(socket_->sent, ElementsAre("1", "2", "3"));
}

TEST_F(GatewayLinkTest, AGatewayThatDoesNotReadEndsTheConnectionNotTheProgram) {
  start_reading();
  socket_->stall_writes(true);
  for (std::size_t i = 0; i < GatewayLink::kMaxQueued; ++i) link_->send("x");
  EXPECT_TRUE(socket_->is_open());
  link_->send("one too many");
  settle();
  EXPECT_FALSE(socket_->is_open());
  ASSERT_TRUE(read_.has_value());
  EXPECT_EQ(read_->error().code, Errc::too_large);
}

TEST_F(GatewayLinkTest, AFailedWriteEndsTheReader) {
  start_reading();
  socket_->stall_writes(true);
  link_->send("x");
  settle();
  EXPECT_FALSE(read_.has_value());
  socket_->drop("reset");
  settle();
  ASSERT_TRUE(read_.has_value());
  EXPECT_THAT(read_->error().message, HasSubstr("reset"));
}

TEST_F(GatewayLinkTest, EndEndsEverythingAndLaterTextsAreDropped) {
  start_reading();
  link_->end(Error{.code = Errc::cancelled, .message = "enough"});
  link_->send("late");
  settle();
  EXPECT_THAT(socket_->sent, IsEmpty());
  EXPECT_EQ(read_->error().message, "enough");
  start_reading();
  EXPECT_EQ(read_->error().message, "enough");
  link_.reset();
  EXPECT_TRUE(socket_->destroyed);
}

}  // namespace
}  // namespace fresnel::client
