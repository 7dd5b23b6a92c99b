// What the gateway counts, and its exposition for GET /metrics in the Prometheus text format.
// The counters of watches and events are the hub's, those of messages the sessions'; here are connections and requests.
//
// Thread safety: any thread; every counter is an atomic and none is looked up by name.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

#include "fresnel/broker/broker.hpp"
#include "fresnel/hub/hub_metrics.hpp"
#include "fresnel/session/session_services.hpp"

namespace fresnel::gateway {

// WebSockets and tunnels, by what they are for.
enum class ConnectionKind { multiplexer, direct, tunnel, channels };
inline constexpr std::size_t kConnectionKinds = 4;
[[nodiscard]] std::string_view to_string(ConnectionKind kind) noexcept;

// Requests that were refused before anything answered them, by what was wrong with them.
enum class BadInput {
  origin,           // a foreign web page
  unauthorized,     // no token where one is needed, or none that can be read
  path,             // no path that can be routed
  unknown_cluster,  // a cluster that is not in the kubeconfig
  handshake,        // an upgrade that is no proper WebSocket handshake
  request_body,     // not what was asked for
};
inline constexpr std::size_t kBadInputs = 6;
[[nodiscard]] std::string_view to_string(BadInput kind) noexcept;

class Metrics {
 public:
  // Counts a connection as open while it lives.
  class Open {
   public:
    explicit Open(std::atomic<std::int64_t>& gauge) noexcept : gauge_(gauge) { gauge_.fetch_add(1, kRelaxed); }
    ~Open() { gauge_.fetch_sub(1, kRelaxed); }
    Open(const Open&) = delete;
    Open& operator=(const Open&) = delete;

   private:
    std::atomic<std::int64_t>& gauge_;
  };

  // `status` is the HTTP status of a finished exchange; 101 for an upgrade.
  void count_request(int status) noexcept;
  void count_bad_input(BadInput kind) noexcept;
  [[nodiscard]] Open open(ConnectionKind kind) noexcept;
  // What a publication on a channel has come to at one thread's subscribers.
  void count_delivery(const broker::Delivery& delivery) noexcept;
  void set_broker_connected(bool connected) noexcept { broker_connected_.store(connected, kRelaxed); }

  // Of the sessions' own counters: what was wrong with clients' messages.
  [[nodiscard]] session::SessionMetrics& sessions() noexcept { return sessions_; }

  [[nodiscard]] std::string expose(const hub::HubMetrics& hub) const;

 private:
  static constexpr auto kRelaxed = std::memory_order_relaxed;
  static constexpr int kStatuses = 600;

  std::array<std::atomic<std::uint64_t>, kStatuses> requests_{};  // by status
  std::array<std::atomic<std::uint64_t>, kBadInputs> bad_inputs_{};
  std::array<std::atomic<std::int64_t>, kConnectionKinds> open_{};
  std::array<std::atomic<std::uint64_t>, kConnectionKinds> opened_{};
  std::atomic<std::uint64_t> channel_queued_{0};
  std::atomic<std::uint64_t> channel_skipped_{0};
  std::atomic<std::uint64_t> channel_slow_{0};
  std::atomic<bool> broker_connected_{true};
  session::SessionMetrics sessions_;
};

}  // namespace fresnel::gateway
