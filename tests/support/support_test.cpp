// The helpers that other tests stand on: child processes, waiting, and the real API server.
#include <gtest/gtest.h>

#include <boost/asio/post.hpp>
#include <csignal>
#include <thread>

#include "tests/support/kube_apiserver.hpp"
#include "tests/support/ports.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/support/wait.hpp"

namespace fresnel::test {
namespace {

TEST(Process, KeepsBothStreamsAndTheExitCode) {
  const auto done =
      run({.argv = {"sh", "-c", "echo out; echo $FRESNEL_X >&2; exit 3"}, .env = {{"FRESNEL_X", "err"}}}, 10s);
  EXPECT_EQ(done.status, ExitStatus{.code = 3});
  EXPECT_EQ(done.output, "out\n");
  EXPECT_EQ(done.error_output, "err\n");
}

TEST(Process, ACommandThatTakesTooLongIsKilled) {
  const auto done = run({.argv = {"cat", "/dev/zero"}, .log_file = "/dev/null"}, 50ms);
  EXPECT_EQ(done.status, std::nullopt);
}

TEST(Process, AMissingProgramThrowsWithItsName) {
  EXPECT_THROW(Process({.argv = {"/no/such/program"}}), std::runtime_error);
  EXPECT_THROW(Process({.argv = {"no-such-program-on-path"}}), std::runtime_error);
}

TEST(Process, OutputIsAwaitedAndInputIsRead) {
  Process cat({.argv = {"cat"}});
  cat.write_input("hello\n");
  EXPECT_TRUE(cat.wait_for_output("hello", 10s));
  EXPECT_TRUE(cat.running());
  cat.close_input();
  EXPECT_EQ(cat.wait(10s), ExitStatus{.code = 0});
  EXPECT_FALSE(cat.wait_for_output("never", 10s)) << "the end of the child ends the wait";
}

TEST(Process, SignalsReachIt) {
  Process cat({.argv = {"cat"}});
  cat.stop();
  cat.write_input("late\n");
  EXPECT_FALSE(cat.wait_for_output("late", 100ms)) << "stopped";
  cat.resume();
  EXPECT_TRUE(cat.wait_for_output("late", 10s));
  cat.kill();
  EXPECT_EQ(cat.wait(10s), (ExitStatus{.code = -1, .signal = SIGKILL}));
}

TEST(Process, ATerminalHasASize) {
  const auto done = run({.argv = {"stty", "size"}, .terminal = true}, 10s);
  EXPECT_EQ(done.output, "40 120\r\n");
}

TEST(Process, DiesWithTheThreadThatStartedIt) {
  // Linux sends the parent-death signal when the starting thread ends, so a thread stands in for a killed test.
  std::optional<Process> cat;
  std::thread starter([&] { cat.emplace(ProcessOptions{.argv = {"cat"}}); });
  starter.join();
  EXPECT_EQ(cat->wait(10s), (ExitStatus{.code = -1, .signal = SIGKILL}));
}

TEST(Wait, RunUntilReturnsAsSoonAsThePredicateHolds) {
  boost::asio::io_context io;
  bool done = false;
  boost::asio::post(io, [&] { done = true; });
  EXPECT_TRUE(run_until(
      io, [&] { return done; }, 10s));
  EXPECT_FALSE(run_until(
      io, [] { return false; }, 10ms));
}

TEST(Wait, WatchedWakesAcrossThreads) {
  Watched<int> count(0);
  std::thread other([&] { count.update([](int& value) { value = 7; }); });
  EXPECT_TRUE(count.wait_until([](int value) { return value == 7; }, 10s));
  other.join();
}

TEST(Ports, AreBelowTheEphemeralRange) { EXPECT_LT(free_port(), 32'768); }

TEST(TempDir, IsRemoved) {
  std::filesystem::path file;
  {
    const TempDir dir;
    file = dir.write("a/b.txt", "text");
    EXPECT_EQ(read_file(file), "text");
  }
  EXPECT_FALSE(std::filesystem::exists(file));
}

}  // namespace
}  // namespace fresnel::test
