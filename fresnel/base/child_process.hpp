// Runs a program to its end, within a limit of time, and gives back what it wrote.
//
//   ChildOptions options{.program = "aws", .args = {"eks", "get-token"}, .environment = {"PATH=/usr/bin:/bin"}};
//   auto running = run_child(std::move(options), clock);
//   auto end = co_await std::move(running);
//   if (end && end->succeeded()) use(end->out);
//
// The program is the leader of a session, and so of a process group, of its own: it has no terminal to ask anything on.
// It reads nothing (/dev/null), has default signal dispositions with none blocked, and no descriptor of this process.
// When it ends, takes too long or writes too much, and when the coroutine is cancelled or destroyed, the whole group
// gets SIGKILL: what it started ends with it, other than what made itself a session. It is waited for by a pidfd
// (Linux 5.4), without a handler of SIGCHLD; SIGCHLD must not be ignored.
//
// Thread safety: the coroutine's executor runs one handler at a time. Any number of coroutines, on any threads.
// Source: posix_spawn(3), pidfd_open(2).
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "fresnel/base/asio.hpp"
#include "fresnel/base/clock.hpp"
#include "fresnel/base/error.hpp"

namespace fresnel {

struct ChildOptions {
  std::string program;                   // a path, or a name to be looked for in the PATH of `environment`
  std::vector<std::string> args;         // those after the program's own name
  std::vector<std::string> environment;  // "NAME=value", all of it: nothing is inherited
  Duration limit = seconds(30);
  std::size_t max_out = 1u << 20;  // bytes of standard output; more is ChildEnd::How::output_too_large
  std::size_t max_err = 4096;      // bytes of standard error: the last ones are kept, for errors come last
};

struct ChildEnd {
  enum class How { exited, signalled, timed_out, output_too_large };

  How how = How::exited;
  int code = 0;  // the exit status, or the signal's number
  std::string out;
  std::string err;

  [[nodiscard]] bool succeeded() const noexcept { return how == How::exited && code == 0; }
};

// `clock` outlives the coroutine. Errors: not_found (no such program, or no such interpreter of it), invalid_argument
// (not executable, a NUL in an argument), cancelled, internal (no process or descriptor can be had).
[[nodiscard]] awaitable<result<ChildEnd>> run_child(ChildOptions options, Clock& clock);

}  // namespace fresnel
