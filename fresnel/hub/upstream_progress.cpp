#include "fresnel/hub/upstream_progress.hpp"

#include <algorithm>

namespace fresnel::hub {

void UpstreamProgress::listed(std::uint64_t list_version, std::optional<std::uint64_t> start,
                              const kube::ObjectIndex& index) {
  list_version_ = list_version;
  reached_ = start.value_or(list_version);
  if (!start) return;
  for (const auto& [identity, event] : index) {
    if (kube::parse_resource_version(event.resource_version) > start) owed_.insert(identity);
  }
}

void UpstreamProgress::relisted(std::uint64_t list_version) {
  owed_.clear();
  quiet_at_.reset();
  list_version_ = reached_ = list_version;
}

void UpstreamProgress::start_lost() {
  owed_.clear();
  quiet_at_.reset();
  reached_ = list_version_;
}

void UpstreamProgress::saw(const kube::WatchEvent& event, const kube::ObjectIndex& index, TimePoint now) {
  // A relist's difference ends at the list, though its events' versions do not reach it.
  if (const auto version = kube::parse_resource_version(event.resource_version)) {
    reached_ = std::max(reached_, *version);
  }
  if (quiet_at_) quiet_at_ = replaying() ? now + kQuiet : now;
  if (owed_.empty()) return;
  if (!replaying()) {
    owed_.clear();
    return;
  }
  const std::string identity = object_identity(event);
  const auto* object = index.find(identity);
  if (object == nullptr || object->resource_version == event.resource_version) owed_.erase(identity);
}

bool UpstreamProgress::has_told(std::uint64_t version, TimePoint now) const noexcept {
  if (replaying() && version < list_version_) return owed_.empty() && quiet(now);
  return version <= std::max(reached_, list_version_) || quiet(now);
}

}  // namespace fresnel::hub
