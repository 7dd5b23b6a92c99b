// A table on the terminal that follows events until the user quits: `fresnel watch` and `fresnel demo` show it.
//
//   LiveTable table(executor, clock, {.title = "pods -A", .clusters = {"prod-eu", "prod-us"}, .show_cluster = true});
//   GatewaySource source(..., table.handlers());
//   co_await table.run();
//
// It draws at most ten times a second, and only what differs from the last picture; ages move by themselves. Keys:
// arrows, j, k, PgUp, PgDn, Home, End, g, G scroll; q and Ctrl-C quit, as do SIGTERM and SIGHUP. Ctrl-Z suspends. The
// terminal is given back whatever ends the table, exceptions included.
//
// Thread safety: one thread, that of the executor.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "fresnel/base/asio.hpp"
#include "fresnel/base/clock.hpp"
#include "fresnel/base/error.hpp"
#include "fresnel/cli/event_source.hpp"

namespace fresnel::cli {

struct LiveTableOptions {
  std::string title;
  std::vector<std::string> clusters;  // events of others are ignored
  std::vector<std::string> hints;     // lines at the bottom, when there is room
  bool show_cluster = false;
  bool show_namespace = false;
  bool wide = false;
  bool colour = false;
};

class LiveTable {
 public:
  // The clock must outlive the executor's work.
  LiveTable(const Executor& executor, Clock& clock, LiveTableOptions options);
  ~LiveTable();  // stop()
  LiveTable(const LiveTable&) = delete;
  LiveTable& operator=(const LiveTable&) = delete;

  // For a source; they stay harmless when the table is gone.
  [[nodiscard]] SourceHandlers handlers();

  // Shows the table until the user or stop() ends it. Error internal when standard output is no terminal.
  [[nodiscard]] awaitable<result<void>> run();
  void stop() noexcept;

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace fresnel::cli
