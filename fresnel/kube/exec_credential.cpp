#include "fresnel/kube/exec_credential.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <chrono>
#include <utility>

#include "fresnel/net/digest.hpp"

namespace fresnel::kube {
namespace {

namespace json = boost::json;

constexpr std::string_view kVersions[] = {"client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"};
constexpr std::string_view kKind = "ExecCredential";

Error bad_field(std::string_view field, std::string_view expected) {
  return {Errc::protocol, fmt::format("{}: expected {}", field, expected)};
}

// A missing or null field is the empty string.
result<std::string> string_field(const json::object& object, std::string_view prefix, std::string_view key) {
  const auto* value = object.if_contains(key);
  if (value == nullptr || value->is_null()) return std::string();
  if (!value->is_string()) return bad_field(fmt::format("{}{}", prefix, key), "a string");
  return std::string(value->get_string());
}

// `size` digits at the front of `text`, which are taken from it.
std::optional<int> take_number(std::string_view& text, std::size_t size) {
  if (text.size() < size) return std::nullopt;
  int value = 0;
  for (const char c : text.substr(0, size)) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  text.remove_prefix(size);
  return value;
}

bool take(std::string_view& text, std::string_view any_of) {
  if (text.empty() || any_of.find(text.front()) == std::string_view::npos) return false;
  text.remove_prefix(1);
  return true;
}

// ".5" at the front of `text`, to the nanosecond; zero when there is no fraction.
std::optional<std::chrono::nanoseconds> take_fraction(std::string_view& text) {
  if (!take(text, ".")) return std::chrono::nanoseconds(0);
  std::int64_t value = 0;
  std::int64_t unit = 100'000'000;
  const std::size_t before = text.size();
  for (; !text.empty() && text.front() >= '0' && text.front() <= '9'; text.remove_prefix(1)) {
    value += (text.front() - '0') * unit;
    unit /= 10;
  }
  if (text.size() == before) return std::nullopt;
  return std::chrono::nanoseconds(value);
}

// All of `text`: "Z" or "+01:30".
std::optional<std::chrono::minutes> offset_of(std::string_view text) {
  if (text == "Z" || text == "z") return std::chrono::minutes(0);
  const bool west = text.starts_with('-');
  if (!take(text, "+-")) return std::nullopt;
  const auto hour = take_number(text, 2);
  if (!hour || *hour > 23 || !take(text, ":")) return std::nullopt;
  const auto minute = take_number(text, 2);
  if (!minute || *minute > 59 || !text.empty()) return std::nullopt;
  const std::chrono::minutes offset = std::chrono::hours(*hour) + std::chrono::minutes(*minute);
  return west ? -offset : offset;
}

std::optional<std::chrono::sys_days> take_date(std::string_view& text) {
  const auto year = take_number(text, 4);
  if (!year || !take(text, "-")) return std::nullopt;
  const auto month = take_number(text, 2);
  if (!month || !take(text, "-")) return std::nullopt;
  const auto day = take_number(text, 2);
  if (!day) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(*year), std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok()) return std::nullopt;
  return std::chrono::sys_days(date);
}

std::optional<std::chrono::seconds> take_time(std::string_view& text) {
  const auto hour = take_number(text, 2);
  if (!hour || *hour > 23 || !take(text, ":")) return std::nullopt;
  const auto minute = take_number(text, 2);
  if (!minute || *minute > 59 || !take(text, ":")) return std::nullopt;
  const auto second = take_number(text, 2);
  if (!second || *second > 60) return std::nullopt;  // 60: a leap second
  return std::chrono::hours(*hour) + std::chrono::minutes(*minute) + std::chrono::seconds(*second);
}

// RFC 3339 section 5.6. Years that the clock cannot hold (it ends in 2262) are its first or last moment.
std::optional<WallTime> parse_rfc3339(std::string_view text) {
  const auto date = take_date(text);
  if (!date || !take(text, "Tt ")) return std::nullopt;
  const auto time = take_time(text);
  if (!time) return std::nullopt;
  const auto fraction = take_fraction(text);
  if (!fraction) return std::nullopt;
  const auto offset = offset_of(text);
  if (!offset) return std::nullopt;
  const std::chrono::sys_seconds when = *date + *time - *offset;
  if (when >= std::chrono::floor<std::chrono::seconds>(WallTime::max())) return WallTime::max();
  if (when <= std::chrono::ceil<std::chrono::seconds>(WallTime::min())) return WallTime::min();
  return WallTime(when) + std::chrono::duration_cast<WallTime::duration>(*fraction);
}

result<void> check_type(const json::object& document, std::string_view api_version) {
  const auto version = string_field(document, "", "apiVersion");
  if (!version) return version.error();
  if (*version != api_version) {
    // Bounded, for what it holds is the plugin's choice.
    return bad_field("apiVersion", fmt::format("the configured {}, got \"{:.80}\"", api_version, *version));
  }
  const auto kind = string_field(document, "", "kind");
  if (!kind) return kind.error();
  if (*kind != kKind) return bad_field("kind", fmt::format("{}, got \"{:.80}\"", kKind, *kind));
  return {};
}

result<void> check_credential(const Credential& credential) {
  // What could end a header field, or does not belong into one (RFC 9110 section 5.5).
  const auto no_header = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  const std::string& token = credential.bearer_token;
  if (std::any_of(token.begin(), token.end(), no_header)) {
    return bad_field("status.token", "one line without control characters");
  }
  const bool has_certificate = !credential.client_cert_pem.empty();
  if (has_certificate != !credential.client_key_pem.empty()) {
    return bad_field(has_certificate ? "status.clientKeyData" : "status.clientCertificateData",
                     "a certificate and its key together, but it is missing");
  }
  if (credential.anonymous()) return bad_field("status", "a token, or a certificate and its key");
  const auto is_pem = [](const std::string& text) { return text.find("-----BEGIN ") != std::string::npos; };
  for (const auto& [field, pem] : {std::pair("status.clientCertificateData", &credential.client_cert_pem),
                                   std::pair("status.clientKeyData", &credential.client_key_pem)}) {
    if (has_certificate && !is_pem(*pem)) return bad_field(field, "PEM text (\"-----BEGIN ...\")");
  }
  return {};
}

}  // namespace

