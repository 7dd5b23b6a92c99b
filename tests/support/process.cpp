#include "tests/support/process.hpp"

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <stdexcept>
#include <thread>

#include "tests/support/temp_dir.hpp"

namespace fresnel::test {

namespace {

[[noreturn]] void fail(const std::string& what) { throw std::runtime_error(what + ": " + std::strerror(errno)); }

// A file descriptor with an owner.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    reset(std::exchange(other.fd_, -1));
    return *this;
  }
  ~Fd() { reset(); }
  [[nodiscard]] int get() const noexcept { return fd_; }
  void reset(int fd = -1) noexcept {
    if (fd_ >= 0) close(fd_);
    fd_ = fd;
  }

 private:
  int fd_ = -1;
};

struct Pipe {
  Fd read;
  Fd write;
  Pipe() {
    std::array<int, 2> fds{};
    if (pipe2(fds.data(), O_CLOEXEC) != 0) fail("pipe");
    read.reset(fds[0]);
    write.reset(fds[1]);
  }
};

std::string find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) return name;
  const char* path = std::getenv("PATH");
  std::string_view rest = path != nullptr ? path : "/usr/bin:/bin";
  while (!rest.empty()) {
    const auto colon = std::min(rest.find(':'), rest.size());
    auto candidate = std::string(rest.substr(0, colon)) + "/" + name;
    if (access(candidate.c_str(), X_OK) == 0) return candidate;
    rest.remove_prefix(std::min(colon + 1, rest.size()));
  }
  throw std::runtime_error(name + " is not on PATH");
}

std::vector<std::string> environment_for(const ProcessOptions& options) {
  const auto replaced = [&](std::string_view entry) {
    const auto name = entry.substr(0, entry.find('='));
    for (const auto& [key, value] : options.env) {
      if (key == name) return true;
    }
    for (const auto& key : options.env_without) {
      if (key == name) return true;
    }
    return false;
  };
  std::vector<std::string> entries;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (!replaced(*entry)) entries.emplace_back(*entry);
  }
  for (const auto& [key, value] : options.env) entries.push_back(key + "=" + value);
  return entries;
}

std::vector<char*> pointers_of(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (auto& text : strings) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

// What the child needs between fork and exec, where only async-signal-safe calls are allowed.
struct Launch {
  std::string program;
  std::vector<std::string> arguments;
  std::vector<std::string> environment;
  std::string cwd;
  int in = -1;
  int out = -1;
  int err = -1;
  bool terminal = false;
  int failure = -1;  // where errno goes when exec fails
  pid_t parent = 0;
};

[[noreturn]] void become(const Launch& launch, char* const* argv, char* const* envp) {
  const auto give_up = [&] {
    const int reason = errno;
    (void)!write(launch.failure, &reason, sizeof reason);
    _exit(127);
  };
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != launch.parent) _exit(127);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  signal(SIGPIPE, SIG_DFL);
  if (launch.terminal) {
    setsid();
    if (ioctl(launch.out, TIOCSCTTY, 0) != 0) give_up();
  }
  if (dup2(launch.in, 0) < 0 || dup2(launch.out, 1) < 0 || dup2(launch.err, 2) < 0) give_up();
  if (!launch.cwd.empty() && chdir(launch.cwd.c_str()) != 0) give_up();
  // A listening socket of the test's own would stay open in the child, and its port taken.
  ::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
  execve(launch.program.c_str(), argv, envp);
  give_up();
  _exit(127);
}

// Forks and executes; throws when exec fails.
pid_t start(Launch& launch) {
  Pipe failure;
  launch.failure = failure.write.get();
  launch.parent = getpid();
  const auto argv = pointers_of(launch.arguments);
  const auto envp = pointers_of(launch.environment);
  const pid_t pid = fork();
  if (pid < 0) fail("fork");
  if (pid == 0) become(launch, argv.data(), envp.data());
  failure.write.reset();
  int reason = 0;
  if (read(failure.read.get(), &reason, sizeof reason) == sizeof reason) {
    waitpid(pid, nullptr, 0);
    throw std::runtime_error("cannot run " + launch.program + ": " + std::strerror(reason));
  }
  return pid;
}

