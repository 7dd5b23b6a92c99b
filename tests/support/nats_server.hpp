// A real nats-server on a free port of 127.0.0.1, with a store of its own; gone with the test.
//
//   NatsServer server;
//   NatsBroker broker(io.get_executor(), clock, {.servers = {server.url()}});
//   server.kill();     // SIGKILL
//   server.start();    // the same port, the same store
//
// Thread safety: one thread, which must outlive the server (see process.hpp).
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/process.hpp"
#include "tests/support/temp_dir.hpp"

namespace fresnel::test {

struct NatsServerOptions {
  bool jetstream = true;
  bool started = true;
  std::string config = {};  // lines for its configuration file
};

class NatsServer {
 public:
  // Starts it and waits until it is ready. Throws std::runtime_error, with its log, when it does not get ready.
  explicit NatsServer(NatsServerOptions options = {});

  [[nodiscard]] std::string url() const;  // nats://127.0.0.1:PORT
  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }

  void start();
  void kill() { process_.reset(); }   // SIGKILL, and waits for its end
  void pause() { process_->stop(); }  // SIGSTOP: connections stay open and silent
  void resume() { process_->resume(); }
  // What it had stored is gone. It must not be running.
  void lose_store();

 private:
  NatsServerOptions options_;
  TempDir dir_;
  std::uint16_t port_;
  std::optional<Process> process_;
};

}  // namespace fresnel::test
