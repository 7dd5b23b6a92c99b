#include "fresnel/gateway/dynamic_clusters.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "fresnel/gateway/credentials.hpp"
#include "fresnel/kube/kubeconfig.hpp"
#include "fresnel/net/digest.hpp"

namespace fresnel::gateway {
namespace {

Error bad(std::string message) {
  return Error{.code = Errc::invalid_argument, .message = std::move(message), .status = 400};
}

}  // namespace

std::string user_id_of(const net::Headers& headers) {
  if (const auto field = headers.get(kUserIdField); !field.empty()) return std::string(field);
  for (const auto& protocol : offered_protocols(headers)) {
    if (protocol.starts_with(kUserIdProtocol)) return protocol.substr(kUserIdProtocol.size());
  }
  return {};
}

result<kube::ClusterContext> DynamicClusters::read(const net::Headers& headers, std::string_view cluster) const {
  const auto encoded = headers.get(kKubeconfigField);
  if (encoded.size() > limits_.max_kubeconfig / 3 * 4) {
    return bad(fmt::format("the KUBECONFIG field is too large; expected at most {} bytes", limits_.max_kubeconfig));
  }
  const auto text = net::from_base64(encoded);
  if (!text) return bad("the KUBECONFIG field cannot be read; expected a kubeconfig in base64");
  const auto user_id = user_id_of(headers);
  if (user_id.size() < limits_.min_user_id) {
    return bad(
        fmt::format("the X-HEADLAMP-USER-ID field is missing or short; expected at least {} characters that "
                    "nobody can guess",
                    limits_.min_user_id));
  }
  const auto config = kube::parse_untrusted_kubeconfig(*text, "(KUBECONFIG field)", cluster);
  if (!config) return bad(config.error().message);
  for (const auto& entry : config->contexts) {
    if (entry.context) return entry.context;
    return bad(entry.context.error().message);
  }
  return Error{Errc::not_found, fmt::format("the KUBECONFIG field has no context \"{}\"", cluster), 404};
}

void DynamicClusters::keep(std::string_view user_id, const kube::ClusterContext& context) {
  const auto user = net::sha256_hex(user_id);
  const std::lock_guard lock(mutex_);
  const auto now = clock_.now();
  drop_expired(now);
  if (const auto known = by_key_.find({user, context.name}); known != by_key_.end()) drop(known->second);
  make_room(user);
  entries_.push_front({user, context, now});
  by_key_.emplace(Key(user, context.name), entries_.begin());
  ++of_user_[user];
}

std::optional<kube::ClusterContext> DynamicClusters::find(std::string_view cluster, std::string_view user_id) {
  if (user_id.size() < limits_.min_user_id) return std::nullopt;
  const auto user = net::sha256_hex(user_id);
  const std::lock_guard lock(mutex_);
  const auto now = clock_.now();
  drop_expired(now);
  const auto known = by_key_.find({user, std::string(cluster)});
  if (known == by_key_.end()) return std::nullopt;
  known->second->used = now;
  entries_.splice(entries_.begin(), entries_, known->second);
  return known->second->context;
}

std::size_t DynamicClusters::size() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

void DynamicClusters::drop(Entries::iterator entry) {
  by_key_.erase({entry->user, entry->context.name});
  if (const auto count = of_user_.find(entry->user); --count->second == 0) of_user_.erase(count);
  entries_.erase(entry);
}

void DynamicClusters::drop_expired(TimePoint now) {
  while (!entries_.empty() && now - entries_.back().used > limits_.lifetime) drop(std::prev(entries_.end()));
}

void DynamicClusters::make_room(const std::string& user) {
  if (const auto count = of_user_.find(user); count != of_user_.end() && count->second >= limits_.max_contexts_a_user) {
    const auto oldest =
        std::find_if(entries_.rbegin(), entries_.rend(), [&](const Entry& entry) { return entry.user == user; });
    drop(std::prev(oldest.base()));
  }
  if (entries_.size() >= limits_.max_contexts) drop(std::prev(entries_.end()));
}

}  // namespace fresnel::gateway
