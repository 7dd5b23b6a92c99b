#include "fresnel/gateway/options.hpp"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <iterator>
#include <limits>

#include "fresnel/gateway/option_values.hpp"
#include "fresnel/websocket/origin_policy.hpp"

namespace fresnel::gateway {
namespace {

// Reads one value.
using Apply = Expectation (*)(std::string_view text, GatewayOptions& options);

struct Setting {
  OptionSpec spec;
  Apply apply;
};

Expectation apply_listen(std::string_view text, GatewayOptions& options) {
  auto endpoint = net::Endpoint::parse(text);
  // The port must read back as it was written: one beyond 65535 must not wrap around to another.
  if (!endpoint || !text.ends_with(':' + std::to_string(endpoint->port)))
    return "an address and port such as 127.0.0.1:4466 or [::1]:4466";
  options.listen = *std::move(endpoint);
  return std::nullopt;
}

Expectation apply_base_url(std::string_view text, GatewayOptions& options) {
  while (text.ends_with('/')) text.remove_suffix(1);
  const bool plain = std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("/-_.~").find(c) != std::string_view::npos;
  });
  const bool odd = text.find("//") != std::string_view::npos || text.find("/.") != std::string_view::npos;
  if (!plain || odd || (!text.empty() && !text.starts_with('/'))) {
    return "a path such as /fresnel, of letters, digits and - _ . ~ only";
  }
  options.base_url = std::string(text);
  return std::nullopt;
}

Expectation apply_threads(std::string_view text, GatewayOptions& options) {
  const auto threads = parse_number(text);
  if (!threads || *threads > 1024) return "a number of threads from 0 to 1024, 0 for one a core";
  options.threads = static_cast<unsigned>(*threads);
  return std::nullopt;
}

Expectation apply_max_connections(std::string_view text, GatewayOptions& options) {
  const auto connections = parse_number(text);
  if (!connections || *connections == 0 || *connections > 10'000'000) return "a number from 1 to 10000000";
  options.max_connections = static_cast<std::size_t>(*connections);
  return std::nullopt;
}

std::string_view trim(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

std::vector<std::string> comma_separated(std::string_view text) {
  std::vector<std::string> parts;
  while (!trim(text).empty()) {
    const auto comma = std::min(text.find(','), text.size());
    parts.emplace_back(trim(text.substr(0, comma)));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return parts;
}

Expectation apply_allowed_origins(std::string_view text, GatewayOptions& options) {
  options.allowed_origins = comma_separated(text);
  if (!websocket::OriginPolicy::parse(options.allowed_origins)) {
    return "origins such as https://dashboard.example.com, with commas between them";
  }
  return std::nullopt;
}

Expectation apply_static_dir(std::string_view text, GatewayOptions& options) {
  std::error_code ec;
  if (!text.empty() && !std::filesystem::is_directory(std::filesystem::path(text), ec)) return "a folder that exists";
  options.html_static_dir = std::string(text);
  return std::nullopt;
}

Expectation apply_log_level(std::string_view text, GatewayOptions& options) {
  static constexpr std::string_view kLevels[] = {"trace", "debug", "info", "warn", "error", "off"};
  if (std::find(std::begin(kLevels), std::end(kLevels), text) == std::end(kLevels)) {
    return "trace, debug, info, warn, error or off";
  }
  options.log_level = std::string(text);
  return std::nullopt;
}

Expectation apply_broker(std::string_view text, GatewayOptions& options) {
  options.broker = comma_separated(text);
  for (const std::string_view server : options.broker) {
    if (!server.starts_with("nats://") && !server.starts_with("tls://")) {
      return "addresses such as nats://127.0.0.1:4222, with commas between them";
    }
  }
  return std::nullopt;
}

Expectation apply_broker_prefix(std::string_view text, GatewayOptions& options) {
  const bool plain = std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
  });
  if (!plain || text.empty()) return "letters, digits and -";
  options.broker_prefix = std::string(text);
  return std::nullopt;
}