struct Terminal {
  Fd master;
  Fd slave;
  Terminal() {
    master.reset(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
    if (master.get() < 0 || grantpt(master.get()) != 0 || unlockpt(master.get()) != 0) fail("pseudo-terminal");
    std::array<char, 128> name{};
    if (ptsname_r(master.get(), name.data(), name.size()) != 0) fail("pseudo-terminal");
    slave.reset(open(name.data(), O_RDWR | O_NOCTTY | O_CLOEXEC));
    const winsize size{.ws_row = 40, .ws_col = 120, .ws_xpixel = 0, .ws_ypixel = 0};
    ioctl(slave.get(), TIOCSWINSZ, &size);
  }
};

}  // namespace

class Process::Impl {
 public:
  explicit Impl(ProcessOptions options) : options_(std::move(options)) {
    if (options_.argv.empty()) throw std::runtime_error("a process needs an argv");
    ::signal(SIGPIPE, SIG_IGN);  // write_input() to a child that has ended is an error, not the end of the test
    Launch launch;
    launch.program = find_program(options_.argv[0]);
    launch.arguments = options_.argv;
    launch.environment = environment_for(options_);
    launch.cwd = options_.cwd.string();
    launch.terminal = options_.terminal;
    if (options_.terminal) {
      start_on_terminal(launch);
    } else {
      start_on_pipes(launch);
    }
    // By its number: glibc 2.36 declares pidfd_open() without extern "C".
    pidfd_.reset(static_cast<int>(syscall(SYS_pidfd_open, pid_, 0)));
    if (pidfd_.get() < 0) fail("pidfd_open");
    ended_ = sources_[0].get() < 0;
    if (!ended_) reader_ = std::thread([this] { read_output(); });
  }

  ~Impl() {
    if (!status_) {
      ::kill(pid_, SIGKILL);
      wait(Milliseconds(-1));
    }
    const char byte = 0;
    (void)!write(wake_.write.get(), &byte, 1);  // a grandchild may still hold the pipes open
    if (reader_.joinable()) reader_.join();
  }

  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  std::optional<ExitStatus> wait(Milliseconds timeout) {
    if (status_) return status_;
    pollfd ended{.fd = pidfd_.get(), .events = POLLIN, .revents = 0};
    if (poll(&ended, 1, static_cast<int>(timeout.count())) <= 0) return std::nullopt;
    int raw = 0;
    if (waitpid(pid_, &raw, 0) != pid_) fail("waitpid");
    status_ = WIFEXITED(raw) ? ExitStatus{.code = WEXITSTATUS(raw)} : ExitStatus{.code = -1, .signal = WTERMSIG(raw)};
    return status_;
  }

  void signal(int number) {
    if (!wait(Milliseconds(0))) ::kill(pid_, number);
  }

  std::string text(std::size_t stream) const {
    if (!options_.log_file.empty()) return stream == 0 ? read_file(options_.log_file) : std::string();
    const std::lock_guard lock(mutex_);
    return texts_[stream];
  }

  bool wait_for(std::size_t stream, const std::function<bool(std::string_view)>& predicate, Milliseconds timeout) {
    std::unique_lock lock(mutex_);
    bool found = false;
    changed_.wait_for(lock, timeout, [&] { return (found = predicate(texts_[stream])) || ended_; });
    return found;
  }

