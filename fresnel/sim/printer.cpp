#include "fresnel/sim/printer.hpp"

#include <fmt/format.h>

#include "fresnel/sim/json_path.hpp"

namespace fresnel::sim {
namespace {

TableColumn name_column() { return {"Name", "string", "name", "Name must be unique within a namespace.", 0}; }

std::string text_of(const json::value& value) {
  return value.is_string() ? std::string(view(value.get_string())) : json::serialize(value);
}

json::value custom_cell(const CustomColumn& column, const json::object& object, WallTime now) {
  const auto found = select(object, column.json_path);
  if (found.empty() || found.front()->is_null()) return nullptr;
  const auto& value = *found.front();
  if (column.type == "integer" || column.type == "number") {
    return value.is_number() ? value : json::value(nullptr);
  }
  if (column.type == "boolean") return value.is_bool() ? value : json::value(nullptr);
  if (column.type == "date") return json::string(age_of(text_of(value), now));
  std::string text;
  for (const auto* each : found) text += (text.empty() ? "" : ",") + text_of(*each);
  return json::string(text);
}

}  // namespace

std::vector<TableColumn> columns_of(const ResourceType& type) {
  if (const auto* printer = builtin_printer(type)) return printer->columns;
  std::vector<TableColumn> columns{name_column()};
  if (!type.custom) {
    columns.push_back({"Created At", "date", "", "The time at which the object was created.", 0});
  } else if (type.columns.empty()) {
    columns.push_back({"Age", "date", "", "The time since the object was created.", 0});
  } else {
    for (const auto& column : type.columns) {
      columns.push_back({column.name, column.type, "", column.description, column.priority});
    }
  }
  return columns;
}

json::array cells_of(const ResourceType& type, const json::object& object, WallTime now) {
  if (const auto* printer = builtin_printer(type)) return printer->cells(object, now);
  json::array cells;
  const auto created = string_at(object, {"metadata", "creationTimestamp"});
  cells.emplace_back(string_at(object, {"metadata", "name"}));
  if (!type.custom) {
    cells.emplace_back(created);
  } else if (type.columns.empty()) {
    cells.emplace_back(json::string(age_of(created, now)));
  } else {
    for (const auto& column : type.columns) cells.push_back(custom_cell(column, object, now));
  }
  return cells;
}

json::array column_definitions(const ResourceType& type) {
  json::array definitions;
  for (const auto& column : columns_of(type)) {
    definitions.push_back(json::object{{"name", column.name},
                                       {"type", column.type},
                                       {"format", column.format},
                                       {"description", column.description},
                                       {"priority", column.priority}});
  }
  return definitions;
}

}  // namespace fresnel::sim
