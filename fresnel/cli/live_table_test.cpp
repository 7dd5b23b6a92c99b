// The live table on a pseudo-terminal: a child process shows it, the test is its user.
#include "fresnel/cli/live_table.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdlib>
#include <exception>
#include <string>

#include "fresnel/client/testing/events.hpp"

namespace fresnel::cli {
namespace {

using testing::HasSubstr;

constexpr int kExitOfTheTable = 42;

// The child: a table of one row. Never returns.
[[noreturn]] void show_a_table() {
  bool shown = false;
  {
    SteadyClock clock;
    asio::io_context io(1);
    LiveTable table(io.get_executor(), clock, {.title = "pods", .clusters = {"a"}});
    const auto handlers = table.handlers();
    handlers.on_event(
        "a", client::testing::parsed(client::testing::table_event("ADDED", "web", "5", R"([{"name":"Name"}])")));
    handlers.on_synced("a");
    asio::co_spawn(io, table.run(), [&](std::exception_ptr, const result<void>& done) { shown = done.has_value(); });
    io.run();
  }
  std::_Exit(shown ? kExitOfTheTable : 1);
}

class LiveTableTest : public testing::Test {
 protected:
  LiveTableTest() {
    winsize size{.ws_row = 20, .ws_col = 80, .ws_xpixel = 0, .ws_ypixel = 0};
    child_ = forkpty(&terminal_, nullptr, nullptr, &size);
    if (child_ == 0) show_a_table();
  }
  ~LiveTableTest() override {
    if (child_ > 0) kill(child_, SIGKILL);
    if (child_ > 0) waitpid(child_, nullptr, 0);
    close(terminal_);
  }

  // Reads what the child draws until `text` stands in it; fails after 20 s.
  bool wait_for(const std::string& text) {
    while (drawn_.find(text) == std::string::npos) {
      pollfd ready{terminal_, POLLIN, 0};
      if (poll(&ready, 1, 20'000) <= 0) return false;
      char buffer[4096];
      const auto size = read(terminal_, buffer, sizeof buffer);
      if (size <= 0) return false;
      drawn_.append(buffer, static_cast<std::size_t>(size));
    }
    return true;
  }

  void press(const std::string& keys) {
    ASSERT_EQ(write(terminal_, keys.data(), keys.size()), static_cast<ssize_t>(keys.size()));
  }

  // The child's exit code; everything it drew is in drawn_ then.
  int exit_code() {
    while (wait_for("no table draws this")) continue;
    int status = 0;
    EXPECT_EQ(waitpid(child_, &status, 0), child_);
    child_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  // The terminal was given back as the last thing.
  void expect_restored() const { EXPECT_THAT(drawn_, testing::EndsWith("\x1b[?7h\x1b[?25h\x1b[?1049l")); }

  pid_t child_ = -1;
  int terminal_ = -1;
  std::string drawn_;
};

TEST_F(LiveTableTest, ShowsTheRowsUntilQIsPressedAndGivesTheTerminalBack) {
  termios before{};
  ASSERT_EQ(tcgetattr(terminal_, &before), 0);
  ASSERT_TRUE(wait_for("web"));
  EXPECT_THAT(drawn_, testing::StartsWith("\x1b[?1049h\x1b[?25l"));
  termios during{};
  ASSERT_EQ(tcgetattr(terminal_, &during), 0);
  EXPECT_EQ(during.c_lflag & static_cast<tcflag_t>(ICANON | ECHO), 0u);
  press("q");
  EXPECT_EQ(exit_code(), kExitOfTheTable);
  expect_restored();
}

TEST_F(LiveTableTest, CtrlCEndsIt) {
  ASSERT_TRUE(wait_for("web"));
  press("\x03");
  EXPECT_EQ(exit_code(), kExitOfTheTable);
  expect_restored();
}

TEST_F(LiveTableTest, SigtermEndsIt) {
  ASSERT_TRUE(wait_for("web"));
  kill(child_, SIGTERM);
  EXPECT_EQ(exit_code(), kExitOfTheTable);
  expect_restored();
}

TEST_F(LiveTableTest, DrawsAnewWhenTheTerminalChangesItsSize) {
  ASSERT_TRUE(wait_for("q quits"));
  drawn_.clear();
  winsize size{.ws_row = 10, .ws_col = 4, .ws_xpixel = 0, .ws_ypixel = 0};
  ASSERT_EQ(ioctl(terminal_, TIOCSWINSZ, &size), 0);
  ASSERT_TRUE(wait_for("pods\r"));  // cut at the fourth column
  press("q");
  EXPECT_EQ(exit_code(), kExitOfTheTable);
}

TEST_F(LiveTableTest, DrawsNothingWhileNothingChanges) {
  ASSERT_TRUE(wait_for("q quits"));
  drawn_.clear();
  press("k");  // there is nothing to scroll: the picture stays the same
  press("q");
  EXPECT_EQ(exit_code(), kExitOfTheTable);
  EXPECT_THAT(drawn_, testing::Not(HasSubstr("web")));
}

}  // namespace
}  // namespace fresnel::cli
