// One picture of a live table: TableModel and the terminal's size -> the bytes that draw it.
//
//   pods · 2 clusters · 214 objects · 12.4 events/s
//   ● prod-eu   live           108 objects   5.4 events/s
//   ● prod-us   reconnecting   106 objects   0.0 events/s   connection refused
//
//     CLUSTER   NAMESPACE   NAME    READY   STATUS    RESTARTS   AGE
//     prod-eu   shop        web-1   1/1     Running   0          5m
//   + prod-us   shop        web-1   0/1     Pending   0          2s
//   rows 1-40 of 214 · arrows, j/k, PgUp/PgDn scroll · q quits
//
// Marks before rows say what happened within the last two seconds: + added, ~ modified, - deleted (colours say so too).
// The picture is drawn over the last one, line by line, without clearing the screen first: nothing flickers.
//
// Thread safety: pure functions.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "fresnel/cli/table_model.hpp"

namespace fresnel::cli {

struct View {
  std::string title;
  std::vector<std::string> hints;  // lines above the last one
  bool show_cluster = false;
  bool show_namespace = false;
  bool colour = false;
  std::size_t columns = 80;  // the terminal's size
  std::size_t lines = 24;
  std::size_t first_row = 0;  // where the reader has scrolled to; beyond the end: the last page
  TimePoint now;
  WallTime wall;
};

struct Frame {
  std::string text;           // escape sequences included
  std::size_t first_row = 0;  // the first row shown
  std::size_t page = 1;       // rows that fit
};

[[nodiscard]] Frame render(const TableModel& model, const View& view);

}  // namespace fresnel::cli