Expectation apply_broker_replicas(std::string_view text, GatewayOptions& options) {
  const auto replicas = parse_number(text);
  if (!replicas || *replicas == 0 || *replicas > 5) return "a number from 1 to 5";
  options.broker_replicas = static_cast<unsigned>(*replicas);
  return std::nullopt;
}

Expectation apply_jwks(std::string_view text, GatewayOptions& options) {
  if (!text.starts_with("https://") && !text.starts_with("http://")) {
    return "an address such as https://issuer.example.com/.well-known/jwks.json";
  }
  options.channel_jwks = std::string(text);
  return std::nullopt;
}

// Any text will do.
template <std::string GatewayOptions::*Member>
Expectation apply_text(std::string_view text, GatewayOptions& options) {
  options.*Member = std::string(text);
  return std::nullopt;
}

constexpr std::size_t kOptions = 33;

const std::array<Setting, kOptions>& settings() {
  using Options = GatewayOptions;
  static const std::array<Setting, kOptions> table = {{
      {{"kubeconfig", "FILE", "The only kubeconfig to read (default: $KUBECONFIG, then ~/.kube/config)"},
       [](std::string_view text, Options& o) -> Expectation { return o.kubeconfig = std::string(text), std::nullopt; }},
      {{"in-cluster", "", "Serve the cluster of the pod that this runs in too, as its service account"},
       [](std::string_view text, Options& o) { return apply_bool(text, o.in_cluster); }},
      {{"enable-dynamic-clusters", "", "Let clients bring kubeconfigs of their own (without files or plugins)"},
       [](std::string_view text, Options& o) { return apply_bool(text, o.enable_dynamic_clusters); }},
      {{"backend-token-file", "FILE",
        "File with the token that every client must bring (default: $HEADLAMP_BACKEND_TOKEN, else none)"},
       &apply_text<&Options::backend_token_file>},
      {{"listen", "HOST:PORT", "Address to listen on (default: 127.0.0.1:4466; port 0: a free one)"}, &apply_listen},
      {{"base-url", "PATH", "Path below which everything is served (default: none)"}, &apply_base_url},
      {{"threads", "N", "I/O threads (default: 0, one a core)"}, &apply_threads},
      {{"max-connections", "N", "Connections at a time (default: 10000)"}, &apply_max_connections},
      {{"max-message", "SIZE", "Largest inbound WebSocket message (default: 64KiB)"},
       [](std::string_view text, Options& o) { return apply_size(text, o.max_message); }},
      {{"allowed-origins", "ORIGIN", "Other web origins that may use the gateway, with commas between them", true},
       &apply_allowed_origins},
      {{"allow-anonymous-clients", "",
        "Give clients without a token the kubeconfig's credential even when listening beyond loopback"},
       [](std::string_view text, Options& o) { return apply_bool(text, o.allow_anonymous_clients); }},
      {{"no-compression", "", "Refuse permessage-deflate to WebSocket clients that offer it"},
       [](std::string_view text, Options& o) { return apply_bool(text, o.no_compression); }},
      {{"html-static-dir", "DIR", "Folder of a built web dashboard to serve (default: none)"}, &apply_static_dir},
      {{"tls-cert-file", "FILE", "Serve HTTPS with this certificate, in PEM, its issuers behind it (default: HTTP)"},
       &apply_text<&Options::tls_cert_file>},
      {{"tls-private-key-file", "FILE", "The certificate's key, in PEM"}, &apply_text<&Options::tls_private_key_file>},
      {{"client-ca-file", "FILE", "Authorities in PEM: their clients are channel users by their certificates' names"},
       &apply_text<&Options::client_ca_file>},
      {{"log-level", "LEVEL", "trace, debug, info, warn, error or off (default: info)"}, &apply_log_level},
      {{"linger", "DURATION", "How long an upstream watch outlives its last subscriber (default: 5s)"},
       [](std::string_view text, Options& o) { return apply_duration(text, o.linger); }},
      {{"drain-timeout", "DURATION", "How long a shutdown waits for its clients (default: 10s)"},
       [](std::string_view text, Options& o) { return apply_duration(text, o.drain_timeout); }},
      {{"channel-tokens", "FILE", "Tokens of those who may use /channels: lines of token,user"},
       &apply_text<&Options::channel_tokens>},
      {{"channel-jwks", "URL", "Key set of the issuer of JSON Web Tokens for /channels"}, &apply_jwks},
      {{"channel-jwt-key", "FILE", "A public key in PEM, or a shared secret, that signs tokens for /channels"},
       &apply_text<&Options::channel_jwt_key>},
      {{"channel-jwt-issuer", "TEXT", "Issuer that those tokens must name (default: any)"},
       &apply_text<&Options::channel_jwt_issuer>},
      {{"channel-jwt-audience", "TEXT", "Audience that those tokens must be for (default: any)"},
       &apply_text<&Options::channel_jwt_audience>},
      {{"channel-jwt-attributes", "CLAIM", "Claims of those tokens that messages can be addressed by", true},
       [](std::string_view text, Options& o) -> Expectation {
         return o.channel_jwt_attributes = comma_separated(text), std::nullopt;
       }},
      {{"channel-cookie", "NAME", "Cookie that may carry the token (default: none)"},
       &apply_text<&Options::channel_cookie>},
      {{"broker", "URL", "NATS servers that join several gateways' channels: nats://host:4222 (default: none)", true,
        true},
       &apply_broker},
      {{"broker-credentials", "FILE", "NATS credentials, a user's JWT and seed"},
       &apply_text<&Options::broker_credentials>},
      {{"broker-ca-file", "FILE", "Authority of the NATS servers' certificates, in PEM"},
       &apply_text<&Options::broker_ca_file>},
      {{"broker-prefix", "TEXT",
        "What the NATS subjects and streams of this installation begin with (default: fresnel)"},
       &apply_broker_prefix},
      {{"broker-replicas", "N", "Servers of a NATS cluster that keep each history (default: 1)"},
       &apply_broker_replicas},
      {{"broker-wait", "", "While NATS is away let publishers wait for it instead of failing at once"},
       [](std::string_view text, Options& o) { return apply_bool(text, o.broker_wait); }},
      {{"api-tokens", "FILE", "Tokens of the back ends that may use /api, one a line (default: no /api)"},
       &apply_text<&Options::api_tokens>},
  }};
  return table;
}

