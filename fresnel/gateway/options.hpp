// The gateway's configuration and where it comes from:
//
//   flags  >  FRESNEL_* environment  >  YAML file (--config FILE)  >  defaults
//
// The file may have `channels` besides (channel_rules.hpp).
//
// One table, option_specs(), names every option once; its name is the flag (--max-message), the YAML key (max-message)
// and the environment variable (FRESNEL_MAX_MESSAGE). Values are texts until resolve_options() reads them, so a bad
// value gives the same sentence wherever it stands: the place, the key, what was expected.
//
// Thread safety: plain values.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "fresnel/base/clock.hpp"
#include "fresnel/base/error.hpp"
#include "fresnel/gateway/channel_rules.hpp"
#include "fresnel/net/http_server.hpp"

namespace fresnel::gateway {

struct GatewayOptions {
  std::string kubeconfig;                // empty: $KUBECONFIG, then ~/.kube/config
  bool in_cluster = false;               // the cluster of the pod that this runs in, too
  bool enable_dynamic_clusters = false;  // clients may bring kubeconfigs of their own
  std::string backend_token_file;        // goes before backend_token
  std::string backend_token;             // of $HEADLAMP_BACKEND_TOKEN only; empty: none is asked for
  net::Endpoint listen{"127.0.0.1", 4466};
  std::string base_url;                      // "" or "/path", without a trailing slash
  unsigned threads = 0;                      // 0: one a core
  std::size_t max_connections = 10'000;      // of all threads together
  std::size_t max_message = 64u << 10;       // bytes of one inbound WebSocket message; beyond: close code 1009
  std::vector<std::string> allowed_origins;  // see websocket::OriginPolicy
  bool allow_anonymous_clients = false;      // the kubeconfig's credential for clients without one, on any listener
  bool no_compression = false;               // refuse permessage-deflate
  std::string html_static_dir;               // empty: no static files
  std::string tls_cert_file;                 // PEM; empty: plain HTTP
  std::string tls_private_key_file;
  std::string client_ca_file;  // PEM: channel users may be known by their certificates
  std::string log_level = "info";
  Duration linger = seconds(5);          // an upstream watch stays open for so long after its last subscriber
  Duration drain_timeout = seconds(10);  // of a shutdown
  ChannelRules channels;                 // of the file only; none: no /channels
  std::string channel_tokens;            // file with lines "token,user"
  std::string channel_jwks;              // address of an issuer's key set
  std::string channel_jwt_key;           // file with a public key or certificate in PEM, or a shared secret
  std::string channel_jwt_issuer;
  std::string channel_jwt_audience;
  std::vector<std::string> channel_jwt_attributes;  // claims that messages can be addressed by
  std::string channel_cookie;                       // name of a cookie that may carry the token
  std::vector<std::string> broker;                  // nats:// addresses; none: this gateway alone
  std::string broker_credentials;                   // file with a user's JWT and seed
  std::string broker_ca_file;                       // PEM
  std::string broker_prefix = "fresnel";            // of subjects and streams there
  unsigned broker_replicas = 1;                     // of a stream, in a cluster of servers
  bool broker_wait = false;                         // publishers wait while the broker is away
  std::string api_tokens;                           // file with a token a line, for /api; empty: no /api
};

enum class OptionSource { defaults, file, environment, flag };

struct OptionSpec {
  std::string_view name;         // "max-message"
  std::string_view placeholder;  // of the value in --help, empty for a switch
  std::string_view help;
  bool list = false;    // may be given several times; joined with commas
  bool secret = false;  // may hold a password: errors do not repeat it
};

[[nodiscard]] std::span<const OptionSpec> option_specs();

// Option name -> value as text.
using OptionValues = std::map<std::string, std::string, std::less<>>;
using GetEnvironment = std::function<std::optional<std::string>(const std::string& name)>;

struct LoadedOptions {
  GatewayOptions options;
  std::map<std::string, OptionSource, std::less<>> sources;  // of every option
};

// "FRESNEL_MAX_MESSAGE" for "max-message".
[[nodiscard]] std::string environment_name(std::string_view option);
[[nodiscard]] OptionValues options_from_environment(const GetEnvironment& get);
// The options in a YAML mapping. `file` is for messages. Errors: no mapping, unknown or repeated key, wrong kind of
// value.
[[nodiscard]] result<OptionValues> parse_options_file(std::string_view yaml, std::string_view file);
// Reads every value and lets the strongest source win. A bad value is an error even when a stronger source hides it.
[[nodiscard]] result<LoadedOptions> resolve_options(const OptionValues& flags, const OptionValues& environment,
                                                    const OptionValues& file, std::string_view file_name);
// All of it: `flags` from the command line, the file of --config or FRESNEL_CONFIG (empty: none), the environment.
[[nodiscard]] result<LoadedOptions> load_options(const OptionValues& flags, std::string config_file,
                                                 const GetEnvironment& get);

}  // namespace fresnel::gateway
