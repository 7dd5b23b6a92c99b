// The rows of a live table: what the Table events of one or more clusters have led to.
//
// Rows are known by (cluster, object) and sorted by namespace, name and cluster, so that the same object of two
// clusters stands side by side. What changes after a cluster's existing objects were told is highlighted for a while;
// a deleted row stays visible for that long.
//
// Thread safety: one thread.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "fresnel/base/clock.hpp"
#include "fresnel/cli/event_source.hpp"
#include "fresnel/cli/rate_meter.hpp"
#include "fresnel/cli/table.hpp"
#include "fresnel/kube/watch_event.hpp"

namespace fresnel::cli {

enum class RowChange { none, added, modified, deleted };

struct ModelRow {
  std::string cluster;
  std::string namespace_;
  std::vector<std::string> cells;  // at the places of TableModel::columns(); may be shorter
  std::optional<WallTime> created;
  RowChange change = RowChange::none;
  TimePoint changed;  // when, if change is not none
};

struct ClusterStatus {
  std::string name;
  LinkState state = LinkState::connecting;
  std::string error;        // why it is reconnecting or failed
  std::size_t objects = 0;  // without those that were deleted
  bool synced = false;      // the existing objects have been told
  std::optional<TimePoint> last_event = std::nullopt;
  RateMeter rate = {};
  std::vector<std::size_t> places = {};  // of its columns in the table's
};

class TableModel {
 public:
  struct Options {
    bool wide = false;
    Duration highlight = seconds(2);
  };
  // namespace, name, cluster, identity
  using Key = std::tuple<std::string, std::string, std::string, std::string>;
  using Rows = std::map<Key, ModelRow>;

  TableModel(std::vector<std::string> clusters, Options options);

  // Events of clusters that were not named are ignored, as are events that change no object.
  void apply(const std::string& cluster, const kube::WatchEvent& event, TimePoint now, WallTime wall);
  void synced(const std::string& cluster);
  void set_state(const std::string& cluster, LinkState state, const Error& error);
  // Ends highlights that are over and drops deleted rows. True when something changed.
  bool expire(TimePoint now);

  [[nodiscard]] const Rows& rows() const noexcept { return rows_; }
  [[nodiscard]] const std::vector<TableColumn>& columns() const noexcept { return columns_.columns(); }
  // Places in columns() to show.
  [[nodiscard]] const std::vector<std::size_t>& shown() const noexcept { return shown_; }
  [[nodiscard]] const std::vector<ClusterStatus>& clusters() const noexcept { return clusters_; }
  [[nodiscard]] std::size_t objects() const noexcept;
  [[nodiscard]] double events_per_second(TimePoint now) const noexcept;

  // The widest text that stood in a column so far: widths only grow, so that the table does not jump.
  struct Widths {
    std::size_t cluster = 0;
    std::size_t namespace_ = 0;
    std::vector<std::size_t> cells;  // beside columns()
  };
  [[nodiscard]] const Widths& widths() const noexcept { return widths_; }

 private:
  [[nodiscard]] ClusterStatus* find(const std::string& cluster) noexcept;
  void put(const Key& key, ClusterStatus& cluster, ModelRow row, RowChange change);
  void fit(const ModelRow& row);

  Options options_;
  std::vector<ClusterStatus> clusters_;
  ColumnUnion columns_;
  std::vector<std::size_t> shown_;
  Rows rows_;
  std::deque<std::pair<TimePoint, Key>> highlights_;  // oldest first
  Widths widths_;
};

}  // namespace fresnel::cli
