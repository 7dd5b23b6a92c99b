#include "fresnel/kube/credential.hpp"

#include <cstdint>
#include <string_view>

#include "fresnel/net/digest.hpp"

namespace fresnel::kube {
namespace {

// Each field goes in with its length before it, so that no two credentials give the same bytes.
void append_field(std::string& bytes, const std::string& field) {
  std::uint64_t size = field.size();
  for (int i = 0; i < 8; ++i, size >>= 8) bytes.push_back(static_cast<char>(size & 0xffu));
  bytes += field;
}

bool is_impersonation_field(std::string_view name) {
  constexpr std::string_view kPrefix = "impersonate-";
  return name.size() > kPrefix.size() && net::equal_ignoring_case(name.substr(0, kPrefix.size()), kPrefix);
}

// The key of an Impersonate-Extra- field: what a field's name cannot hold is percent-encoded, and so is '%'.
std::string extra_field_name(std::string_view key) {
  constexpr std::string_view kPlain = "!#$&'*+-.^_`|~";
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string name = "Impersonate-Extra-";
  for (const char c : key) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (letter || kPlain.find(c) != std::string_view::npos) {
      name.push_back(c);
    } else {
      const auto byte = static_cast<unsigned char>(c);
      name.append({'%', kHex[byte >> 4], kHex[byte & 0x0f]});
    }
  }
  return name;
}

}  // namespace

std::string Credential::identity() const {
  std::string bytes;
  append_field(bytes, bearer_token);
  append_field(bytes, client_cert_pem);
  append_field(bytes, client_key_pem);
  append_field(bytes, username);
  append_field(bytes, password);
  append_field(bytes, impersonate.user);
  append_field(bytes, impersonate.uid);
  append_field(bytes, std::to_string(impersonate.groups.size()));
  for (const auto& group : impersonate.groups) append_field(bytes, group);
  for (const auto& [name, values] : impersonate.extra) {
    append_field(bytes, name);
    append_field(bytes, std::to_string(values.size()));
    for (const auto& value : values) append_field(bytes, value);
  }
  return net::sha256_hex(bytes);
}

void Credential::authorize(net::Headers& headers) const {
  if (!bearer_token.empty()) {
    headers.set("Authorization", "Bearer " + bearer_token);
  } else if (!username.empty()) {
    headers.set("Authorization", "Basic " + net::to_base64(username + ":" + password));
  }
  if (impersonate.empty()) return;
  std::vector<std::string> given;
  for (const auto& [name, value] : headers) {
    if (is_impersonation_field(name)) given.push_back(name);
  }
  for (const auto& name : given) headers.remove(name);
  if (!impersonate.user.empty()) headers.add("Impersonate-User", impersonate.user);
  if (!impersonate.uid.empty()) headers.add("Impersonate-Uid", impersonate.uid);
  for (const auto& group : impersonate.groups) headers.add("Impersonate-Group", group);
  for (const auto& [key, values] : impersonate.extra) {
    for (const auto& value : values) headers.add(extra_field_name(key), value);
  }
}

}  // namespace fresnel::kube