  void write_input(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto written = write(input_.get(), bytes.data(), bytes.size());
      if (written < 0) fail("writing to a child");
      bytes.remove_prefix(static_cast<std::size_t>(written));
    }
  }

  void close_input() { input_.reset(); }
  [[nodiscard]] pid_t pid() const noexcept { return pid_; }

 private:
  void start_on_terminal(Launch& launch) {
    Terminal terminal;
    launch.in = launch.out = launch.err = terminal.slave.get();
    pid_ = start(launch);
    input_.reset(fcntl(terminal.master.get(), F_DUPFD_CLOEXEC, 0));
    sources_[0] = std::move(terminal.master);
  }

  void start_on_pipes(Launch& launch) {
    Pipe in;
    launch.in = in.read.get();
    if (!options_.log_file.empty()) {
      const Fd log(open(options_.log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
      if (log.get() < 0) fail("cannot open " + options_.log_file.string());
      launch.out = launch.err = log.get();
      pid_ = start(launch);
    } else {
      Pipe out;
      Pipe err;
      launch.out = out.write.get();
      launch.err = err.write.get();
      pid_ = start(launch);
      sources_ = {std::move(out.read), std::move(err.read)};
    }
    input_ = std::move(in.write);
  }

  // Runs on a thread of its own until both streams end or the destructor wakes it.
  void read_output() {
    std::array<char, 1 << 16> buffer;
    std::array<bool, 2> open{true, sources_[1].get() >= 0};
    while (open[0] || open[1]) {
      std::array<pollfd, 3> ready{pollfd{open[0] ? sources_[0].get() : -1, POLLIN, 0},
                                  pollfd{open[1] ? sources_[1].get() : -1, POLLIN, 0},
                                  pollfd{wake_.read.get(), POLLIN, 0}};
      poll(ready.data(), ready.size(), -1);
      bool progress = false;
      for (std::size_t i = 0; i < 2; ++i) {
        if (ready[i].revents == 0) continue;
        const auto size = read(sources_[i].get(), buffer.data(), buffer.size());
        progress = true;
        open[i] = size > 0;  // a terminal whose last user is gone reports EIO
        const std::lock_guard lock(mutex_);
        if (size > 0) texts_[i].append(buffer.data(), static_cast<std::size_t>(size));
        changed_.notify_all();
      }
      if (!progress && ready[2].revents != 0) break;
    }
    const std::lock_guard lock(mutex_);
    ended_ = true;
    changed_.notify_all();
  }

  ProcessOptions options_;
  pid_t pid_ = -1;
  Fd pidfd_;
  Fd input_;
  std::array<Fd, 2> sources_;
  Pipe wake_;
  std::optional<ExitStatus> status_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::array<std::string, 2> texts_;
  bool ended_ = false;
  std::thread reader_;
};

Process::Process(ProcessOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
Process::~Process() = default;
Process::Process(Process&&) noexcept = default;
Process& Process::operator=(Process&&) noexcept = default;

pid_t Process::pid() const noexcept { return impl_->pid(); }
bool Process::running() { return !impl_->wait(Milliseconds(0)); }
void Process::terminate() { impl_->signal(SIGTERM); }
void Process::interrupt() { impl_->signal(SIGINT); }
void Process::kill() { impl_->signal(SIGKILL); }
void Process::stop() { impl_->signal(SIGSTOP); }
void Process::resume() { impl_->signal(SIGCONT); }
std::optional<ExitStatus> Process::wait(Milliseconds timeout) { return impl_->wait(timeout); }
std::string Process::output() const { return impl_->text(0); }
std::string Process::error_output() const { return impl_->text(1); }

bool Process::wait_for_output(const std::function<bool(std::string_view)>& predicate, Milliseconds timeout) {
  return impl_->wait_for(0, predicate, timeout);
}

bool Process::wait_for_output(std::string_view part, Milliseconds timeout) {
  return impl_->wait_for(
      0, [&](std::string_view all) { return all.find(part) != all.npos; }, timeout);
}

bool Process::wait_for_error_output(std::string_view part, Milliseconds timeout) {
  return impl_->wait_for(
      1, [&](std::string_view all) { return all.find(part) != all.npos; }, timeout);
}

void Process::write_input(std::string_view bytes) { impl_->write_input(bytes); }
void Process::close_input() { impl_->close_input(); }

Completed run(ProcessOptions options, std::chrono::milliseconds timeout) {
  Process process(std::move(options));
  process.close_input();
  Completed completed;
  completed.status = process.wait(timeout);
  if (!completed.status) {
    process.kill();
    process.wait(std::chrono::seconds(10));
  }
  // The last bytes may still be in the pipes: the end of both streams follows the end of the process.
  process.wait_for_output([](std::string_view) { return false; }, std::chrono::seconds(10));
  completed.output = process.output();
  completed.error_output = process.error_output();
  return completed;
}

}  // namespace fresnel::test
