#include "fresnel/kube/api_client.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/parse.hpp>
#include <charconv>
#include <cstdint>
#include <limits>
#include <utility>

#include "fresnel/base/log.hpp"
#include "fresnel/base/version.hpp"

namespace fresnel::kube {
namespace {

namespace json = boost::json;

constexpr std::size_t kMaxErrorBody = 64u << 10;
constexpr std::size_t kMaxQuoted = 200;

std::string string_member(const json::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

int int_member(const json::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  if (value == nullptr || !value->is_int64()) return 0;
  return static_cast<int>(std::clamp<std::int64_t>(value->get_int64(), 0, std::numeric_limits<int>::max()));
}

int to_milliseconds(int whole_seconds) {
  return std::min(whole_seconds, std::numeric_limits<int>::max() / 1000) * 1000;
}

// API servers send Retry-After in seconds only (RFC 9110 section 10.2.3 allows a date too).
int retry_after_ms(const net::Headers& headers) {
  const auto text = headers.get("retry-after");
  int whole_seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), whole_seconds);
  if (error != std::errc() || end != text.data() + text.size() || whole_seconds < 0) return 0;
  return to_milliseconds(whole_seconds);
}

// The code for a Status without a number: watches through some proxies lose it.
Errc code_of_reason(std::string_view reason) {
  if (reason == "Expired" || reason == "Gone") return Errc::gone;
  if (reason == "NotFound") return Errc::not_found;
  if (reason == "Forbidden") return Errc::forbidden;
  if (reason == "Unauthorized") return Errc::unauthorized;
  if (reason == "TooManyRequests") return Errc::throttled;
  return Errc::api;
}

bool has_cause(const json::object& details, std::string_view reason) {
  const auto* causes = details.if_contains("causes");
  if (causes == nullptr || !causes->is_array()) return false;
  const auto& all = causes->get_array();
  return std::any_of(all.begin(), all.end(), [reason](const json::value& cause) {
    return cause.is_object() && string_member(cause.get_object(), "reason") == reason;
  });
}

// Fills in what a Status says; false when the text is no Status.
bool read_status(std::string_view text, Error& error) {
  boost::system::error_code failed;
  const auto value = json::parse(json::string_view(text.data(), text.size()), failed);
  if (failed || !value.is_object()) return false;
  const auto& status = value.get_object();
  if (string_member(status, "kind") != "Status") return false;

  error.message = string_member(status, "message");
  error.reason = string_member(status, "reason");
  error.status = int_member(status, "code");
  error.code = error.status != 0 ? code_of_http_status(error.status) : code_of_reason(error.reason);
  if (const auto* details = status.if_contains("details"); details != nullptr && details->is_object()) {
    error.retry_after_ms = to_milliseconds(int_member(details->get_object(), "retryAfterSeconds"));
    // Its reason is Timeout, as that of many failures.
    if (has_cause(details->get_object(), "ResourceVersionTooLarge")) error.reason = "ResourceVersionTooLarge";
  }
  if (error.message.empty()) error.message = error.reason.empty() ? "the server gave no reason" : error.reason;
  return true;
}

// The start of a text, fit for one line of a log or a terminal.
std::string quotable(std::string_view text) {
  std::string line;
  for (const char c : text.substr(0, kMaxQuoted))
    line.push_back(static_cast<unsigned char>(c) < ' ' || c == 127 ? ' ' : c);
  line.erase(line.find_last_not_of(' ') + 1);
  return text.size() > kMaxQuoted ? line + "..." : line;
}

}  // namespace

Error error_of_status(std::string_view status_json) {
  Error error{Errc::api, {}};
  if (!read_status(status_json, error)) error.message = "the server sent no Status: " + quotable(status_json);
  return error;
}

