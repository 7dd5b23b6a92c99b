#include "fresnel/cli/answer_printer.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <utility>

#include "fresnel/cli/column_writer.hpp"
#include "fresnel/cli/error_text.hpp"
#include "fresnel/cli/json_value.hpp"
#include "fresnel/cli/object_text.hpp"
#include "fresnel/cli/table.hpp"

namespace fresnel::cli {
namespace {

namespace json = boost::json;

class AnswerPrinter {
 public:
  AnswerPrinter(const ResourceArgs& args, const std::vector<ClusterAnswer>& answers, WallTime now)
      : args_(args), answers_(answers), now_(now), several_(answers.size() > 1) {}

  Printed print() {
    const bool as_table = args_.output == OutputFormat::table || args_.output == OutputFormat::wide;
    as_table ? print_tables() : print_objects();
    return std::move(printed_);
  }

 private:
  void fail(const std::string& cluster, const Error& error) {
    printed_.err += (several_ ? cluster + ": " : "") + error_text(error) + "\n";
    printed_.exit_code = 1;
  }

  void print_tables() {
    ColumnUnion all;
    std::vector<std::pair<const ClusterAnswer*, TableRow>> rows;
    std::vector<std::vector<std::size_t>> places;  // beside rows
    bool namespaced = false;
    for (const auto& answer : answers_) {
      auto table = answer.body ? parse_table(*answer.body, now_) : result<Table>(answer.body.error());
      if (!table) {
        fail(answer.cluster, table.error());
        continue;
      }
      namespaced |= answer.resource.namespaced;
      const auto place = all.add(table->columns);
      for (auto& row : table->rows) {
        rows.emplace_back(&answer, std::move(row));
        places.push_back(place);
      }
    }
    if (rows.empty()) return say_nothing_found();

    const auto shown = shown_columns(all.columns(), args_.output == OutputFormat::wide);
    const bool show_namespace = namespaced && args_.all_namespaces;
    std::vector<ColumnWriter::Cells> lines(1);
    if (several_) lines[0].emplace_back("CLUSTER");
    if (show_namespace) lines[0].emplace_back("NAMESPACE");
    for (const auto i : shown) lines[0].push_back(upper(all.columns()[i].name));
    for (std::size_t n = 0; n < rows.size(); ++n) {
      const auto& [answer, row] = rows[n];
      ColumnWriter::Cells cells;
      if (several_) cells.push_back(answer->cluster);
      if (show_namespace) cells.push_back(row.namespace_);
      const auto spread = all.spread(row.cells, places[n]);
      for (const auto i : shown) cells.push_back(spread[i]);
      lines.push_back(std::move(cells));
    }
    printed_.out = ColumnWriter().lines(lines);
  }

  void print_objects() {
    const bool asked_for_one = args_.one_object();
    std::vector<std::pair<std::string, json::value>> objects;
    for (const auto& answer : answers_) {
      auto body = answer.body ? parse_json(*answer.body) : result<json::value>(answer.body.error());
      if (!body) {
        fail(answer.cluster, body.error());
        continue;
      }
      if (asked_for_one) {
        objects.emplace_back(answer.cluster, std::move(*body));
      } else {
        for (auto& item : items_of(*body)) objects.emplace_back(answer.cluster, std::move(item));
      }
    }
    if (args_.output == OutputFormat::name) return print_names(objects);
    if (!args_.show_managed_fields) {
      for (auto& [cluster, object] : objects) drop_managed_fields(object);
    }
    if (objects.empty() && printed_.exit_code != 0) return;
    if (asked_for_one && !several_) return print_document(objects.front().second);

    json::array items;
    for (auto& [cluster, object] : objects) {
      if (several_) {
        items.emplace_back(json::object{{"cluster", cluster}, {"object", std::move(object)}});
      } else {
        items.emplace_back(std::move(object));
      }
    }
    print_document(json::object{{"apiVersion", "v1"},
                                {"items", std::move(items)},
                                {"kind", "List"},
                                {"metadata", json::object{{"resourceVersion", ""}}}});
  }

  // A list's items, each with the kind and apiVersion that the list says for all of them.
  static std::vector<json::value> items_of(json::value& list) {
    std::string kind = text_member(list, "kind");
    if (kind.ends_with("List")) kind.resize(kind.size() - 4);
    const std::string api_version = text_member(list, "apiVersion");
    std::vector<json::value> items;
    auto* object = list.if_object();
    auto* array = object != nullptr && object->contains("items") ? object->at("items").if_array() : nullptr;
    if (array == nullptr) return items;
    for (auto& item : *array) {
      if (auto* fields = item.if_object()) {
        if (!fields->contains("kind")) (*fields)["kind"] = kind;
        if (!fields->contains("apiVersion")) (*fields)["apiVersion"] = api_version;
      }
      items.push_back(std::move(item));
    }
    return items;
  }

  static void drop_managed_fields(json::value& object) {
    auto* fields = object.if_object();
    auto* metadata = fields != nullptr && fields->contains("metadata") ? fields->at("metadata").if_object() : nullptr;
    if (metadata != nullptr) metadata->erase("managedFields");
  }

  void print_names(const std::vector<std::pair<std::string, json::value>>& objects) {
    if (objects.empty()) return say_nothing_found();
    for (const auto& [cluster, object] : objects) {
      printed_.out += (several_ ? cluster + " " : "") + kind_and_name(object) + "\n";
    }
  }

  void print_document(const json::value& document) {
    printed_.out = args_.output == OutputFormat::yaml ? yaml(document) : pretty_json(document);
  }

  void say_nothing_found() {
    if (printed_.exit_code != 0) return;
    const auto& first = answers_.front();
    const bool one_namespace = !several_ && !first.namespace_.empty();
    printed_.err +=
        one_namespace ? "No resources found in " + first.namespace_ + " namespace.\n" : "No resources found\n";
  }

  const ResourceArgs& args_;
  const std::vector<ClusterAnswer>& answers_;
  WallTime now_;
  bool several_;
  Printed printed_;
};

}  // namespace

Printed print_answers(const ResourceArgs& args, const std::vector<ClusterAnswer>& answers, WallTime now) {
  return AnswerPrinter(args, answers, now).print();
}

}  // namespace fresnel::cli
