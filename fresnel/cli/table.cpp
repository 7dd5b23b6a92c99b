#include "fresnel/cli/table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <utility>

#include "fresnel/cli/json_value.hpp"

namespace fresnel::cli {
namespace {

namespace json = boost::json;

std::string cell_text(const json::value& cell) {
  if (cell.is_null()) return {};
  if (cell.is_string()) return printable(std::string_view(cell.get_string().data(), cell.get_string().size()));
  if (cell.is_double()) return fmt::format("{}", cell.get_double());
  return printable(json::serialize(cell));
}

void read_metadata(const json::value& object, TableRow& row) {
  const auto* metadata = member(object, "metadata");
  if (metadata == nullptr) return;
  row.uid = text_member(*metadata, "uid");
  row.namespace_ = text_member(*metadata, "namespace");
  row.name = text_member(*metadata, "name");
  row.created = parse_timestamp(text_member(*metadata, "creationTimestamp"));
}

Table read_server_table(const json::value& document) {
  Table table;
  if (const auto* columns = array_member(document, "columnDefinitions")) {
    for (const auto& definition : *columns) {
      const auto* priority = member(definition, "priority");
      const bool wide_only = priority != nullptr && priority->is_int64() && priority->get_int64() > 0;
      table.columns.push_back({printable(text_member(definition, "name")), wide_only ? 1 : 0});
    }
  }
  const auto* rows = array_member(document, "rows");
  if (rows == nullptr) return table;
  for (const auto& entry : *rows) {
    TableRow row;
    if (const auto* cells = array_member(entry, "cells")) {
      for (const auto& cell : *cells) row.cells.push_back(cell_text(cell));
    }
    if (const auto* object = member(entry, "object")) read_metadata(*object, row);
    table.rows.push_back(std::move(row));
  }
  return table;
}

void add_object(Table& table, const json::value& object, WallTime now) {
  TableRow row;
  read_metadata(object, row);
  row.cells = {printable(row.name), row.created ? human_duration(now - *row.created) : "<unknown>"};
  table.rows.push_back(std::move(row));
}

}  // namespace

result<Table> parse_table(std::string_view text, WallTime now) {
  const auto parsed = parse_json(text);
  if (!parsed) return parsed.error();
  const json::value& document = *parsed;
  if (text_member(document, "kind") == "Table") return read_server_table(document);

  Table table;
  table.columns = {{"Name"}, {"Age"}};
  if (const auto* items = array_member(document, "items")) {
    for (const auto& item : *items) add_object(table, item, now);
    return table;
  }
  if (member(document, "metadata") == nullptr) {
    return Error{Errc::protocol, "expected a Table, a List or an object from the server"};
  }
  add_object(table, document, now);
  return table;
}

std::vector<std::size_t> shown_columns(const std::vector<TableColumn>& columns, bool wide) {
  std::vector<std::size_t> shown;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (wide || columns[i].priority == 0) shown.push_back(i);
  }
  return shown;
}

std::vector<std::size_t> ColumnUnion::add(const std::vector<TableColumn>& columns) {
  std::vector<std::size_t> places;
  for (const auto& column : columns) {
    const auto known = std::find_if(columns_.begin(), columns_.end(),
                                    [&](const TableColumn& other) { return other.name == column.name; });
    places.push_back(static_cast<std::size_t>(known - columns_.begin()));
    if (known == columns_.end()) columns_.push_back(column);
  }
  return places;
}

std::vector<std::string> ColumnUnion::spread(const std::vector<std::string>& cells,
                                             const std::vector<std::size_t>& places) const {
  std::vector<std::string> all(columns_.size());
  for (std::size_t i = 0; i < std::min(cells.size(), places.size()); ++i) all[places[i]] = cells[i];
  return all;
}

std::string printable(std::string_view text) {
  const auto line_end = text.find_first_of("\n\r\f");
  std::string safe;
  for (std::size_t i = 0; i < std::min(line_end, text.size()); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const bool c1_control = byte == 0xc2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0;
    if (byte == 0x1b) {
      safe += "^[";
    } else if (c1_control) {
      safe.push_back(' ');
      ++i;
    } else {
      safe.push_back(byte < 0x20 || byte == 0x7f ? ' ' : text[i]);
    }
  }
  if (line_end != std::string_view::npos) safe += "...";
  return safe;
}

std::string upper(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - ('a' - 'A')) : c; });
  return text;
}

std::size_t display_width(std::string_view text) noexcept {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0u) != 0x80u; }));
}

}  // namespace fresnel::cli
