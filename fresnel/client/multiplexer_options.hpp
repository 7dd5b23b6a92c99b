// The settings of a Multiplexer and what it shows of itself.
//
// Thread safety: plain values; the callbacks are called on the multiplexer's executor.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "fresnel/base/backoff.hpp"
#include "fresnel/base/clock.hpp"
#include "fresnel/base/error.hpp"
#include "fresnel/net/http.hpp"
#include "fresnel/net/tls.hpp"

namespace fresnel::client {

// A text, or a function that is asked for it each time.
class TextSource {
 public:
  TextSource() = default;
  TextSource(std::string text) : source_([text = std::move(text)] { return text; }) {}  // NOLINT: converts on purpose
  TextSource(const char* text) : TextSource(std::string(text)) {}                       // NOLINT
  TextSource(std::function<std::string()> source) : source_(std::move(source)) {}       // NOLINT

  // Error internal when the function throws. Empty when there is none.
  [[nodiscard]] result<std::string> ask() const;

 private:
  std::function<std::string()> source_;
};

struct MultiplexerOptions {
  TextSource url;                 // the gateway's: http, https, ws or wss, with its base path; asked at every connect
  TextSource user_id = {};        // a label; asked at every REQUEST and CLOSE, may be empty
  TextSource bearer_token = {};   // sent as Authorization: Bearer, empty: none; asked at every connect
  TextSource backend_token = {};  // what a desktop's gateway asks for, empty: none; asked at every connect
  // Of a context that the user supplied: the id under which the gateway keeps it, empty: none. Asked at every connect;
  // when that fails, the failure is logged and the connection made without.
  TextSource context_user = {};
  // The token for a cluster, empty: the connection's own. Asked at every REQUEST, which carries it.
  std::function<std::string(std::string_view cluster)> cluster_token = {};
  net::Headers headers = {};  // further ones of the handshake
  std::shared_ptr<const net::TlsOptions> tls = nullptr;
  Duration connect_timeout = seconds(10);
  Duration unsubscribe_debounce = milliseconds(100);
  BackoffOptions backoff = {.jitter = BackoffOptions::Jitter::full};  // between connects, and retries of a subscription
  Duration healthy_after = seconds(10);  // a connection that lived so long resets the backoff
  Duration slow_retry = seconds(30);     // of a subscription refused with 400, 401, 403 or 404
  std::size_t max_message = 64u << 20;   // bytes of one message from the gateway
};

enum class ConnectionState {
  idle,        // nobody wants a connection
  connecting,  // the first attempt
  connected,
  reconnecting,  // after a loss or a failure: waiting or dialling
  closed,        // close() was called
};

[[nodiscard]] std::string_view to_string(ConnectionState state) noexcept;

struct MultiplexerCounters {
  std::uint64_t dials = 0;
  std::uint64_t connects = 0;
  std::uint64_t messages = 0;
  std::uint64_t late_messages = 0;  // of REQUESTs that are no longer under way: ignored
  std::uint64_t bad_messages = 0;   // not to be parsed, or without a route
};

}  // namespace fresnel::client