Error status_error(int http_status, std::string_view body, const net::Headers& headers) {
  Error error;
  if (!read_status(body, error)) {
    error.message = fmt::format("the server answered with HTTP status {}", http_status);
    if (const auto text = quotable(body); !text.empty()) error.message += ": " + text;
  }
  error.status = http_status;
  error.code = code_of_http_status(http_status);
  if (const int header = retry_after_ms(headers); header != 0) error.retry_after_ms = header;
  return error;
}

std::string percent_encode(std::string_view text) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text) {
    const bool unreserved = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                            c == '.' || c == '_' || c == '~';
    if (unreserved) {
      encoded.push_back(c);
    } else {
      const auto byte = static_cast<unsigned char>(c);
      encoded.push_back('%');
      encoded.push_back(kHex[byte >> 4]);
      encoded.push_back(kHex[byte & 0x0f]);
    }
  }
  return encoded;
}

ApiClient::ApiClient(net::HttpTransport& transport, ClusterContext context)
    : transport_(transport), context_(std::move(context)) {}

net::HttpRequest ApiClient::build(ApiRequest request) {
  net::HttpRequest http;
  http.method = std::move(request.method);
  http.headers.set("user-agent", "fresnel/" + std::string(kVersion));
  http.headers.set("accept", std::move(request.accept));
  if (!request.body.empty()) http.headers.set("content-type", std::move(request.content_type));
  for (const auto& [name, value] : request.headers) http.headers.set(name, value);
  http.body = std::move(request.body);
  http.response_timeout = request.response_timeout;
  http.idle_timeout = request.idle_timeout;
  return http;
}

net::HttpRequest ApiClient::addressed(net::HttpRequest request, const ClusterContext& context,
                                      const std::string& path_and_query) const {
  request.url = context.server + path_and_query;
  request.tls = context.tls;
  request.proxy_url = context.proxy_url;
  context.credential.authorize(request.headers);
  if (context.brought_by_client) request.headers.set("Via", std::string(kVia));
  return request;
}

awaitable<result<std::unique_ptr<net::HttpResponse>>> ApiClient::forward(net::HttpRequest request,
                                                                         std::string path_and_query) {
  if (!context_.source) {
    auto opening = transport_.open(addressed(std::move(request), context_, path_and_query));
    co_return co_await std::move(opening);
  }
  const auto first = co_await ClusterContext::current(context_);
  if (!first) co_return first.error();
  auto opening = transport_.open(addressed(request, *first, path_and_query));
  auto response = co_await std::move(opening);
  if (!response || (*response)->status() != 401) co_return std::move(response);
  context_.source->refused(first->credential);
  const auto second = co_await ClusterContext::current(context_);
  if (!second || second->credential == first->credential) {
    if (!second) log::warn("{}: the credential cannot be renewed: {}", context_.name, second.error().message);
    co_return std::move(response);
  }
  auto again = transport_.open(addressed(std::move(request), *second, path_and_query));
  co_return co_await std::move(again);
}

awaitable<result<std::unique_ptr<net::HttpResponse>>> ApiClient::open(ApiRequest request) {
  std::string path_and_query = std::move(request.path);
  if (!request.query.empty()) path_and_query += "?" + request.query;
  auto opening = forward(build(std::move(request)), std::move(path_and_query));
  auto response = co_await std::move(opening);
  if (!response) co_return response.error();
  if ((*response)->status() < 400) co_return std::move(*response);
  // What the body adds to the status is welcome, but a body that does not arrive changes nothing.
  auto body = co_await net::read_all(**response, kMaxErrorBody);
  const std::string text = body ? std::move(*body) : std::string();
  co_return status_error((*response)->status(), text, (*response)->headers());
}

awaitable<result<ApiResponse>> ApiClient::request(ApiRequest request) {
  const std::size_t limit = request.max_body;
  auto response = co_await open(std::move(request));
  if (!response) co_return response.error();
  auto body = co_await net::read_all(**response, limit);
  if (!body) co_return body.error();
  ApiResponse whole{(*response)->status(), (*response)->headers(), std::move(*body)};
  co_return whole;
}

}  // namespace fresnel::kube
