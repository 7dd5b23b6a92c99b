#include "fresnel/cli/table_render.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

namespace fresnel::cli {
namespace {

constexpr std::size_t kGap = 3;
constexpr std::size_t kAgeWidth = 7;  // "4m59s" and most others fit, so that ageing does not move columns

// Select Graphic Rendition parameters (ECMA-48 section 8.3.117).
constexpr const char* kBold = "1";
constexpr const char* kDim = "2";
constexpr const char* kGreen = "32";
constexpr const char* kYellow = "33";
constexpr const char* kRed = "31";
constexpr const char* kBoldYellow = "1;33";

// The first `columns` code points.
std::string_view cut(std::string_view text, std::size_t columns) {
  std::size_t end = 0;
  while (end < text.size()) {
    const bool starts_a_character = (static_cast<unsigned char>(text[end]) & 0xc0u) != 0x80u;
    if (starts_a_character && columns-- == 0) break;
    ++end;
  }
  return text.substr(0, end);
}

// Collects lines no wider than the terminal, and makes the frame of them.
class Canvas {
 public:
  Canvas(std::size_t columns, bool colour) : columns_(columns), colour_(colour) {}

  Canvas& put(std::string_view text, const char* style = nullptr) {
    const auto visible = cut(text, columns_ - std::min(columns_, used_));
    used_ += display_width(visible);
    if (visible.empty()) return *this;
    if (style != nullptr && colour_) {
      line_ += fmt::format("\x1b[{}m{}\x1b[0m", style, visible);
    } else {
      line_ += visible;
    }
    return *this;
  }

  void end_line() {
    // At the right margin "erase to the end of the line" would take the last character with it.
    if (used_ < columns_) line_ += "\x1b[K";
    lines_.push_back(std::move(line_));
    line_.clear();
    used_ = 0;
  }

  [[nodiscard]] std::size_t lines() const noexcept { return lines_.size(); }

  // Between "begin" and "end of synchronized update" (mode 2026) a terminal shows no half-drawn frame.
  [[nodiscard]] std::string frame() const {
    std::string text = "\x1b[?2026h\x1b[H";
    for (std::size_t i = 0; i < lines_.size(); ++i) text += (i == 0 ? "" : "\r\n") + lines_[i];
    return text + "\x1b[J\x1b[?2026l";
  }

 private:
  std::size_t columns_;
  bool colour_;
  std::size_t used_ = 0;
  std::string line_;
  std::vector<std::string> lines_;
};

std::string padded(std::string_view text, std::size_t width) {
  std::string out(text);
  out.append(width - std::min(width, display_width(text)), ' ');
  return out;
}

const char* state_style(LinkState state) {
  switch (state) {
    case LinkState::live: return kGreen;
    case LinkState::connecting: return kYellow;
    case LinkState::reconnecting: return kYellow;
    case LinkState::failed: return kRed;
  }
  return nullptr;
}

std::string count_of(std::size_t number, std::string_view noun) {
  return fmt::format("{} {}{}", number, noun, number == 1 ? "" : "s");
}

class Renderer {
 public:
  Renderer(const TableModel& model, const View& view)
      : model_(model), view_(view), canvas_(std::max<std::size_t>(view.columns, 1), view.colour) {}

  Frame render() {
    draw_title();
    draw_clusters();
    const std::size_t lines_below = 1 + (roomy() ? view_.hints.size() : 0);
    const std::size_t used = canvas_.lines() + 1 + lines_below;  // with the heading
    Frame frame;
    frame.page = view_.lines > used ? view_.lines - used : 1;
    const std::size_t total = model_.rows().size();
    frame.first_row = total > frame.page ? std::min(view_.first_row, total - frame.page) : 0;
    draw_heading();
    draw_rows(frame.first_row, std::min(total, frame.first_row + frame.page), frame.page);
    if (roomy()) {
      for (const auto& hint : view_.hints) {
        canvas_.put(hint, kDim).end_line();
      }
    }
    draw_footer(frame.first_row, std::min(total, frame.first_row + frame.page), total);
    frame.text = canvas_.frame();
    return frame;
  }

 private:
  // A small terminal shows rows rather than what is said about them.
  [[nodiscard]] bool roomy() const { return view_.lines >= 12 + model_.clusters().size() + view_.hints.size(); }

