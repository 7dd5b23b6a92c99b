// A Table as an API server sends it (meta.k8s.io/v1 Table: columnDefinitions and rows), ready to be shown.
// Servers that know no Tables send objects: those become a table of Name and Age.
//
// Cells are safe for a terminal: no control characters, one line.
//
// Thread safety: values and pure functions.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "fresnel/base/error.hpp"
#include "fresnel/cli/age.hpp"

namespace fresnel::cli {

// Asks for a Table; a server takes the first form that it knows.
inline constexpr std::string_view kAcceptTable =
    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";

struct TableColumn {
  std::string name;
  int priority = 0;  // above 0: shown in wide output only

  // Its cells are ages, counted from metadata.creationTimestamp.
  [[nodiscard]] bool is_age() const noexcept { return name == "Age"; }
};

struct TableRow {
  std::vector<std::string> cells;
  std::string uid;
  std::string namespace_;
  std::string name;
  std::optional<WallTime> created;
};

struct Table {
  std::vector<TableColumn> columns;  // empty in all events of a watch but the first
  std::vector<TableRow> rows;
};

// Reads a Table, a List or one object. Error protocol for anything else.
[[nodiscard]] result<Table> parse_table(std::string_view json, WallTime now);

// The columns that are shown, as places in TableRow::cells.
[[nodiscard]] std::vector<std::size_t> shown_columns(const std::vector<TableColumn>& columns, bool wide);

// One set of columns for the tables of several clusters, whose versions may differ: by name, in the order they came.
class ColumnUnion {
 public:
  // For each of these columns its place in columns().
  [[nodiscard]] std::vector<std::size_t> add(const std::vector<TableColumn>& columns);
  [[nodiscard]] const std::vector<TableColumn>& columns() const noexcept { return columns_; }
  // Cells of a table whose add() gave `places`, at their places.
  [[nodiscard]] std::vector<std::string> spread(const std::vector<std::string>& cells,
                                                const std::vector<std::size_t>& places) const;

 private:
  std::vector<TableColumn> columns_;
};

// Text that is safe for a terminal: up to the first line end ("..." then stands for the rest), ESC as ^[ and other
// control characters as spaces.
[[nodiscard]] std::string printable(std::string_view text);

// ASCII letters as capitals: column headings.
[[nodiscard]] std::string upper(std::string text);

// Columns on a terminal. Every code point counts as one, which holds for what Kubernetes allows in names.
[[nodiscard]] std::size_t display_width(std::string_view text) noexcept;

}  // namespace fresnel::cli
