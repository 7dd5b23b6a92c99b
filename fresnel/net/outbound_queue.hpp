// The way out of a WebSocket: a stream layer below boost::beast::websocket::stream that appends whole frames and sends
// them with as few, as full system calls as possible.
//
//   boost::beast::websocket::stream<OutboundQueue, false> stream(std::move(socket), leftover, limits);
//   stream.next_layer().send(Opcode::text, prefix, body);
//
// Beast does handshake, reading, control frames and close; what it writes arrives here as whole frames (control frames
// are at most 127 bytes, which Beast writes at once) and leaves at the next frame boundary, ahead of waiting messages.
// Messages bypass Beast: never send one through it on the same connection, its composed write splits frames.
//
// Sending. The first message of a turn of the loop marks the queue; one posted task for all marked queues of the
// io_context then sends what each has gathered: one system call a queue (256 KiB of small frames at most a call). Only
// when the kernel has no room does the queue wait for writability. Several io_contexts share nothing.
//
// Life. handshake --open()--> open --seal() or a Close frame from Beast--> sealed; failed from any of them, on a socket
// error or abort(). Sealed and failed queues refuse messages; a sealed one still sends what it has, the Close last, and
// teardown waits for that (at most drain_timeout) before it shuts the socket down.
//
// TLS. What is gathered is encrypted in full records. Up to 80 KiB of them wait for the kernel as ciphertext, and count
// in bytes() as that.
//
// Bounds: max_bytes for messages, kMaxUrgent for control frames (a peer that pings and never reads is dropped).
//
// Thread safety: one thread, the one that runs the socket's execution context.
#pragma once

#include <algorithm>
#include <boost/asio/append.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/compose.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/role.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "fresnel/base/asio.hpp"
#include "fresnel/base/clock.hpp"
#include "fresnel/base/shared_bytes.hpp"
#include "fresnel/net/outbound_backlog.hpp"
#include "fresnel/net/send_status.hpp"
#include "fresnel/net/server_socket.hpp"

namespace fresnel::net {

struct OutboundLimits {
  std::size_t high_water = 1u << 20;
  std::size_t low_water = 256u << 10;
  std::size_t max_bytes = 64u << 20;
  Duration drain_timeout = seconds(10);  // from the start of teardown until the peer has taken everything and hung up
};

class OutboundQueue {
 public:
  static constexpr std::size_t kMaxUrgent = 64u << 10;

  struct Counters {
    std::uint64_t messages = 0;  // queued
    std::uint64_t bytes = 0;     // taken by the kernel
    std::uint64_t writes = 0;    // system calls that took bytes
  };

  // `leftover`: bytes already read from the socket, which the first reads return.
  OutboundQueue(ServerSocket socket, std::string leftover, OutboundLimits limits);
  ~OutboundQueue();  // abort()
  OutboundQueue(const OutboundQueue&) = delete;
  OutboundQueue& operator=(const OutboundQueue&) = delete;

  // One message: prefix, then body. full when it would exceed max_bytes, closed when the queue is not open.
  [[nodiscard]] SendStatus send(Opcode opcode, std::string_view prefix, const SharedBytes& body,
                                Coding coding = Coding::plain);
  // The peer may compress its messages (permessage-deflate has been negotiated): from now on what is read from here is
  // plain. See FrameInflater for what becomes of messages that are too large or broken.
  void inflate_inbound(std::size_t max_message);
  // The handshake is over: messages are welcome, and what Beast writes are frames from now on.
  void open() noexcept;
  // Refuses messages from now on; those that wait still leave.
  void seal() noexcept;
  // Drops what waits and closes the socket.
  void abort() noexcept;
  [[nodiscard]] bool is_open() const noexcept;

  [[nodiscard]] std::size_t bytes() const noexcept;  // waiting, control frames included
  [[nodiscard]] const Counters& counters() const noexcept;
  // Called each time `bytes()` has come down to low_water after it was above high_water; it may send.
  void on_drained(std::function<void()> callback);

  // The stream layer: AsyncReadStream and AsyncWriteStream on top of a socket.
  using next_layer_type = ServerSocket;
  using executor_type = next_layer_type::executor_type;

  [[nodiscard]] executor_type get_executor() noexcept { return next_layer().get_executor(); }
  [[nodiscard]] next_layer_type& next_layer() noexcept;
  [[nodiscard]] const next_layer_type& next_layer() const noexcept;

