#include "fresnel/broker/nats_options.hpp"

#include <nats/nats.h>

#include <boost/url/parse.hpp>
#include <stdexcept>
#include <string>
#include <vector>

namespace fresnel::broker {
namespace {

// libnats fails a write that takes longer, and reconnects.
constexpr std::int64_t kWriteDeadlineMs = 5'000;
constexpr int kMaxPingsOut = 2;

std::int64_t ms(Duration duration) { return std::chrono::duration_cast<milliseconds>(duration).count(); }

}  // namespace

void NatsOptionsEnd::operator()(natsOptions* options) const noexcept { natsOptions_Destroy(options); }

NatsOptionsPtr make_nats_options(const NatsConnectionOptions& given) {
  natsOptions* made = nullptr;
  const auto check = [](natsStatus status, const char* what) {
    // Not libnats' own text: it may repeat a URL with its password.
    if (status != NATS_OK) throw std::runtime_error(std::string("NATS: ") + what + ": " + natsStatus_GetText(status));
  };
  check(natsOptions_Create(&made), "no options");
  NatsOptionsPtr owned(made);
  std::vector<const char*> servers;
  for (const auto& server : given.servers) {
    // libnats reads them when it connects, and would try for ever.
    const auto url = boost::urls::parse_uri(server);
    if (!url || (url->scheme() != "nats" && url->scheme() != "tls") || url->encoded_host().empty() ||
        !url->encoded_path().empty()) {
      throw std::runtime_error("NATS: a server's URL is expected to be nats://[user:password@]host[:port], or tls://");
    }
    servers.push_back(server.c_str());
  }
  check(natsOptions_SetServers(made, servers.data(), static_cast<int>(servers.size())),
        "a server's URL cannot be read");
  if (!given.credentials_file.empty()) {
    check(natsOptions_SetUserCredentialsFromFiles(made, given.credentials_file.c_str(), nullptr),
          "the credentials file cannot be used");
  }
  if (!given.ca_file.empty()) {
    check(natsOptions_SetSecure(made, true), "TLS cannot be used");
    check(natsOptions_LoadCATrustedCertificates(made, given.ca_file.c_str()), "the CA file cannot be used");
  }
  const auto wait = ms(given.reconnect_wait);
  check(natsOptions_SetName(made, "fresnel"), "name");
  check(natsOptions_SetTimeout(made, ms(given.connect_timeout)), "connect_timeout");
  check(natsOptions_SetMaxReconnect(made, -1), "reconnecting");
  check(natsOptions_SetReconnectWait(made, wait), "reconnect_wait");
  check(natsOptions_SetReconnectJitter(made, wait, wait), "reconnect_wait");
  check(natsOptions_SetReconnectBufSize(made, 1), "buffer");  // 0 would be the default, 8 MB
  check(natsOptions_SetPingInterval(made, ms(given.ping_interval)), "ping_interval");
  check(natsOptions_SetMaxPingsOut(made, kMaxPingsOut), "pings");
  check(natsOptions_SetWriteDeadline(made, kWriteDeadlineMs), "write deadline");
  check(natsOptions_SetSendAsap(made, true), "writing");  // else libnats waits 1 ms for more to write
  check(natsOptions_UseGlobalMessageDelivery(made, true), "threads");
  return owned;
}

}  // namespace fresnel::broker
