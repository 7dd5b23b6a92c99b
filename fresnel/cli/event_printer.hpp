// What `fresnel watch` prints of each event when its output is no terminal:
//   json   {"type":"ADDED","cluster":"prod","object":{...}} on one line; the object as the server sent it
//   yaml   a document of cluster, object and type after ---
//   name   pod/web, after "<cluster> " when there are several
//   table  aligned lines with an EVENT column first. The existing objects are held back until all are there, so that
//          the columns fit; a column that grows later keeps its width.
//
// Thread safety: one thread.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "fresnel/cli/age.hpp"
#include "fresnel/cli/column_writer.hpp"
#include "fresnel/cli/resource_args.hpp"
#include "fresnel/cli/table.hpp"
#include "fresnel/kube/watch_event.hpp"

namespace fresnel::cli {

class EventPrinter {
 public:
  struct Options {
    OutputFormat output = OutputFormat::table;
    bool several_clusters = false;
    bool show_namespace = false;
  };

  explicit EventPrinter(Options options) : options_(options) { writer_.fit({"MODIFIED"}); }

  // The text to write now, often empty for tables before synced(). An event that cannot be read gives an empty text.
  [[nodiscard]] std::string event(const std::string& cluster, const kube::WatchEvent& event, WallTime now);
  // The existing objects of a cluster are all there.
  [[nodiscard]] std::string synced(const std::string& cluster);

 private:
  struct Cluster {
    std::vector<std::size_t> places;                                             // of its columns in columns_
    std::vector<std::pair<ColumnWriter::Cells, std::vector<std::string>>> held;  // leading cells, the server's cells
    bool synced = false;
  };

  [[nodiscard]] std::string table_line(const std::string& cluster, const kube::WatchEvent& event, WallTime now);
  [[nodiscard]] std::string release(Cluster& cluster);
  [[nodiscard]] ColumnWriter::Cells header() const;

  Options options_;
  std::map<std::string, Cluster> clusters_;
  ColumnUnion columns_;
  std::size_t printed_columns_ = 0;  // as many had columns_ when the header was printed
  ColumnWriter writer_;
};

}  // namespace fresnel::cli
