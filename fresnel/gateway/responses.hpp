// What the gateway answers by itself: errors in the form of a Kubernetes Status, so that clients of an API server read
// them, and the CORS headers of named foreign origins.
// Sources: Kubernetes API conventions "Response Status Kind"; the Fetch standard's CORS protocol.
//
// Thread safety: pure functions and coroutines of the exchange's thread.
#pragma once

#include <string>
#include <string_view>

#include "fresnel/base/asio.hpp"
#include "fresnel/base/error.hpp"
#include "fresnel/net/http_server.hpp"
#include "fresnel/websocket/origin_policy.hpp"

namespace fresnel::gateway {

// {"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":...,"reason":...,"code":...}
[[nodiscard]] std::string status_json(int code, std::string_view message);
// Headers that let the page of a named foreign origin read the answer; none for any other request.
[[nodiscard]] net::Headers cors_headers(const net::Headers& request, const websocket::OriginPolicy& policy);

// True for a browser's question whether a page may send a request (OPTIONS with Access-Control-Request-Method).
[[nodiscard]] bool is_preflight(const net::ServerRequest& request);
// The answer's headers to a preflight; cors_headers() come on top.
[[nodiscard]] net::Headers preflight_headers(const net::Headers& request);

// Answers, and returns the status for the counters.
[[nodiscard]] awaitable<int> respond_status(net::HttpExchange& exchange, int code, std::string message);
[[nodiscard]] awaitable<int> respond_status(net::HttpExchange& exchange, int code, std::string message,
                                            net::Headers headers);
[[nodiscard]] awaitable<int> respond_json(net::HttpExchange& exchange, std::string json, net::Headers headers);
[[nodiscard]] awaitable<int> respond_text(net::HttpExchange& exchange, int code, std::string text);

}  // namespace fresnel::gateway
