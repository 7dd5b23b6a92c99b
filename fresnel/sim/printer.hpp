// The server's own tables: what `kubectl get` shows for each resource (kube-apiserver's pkg/printers/internalversion
// for built-in types, additionalPrinterColumns for custom ones). Column descriptions are ours, and shorter.
//
// Thread safety: pure functions.
#pragma once

#include <string>
#include <vector>

#include "fresnel/sim/json.hpp"
#include "fresnel/sim/resource_type.hpp"
#include "fresnel/sim/timestamp.hpp"

namespace fresnel::sim {

struct TableColumn {
  std::string name;
  std::string type = "string";
  std::string format = {};
  std::string description = {};
  int priority = 0;  // above 0: shown with `-o wide` only
};

[[nodiscard]] std::vector<TableColumn> columns_of(const ResourceType& type);
// One cell a column. `now` is what ages are counted from.
[[nodiscard]] json::array cells_of(const ResourceType& type, const json::object& object, WallTime now);

// "columnDefinitions" of a Table.
[[nodiscard]] json::array column_definitions(const ResourceType& type);

// A built-in type's printer; null for types that have none and show their name and time of creation.
struct BuiltinPrinter {
  std::vector<TableColumn> columns;
  json::array (*cells)(const json::object& object, WallTime now);
};
[[nodiscard]] const BuiltinPrinter* builtin_printer(const ResourceType& type);

}  // namespace fresnel::sim
