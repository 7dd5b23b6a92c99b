#include "fresnel/cli/table_model.hpp"

#include <algorithm>

#include "fresnel/kube/object_index.hpp"

namespace fresnel::cli {
namespace {

RowChange change_of(kube::WatchEvent::Type type) noexcept {
  switch (type) {
    case kube::WatchEvent::Type::added: return RowChange::added;
    case kube::WatchEvent::Type::modified: return RowChange::modified;
    case kube::WatchEvent::Type::deleted: return RowChange::deleted;
    default: return RowChange::none;
  }
}

}  // namespace

TableModel::TableModel(std::vector<std::string> clusters, Options options) : options_(options) {
  for (auto& name : clusters) {
    widths_.cluster = std::max(widths_.cluster, display_width(name));
    clusters_.push_back({.name = std::move(name)});
  }
}

ClusterStatus* TableModel::find(const std::string& cluster) noexcept {
  const auto it = std::find_if(clusters_.begin(), clusters_.end(),
                               [&](const ClusterStatus& known) { return known.name == cluster; });
  return it == clusters_.end() ? nullptr : &*it;
}

void TableModel::apply(const std::string& name, const kube::WatchEvent& event, TimePoint now, WallTime wall) {
  auto* cluster = find(name);
  if (cluster == nullptr || !event.changes_an_object()) return;
  auto table = parse_table(event.object_view(), wall);
  if (!table || table->rows.empty()) return;
  if (!table->columns.empty()) {
    cluster->places = columns_.add(table->columns);
    shown_ = shown_columns(columns_.columns(), options_.wide);
  }
  if (cluster->synced) {
    cluster->last_event = now;
    cluster->rate.count(now);
  }
  auto& source = table->rows.front();
  ModelRow row{name,
               printable(source.namespace_),
               columns_.spread(source.cells, cluster->places),
               source.created,
               RowChange::none,
               now};
  const Key key(event.namespace_, event.name, name, object_identity(event));
  put(key, *cluster, std::move(row), change_of(event.type));
}

void TableModel::put(const Key& key, ClusterStatus& cluster, ModelRow row, RowChange change) {
  const auto known = rows_.find(key);
  const bool was_there = known != rows_.end() && known->second.change != RowChange::deleted;
  const bool deleted = change == RowChange::deleted;
  if (deleted && !was_there) return;
  if (was_there && deleted) --cluster.objects;
  if (!was_there) ++cluster.objects;
  if (!was_there) change = RowChange::added;
  if (!deleted && was_there) change = RowChange::modified;

  if (!cluster.synced && deleted) {
    rows_.erase(known);
    return;
  }
  if (cluster.synced) {
    row.change = change;
    highlights_.emplace_back(row.changed, key);
  }
  fit(row);
  rows_.insert_or_assign(key, std::move(row));
}

void TableModel::fit(const ModelRow& row) {
  widths_.namespace_ = std::max(widths_.namespace_, display_width(row.namespace_));
  widths_.cells.resize(columns_.columns().size());
  for (std::size_t i = 0; i < row.cells.size(); ++i) {
    widths_.cells[i] = std::max(widths_.cells[i], display_width(row.cells[i]));
  }
}

void TableModel::synced(const std::string& name) {
  if (auto* cluster = find(name)) cluster->synced = true;
}

void TableModel::set_state(const std::string& name, LinkState state, const Error& error) {
  auto* cluster = find(name);
  if (cluster == nullptr) return;
  cluster->state = state;
  cluster->error = printable(error.message);
}

bool TableModel::expire(TimePoint now) {
  bool changed = false;
  while (!highlights_.empty() && highlights_.front().first + options_.highlight <= now) {
    const auto [when, key] = std::move(highlights_.front());
    highlights_.pop_front();
    const auto row = rows_.find(key);
    if (row == rows_.end() || row->second.change == RowChange::none || row->second.changed != when) continue;
    changed = true;
    if (row->second.change == RowChange::deleted) {
      rows_.erase(row);
    } else {
      row->second.change = RowChange::none;
    }
  }
  return changed;
}

std::size_t TableModel::objects() const noexcept {
  std::size_t count = 0;
  for (const auto& cluster : clusters_) count += cluster.objects;
  return count;
}

double TableModel::events_per_second(TimePoint now) const noexcept {
  double sum = 0;
  for (const auto& cluster : clusters_) sum += cluster.rate.per_second(now);
  return sum;
}

}  // namespace fresnel::cli
