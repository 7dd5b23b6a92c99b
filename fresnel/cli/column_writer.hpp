// Lines of aligned columns, as kubectl prints them: three spaces between columns, none after the last, each column as
// wide as its widest cell so far. What a column once needed it keeps, so that the lines of a watch stay aligned.
//
// Thread safety: one thread.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace fresnel::cli {

class ColumnWriter {
 public:
  using Cells = std::vector<std::string>;

  // Makes room for these cells.
  void fit(const Cells& cells);
  // One line, with its line end. Makes room first.
  [[nodiscard]] std::string line(const Cells& cells);
  // Rows that are aligned with each other.
  [[nodiscard]] std::string lines(const std::vector<Cells>& rows);

 private:
  std::vector<std::size_t> widths_;
};

}  // namespace fresnel::cli
