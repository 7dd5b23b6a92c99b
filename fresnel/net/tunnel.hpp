// Bytes carried unchanged between a client's connection and a server's, for upgrades that this program only passes on
// (exec, attach, port-forward). The server's answer, its status line included, reaches the client as it came.
//
//   auto head = upgrade_request_head(request.method, target, headers);
//   auto upstream = co_await dial(executor, host, port, tls, seconds(10), proxy_url);
//   ...
//   co_await tunnel(exchange.take_socket(), std::move(*upstream), std::move(*head), clock, {});
//
// Each direction ends by itself: the end of one side's bytes is passed on as such (a half-closed connection), the
// tunnel ends with both. Memory is bounded: a side that does not read stops the other. An error on either side ends
// both.
//
// Thread safety: one thread, that of the executor.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "fresnel/base/clock.hpp"
#include "fresnel/net/dial.hpp"
#include "fresnel/net/http_server.hpp"

namespace fresnel::net {

struct TunnelOptions {
  std::size_t buffer = 32u << 10;            // bytes under way, each direction
  Duration idle_timeout = Duration::zero();  // no byte in either direction for so long ends the tunnel; 0 = none
};

struct TunnelReport {
  std::uint64_t to_server = 0;  // bytes, the request's head included
  std::uint64_t to_client = 0;
  bool idle = false;  // ended by the idle timeout
};

// The head of a request for an upgrade, as it goes on the wire. The fields are sent as they are, Connection and Upgrade
// too; Host must be among them. Error invalid_argument: a line break or a space where none may be, or no Host.
[[nodiscard]] result<std::string> upgrade_request_head(std::string_view method, std::string_view target,
                                                       const Headers& headers);

// Sends `request_head` and the client's leftover bytes to the server, then carries bytes both ways until the end.
// Both connections are closed afterwards. A cancelled coroutine ends the tunnel at once. `clock` must outlive it.
[[nodiscard]] awaitable<TunnelReport> tunnel(UpgradedSocket client, std::unique_ptr<ClientStream> server,
                                             std::string request_head, Clock& clock, TunnelOptions options = {});

}  // namespace fresnel::net