result<void> check_exec_api_version(std::string_view api_version) {
  if (std::find(std::begin(kVersions), std::end(kVersions), api_version) != std::end(kVersions)) return {};
  return Error{Errc::invalid_argument,
               fmt::format("apiVersion: expected {} or {}, got \"{}\"", kVersions[0], kVersions[1], api_version)};
}

std::string exec_info(std::string_view api_version, const ExecCluster* cluster) {
  json::object spec;
  if (cluster != nullptr) {
    json::object info;
    if (!cluster->server.empty()) info["server"] = cluster->server;
    if (!cluster->tls_server_name.empty()) info["tls-server-name"] = cluster->tls_server_name;
    if (cluster->insecure_skip_tls_verify) info["insecure-skip-tls-verify"] = true;
    if (!cluster->certificate_authority_pem.empty()) {
      info["certificate-authority-data"] = net::to_base64(cluster->certificate_authority_pem);
    }
    if (!cluster->proxy_url.empty()) info["proxy-url"] = cluster->proxy_url;
    spec["cluster"] = std::move(info);
  }
  spec["interactive"] = false;
  json::object document;
  document["kind"] = kKind;
  document["apiVersion"] = api_version;
  document["spec"] = std::move(spec);
  return json::serialize(document);
}

result<ExecCredential> parse_exec_credential(std::string_view api_version, std::string_view printed) {
  boost::system::error_code failed;
  const auto document = json::parse(printed, failed);
  if (failed || !document.is_object()) {
    return Error{Errc::protocol, fmt::format("expected one JSON object of kind {}", kKind)};
  }
  const auto& object = document.get_object();
  if (auto fits = check_type(object, api_version); !fits) return fits.error();
  const auto* status = object.if_contains("status");
  if (status == nullptr || !status->is_object()) return bad_field("status", "an object");

  ExecCredential parsed;
  const auto& fields = status->get_object();
  Credential& credential = parsed.credential;
  for (const auto& [key, into] :
       {std::pair("token", &credential.bearer_token), std::pair("clientCertificateData", &credential.client_cert_pem),
        std::pair("clientKeyData", &credential.client_key_pem)}) {
    auto value = string_field(fields, "status.", key);
    if (!value) return value.error();
    *into = *std::move(value);
  }
  if (auto fits = check_credential(credential); !fits) return fits.error();
  const auto expires = string_field(fields, "status.", "expirationTimestamp");
  if (!expires) return expires.error();
  if (!expires->empty()) {
    parsed.expires = parse_rfc3339(*expires);
    if (!parsed.expires) return bad_field("status.expirationTimestamp", "a time of RFC 3339");
  }
  return parsed;
}

}  // namespace fresnel::kube