  void draw_title() {
    canvas_.put(view_.title, kBold);
    if (model_.clusters().size() > 1) canvas_.put(" · " + count_of(model_.clusters().size(), "cluster"));
    canvas_.put(" · " + count_of(model_.objects(), "object"));
    canvas_.put(fmt::format(" · {:.1f} events/s", model_.events_per_second(view_.now)));
    canvas_.end_line();
  }

  void draw_clusters() {
    const auto& clusters = model_.clusters();
    const std::size_t most = std::max<std::size_t>(view_.lines / 3, 1);
    for (std::size_t i = 0; i < std::min(clusters.size(), most); ++i) {
      const auto& cluster = clusters[i];
      canvas_.put("● ", state_style(cluster.state)).put(padded(cluster.name, model_.widths().cluster + kGap));
      canvas_.put(padded(to_string(cluster.state), 12 + kGap), state_style(cluster.state));
      canvas_.put(padded(count_of(cluster.objects, "object"), 13 + kGap));
      canvas_.put(padded(fmt::format("{:.1f} events/s", cluster.rate.per_second(view_.now)), 14 + kGap));
      if (!cluster.error.empty()) {
        canvas_.put(cluster.error, state_style(cluster.state));
      } else if (cluster.last_event) {
        const auto age = std::chrono::duration_cast<std::chrono::seconds>(view_.now - *cluster.last_event);
        canvas_.put("last event " + human_duration(age) + " ago", kDim);
      }
      canvas_.end_line();
    }
    if (clusters.size() > most) canvas_.put(fmt::format("  and {} more", clusters.size() - most), kDim).end_line();
    if (roomy()) canvas_.end_line();
  }

  [[nodiscard]] std::size_t cell_width(std::size_t column) const {
    const auto& widths = model_.widths().cells;
    const auto& definition = model_.columns()[column];
    std::size_t width = std::max(column < widths.size() ? widths[column] : 0, display_width(definition.name));
    if (definition.is_age()) width = std::max(width, kAgeWidth);
    return width + kGap;
  }

  void draw_heading() {
    std::string text = "  ";
    if (view_.show_cluster) text += padded("CLUSTER", std::max<std::size_t>(model_.widths().cluster, 7) + kGap);
    if (view_.show_namespace) text += padded("NAMESPACE", std::max<std::size_t>(model_.widths().namespace_, 9) + kGap);
    for (const auto column : model_.shown()) text += padded(upper(model_.columns()[column].name), cell_width(column));
    canvas_.put(text, kBold).end_line();
  }

  void draw_rows(std::size_t first, std::size_t end, std::size_t page) {
    auto row = std::next(model_.rows().begin(), static_cast<std::ptrdiff_t>(first));
    for (std::size_t i = first; i < end; ++i, ++row) draw_row(row->second);
    for (std::size_t i = end - first; i < page; ++i) canvas_.end_line();  // the footer stays at the bottom
  }

  void draw_row(const ModelRow& row) {
    static constexpr std::pair<const char*, const char*> kMarks[] = {
        {"  ", nullptr}, {"+ ", kGreen}, {"~ ", kBoldYellow}, {"- ", kRed}};
    const auto [mark, style] = kMarks[static_cast<std::size_t>(row.change)];
    std::string text = mark;
    if (view_.show_cluster) text += padded(row.cluster, std::max<std::size_t>(model_.widths().cluster, 7) + kGap);
    if (view_.show_namespace)
      text += padded(row.namespace_, std::max<std::size_t>(model_.widths().namespace_, 9) + kGap);
    for (const auto column : model_.shown()) {
      const bool age = model_.columns()[column].is_age() && row.created;
      const std::string cell = age                         ? human_duration(view_.wall - *row.created)
                               : column < row.cells.size() ? row.cells[column]
                                                           : std::string();
      text += padded(cell, cell_width(column));
    }
    text.erase(text.find_last_not_of(' ') + 1);
    canvas_.put(text, style).end_line();
  }

  void draw_footer(std::size_t first, std::size_t end, std::size_t total) {
    std::string text;
    if (total > end - first)
      text = fmt::format("rows {}-{} of {} · arrows, j/k, PgUp/PgDn scroll · ", first + 1, end, total);
    canvas_.put(text + "q quits", kDim).end_line();
  }

  const TableModel& model_;
  const View& view_;
  Canvas canvas_;
};

}  // namespace

Frame render(const TableModel& model, const View& view) { return Renderer(model, view).render(); }

}  // namespace fresnel::cli
