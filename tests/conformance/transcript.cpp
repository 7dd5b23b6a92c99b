#include "tests/conformance/transcript.hpp"

#include <algorithm>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <future>
#include <regex>
#include <set>

namespace fresnel::conformance {
namespace {

std::string_view text_of(const json::value* value) {
  if (value == nullptr || !value->is_string()) return {};
  return {value->get_string().data(), value->get_string().size()};
}

std::string_view text_at(const json::value& value, std::string_view name) {
  const auto* object = value.if_object();
  return object == nullptr ? std::string_view() : text_of(object->if_contains(name));
}

std::string_view name_of(const json::value& event) {
  const auto* object = event.as_object().if_contains("object");
  const auto* metadata = object != nullptr ? object->as_object().if_contains("metadata") : nullptr;
  return metadata == nullptr ? std::string_view() : text_at(*metadata, "name");
}

json::value parsed(std::string_view text) {
  boost::system::error_code failed;
  auto value = json::parse(text, failed);
  return failed ? json::value(nullptr) : value;
}

std::vector<json::value> events_of(std::string_view body) {
  std::vector<json::value> events;
  while (!body.empty()) {
    const auto end = std::min(body.find('\n'), body.size());
    auto event = parsed(body.substr(0, end));
    const bool repeated =
        !events.empty() && text_at(event, "type") == "BOOKMARK" && text_at(events.back(), "type") == "BOOKMARK";
    if (repeated) {
      events.back() = std::move(event);
    } else if (end > 0) {
      events.push_back(std::move(event));
    }
    body.remove_prefix(std::min(end + 1, body.size()));
  }
  return events;
}

// Members in alphabetical order, so that two servers' texts can be compared by eye.
json::value ordered(const json::value& value) {
  if (const auto* array = value.if_array()) {
    json::array sorted;
    for (const auto& element : *array) sorted.push_back(ordered(element));
    return sorted;
  }
  const auto* object = value.if_object();
  if (object == nullptr) return value;
  std::map<std::string_view, const json::value*> members;
  for (const auto& member : *object) members.emplace(member.key(), &member.value());
  json::object sorted;
  for (const auto& [name, member] : members) sorted[name] = ordered(*member);
  return sorted;
}

// A sentence may name an object's uid.
std::string without_uids(std::string text) {
  static const std::regex kUid("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}");
  return text.size() < 36 ? text : std::regex_replace(text, kUid, "uid");
}

bool is_time(std::string_view name) {
  constexpr std::string_view kSuffixes[] = {"Timestamp", "Time"};
  return std::any_of(std::begin(kSuffixes), std::end(kSuffixes), [&](std::string_view suffix) {
    return name.size() > suffix.size() && name.substr(name.size() - suffix.size()) == suffix;
  });
}

}  // namespace

json::value Transcript::step(const Request& request) {
  const auto reply = backend_.send(request);
  auto body = parsed(reply.body);
  record(request, reply, "body", body.is_null() ? json::value(json::string(reply.body)) : masked(body));
  return body;
}

std::vector<json::value> Transcript::watch(const Request& request, bool sorted) {
  const auto reply = backend_.send(request);
  auto events = events_of(reply.body);
  if (sorted) {
    const auto live = std::find_if(events.begin(), events.end(),
                                   [](const json::value& event) { return text_at(event, "type") != "ADDED"; });
    std::sort(events.begin(), live, [](const auto& a, const auto& b) { return name_of(a) < name_of(b); });
  }
  record_watch(request, reply, events);
  return events;
}

void Transcript::record_watch(const Request& request, const Reply& reply, const std::vector<json::value>& events) {
  json::array content;
  for (const auto& event : events) content.push_back(masked_event(event));
  record(request, reply, "events", std::move(content));
}

void Transcript::bookmarks_of(const std::vector<Request>& requests, const std::function<void()>& meanwhile) {
  std::vector<std::future<Reply>> replies;
  for (const auto& request : requests) {
    replies.push_back(std::async(std::launch::async, [this, &request] { return backend_.send(request); }));
  }
  meanwhile();
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const auto reply = replies[i].get();
    auto events = events_of(reply.body);
    std::erase_if(events, [](const json::value& event) { return text_at(event, "type") != "BOOKMARK"; });
    record_watch(requests[i], reply, events);
  }
}

void Transcript::record_document(const std::string& path, const json::value& document) {
  record({.path = path}, {.status = 200, .content_type = "application/json"}, "body", masked(document));
}

json::value Transcript::masked_event(const json::value& event) {
  plain_versions_ = text_at(event, "type") == "BOOKMARK";
  auto result = masked(event);
  plain_versions_ = false;
  return result;
}

