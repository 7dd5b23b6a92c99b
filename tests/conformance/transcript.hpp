// What a script did and what came back, with everything masked that may differ between two servers that agree:
//
//   uid                 uid-1, uid-2, ... by first appearance, so that identity is still compared
//   resourceVersion     rv-1, rv-2, ... likewise; a list's own and a bookmark's are just "rv": they may be ahead of
//                       every object, by whatever else the server has been writing
//   times, ages         "time", "age"
//   continue            "token"
//   serverAddress       "address"
//   managedFields, storageVersionHash, column descriptions, an access review's reason    left out
//
// Several bookmarks in a row count as one.
//
// Thread safety: one thread.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tests/conformance/backend.hpp"

namespace fresnel::conformance {

namespace json = boost::json;

class Transcript {
 public:
  explicit Transcript(Backend& backend) : backend_(backend) {}

  // Sends a request, records it and its answer, and returns the answer's body as it came (null when it is no JSON).
  json::value step(const Request& request);
  // The same for a watch that ends by itself (timeoutSeconds): its events, one by one. `sorted`: the order of the
  // first, synthetic ADDED events is no one's business.
  std::vector<json::value> watch(const Request& request, bool sorted = false);
  // Watches at the same time, of which only the bookmarks are recorded, while `meanwhile` makes events for them.
  void bookmarks_of(const std::vector<Request>& requests, const std::function<void()>& meanwhile);
  // What the script made of an answer, in the answer's place.
  void record_document(const std::string& path, const json::value& document);
  // Without recording.
  json::value quietly(const Request& request);

  [[nodiscard]] Backend& backend() noexcept { return backend_; }
  // An array with an element for each step, its members in alphabetical order.
  [[nodiscard]] const json::array& steps() const noexcept { return steps_; }

 private:
  void record(const Request& request, const Reply& reply, std::string_view part, json::value content);
  void record_watch(const Request& request, const Reply& reply, const std::vector<json::value>& events);
  [[nodiscard]] json::value masked_event(const json::value& event);
  [[nodiscard]] json::value masked(const json::value& value);
  [[nodiscard]] json::value masked_object(const json::object& object);
  [[nodiscard]] json::value masked_metadata(const json::object& metadata, bool of_list);
  void mask_table(json::object& table);
  [[nodiscard]] std::string number(std::map<std::string, std::string>& names, std::string_view prefix,
                                   std::string_view value);

  Backend& backend_;
  json::array steps_;
  bool plain_versions_ = false;  // what is being masked is a bookmark
  std::map<std::string, std::string> uids_, versions_;
};

// One step a line, so that a difference can be read.
[[nodiscard]] std::string to_lines(const json::array& steps);
[[nodiscard]] json::array from_lines(std::string_view text);

}  // namespace fresnel::conformance