const OptionSpec* find_spec(std::string_view name) {
  for (const Setting& setting : settings()) {
    if (setting.spec.name == name) return &setting.spec;
  }
  return nullptr;
}

Error invalid(std::string message) { return Error{.code = Errc::invalid_argument, .message = std::move(message)}; }

std::string place(OptionSource source, std::string_view option, std::string_view file) {
  switch (source) {
    case OptionSource::flag: return fmt::format("--{}", option);
    case OptionSource::environment: return environment_name(option);
    case OptionSource::file: return fmt::format("{}: {}", file, option);
    case OptionSource::defaults: break;
  }
  return std::string(option);
}

// A scalar, or for lists a sequence of scalars joined with commas.
std::optional<std::string> text_of(const YAML::Node& value, const OptionSpec& spec) {
  if (value.IsScalar()) return value.Scalar();
  if (!value.IsSequence() || !spec.list) return std::nullopt;
  std::string joined;
  for (const auto& item : value) {
    if (!item.IsScalar()) return std::nullopt;
    if (!joined.empty()) joined += ',';
    joined += item.Scalar();
  }
  return joined;
}

std::string all_names() {
  std::string names;
  for (const Setting& setting : settings()) names += fmt::format("{}{}", names.empty() ? "" : ", ", setting.spec.name);
  return names;
}

}  // namespace

std::span<const OptionSpec> option_specs() {
  static const auto specs = [] {
    std::array<OptionSpec, kOptions> out;
    std::transform(settings().begin(), settings().end(), out.begin(), [](const Setting& s) { return s.spec; });
    return out;
  }();
  return specs;
}

std::string environment_name(std::string_view option) {
  std::string name = "FRESNEL_";
  for (const char c : option) name += c == '-' ? '_' : static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  return name;
}

