// The load generator: many WebSocket clients on one thread, made to cost far less than the server that they measure.
// Raw epoll, one read buffer for all, payloads skipped as soon as they are counted.
//
//   Generator generator({.target = *resolve_target(url), .connections = 100, .messages = {request_message(...)}});
//   if (auto started = generator.start(); !started) ...
//   generator.connect_all();
//   generator.run_until(deadline, [&] { return generator.live() == 100; });
//   generator.clear_totals();
//   generator.run_until(end, {});
//   use(generator.totals());
//
// A connection that fails or is closed stays so, with its reason in the totals, until connect_all(). Pings are
// answered.
//
// Bounds: kMaxUnsent bytes of answers to pings a connection, beyond which it fails; totals and buffers are constant.
//
// Thread safety: one thread, which run_until() keeps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "fresnel/base/clock.hpp"
#include "fresnel/base/error.hpp"
#include "fresnel/load/histogram.hpp"
#include "fresnel/load/target.hpp"

namespace fresnel::load {

struct GeneratorOptions {
  Target target;
  std::size_t connections = 1;
  std::vector<std::string> messages;  // what each connection sends once it is open, as text
  std::string authorization;          // value of the Authorization header, empty: none. Secret.
  bool deflate = false;               // offers permessage-deflate; what is compressed is only counted
  bool look_inside = true;            // tells kinds of messages apart and reads the time of writing
  int receive_buffer = 0;             // SO_RCVBUF, bytes; 0: the kernel's choice
  std::size_t connecting_at_once = 256;
  bool spin = false;  // never sleeps, so that no sender on this machine pays for waking it; takes a whole processor
};

struct Totals {
  std::uint64_t messages = 0;    // data messages
  std::uint64_t wire_bytes = 0;  // of all messages and control frames, WebSocket framing included
  std::uint64_t compressed = 0;  // data messages that came deflated
  std::uint64_t completes = 0;   // messages by type, see message_text.hpp
  std::uint64_t statuses = 0;
  std::uint64_t errors = 0;
  std::uint64_t closed = 0;  // connections lost after the handshake
  std::uint64_t failed = 0;  // connections that got no WebSocket
  std::string first_error;   // the head of the first ERROR message
  std::string first_fault;   // why the first connection was closed or failed
  Histogram connect;         // from connect() to the handshake's answer
  Histogram ready;           // from connect() to the last awaited COMPLETE or ERROR
  Histogram latency;         // from the time of writing to reading, this machine's clock
};

class Generator {
 public:
  static constexpr std::size_t kMaxUnsent = 64u << 10;

  explicit Generator(GeneratorOptions options);
  ~Generator();  // drops every connection
  Generator(const Generator&) = delete;
  Generator& operator=(const Generator&) = delete;

  // Errors: internal (no epoll, or fewer file descriptors allowed than connections wanted).
  [[nodiscard]] result<void> start();
  // Connects what is neither open nor on its way.
  void connect_all();
  // Drops every connection at once, without a Close frame.
  void drop_all();
  // Connections [0, count) stop, or go on, reading: slow clients. Held back for connections made later too.
  void set_stopped(std::size_t count);
  // Serves the connections until `done` (asked after each turn; may be empty) or the deadline. True when `done`.
  bool run_until(TimePoint deadline, const std::function<bool()>& done);

  [[nodiscard]] std::size_t open() const noexcept;  // handshake done
  // Open, and each of its messages answered by COMPLETE or ERROR.
  [[nodiscard]] std::size_t live() const noexcept;
  [[nodiscard]] std::size_t deflating() const noexcept;  // open with permessage-deflate accepted
  [[nodiscard]] const Totals& totals() const noexcept;
  void clear_totals();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace fresnel::load
