#include "fresnel/cli/column_writer.hpp"

#include <algorithm>

#include "fresnel/cli/table.hpp"

namespace fresnel::cli {
namespace {

constexpr std::size_t kGap = 3;
constexpr std::size_t kLeastWidth = 6;  // with the gap

}  // namespace

void ColumnWriter::fit(const Cells& cells) {
  if (widths_.size() < cells.size()) widths_.resize(cells.size(), kLeastWidth);
  for (std::size_t i = 0; i < cells.size(); ++i) widths_[i] = std::max(widths_[i], display_width(cells[i]) + kGap);
}

std::string ColumnWriter::line(const Cells& cells) {
  fit(cells);
  std::string text;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    text += cells[i];
    if (i + 1 < cells.size()) text.append(widths_[i] - display_width(cells[i]), ' ');
  }
  text += '\n';
  return text;
}

std::string ColumnWriter::lines(const std::vector<Cells>& rows) {
  for (const auto& row : rows) fit(row);
  std::string text;
  for (const auto& row : rows) text += line(row);
  return text;
}

}  // namespace fresnel::cli
