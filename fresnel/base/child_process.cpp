#include "fresnel/base/child_process.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/this_coro.hpp>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <functional>
#include <memory>
#include <string_view>
#include <utility>

namespace fresnel {
namespace {

using Descriptor = asio::posix::stream_descriptor;

// A file descriptor with an owner.
class Fd {
 public:
  explicit Fd(int fd = -1) noexcept : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(other.release()) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd() {
    if (fd_ >= 0) close(fd_);
  }
  [[nodiscard]] int get() const noexcept { return fd_; }
  [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

struct Pipe {
  Fd read;
  Fd write;
};

Error start_error(std::string_view what, int reason) {
  return {Errc::internal, fmt::format("cannot start a program: {}: {}", what, std::strerror(reason))};
}

// Above the standard descriptors, which a process that closed its own would otherwise give out.
result<Fd> above_standard(Fd fd) {
  if (fd.get() > STDERR_FILENO) return fd;
  Fd moved(fcntl(fd.get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
  if (moved.get() < 0) return start_error("fcntl", errno);
  return moved;
}

result<Pipe> make_pipe() {
  std::array<int, 2> fds{};
  if (pipe2(fds.data(), O_CLOEXEC) != 0) return start_error("pipe", errno);
  Fd first(fds[0]);
  Fd second(fds[1]);
  auto read = above_standard(std::move(first));
  if (!read) return read.error();
  auto write = above_standard(std::move(second));
  if (!write) return write.error();
  return Pipe{*std::move(read), *std::move(write)};
}

std::string_view path_in(const std::vector<std::string>& environment) {
  for (std::string_view entry : environment) {
    if (entry.starts_with("PATH=")) return entry.substr(5);
  }
  return "/usr/bin:/bin";
}

// Relative folders in PATH are passed over, as Go does: which program runs must not hang on the working directory.
result<std::string> find_program(const ChildOptions& options) {
  const std::string& name = options.program;
  if (name.find('/') != std::string::npos) return name;
  std::string_view rest = path_in(options.environment);
  while (!name.empty() && !rest.empty()) {
    const auto colon = std::min(rest.find(':'), rest.size());
    const auto folder = rest.substr(0, colon);
    std::string candidate = fmt::format("{}/{}", folder, name);
    if (folder.starts_with('/') && access(candidate.c_str(), X_OK) == 0) return candidate;
    rest.remove_prefix(std::min(colon + 1, rest.size()));
  }
  return Error{Errc::not_found, fmt::format("\"{}\" was not found in PATH", name)};
}

result<void> refuse_nul(const ChildOptions& options) {
  const auto has_nul = [](const std::string& text) { return text.find('\0') != std::string::npos; };
  if (has_nul(options.program) || std::any_of(options.args.begin(), options.args.end(), has_nul) ||
      std::any_of(options.environment.begin(), options.environment.end(), has_nul)) {
    return Error{Errc::invalid_argument, "a program's name, arguments and environment cannot hold a NUL character"};
  }
  return {};
}

Error exec_error(const std::string& program, int reason) {
  if (reason == ENOENT && access(program.c_str(), F_OK) == 0) {
    return {Errc::not_found, fmt::format("\"{}\" needs an interpreter that was not found", program)};
  }
  if (reason == ENOENT || reason == ENOTDIR) return {Errc::not_found, fmt::format("\"{}\" was not found", program)};
  const bool resources = reason == EAGAIN || reason == ENOMEM || reason == EMFILE || reason == ENFILE;
  return {resources ? Errc::internal : Errc::invalid_argument,
          fmt::format("cannot run \"{}\": {}", program, std::strerror(reason))};
}

// How a child starts: its descriptors, signals and session.
class SpawnSettings {
 public:
  SpawnSettings(int out, int err) {
    posix_spawn_file_actions_init(&actions_);
    posix_spawnattr_init(&attributes_);
    posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions_, out, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions_, err, STDERR_FILENO);
    posix_spawn_file_actions_addclosefrom_np(&actions_, STDERR_FILENO + 1);
    sigset_t signals;
    sigfillset(&signals);
    posix_spawnattr_setsigdefault(&attributes_, &signals);
    sigemptyset(&signals);
    posix_spawnattr_setsigmask(&attributes_, &signals);
    posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  }
  ~SpawnSettings() {
    posix_spawn_file_actions_destroy(&actions_);
    posix_spawnattr_destroy(&attributes_);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;

  [[nodiscard]] const posix_spawn_file_actions_t* actions() const noexcept { return &actions_; }
  [[nodiscard]] const posix_spawnattr_t* attributes() const noexcept { return &attributes_; }

 private:
  posix_spawn_file_actions_t actions_{};
  posix_spawnattr_t attributes_{};
};

std::vector<char*> pointers_of(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  pointers.reserve(strings.size() + 1);
  for (auto& text : strings) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

result<pid_t> spawn(const std::string& program, ChildOptions& options, int out, int err) {
  std::vector<std::string> arguments = options.args;
  arguments.insert(arguments.begin(), options.program);
  const auto argv = pointers_of(arguments);
  const auto envp = pointers_of(options.environment);
  const SpawnSettings settings(out, err);
  pid_t pid = -1;
  const int failed =
      posix_spawn(&pid, program.c_str(), settings.actions(), settings.attributes(), argv.data(), envp.data());
  if (failed != 0) return exec_error(program, failed);
  return pid;
}

// A running program. What waits for its end keeps it alive; whoever drops it last kills and reaps it.
class Child : public std::enable_shared_from_this<Child> {
 public:
  Child(const Executor& executor, pid_t pid, const ChildOptions& options)
      : pid_(pid),
        pidfd_(executor),
        out_(executor),
        err_(executor),
        max_out_(options.max_out),
        max_err_(options.max_err) {}
  ~Child() {
    kill_group();
    reap_now();
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // Takes the pipes' ends for reading.
  result<void> adopt(Fd out, Fd err) {
    // By its number: glibc 2.36 declares pidfd_open() without extern "C".
    Fd pidfd(static_cast<int>(syscall(SYS_pidfd_open, pid_, 0)));
    if (pidfd.get() < 0) return start_error("pidfd_open", errno);
    for (auto [descriptor, fd] : {std::pair(&pidfd_, &pidfd), std::pair(&out_, &out), std::pair(&err_, &err)}) {
      error_code failed;
      descriptor->assign(fd->get(), failed);
      if (failed) return start_error("epoll", failed.value());
      (void)fd->release();
      descriptor->non_blocking(true, failed);
    }
    return {};
  }
  // `on_end` is called once, unless finish() comes first.
  void watch(std::function<void()> on_end) {
    on_end_ = std::move(on_end);
    listen(out_, &Child::take_out);
    listen(err_, &Child::take_err);
    pidfd_.async_wait(Descriptor::wait_read, [self = shared_from_this()](const error_code& failed) {
      if (!failed) self->exited();
    });
  }
  [[nodiscard]] bool ended() const noexcept { return ended_; }
  // Kills what still runs, reads no more, and gives what there is. The process is reaped when it has ended.
  ChildEnd finish() {
    on_end_ = nullptr;
    kill_group();
    error_code ignored;
    out_.close(ignored);
    err_.close(ignored);
    return std::move(end_);
  }

 private:
  using Take = bool (Child::*)(std::string_view);

  // Waits, and reads when it is called back: bytes that an asynchronous read had taken already would be missing from,
  // or come after, what exited() takes.
  void listen(Descriptor& from, Take take) {
    from.async_wait(Descriptor::wait_read, [this, self = shared_from_this(), &from, take](const error_code& failed) {
      if (failed || ended_) return;
      if (take_some(from, take) != Taken::all) listen(from, take);
    });
  }
  enum class Taken { some, none_yet, all };
  Taken take_some(Descriptor& from, Take take) {
    std::array<char, 16'384> buffer;
    error_code failed;
    const auto size = from.read_some(asio::buffer(buffer), failed);
    if (failed == asio::error::would_block || failed == asio::error::interrupted) return Taken::none_yet;
    if (failed) return Taken::all;
    return (this->*take)(std::string_view(buffer.data(), size)) ? Taken::some : Taken::all;
  }
  bool take_out(std::string_view bytes) {
    if (bytes.size() > max_out_ - end_.out.size()) {
      end(ChildEnd::How::output_too_large, 0);
      return false;
    }
    end_.out += bytes;
    return true;
  }
  bool take_err(std::string_view bytes) {
    end_.err += bytes;
    if (end_.err.size() > max_err_) end_.err.erase(0, end_.err.size() - max_err_);
    return true;
  }
  // What is in a pipe when the program has ended. Not to the end of file: others may hold the pipe.
  void drain(Descriptor& from, Take take) {
    constexpr int kMostReads = 1024;  // many times what a pipe holds, should others go on writing
    for (int reads = 0; reads < kMostReads; ++reads) {
      if (take_some(from, take) != Taken::some) return;
    }
  }
  void exited() {
    // While it is not reaped, its number is nobody else's: now is the last chance to reach the rest of its group.
    kill_group();
    int status = 0;
    const bool known = waitpid(pid_, &status, WNOHANG) == pid_;
    reaped_ = true;
    if (ended_ || !on_end_) return;
    drain(err_, &Child::take_err);
    drain(out_, &Child::take_out);
    if (ended_) return;
    if (!known) {
      end(ChildEnd::How::signalled, 0);  // somebody else reaped it
    } else if (WIFEXITED(status)) {
      end(ChildEnd::How::exited, WEXITSTATUS(status));
    } else {
      end(ChildEnd::How::signalled, WTERMSIG(status));
    }
  }
  void end(ChildEnd::How how, int code) {
    if (std::exchange(ended_, true)) return;
    end_.how = how;
    end_.code = code;
    if (on_end_) std::exchange(on_end_, nullptr)();
  }
  void kill_group() noexcept {
    if (!reaped_) ::kill(-pid_, SIGKILL);
  }
  // For the end of the executor, which will not say when the process has ended. A killed one ends at once unless the
  // kernel holds it; then it is not worth waiting longer.
  void reap_now() noexcept {
    constexpr int kPatienceMs = 1000;
    if (reaped_) return;
    pollfd waiting{.fd = pidfd_.native_handle(), .events = POLLIN, .revents = 0};
    if (waiting.fd >= 0) ::poll(&waiting, 1, kPatienceMs);
    waitpid(pid_, nullptr, waiting.fd >= 0 ? WNOHANG : 0);
  }

  pid_t pid_;
  Descriptor pidfd_;
  Descriptor out_;
  Descriptor err_;
  std::size_t max_out_;
  std::size_t max_err_;
  ChildEnd end_;
  std::function<void()> on_end_;
  bool ended_ = false;
  bool reaped_ = false;
};

result<std::shared_ptr<Child>> start(const Executor& executor, ChildOptions& options) {
  if (auto fine = refuse_nul(options); !fine) return fine.error();
  const auto program = find_program(options);
  if (!program) return program.error();
  auto out = make_pipe();
  if (!out) return out.error();
  auto err = make_pipe();
  if (!err) return err.error();
  const auto pid = spawn(*program, options, out->write.get(), err->write.get());
  if (!pid) return pid.error();
  auto child = std::make_shared<Child>(executor, *pid, options);
  if (auto adopted = child->adopt(std::move(out->read), std::move(err->read)); !adopted) return adopted.error();
  return child;
}

// Ends the child with the coroutine that holds this.
class Holder {
 public:
  explicit Holder(std::shared_ptr<Child> child) : child_(std::move(child)) {}
  ~Holder() { child_->finish(); }
  Holder(const Holder&) = delete;
  Holder& operator=(const Holder&) = delete;

 private:
  std::shared_ptr<Child> child_;
};

}  // namespace

awaitable<result<ChildEnd>> run_child(ChildOptions options, Clock& clock) {
  const Executor executor = co_await asio::this_coro::executor;
  auto started = start(executor, options);
  if (!started) co_return started.error();
  const std::shared_ptr<Child> child = *std::move(started);
  const Holder holder(child);
  Timer timer(executor, clock);
  child->watch([&timer] { timer.cancel(); });
  // Nothing can have ended yet: what ends it runs on this executor.
  auto waiting = timer.wait_for(options.limit);
  const bool due = co_await std::move(waiting);
  const bool ended = child->ended();
  if (!ended && !due) co_return Error{Errc::cancelled, "cancelled while a program was running"};
  ChildEnd end = child->finish();
  if (!ended) end.how = ChildEnd::How::timed_out;
  co_return end;
}

}  // namespace fresnel
