// The texts that joiners are given of what came before them, made once for all of them. Many come at once when a
// gateway or a network returns: what was made is kept for a second after the last of them.
//
// Thread safety: one owner, that of its executor.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "fresnel/base/asio.hpp"
#include "fresnel/base/clock.hpp"
#include "fresnel/hub/published_event.hpp"
#include "fresnel/kube/object_index.hpp"

namespace fresnel::hub {

class JoinerTexts : public std::enable_shared_from_this<JoinerTexts> {
 public:
  JoinerTexts(const Executor& executor, Clock& clock, std::shared_ptr<ClusterMetrics> metrics)
      : clock_(clock), metrics_(std::move(metrics)), end_(executor, clock) {}

  // `objects` as ADDED, in ascending order of version.
  [[nodiscard]] std::shared_ptr<const std::vector<EventPtr>> state(const kube::ObjectIndex& objects, Forms forms);
  // Those of `objects` that have changed after `version` as MODIFIED, and `deleted`, in ascending order of version.
  [[nodiscard]] std::vector<EventPtr> difference(const kube::ObjectIndex& objects, std::uint64_t version,
                                                 std::vector<EventPtr> deleted, Forms forms);
  // The bookmark that ends a joiner's initial data at `version`; `initial`: it asked for initial events.
  [[nodiscard]] EventPtr bookmark(std::string_view kind, std::string_view api_version, std::uint64_t version,
                                  bool initial, Forms forms);

  void objects_changed() { state_.reset(); }
  void forget(const kube::WatchEvent& deleted);
  // An object's version means something else from now on.
  void clear();

 private:
  using Texts = std::unordered_map<std::string, EventPtr>;  // by identity, each object's newest that was asked for

  const EventPtr& text(Texts& texts, const std::string& identity, const kube::WatchEvent& event,
                       kube::WatchEvent::Type type, Forms forms);
  void keep();

  Clock& clock_;
  std::shared_ptr<ClusterMetrics> metrics_;
  std::shared_ptr<const std::vector<EventPtr>> state_;  // null once something has changed
  Texts added_;
  Texts modified_;
  std::array<EventPtr, 2> bookmarks_;  // the last one made, and with `initial`
  TimePoint until_;
  Timer end_;
};

}  // namespace fresnel::hub
