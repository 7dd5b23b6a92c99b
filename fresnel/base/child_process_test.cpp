#include "fresnel/base/child_process.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <cerrno>
#include <exception>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <utility>

namespace fresnel {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

// A pipe with a name that the programs of a test hold open: it hangs up when the last of them is gone.
class Fifo {
 public:
  explicit Fifo(std::string path) : path_(std::move(path)) {
    if (mkfifo(path_.c_str(), 0600) == 0) fd_ = open(path_.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  }
  ~Fifo() { close(fd_); }
  Fifo(const Fifo&) = delete;
  Fifo& operator=(const Fifo&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }
  // The first bytes that somebody writes.
  [[nodiscard]] std::string read_some() const {
    std::array<char, 256> buffer{};
    if (!becomes(POLLIN)) return "nothing came";
    const auto size = read(fd_, buffer.data(), buffer.size());
    return {buffer.data(), size > 0 ? static_cast<std::size_t>(size) : 0};
  }
  [[nodiscard]] bool hangs_up() const { return becomes(POLLHUP); }

 private:
  [[nodiscard]] bool becomes(short event) const {
    constexpr int kPatienceMs = 20'000;
    pollfd waiting{.fd = fd_, .events = event, .revents = 0};
    return poll(&waiting, 1, kPatienceMs) == 1 && (waiting.revents & event) != 0;
  }

  std::string path_;
  int fd_ = -1;
};

bool has_children() { return waitpid(-1, nullptr, WNOHANG) != -1 || errno != ECHILD; }

class ChildProcess : public testing::Test {
 protected:
  ChildProcess() {
    std::string pattern = (fs::temp_directory_path() / "child_process_test.XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
    io_ = std::make_unique<asio::io_context>();
  }
  ~ChildProcess() override {
    io_.reset();
    EXPECT_FALSE(has_children());
    fs::remove_all(folder_);
  }

  static ChildOptions shell(std::string script) {
    return {.program = "sh", .args = {"-c", std::move(script)}, .environment = {"PATH=/usr/bin:/bin"}};
  }
  std::string write_program(const std::string& name, const std::string& text, int mode = 0700) {
    std::string path = folder_ / name;
    std::ofstream(path) << text;
    chmod(path.c_str(), static_cast<mode_t>(mode));
    return path;
  }
  void start(ChildOptions options) {
    asio::co_spawn(*io_, run_child(std::move(options), clock_),
                   asio::bind_cancellation_slot(
                       cancel_.slot(), [this](std::exception_ptr, result<ChildEnd> end) { end_ = std::move(end); }));
    io_->poll();
  }
  result<ChildEnd> run(ChildOptions options) {
    start(std::move(options));
    io_->run();
    io_->restart();
    return *end_;
  }

  fs::path folder_;
  ManualClock clock_;
  asio::cancellation_signal cancel_;
  std::unique_ptr<asio::io_context> io_;
  std::optional<result<ChildEnd>> end_;
};

TEST_F(ChildProcess, GivesWhatAProgramWroteAndItsStatus) {
  const auto end = run(shell("echo out; echo err >&2; exit 3"));
  ASSERT_TRUE(end) << end.error().message;
  EXPECT_EQ(end->how, ChildEnd::How::exited);
  EXPECT_EQ(end->code, 3);
  EXPECT_FALSE(end->succeeded());
  EXPECT_EQ(end->out, "out\n");
  EXPECT_EQ(end->err, "err\n");
}

TEST_F(ChildProcess, PassesArgumentsAndTheWholeEnvironmentAndNoInput) {
  auto options = shell("printf '%s|' \"$@\"; env; cat");
  options.args.insert(options.args.end(), {"zero", "a b", "", "'\"$x"});
  options.environment.emplace_back("K=a = b");
  const auto end = run(std::move(options));
  ASSERT_TRUE(end);
  EXPECT_TRUE(end->succeeded());
  EXPECT_TRUE(end->out.starts_with("a b||'\"$x|"));
  EXPECT_THAT(end->out, HasSubstr("K=a = b\n"));
  EXPECT_EQ(end->out.find("HOME="), std::string::npos);
}

TEST_F(ChildProcess, LooksForANameInTheEnvironmentsOwnPath) {
  write_program("tool", "#!/bin/sh\necho mine\n");
  const std::string path = "PATH=:relative:/nonexistent:" + folder_.string();
  const auto end = run({.program = "tool", .environment = {path}});
  ASSERT_TRUE(end) << end.error().message;
  EXPECT_EQ(end->out, "mine\n");
  const auto other = run({.program = "sh", .environment = {path}});
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error(), (Error{Errc::not_found, "\"sh\" was not found in PATH"}));
}

TEST_F(ChildProcess, PassesOverRelativeFoldersOfThePath) {
  write_program("tool", "#!/bin/sh\n");
  const auto before = fs::current_path();
  fs::current_path(folder_);
  const auto end = run({.program = "tool", .environment = {"PATH=.::" + folder_.filename().string()}});
  fs::current_path(before);
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().code, Errc::not_found);
}

TEST_F(ChildProcess, SaysWhyAProgramCannotRun) {
  const auto missing = run({.program = (folder_ / "none").string()});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Errc::not_found);

