#include "fresnel/cli/event_printer.hpp"

#include <boost/json/object.hpp>
#include <utility>

#include "fresnel/cli/json_value.hpp"
#include "fresnel/cli/object_text.hpp"
#include "fresnel/json/escape.hpp"

namespace fresnel::cli {
namespace {

std::string json_line(const std::string& cluster, const kube::WatchEvent& event) {
  const std::string object = compact_json(event.object_view());
  std::string line;
  line.reserve(object.size() + cluster.size() + 64);
  line.append(R"({"type":")").append(to_string(event.type)).append(R"(","cluster":)");
  json::append_quoted(line, cluster);
  line.append(R"(,"object":)").append(object).append("}\n");
  return line;
}

}  // namespace

std::string EventPrinter::event(const std::string& cluster, const kube::WatchEvent& event, WallTime now) {
  switch (options_.output) {
    case OutputFormat::json: return json_line(cluster, event);
    case OutputFormat::table:
    case OutputFormat::wide: return table_line(cluster, event, now);
    case OutputFormat::name:
    case OutputFormat::yaml: break;
  }
  auto object = parse_json(event.object_view());
  if (!object) return {};
  if (options_.output == OutputFormat::name) {
    return (options_.several_clusters ? cluster + " " : "") + kind_and_name(*object) + "\n";
  }
  return "---\n" + yaml(boost::json::object{
                       {"cluster", cluster}, {"object", std::move(*object)}, {"type", to_string(event.type)}});
}

std::string EventPrinter::synced(const std::string& cluster) {
  auto& known = clusters_[cluster];
  known.synced = true;
  return release(known);
}

std::string EventPrinter::table_line(const std::string& cluster, const kube::WatchEvent& event, WallTime now) {
  auto& known = clusters_[cluster];
  const auto table = parse_table(event.object_view(), now);
  if (!table) return {};
  if (!table->columns.empty()) known.places = columns_.add(table->columns);
  for (const auto& row : table->rows) {
    ColumnWriter::Cells leading{std::string(to_string(event.type))};
    if (options_.several_clusters) leading.push_back(cluster);
    if (options_.show_namespace) leading.push_back(printable(row.namespace_));
    known.held.emplace_back(std::move(leading), columns_.spread(row.cells, known.places));
  }
  return known.synced ? release(known) : std::string();
}

std::string EventPrinter::release(Cluster& cluster) {
  std::vector<ColumnWriter::Cells> lines;
  if (cluster.held.empty()) return {};
  if (printed_columns_ != columns_.columns().size()) {
    printed_columns_ = columns_.columns().size();
    lines.push_back(header());
  }
  const auto shown = shown_columns(columns_.columns(), options_.output == OutputFormat::wide);
  for (auto& [line, cells] : cluster.held) {
    cells.resize(columns_.columns().size());  // columns may have come since
    for (const auto i : shown) line.push_back(cells[i]);
    lines.push_back(std::move(line));
  }
  cluster.held.clear();
  return writer_.lines(lines);
}

ColumnWriter::Cells EventPrinter::header() const {
  ColumnWriter::Cells cells{"EVENT"};
  if (options_.several_clusters) cells.emplace_back("CLUSTER");
  if (options_.show_namespace) cells.emplace_back("NAMESPACE");
  for (const auto i : shown_columns(columns_.columns(), options_.output == OutputFormat::wide)) {
    cells.push_back(upper(columns_.columns()[i].name));
  }
  return cells;
}

}  // namespace fresnel::cli
