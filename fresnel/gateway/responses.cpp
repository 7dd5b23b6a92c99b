#include "fresnel/gateway/responses.hpp"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "fresnel/gateway/origin.hpp"

namespace fresnel::gateway {
namespace {

// Status.reason as apimachinery's StatusReason has it.
std::string_view reason_of(int code) {
  switch (code) {
    case 400: return "BadRequest";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "NotFound";
    case 405: return "MethodNotAllowed";
    case 500: return "InternalError";
    case 503: return "ServiceUnavailable";
    case 504: return "Timeout";
    default: return "";
  }
}

}  // namespace

std::string status_json(int code, std::string_view message) {
  boost::json::object body;
  body["kind"] = "Status";
  body["apiVersion"] = "v1";
  body["metadata"] = boost::json::object();
  body["status"] = "Failure";
  body["message"] = boost::json::string_view(message.data(), message.size());
  body["reason"] = boost::json::string_view(reason_of(code).data(), reason_of(code).size());
  body["code"] = code;
  return boost::json::serialize(body) + "\n";
}

net::Headers cors_headers(const net::Headers& request, const websocket::OriginPolicy& policy) {
  net::Headers headers;
  if (!cross_origin_allowed(request, policy)) return headers;
  headers.add("access-control-allow-origin", std::string(request.get("origin")));
  headers.add("access-control-allow-credentials", "true");
  headers.add("vary", "Origin");
  return headers;
}

bool is_preflight(const net::ServerRequest& request) {
  return request.method == "OPTIONS" && request.headers.has("origin") &&
         request.headers.has("access-control-request-method");
}

net::Headers preflight_headers(const net::Headers& request) {
  net::Headers headers;
  headers.add("access-control-allow-methods", "GET, HEAD, POST, PUT, PATCH, DELETE");
  if (const auto asked = request.get("access-control-request-headers"); !asked.empty()) {
    headers.add("access-control-allow-headers", std::string(asked));
  }
  headers.add("access-control-max-age", "600");
  return headers;
}

awaitable<int> respond_status(net::HttpExchange& exchange, int code, std::string message) {
  return respond_status(exchange, code, std::move(message), net::Headers());
}

awaitable<int> respond_status(net::HttpExchange& exchange, int code, std::string message, net::Headers headers) {
  headers.set("content-type", "application/json");
  if (code == 401) headers.set("www-authenticate", "Bearer");
  auto body = status_json(code, message);
  (void)co_await exchange.respond(code, std::move(headers), std::move(body));
  co_return code;
}

awaitable<int> respond_json(net::HttpExchange& exchange, std::string json, net::Headers headers) {
  headers.set("content-type", "application/json");
  headers.set("cache-control", "no-store");
  (void)co_await exchange.respond(200, std::move(headers), std::move(json));
  co_return 200;
}

awaitable<int> respond_text(net::HttpExchange& exchange, int code, std::string text) {
  net::Headers headers;
  headers.add("content-type", "text/plain; charset=utf-8");
  headers.add("cache-control", "no-store");
  (void)co_await exchange.respond(code, std::move(headers), std::move(text));
  co_return code;
}

}  // namespace fresnel::gateway