json::value Transcript::quietly(const Request& request) { return parsed(backend_.send(request).body); }

void Transcript::record(const Request& request, const Reply& reply, std::string_view part, json::value content) {
  // Versions and tokens in a query are the server's own.
  auto path = request.path;
  for (const std::string_view name : {"resourceVersion=", "continue="}) {
    const auto begin = path.find(name);
    if (begin == std::string::npos || path.compare(begin, name.size() + 1, std::string(name) + "0") == 0) continue;
    const auto value = begin + name.size();
    const auto end = std::min(path.find('&', value), path.size());
    const bool own = name == "continue=" || std::all_of(path.begin() + static_cast<std::ptrdiff_t>(value),
                                                        path.begin() + static_cast<std::ptrdiff_t>(end),
                                                        [](char c) { return c >= '0' && c <= '9'; });
    if (own) path.replace(value, end - value, "...");
  }
  json::object step{{"request", request.method + " " + path}};
  if (!request.accept.empty()) step["accept"] = request.accept;
  if (request.user != "admin") step["user"] = request.user;
  step["status"] = reply.status;
  step["type"] = reply.content_type;
  step[part] = std::move(content);
  steps_.push_back(ordered(step));
}

std::string Transcript::number(std::map<std::string, std::string>& names, std::string_view prefix,
                               std::string_view value) {
  auto& name = names[std::string(value)];
  if (name.empty()) name = std::string(prefix) + std::to_string(names.size());
  return name;
}

json::value Transcript::masked(const json::value& value) {
  if (const auto* object = value.if_object()) return masked_object(*object);
  if (value.is_string()) return json::string(without_uids(std::string(text_of(&value))));
  if (!value.is_array()) return value;
  json::array all;
  for (const auto& element : value.get_array()) all.push_back(masked(element));
  return all;
}

json::value Transcript::masked_object(const json::object& object) {
  json::object out;
  for (const auto& member : object) {
    const std::string_view name = member.key();
    const auto& value = member.value();
    if (name == "managedFields" || name == "storageVersionHash") continue;
    if (name == "reason" && object.contains("allowed")) continue;
    if (name == "metadata" && value.is_object()) {
      out[name] = masked_metadata(value.get_object(), object.contains("items") || object.contains("rows"));
    } else if (name == "uid" && value.is_string() && text_of(&value).size() == 36) {
      out[name] = number(uids_, "uid-", text_of(&value));
    } else if (is_time(name) && value.is_string()) {
      out[name] = "time";
    } else if (name == "serverAddress") {
      out[name] = "address";
    } else {
      out[name] = masked(value);
    }
  }
  if (text_at(object, "kind") == "Table") mask_table(out);
  return out;
}

json::value Transcript::masked_metadata(const json::object& metadata, bool of_list) {
  auto out = masked_object(metadata).as_object();
  if (const auto version = text_at(out, "resourceVersion"); !version.empty()) {
    out["resourceVersion"] = of_list || plain_versions_ ? std::string("rv") : number(versions_, "rv-", version);
  }
  if (!text_at(out, "continue").empty()) out["continue"] = "token";
  return out;
}

void Transcript::mask_table(json::object& table) {
  static const std::set<std::string_view> kAges{"Age", "Last Seen", "First Seen", "Created At"};
  std::set<std::size_t> ages;
  if (auto* columns = table["columnDefinitions"].if_array()) {
    for (std::size_t i = 0; i < columns->size(); ++i) {
      auto& column = (*columns)[i].as_object();
      column.erase("description");
      if (kAges.contains(text_at(column, "name"))) ages.insert(i);
    }
  }
  // A watch names the columns once: there, ages are found by their look.
  for (auto& row : table["rows"].as_array()) {
    auto& cells = row.as_object()["cells"].as_array();
    for (std::size_t i = 0; i < cells.size(); ++i) {
      const auto text = text_of(&cells[i]);
      const bool looks = text.size() >= 2 && text.size() <= 6 && text[0] >= '0' && text[0] <= '9' &&
                         text.find_first_not_of("0123456789smhd") == std::string_view::npos;
      if (ages.contains(i) || looks) cells[i] = "age";
    }
  }
}

std::string to_lines(const json::array& steps) {
  std::string text = "[\n";
  for (const auto& step : steps) {
    if (text.size() > 2) text += ",\n";
    text += json::serialize(step);
  }
  return text + "\n]\n";
}

json::array from_lines(std::string_view text) { return json::parse(text).as_array(); }

}  // namespace fresnel::conformance
