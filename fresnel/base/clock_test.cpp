#include "fresnel/base/clock.hpp"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <optional>

namespace fresnel {
namespace {

awaitable<void> wait_into(Timer& timer, Duration duration, std::optional<bool>& due) {
  due = co_await timer.wait_for(duration);
}

TEST(ManualClock, WakesATimerOnlyWhenItsTimeHasCome) {
  asio::io_context io;
  ManualClock clock;
  Timer timer(io.get_executor(), clock);
  std::optional<bool> due;
  asio::co_spawn(io, wait_into(timer, seconds(10), due), asio::detached);
  io.poll();
  clock.advance(seconds(9));
  io.poll();
  EXPECT_FALSE(due.has_value());
  clock.advance(seconds(1));
  io.restart();
  io.poll();
  EXPECT_EQ(due, true);
  EXPECT_EQ(clock.armed(), 0u);
}

TEST(ManualClock, CancelIsNotTheTime) {
  asio::io_context io;
  ManualClock clock;
  Timer timer(io.get_executor(), clock);
  std::optional<bool> due;
  asio::co_spawn(io, wait_into(timer, seconds(10), due), asio::detached);
  io.poll();
  timer.cancel();
  io.poll();
  EXPECT_EQ(due, false);
}

TEST(ManualClock, AdvancesToTheEarliestTimer) {
  asio::io_context io;
  ManualClock clock;
  Timer late(io.get_executor(), clock);
  Timer early(io.get_executor(), clock);
  std::optional<bool> late_due;
  std::optional<bool> early_due;
  asio::co_spawn(io, wait_into(late, seconds(10), late_due), asio::detached);
  asio::co_spawn(io, wait_into(early, seconds(2), early_due), asio::detached);
  io.poll();
  EXPECT_TRUE(clock.advance_to_next());
  io.poll();
  EXPECT_EQ(early_due, true);
  EXPECT_FALSE(late_due.has_value());
}

TEST(SteadyClock, ATimerInThePastIsDueAtOnce) {
  asio::io_context io;
  SteadyClock clock;
  Timer timer(io.get_executor(), clock);
  std::optional<bool> due;
  asio::co_spawn(io, wait_into(timer, seconds(-1), due), asio::detached);
  io.run();
  EXPECT_EQ(due, true);
}

}  // namespace
}  // namespace fresnel
