#include "tests/e2e/recorder.hpp"

namespace fresnel::test {

using Type = kube::WatchEvent::Type;

Recorder::Recorder(client::Multiplexer& multiplexer, client::SubscriptionKey key) {
  client::SubscriptionHandlers handlers;
  handlers.on_message = [this](const kube::WatchEvent& event) { record(event); };
  handlers.on_error = [this](const Error& error) { errors_.push_back(error.message); };
  subscription_ = multiplexer.subscribe(std::move(key), std::move(handlers));
}

void Recorder::record(const kube::WatchEvent& event) {
  if (!event.changes_an_object()) return;
  ++events_;
  const auto version = kube::parse_resource_version(event.resource_version);
  history_[std::string(event.uid)].push_back({version.value_or(0), event.type});
  names_[std::string(event.uid)] = std::string(event.name);
}

Truth Recorder::holds() const {
  Truth held;
  for (const auto& object : *subscription_.snapshot()) held.emplace(object->uid, object->resource_version);
  return held;
}

std::vector<std::string> Recorder::faults() const {
  std::vector<std::string> faults;
  const Truth held = holds();
  for (const auto& [uid, seen] : history_) {
    const std::string& name = names_.at(uid);
    for (std::size_t i = 1; i < seen.size(); ++i) {
      // A deletion found by comparing states has the version that was seen last: its own is unknown.
      const bool repeats = seen[i].type == Type::deleted && seen[i].version == seen[i - 1].version;
      if (seen[i].version <= seen[i - 1].version && !repeats) {
        faults.push_back(name + ": version " + std::to_string(seen[i].version) + " after " +
                         std::to_string(seen[i - 1].version));
      }
      if (seen[i].type == Type::added && seen[i - 1].type != Type::deleted) faults.push_back(name + ": ADDED twice");
      if (seen[i].type != Type::added && seen[i - 1].type == Type::deleted) faults.push_back(name + ": after DELETED");
    }
    if (seen.front().type != Type::added) faults.push_back(name + ": begins without ADDED");
    const bool is_held = held.contains({uid, std::to_string(seen.back().version)});
    if (is_held == (seen.back().type == Type::deleted)) faults.push_back(name + ": the last event is not the truth");
  }
  for (const auto& [uid, version] : held) {
    if (!history_.contains(uid)) faults.push_back(uid + " is held but was never told");
  }
  return faults;
}

}  // namespace fresnel::test
