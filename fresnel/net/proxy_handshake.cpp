#include "fresnel/net/proxy_handshake.hpp"

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>

#include "fresnel/net/digest.hpp"

namespace fresnel::net {
namespace {

namespace http = boost::beast::http;

constexpr auto kNoThrow = asio::as_tuple(asio::use_awaitable);
constexpr std::uint32_t kMaxHeader = 16u << 10;  // bytes of the answer to CONNECT

// SOCKS5: RFC 1928 sections 3 to 6, RFC 1929 section 2.
constexpr char kVersion = 5;
constexpr char kConnect = 1;
constexpr char kNoCredentials = 0;
constexpr char kPassword = 2;
constexpr char kNoneOfThem = '\xff';
constexpr char kIpv4 = 1;
constexpr char kName = 3;
constexpr char kIpv6 = 4;
constexpr std::size_t kMaxName = 255;

Error broken_off(const error_code& failed) { return {Errc::connect_failed, "it broke off: " + failed.message()}; }

Error no_socks() { return {Errc::protocol, "it does not speak SOCKS5"}; }

awaitable<result<void>> send(ClientStream& stream, std::string bytes) {
  const auto buffer = asio::buffer(bytes);
  const auto [failed, size] = co_await asio::async_write(stream, buffer, kNoThrow);
  if (failed) co_return broken_off(failed);
  co_return result<void>();
}

awaitable<result<std::string>> receive(ClientStream& stream, std::size_t size) {
  std::string bytes(size, '\0');
  const auto buffer = asio::buffer(bytes);
  const auto [failed, received] = co_await asio::async_read(stream, buffer, kNoThrow);
  if (failed) co_return broken_off(failed);
  co_return bytes;
}

awaitable<result<void>> connect_by_http(ClientStream& stream, Proxy proxy, std::string authority) {
  std::string request = "CONNECT " + authority + " HTTP/1.1\r\nHost: " + authority + "\r\n";
  if (proxy.has_credentials()) {
    request += "Proxy-Authorization: Basic " + to_base64(proxy.username + ":" + proxy.password) + "\r\n";
  }
  request += "\r\n";
  if (auto sent = co_await send(stream, std::move(request)); !sent) co_return sent;
  boost::beast::flat_buffer buffer(kMaxHeader);
  http::response_parser<http::empty_body> answer;
  answer.header_limit(kMaxHeader);
  answer.skip(true);  // neither a tunnel nor a refusal has a body that matters
  const auto [failed, size] = co_await http::async_read_header(stream, buffer, answer, kNoThrow);
  if (failed == http::error::header_limit || failed == http::error::buffer_overflow) {
    co_return Error{Errc::protocol, "the header of its answer is too large"};
  }
  if (failed == http::error::end_of_stream || failed == http::error::partial_message) co_return broken_off(failed);
  if (failed && failed.category() == http::make_error_code(http::error::bad_version).category()) {
    co_return Error{Errc::protocol, "it does not speak HTTP: " + failed.message()};
  }
  if (failed) co_return broken_off(failed);
  const auto status = answer.get().result_int();
  if (status < 200 || status >= 300) co_return Error{Errc::connect_failed, describe_refusal(static_cast<int>(status))};
  // No protocol that this is for lets the server speak first: these bytes are not the server's.
  if (buffer.size() > 0) co_return Error{Errc::protocol, "it sent more than its answer"};
  co_return result<void>();
}

awaitable<result<void>> authenticate(ClientStream& stream, Proxy proxy) {
  const bool knows = proxy.has_credentials();
  std::string greeting{kVersion, static_cast<char>(knows ? 2 : 1), kNoCredentials};
  if (knows) greeting.push_back(kPassword);
  if (auto sent = co_await send(stream, std::move(greeting)); !sent) co_return sent;
  const auto choice = co_await receive(stream, 2);
  if (!choice) co_return choice.error();
  if ((*choice)[0] != kVersion) co_return no_socks();
  const char method = (*choice)[1];
  if (method == kNoCredentials) co_return result<void>();
  if (method == kNoneOfThem || !knows) {
    co_return Error{Errc::connect_failed, knows ? "it takes no user and password" : "it wants a user and password"};
  }
  if (method != kPassword) co_return no_socks();
  std::string claim{1, static_cast<char>(proxy.username.size())};
  claim += proxy.username;
  claim.push_back(static_cast<char>(proxy.password.size()));
  claim += proxy.password;
  if (auto sent = co_await send(stream, std::move(claim)); !sent) co_return sent;
  const auto verdict = co_await receive(stream, 2);
  if (!verdict) co_return verdict.error();
  if ((*verdict)[1] != 0) co_return Error{Errc::connect_failed, "it refused the user and password"};
  co_return result<void>();
}

std::string socks_address(const std::string& host, std::uint16_t port) {
  error_code named;
  const auto address = asio::ip::make_address(host, named);
  std::string bytes;
  const auto append = [&](const auto& all) { bytes.append(all.begin(), all.end()); };
  if (named) {
    bytes = {kName, static_cast<char>(host.size())};
    bytes += host;
  } else if (address.is_v4()) {
    bytes.push_back(kIpv4);
    append(address.to_v4().to_bytes());
  } else {
    bytes.push_back(kIpv6);
    append(address.to_v6().to_bytes());
  }
  bytes.push_back(static_cast<char>(port >> 8));
  bytes.push_back(static_cast<char>(port & 0xFF));
  return bytes;
}

std::string_view socks_reply(char code) {
  static constexpr std::array<std::string_view, 9> kReplies{"succeeded",
                                                            "general failure",
                                                            "not allowed by its rules",
                                                            "network unreachable",
                                                            "host unreachable",
                                                            "connection refused",
                                                            "time to live expired",
                                                            "command not supported",
                                                            "kind of address not supported"};
  const auto index = static_cast<unsigned char>(code);
  return index < kReplies.size() ? kReplies[index] : "an unknown failure";
}

awaitable<result<void>> connect_by_socks(ClientStream& stream, Proxy proxy, std::string host, std::uint16_t port) {
  if (auto known = co_await authenticate(stream, std::move(proxy)); !known) co_return known;
  std::string request{kVersion, kConnect, 0};
  request += socks_address(host, port);
  if (auto sent = co_await send(stream, std::move(request)); !sent) co_return sent;
  const auto reply = co_await receive(stream, 4);
  if (!reply) co_return reply.error();
  if ((*reply)[0] != kVersion) co_return no_socks();
  if (const char code = (*reply)[1]; code != 0) {
    co_return Error{Errc::connect_failed, "it refused with SOCKS reply " +
                                              std::to_string(static_cast<unsigned char>(code)) + ", " +
                                              std::string(socks_reply(code))};
  }
  // Then the address that the proxy connects from, of no use here.
  std::size_t rest = 2;
  if ((*reply)[3] == kIpv4) {
    rest += 4;
  } else if ((*reply)[3] == kIpv6) {
    rest += 16;
  } else if ((*reply)[3] == kName) {
    const auto length = co_await receive(stream, 1);
    if (!length) co_return length.error();
    rest += static_cast<unsigned char>(length->front());
  } else {
    co_return no_socks();
  }
  const auto ignored = co_await receive(stream, rest);
  if (!ignored) co_return ignored.error();
  co_return result<void>();
}

}  // namespace

awaitable<result<void>> request_tunnel(ClientStream& stream, Proxy proxy, std::string host, std::uint16_t port) {
  const auto breaks = [](char c) { return static_cast<unsigned char>(c) <= ' ' || c == 0x7F; };
  if (host.empty() || host.size() > kMaxName || std::any_of(host.begin(), host.end(), breaks)) {
    co_return Error{Errc::invalid_argument, "the server's name has no 1 to 255 characters, or a space among them"};
  }
  if (proxy.kind == Proxy::Kind::socks5) {
    co_return co_await connect_by_socks(stream, std::move(proxy), std::move(host), port);
  }
  auto authority = authority_of(host, port);
  co_return co_await connect_by_http(stream, std::move(proxy), std::move(authority));
}

}  // namespace fresnel::net
