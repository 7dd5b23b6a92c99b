#include "tests/support/nats_server.hpp"

#include <fmt/format.h>

#include <stdexcept>

#include "tests/support/ports.hpp"
#include "tests/support/wait.hpp"

namespace fresnel::test {

NatsServer::NatsServer(NatsServerOptions options) : options_(std::move(options)), port_(free_port()) {
  if (options_.started) start();
}

std::string NatsServer::url() const { return fmt::format("nats://127.0.0.1:{}", port_); }

void NatsServer::start() {
  if (process_) throw std::runtime_error("nats-server is already running");
  auto config = fmt::format("host: 127.0.0.1\nport: {}\n{}", port_, options_.config);
  if (options_.jetstream)
    config += fmt::format("\njetstream {{ store_dir: \"{}\" }}\n", (dir_.path() / "store").string());
  const auto file = dir_.write("nats.conf", config);
  process_.emplace(ProcessOptions{.argv = {"nats-server", "-c", file.string()}});
  if (process_->wait_for_error_output("Server is ready", 20s)) return;
  auto log = process_->error_output();
  process_.reset();
  throw std::runtime_error("nats-server did not become ready:\n" + log);
}

void NatsServer::lose_store() { std::filesystem::remove_all(dir_.path() / "store"); }

}  // namespace fresnel::test
