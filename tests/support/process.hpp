// Child processes of a test: their output, their signals, their end. A child dies with the test that started it.
//
//   Process gateway({.argv = {"build/debug/fresnel", "serve", "--listen", "127.0.0.1:0"}});
//   ASSERT_TRUE(gateway.wait_for_output("listening", 10s)) << gateway.output();
//   gateway.kill();
//   EXPECT_EQ(gateway.wait(5s)->signal, SIGKILL);
//
// Thread safety: one thread, and that thread must outlive the child (Linux ends the child together with the thread
// that started it).
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fresnel::test {

struct ProcessOptions {
  std::vector<std::string> argv;                              // argv[0] is looked up in PATH when it has no slash
  std::vector<std::pair<std::string, std::string>> env = {};  // added to the test's own environment, or replacing it
  std::vector<std::string> env_without = {};                  // names taken out of it
  std::filesystem::path cwd = {};                             // empty: the test's own
  std::filesystem::path log_file = {};  // stdout and stderr are appended here instead of being kept in memory
  bool terminal = false;                // stdout, stderr and stdin are a pseudo-terminal of 120 x 40; all in output()
};

struct ExitStatus {
  int code = -1;   // -1 when a signal ended it
  int signal = 0;  // 0 when it exited
  friend bool operator==(const ExitStatus&, const ExitStatus&) = default;
};

class Process {
 public:
  using Milliseconds = std::chrono::milliseconds;

  explicit Process(ProcessOptions options);  // throws std::runtime_error when it cannot be started
  ~Process();                                // kill() and reap
  Process(Process&&) noexcept;
  Process& operator=(Process&&) noexcept;

  [[nodiscard]] pid_t pid() const noexcept;
  [[nodiscard]] bool running();

  void terminate();  // SIGTERM
  void interrupt();  // SIGINT
  void kill();       // SIGKILL
  void stop();       // SIGSTOP: alive, its sockets open, doing nothing
  void resume();     // SIGCONT

  // How it ended; nullopt when it is still running after `timeout`.
  std::optional<ExitStatus> wait(Milliseconds timeout);

  // Everything written so far. With a terminal or a log file, error_output() is empty and output() has both.
  [[nodiscard]] std::string output() const;
  [[nodiscard]] std::string error_output() const;
  // True once the predicate holds for all of the output (for the standard error: _error_); false after `timeout`, or
  // when the child ended without it. Not for children with a log file.
  bool wait_for_output(const std::function<bool(std::string_view)>& predicate, Milliseconds timeout);
  bool wait_for_output(std::string_view part, Milliseconds timeout);
  bool wait_for_error_output(std::string_view part, Milliseconds timeout);

  // Bytes for its standard input; close_input() ends it.
  void write_input(std::string_view bytes);
  void close_input();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

struct Completed {
  std::optional<ExitStatus> status;  // nullopt: it ran for too long and was killed
  std::string output;
  std::string error_output;
};

// Runs a command to its end, with an empty standard input.
[[nodiscard]] Completed run(ProcessOptions options, std::chrono::milliseconds timeout);

}  // namespace fresnel::test