  template <class MutableBuffers, class Token>
  auto async_read_some(const MutableBuffers& buffers, Token&& token) {
    enum class Step { begin, received, posted };
    auto operation = [this, buffers, step = Step::begin](auto& self, error_code error = {},
                                                         std::size_t received = 0) mutable {
      if (step == Step::received) {
        // A compressed message becomes readable with its last byte.
        const bool wait_for_more = !error && inflates() && !inflate(buffers, received);
        if (!wait_for_more && (error || !inflates())) return self.complete(error, received);
      }
      if (step == Step::posted || !leftover().empty()) {
        if (step == Step::begin) {  // never inline: Beast's operations rely on that
          step = Step::posted;
          asio::post(get_executor(), std::move(self));
          return;
        }
        const auto size = asio::buffer_copy(buffers, asio::buffer(leftover()));
        leftover().erase(0, size);
        if (leftover().empty()) leftover() = std::string();  // an idle connection keeps none of its capacity
        return self.complete({}, size);
      }
      step = Step::received;
      next_layer().async_read_some(buffers, std::move(self));
    };
    return asio::async_compose<Token, void(error_code, std::size_t)>(std::move(operation), token, *this);
  }

  // Takes all of `buffers` at once, but never completes inline: Beast's operations rely on that.
  template <class ConstBuffers, class Token>
  auto async_write_some(const ConstBuffers& buffers, Token&& token) {
    return asio::async_initiate<Token, void(error_code, std::size_t)>(
        [](auto handler, OutboundQueue* queue, const ConstBuffers& source) {
          std::string bytes(asio::buffer_size(source), '\0');
          asio::buffer_copy(asio::buffer(bytes), source);
          const auto failure = queue->write(bytes);
          const auto size = failure ? 0 : bytes.size();
          asio::post(queue->get_executor(), asio::append(std::move(handler), failure, size));
        },
        token, this, buffers);
  }

  // For teardown: seals the queue and completes once everything has left or the queue has failed, with the reason.
  // The time limit runs from here until end_drain(); when it is reached the socket is closed.
  template <class Token>
  auto async_drain(Token&& token) {
    return begin_drain().async_wait(std::forward<Token>(token));
  }
  [[nodiscard]] error_code drain_result() const noexcept;
  void start_deadline();
  // Reads and forgets what has arrived: would_block when more may come, eof when the peer has hung up.
  [[nodiscard]] error_code discard_received() noexcept;
  void end_drain() noexcept;

 private:
  class Core;
  class FlushService;

  [[nodiscard]] std::string& leftover() noexcept;
  [[nodiscard]] bool inflates() const noexcept;
  // Takes what was received into `buffers`; whether anything can be read now.
  template <class MutableBuffers>
  bool inflate(const MutableBuffers& buffers, std::size_t received) {
    for (auto at = asio::buffer_sequence_begin(buffers); received > 0; ++at) {
      const asio::mutable_buffer part = *at;
      const auto size = std::min(part.size(), received);
      feed_inflater({static_cast<const char*>(part.data()), size});
      received -= size;
    }
    return !leftover().empty();
  }
  void feed_inflater(std::string_view received);
  [[nodiscard]] error_code write(std::string_view bytes);
  [[nodiscard]] asio::steady_timer& begin_drain();

  std::shared_ptr<Core> core_;
};

// Beast's customisation point, found by argument-dependent lookup: drains the queue, then shuts the socket down as
// RFC 6455 section 7.1.1 asks of a server: first its own direction, then it reads until the peer has hung up. Beast
// 1.81's own teardown stops reading at the first bytes that were under way; closing then would reset the connection,
// and the reset can overtake the Close frame.
template <class Handler>
void async_teardown(boost::beast::role_type, OutboundQueue& queue, Handler&& handler) {
  enum class Step { drain, shut_down, discard };
  auto operation = [&queue, step = Step::drain](auto& self, error_code error = {}) mutable {
    auto& socket = queue.next_layer();
    switch (step) {
      case Step::drain:
        step = Step::shut_down;
        queue.async_drain(std::move(self));
        return;
      case Step::shut_down:
        step = Step::discard;
        error = queue.drain_result();
        if (!error) queue.start_deadline();
        if (!error) socket.shutdown(asio::socket_base::shutdown_send, error);
        [[fallthrough]];
      case Step::discard:
        if (!error) error = queue.discard_received();
        if (error == asio::error::would_block) {
          socket.async_wait(asio::socket_base::wait_read, std::move(self));
          return;
        }
        queue.end_drain();
        self.complete(error == asio::error::eof ? error_code() : error);
    }
  };
  asio::async_compose<Handler, void(error_code)>(std::move(operation), handler, queue);
}

}  // namespace fresnel::net