OptionValues options_from_environment(const GetEnvironment& get) {
  OptionValues values;
  for (const Setting& setting : settings()) {
    // An empty variable counts as not set, as a shell's VAR= usually means.
    if (auto value = get(environment_name(setting.spec.name)); value && !value->empty()) {
      values.emplace(setting.spec.name, *std::move(value));
    }
  }
  return values;
}

result<OptionValues> parse_options_file(std::string_view yaml, std::string_view file) {
  OptionValues values;
  bool has_channels = false;
  try {
    const YAML::Node root = YAML::Load(std::string(yaml));
    if (root.IsNull()) return values;
    if (!root.IsMap())
      return invalid(fmt::format("{}: expected a mapping of options such as `listen: 127.0.0.1:4466`", file));
    for (const auto& item : root) {
      const YAML::Node& key = item.first;
      const int line = key.Mark().line + 1;
      const std::string name = key.IsScalar() ? key.Scalar() : std::string("(not a text)");
      if (name == "channels") {  // parse_channel_rules() reads it
        if (!std::exchange(has_channels, true)) continue;
        return invalid(fmt::format("{}:{}: channels: given twice; expected once", file, line));
      }
      const OptionSpec* spec = find_spec(name);
      if (spec == nullptr) {
        return invalid(fmt::format("{}:{}: {}: unknown option; expected one of {}", file, line, name, all_names()));
      }
      auto text = text_of(item.second, *spec);
      if (!text) {
        return invalid(
            fmt::format("{}:{}: {}: expected a {}", file, line, name, spec->list ? "list of texts" : "single value"));
      }
      if (!values.emplace(name, *std::move(text)).second) {
        return invalid(fmt::format("{}:{}: {}: given twice; expected once", file, line, name));
      }
    }
  } catch (const YAML::Exception& e) {  // yaml-cpp has no interface without exceptions
    return invalid(fmt::format("{}:{}: not YAML: {}", file, e.mark.line + 1, e.msg));
  }
  return values;
}

result<LoadedOptions> resolve_options(const OptionValues& flags, const OptionValues& environment,
                                      const OptionValues& file, std::string_view file_name) {
  LoadedOptions loaded;
  const std::pair<OptionSource, const OptionValues*> weakest_first[] = {
      {OptionSource::file, &file}, {OptionSource::environment, &environment}, {OptionSource::flag, &flags}};
  for (const Setting& setting : settings()) {
    OptionSource winner = OptionSource::defaults;
    for (const auto& [source, values] : weakest_first) {
      const auto found = values->find(setting.spec.name);
      if (found == values->end()) continue;
      if (const auto expectation = setting.apply(found->second, loaded.options)) {
        const auto got = setting.spec.secret ? std::string() : fmt::format(", got \"{}\"", found->second);
        return invalid(
            fmt::format("{}: expected {}{}", place(source, setting.spec.name, file_name), *expectation, got));
      }
      winner = source;
    }
    loaded.sources.emplace(setting.spec.name, winner);
  }
  return loaded;
}

result<LoadedOptions> load_options(const OptionValues& flags, std::string config_file, const GetEnvironment& get) {
  if (config_file.empty()) config_file = get("FRESNEL_CONFIG").value_or("");
  OptionValues from_file;
  ChannelRules channels;
  if (!config_file.empty()) {
    const auto text = read_option_file(config_file);
    if (!text) return text.error();
    auto parsed = parse_options_file(*text, config_file);
    if (!parsed) return parsed.error();
    from_file = *std::move(parsed);
    auto rules = parse_channel_rules(*text, config_file);
    if (!rules) return rules.error();
    channels = *std::move(rules);
  }
  auto loaded = resolve_options(flags, options_from_environment(get), from_file, config_file);
  if (!loaded) return loaded;
  loaded->options.channels = std::move(channels);
  loaded->options.backend_token = get("HEADLAMP_BACKEND_TOKEN").value_or("");  // as headlamp-server is given it
  return loaded;
}

}  // namespace fresnel::gateway