  const auto headless = run({.program = write_program("headless", "#!/nonexistent/interpreter\n")});
  ASSERT_FALSE(headless);
  EXPECT_EQ(headless.error().code, Errc::not_found);
  EXPECT_THAT(headless.error().message, HasSubstr("interpreter"));

  const auto folder = run({.program = folder_.string()});
  ASSERT_FALSE(folder);
  EXPECT_EQ(folder.error().code, Errc::invalid_argument);
  EXPECT_THAT(folder.error().message, HasSubstr("Permission denied"));

  const auto nul = run(shell(std::string("echo a\0b", 8)));
  ASSERT_FALSE(nul);
  EXPECT_EQ(nul.error().code, Errc::invalid_argument);
}

TEST_F(ChildProcess, SaysWhichSignalEndedAProgram) {
  const auto end = run(shell("echo before; kill -USR1 $$"));
  ASSERT_TRUE(end);
  EXPECT_EQ(end->how, ChildEnd::How::signalled);
  EXPECT_EQ(end->code, SIGUSR1);
  EXPECT_EQ(end->out, "before\n");
}

TEST_F(ChildProcess, BoundsWhatAProgramWrites) {
  auto fits = shell("head -c 100000 /dev/zero");
  fits.max_out = 100'000;
  const auto whole = run(std::move(fits));
  ASSERT_TRUE(whole);
  EXPECT_TRUE(whole->succeeded());
  EXPECT_EQ(whole->out.size(), 100'000u);

  auto endless = shell("cat /dev/zero");
  endless.max_out = 99'999;
  const auto cut = run(std::move(endless));
  ASSERT_TRUE(cut);
  EXPECT_EQ(cut->how, ChildEnd::How::output_too_large);
  EXPECT_LE(cut->out.size(), 99'999u);
}

TEST_F(ChildProcess, KeepsTheEndOfALongStandardError) {
  auto options = shell("head -c 100000 /dev/zero >&2; echo the error >&2");
  options.max_err = 20;
  const auto end = run(std::move(options));
  ASSERT_TRUE(end);
  EXPECT_TRUE(end->succeeded());
  EXPECT_EQ(end->err.size(), 20u);
  EXPECT_TRUE(end->err.ends_with("the error\n"));
}

TEST_F(ChildProcess, GivesNoDescriptorOfThisProcessAway) {
  const int leaky = dup(STDIN_FILENO);  // without close-on-exec
  const int high = fcntl(leaky, F_DUPFD, 500);
  const auto end = run({.program = "/bin/ls", .args = {"/proc/self/fd"}});
  close(leaky);
  close(high);
  ASSERT_TRUE(end);
  EXPECT_EQ(end->out, "0\n1\n2\n3\n") << "3 is the folder that ls reads";
}

TEST_F(ChildProcess, HasDefaultSignalsAndASessionOfItsOwn) {
  sigset_t blocked;
  sigset_t before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &blocked, &before);
  const auto pipe_before = signal(SIGPIPE, SIG_IGN);
  const auto signals = run({.program = "/bin/grep", .args = {"-E", "Sig(Blk|Ign)", "/proc/self/status"}});
  signal(SIGPIPE, pipe_before);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ASSERT_TRUE(signals);
  // glibc leaves 32 and 33, which are its own, as this process got them.
  EXPECT_THAT(signals->out, testing::MatchesRegex("SigBlk:\t0+\nSigIgn:\t0+[01]?[08]?0000000\n"));

  const auto leads =
      run(shell("read -r pid name state parent group session rest < /proc/self/stat\n"
                "[ $pid = $group ] && [ $pid = $session ] && ! (: < /dev/tty) 2>&-"));
  ASSERT_TRUE(leads);
  EXPECT_TRUE(leads->succeeded()) << leads->err;
}

TEST_F(ChildProcess, DoesNotWaitForOthersThatHoldItsPipesAndEndsThem) {
  const Fifo alive(folder_ / "alive");
  const auto end = run(shell("exec 3>" + alive.path() + "; sleep 60 & echo done; echo reason >&2"));
  ASSERT_TRUE(end);
  EXPECT_TRUE(end->succeeded());
  EXPECT_EQ(end->out, "done\n");
  EXPECT_EQ(end->err, "reason\n");
  EXPECT_TRUE(alive.hangs_up());
}

class RunningChild : public ChildProcess {
 protected:
  // Ignores SIGTERM, and has a child of its own that holds all it holds.
  void start_stubborn() {
    start(shell("trap '' TERM; echo asked >&2; exec 3>" + alive_.path() + "; sleep 60 & echo up >&3; wait; wait"));
    ASSERT_EQ(alive_.read_some(), "up\n");
    ASSERT_FALSE(end_);
  }

  Fifo alive_{folder_ / "alive"};
};

TEST_F(RunningChild, IsKilledWithItsGroupWhenItsTimeIsUp) {
  start_stubborn();
  io_->poll();  // what it wrote
  clock_.advance(seconds(29));
  io_->poll();
  ASSERT_FALSE(end_);
  clock_.advance(seconds(1));
  io_->run();
  ASSERT_TRUE(end_ && *end_);
  EXPECT_EQ((*end_)->how, ChildEnd::How::timed_out);
  EXPECT_EQ((*end_)->err, "asked\n");
  EXPECT_TRUE(alive_.hangs_up());
  EXPECT_FALSE(has_children()) << "it must have been reaped on the executor";
}

TEST_F(RunningChild, IsKilledWithItsGroupWhenTheCallerIsCancelled) {
  start_stubborn();
  cancel_.emit(asio::cancellation_type::terminal);
  io_->run();
  ASSERT_TRUE(end_ && !*end_);
  EXPECT_EQ(end_->error().code, Errc::cancelled);
  EXPECT_TRUE(alive_.hangs_up());
  EXPECT_FALSE(has_children());
}

TEST_F(RunningChild, IsKilledWithItsGroupWhenTheExecutorEnds) {
  start_stubborn();
  io_.reset();
  EXPECT_FALSE(has_children());
  EXPECT_TRUE(alive_.hangs_up());
}

// Not with UBSan: it looks whether memory can be read through a pipe of its own, and without a descriptor for that
// takes every object for a broken one.
#if !defined(__SANITIZE_ADDRESS__)
TEST_F(ChildProcess, LeavesNothingBehindWhenDescriptorsRunOut) {
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  run(shell("true"));  // what Asio opens once
  const int first_free = dup(STDIN_FILENO);
  close(first_free);
  result<ChildEnd> end = Error{};
  rlim_t more = 0;
  for (; !end && more < 20; ++more) {
    rlimit tight = before;
    tight.rlim_cur = static_cast<rlim_t>(first_free) + more;
    setrlimit(RLIMIT_NOFILE, &tight);
    end = run(shell("true"));
    setrlimit(RLIMIT_NOFILE, &before);
    if (!end) {
      EXPECT_EQ(end.error().code, Errc::internal) << end.error().message;
    }
    EXPECT_FALSE(has_children());
    const int free_now = dup(STDIN_FILENO);
    close(free_now);
    EXPECT_EQ(free_now, first_free) << "a descriptor is left with " << more;
  }
  EXPECT_TRUE(end);
  EXPECT_GE(more, 5u) << "two pipes and the pidfd";
}
#endif

}  // namespace
}  // namespace fresnel
