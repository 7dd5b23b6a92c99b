#include "fresnel/load/target.hpp"

#include <netdb.h>
#include <sched.h>

#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>
#include <cstring>

namespace fresnel::load {
namespace {

Error wrong(std::string_view url, std::string_view expected) {
  return {Errc::invalid_argument, "\"" + std::string(url) + "\": expected " + std::string(expected)};
}

}  // namespace

result<Target> resolve_target(std::string_view url) {
  const auto parsed = boost::urls::parse_uri(boost::urls::string_view(url.data(), url.size()));
  if (!parsed || parsed->host().empty() || parsed->has_userinfo()) {
    return wrong(url, "a URL such as http://127.0.0.1:4466");
  }
  if (parsed->scheme() == "https" || parsed->scheme() == "wss") {
    return wrong(url, "http or ws: the load generator speaks no TLS, so measure behind the TLS proxy");
  }
  if (parsed->scheme() != "http" && parsed->scheme() != "ws") return wrong(url, "a URL with http or ws");
  if (parsed->has_port() && parsed->port_number() == 0) return wrong(url, "a port from 1 to 65535");

  const std::string port = parsed->has_port() ? std::string(parsed->port()) : "80";
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int failure = getaddrinfo(parsed->host_address().c_str(), port.c_str(), &hints, &found); failure != 0) {
    return Error{Errc::connect_failed, "cannot resolve " + parsed->host_address() + ": " + gai_strerror(failure)};
  }
  Target target;
  std::memcpy(&target.address, found->ai_addr, found->ai_addrlen);
  target.address_size = found->ai_addrlen;
  freeaddrinfo(found);
  target.host = std::string(parsed->encoded_host_and_port());
  target.path = std::string(parsed->encoded_target());
  if (!target.path.starts_with('/')) target.path.insert(0, 1, '/');
  return target;
}

bool pin_to_processor(int processor) noexcept {
  if (processor < 0 || processor >= CPU_SETSIZE) return false;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(processor), &set);
  return sched_setaffinity(0, sizeof set, &set) == 0;
}

}  // namespace fresnel::load
