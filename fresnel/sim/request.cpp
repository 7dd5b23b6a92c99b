#include "fresnel/sim/request.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/parse.hpp>
#include <cctype>
#include <charconv>

#include "fresnel/base/base64url.hpp"

namespace fresnel::sim {
namespace {

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const auto end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::optional<int> hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return std::nullopt;
}

std::string verb_of(std::string_view method, const RequestInfo& info, bool watch) {
  if (method == "POST") return "create";
  if (method == "PUT") return "update";
  if (method == "PATCH") return "patch";
  if (method == "DELETE") return info.name.empty() ? "deletecollection" : "delete";
  if (method != "GET" && method != "HEAD") return {};
  if (!info.name.empty()) return "get";
  return watch ? "watch" : "list";
}

// One clause of an Accept header.
struct Clause {
  bool json = false;                 // the media type is ours
  std::optional<Accepted> accepted;  // and so is the form that it asks for
};

Clause clause_of(std::string_view text) {
  const auto parts = split(text, ';');
  const auto type = trimmed(parts[0]);
  if (type != "application/json" && type != "application/*" && type != "*/*") return {};
  std::string_view as, group, version;
  for (std::size_t i = 1; i < parts.size(); ++i) {
    const auto part = trimmed(parts[i]);
    if (part.substr(0, 3) == "as=") as = part.substr(3);
    if (part.substr(0, 2) == "g=") group = part.substr(2);
    if (part.substr(0, 2) == "v=") version = part.substr(2);
  }
  if (as.empty()) return {true, Accepted{}};
  if (group != "meta.k8s.io" || (version != "v1" && version != "v1beta1")) return {true, std::nullopt};
  if (as == "Table") return {true, Accepted{Form::table, std::string(version)}};
  if (as == "PartialObjectMetadata") return {true, Accepted{Form::partial, std::string(version)}};
  if (as == "PartialObjectMetadataList") return {true, Accepted{Form::partial_list, std::string(version)}};
  return {true, std::nullopt};
}

outcome<std::int64_t> integer(const Query& query, std::string_view name) {
  const auto text = query.get(name);
  std::int64_t number = 0;
  if (text.empty()) return {boost::system::in_place_value, number};
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failed != std::errc() || end != text.data() + text.size()) {
    return bad_request(fmt::format("strconv.ParseInt: parsing \"{}\": invalid syntax", text));
  }
  return {boost::system::in_place_value, number};
}

outcome<> check_version(std::string_view text) {
  Revision revision = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), revision);
  if (text.empty() || (failed == std::errc() && end == text.data() + text.size())) return {};
  return internal_error(
      fmt::format("resourceVersion: Invalid value: \"{0}\": strconv.ParseUint: parsing \"{0}\": invalid syntax", text));
}

// k8s.io/apimachinery ValidateListOptions.
outcome<> check_match(const ListOptions& options) {
  const auto& match = options.version_match;
  if (match.empty()) return {};
  std::vector<Status::Cause> causes;
  const auto forbid = [&](std::string why) {
    causes.push_back({"FieldValueForbidden", "Forbidden: " + std::move(why), "resourceVersionMatch"});
  };
  if (options.watch) forbid("resourceVersionMatch is forbidden for watch");
  if (options.resource_version.empty()) {
    forbid("resourceVersionMatch is forbidden unless resourceVersion is provided");
  }
  if (!options.continue_token.empty()) forbid("resourceVersionMatch is forbidden when continue is provided");
  if (match != "Exact" && match != "NotOlderThan") {
    causes.push_back(
        {"FieldValueNotSupported",
         fmt::format("Unsupported value: \"{}\": supported values: \"Exact\", \"NotOlderThan\", \"\"", match),
         "resourceVersionMatch"});
  }
  if (match == "Exact" && options.resource_version == "0") {
    forbid("resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
  }
  if (causes.empty()) return {};
  return invalid("meta.k8s.io", "ListOptions", "", std::move(causes));
}

}  // namespace

std::optional<std::string> percent_decoded(std::string_view text, bool plus_is_space) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%') {
      const auto high = i + 2 < text.size() ? hex_digit(text[i + 1]) : std::nullopt;
      const auto low = i + 2 < text.size() ? hex_digit(text[i + 2]) : std::nullopt;
      if (!high || !low) return std::nullopt;
      decoded += static_cast<char>(*high << 4 | *low);
      i += 2;
    } else {
      decoded += plus_is_space && text[i] == '+' ? ' ' : text[i];
    }
  }
  return decoded;
}

Query::Query(std::string_view text) {
  if (text.empty()) return;
  for (const auto part : split(text, '&')) {
    const auto equals = part.find('=');
    auto name = percent_decoded(part.substr(0, equals), true);
    auto value = percent_decoded(equals == std::string_view::npos ? "" : part.substr(equals + 1), true);
    if (name && value && !part.empty()) parameters_.emplace_back(std::move(*name), std::move(*value));
  }
}

bool Query::has(std::string_view name) const noexcept {
  return std::any_of(parameters_.begin(), parameters_.end(), [&](const auto& each) { return each.first == name; });
}

std::string_view Query::get(std::string_view name) const noexcept {
  for (const auto& [key, value] : parameters_) {
    if (key == name) return value;
  }
  return {};
}

bool Query::is_set(std::string_view name) const noexcept {
  return has(name) && get(name) != "0" && !net::equal_ignoring_case(get(name), "false");
}

RequestInfo info_of(const net::ServerRequest& request, const Query& query) {
  RequestInfo info;
  info.path = percent_decoded(request.path(), false).value_or(std::string(request.path()));
  info.verb = request.method;
  std::transform(info.verb.begin(), info.verb.end(), info.verb.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  std::vector<std::string> parts;
  for (const auto part : split(request.path(), '/')) {
    if (!part.empty()) parts.push_back(percent_decoded(part, false).value_or(std::string(part)));
  }
  std::size_t next = 0;
  if (parts.size() >= 3 && parts[0] == "api") {
    info.version = parts[1];
    next = 2;
  } else if (parts.size() >= 4 && parts[0] == "apis") {
    info.group = parts[1];
    info.version = parts[2];
    next = 3;
  } else {
    return info;
  }
  info.is_resource = true;
  bool watch = query.is_set("watch");
  if (parts[next] == "watch" && parts.size() > next + 1) {  // the old form, /api/v1/watch/pods
    watch = true;
    ++next;
  }
  if (parts[next] == "namespaces" && parts.size() > next + 1) {
    info.ns = parts[next + 1];
    const bool of_namespace = parts.size() > next + 2 && (parts[next + 2] == "status" || parts[next + 2] == "finalize");
    if (parts.size() > next + 2 && !of_namespace) next += 2;
  }
  info.resource = parts[next];
  if (parts.size() > next + 1) info.name = parts[next + 1];
  if (parts.size() > next + 2) info.subresource = parts[next + 2];
  for (std::size_t i = next + 3; i < parts.size(); ++i) info.subresource += "/" + parts[i];
  info.verb = verb_of(request.method, info, watch);
  return info;
}

outcome<Accepted> negotiate(std::string_view accept) {
  if (trimmed(accept).empty()) return Accepted{};
  bool json = false;
  for (const auto part : split(accept, ',')) {
    auto clause = clause_of(part);
    if (clause.accepted) return std::move(*clause.accepted);
    json = json || clause.json;
  }
  if (json) {
    return not_acceptable(
        "only the following media types are accepted: application/json, application/yaml, "
        "application/vnd.kubernetes.protobuf");
  }
  auto status = not_acceptable("406: Not Acceptable");
  status.has_details = true;
  return status;
}

bool accepts_json(std::string_view accept) {
  if (trimmed(accept).empty()) return true;
  const auto parts = split(accept, ',');
  return std::any_of(parts.begin(), parts.end(), [](std::string_view part) { return clause_of(part).json; });
}

Revision ListOptions::revision() const {
  Revision revision = 0;
  std::from_chars(resource_version.data(), resource_version.data() + resource_version.size(), revision);
  return revision;
}

outcome<ListOptions> list_options(const ResourceType& type, const RequestInfo& info, const Query& query,
                                  bool streaming) {
  ListOptions options;
  auto labels = LabelSelector::parse(query.get("labelSelector"));
  if (!labels) return labels.error();
  options.selector.labels = std::move(*labels);
  auto fields = FieldSelector::parse(type, query.get("fieldSelector"));
  if (!fields) return fields.error();
  options.selector.fields = std::move(*fields);
  options.resource_version = query.get("resourceVersion");
  options.version_match = query.get("resourceVersionMatch");
  options.continue_token = query.get("continue");
  options.watch = info.verb == "watch";
  options.bookmarks = query.is_set("allowWatchBookmarks");
  const auto limit = integer(query, "limit");
  if (!limit) return limit.error();
  options.limit = *limit;
  const auto timeout = integer(query, "timeoutSeconds");
  if (!timeout) return timeout.error();
  options.timeout_seconds = *timeout;
  options.initial_events =
      streaming && options.watch && query.is_set("sendInitialEvents") && options.version_match == "NotOlderThan";
  if (!options.initial_events) {
    if (const auto checked = check_match(options); !checked) return checked.error();
  }
  if (const auto checked = check_version(options.resource_version); !checked) return checked.error();
  return options;
}

std::string ContinueToken::encode() const {
  return to_base64url(
      json::serialize(json::object{{"v", "meta.k8s.io/v1"}, {"rv", revision}, {"start", json::string(start)}}));
}

outcome<ContinueToken> ContinueToken::decode(std::string_view text) {
  const auto bad = [](std::string_view why) {
    return bad_request(fmt::format("invalid continue token: continue key is not valid: {}", why));
  };
  const auto decoded = from_base64url(text);
  if (!decoded) return bad("it is no base64url text");
  boost::system::error_code failed;
  const auto value = json::parse(*decoded, failed);
  if (failed) return bad("it holds no JSON");
  if (string_at(value, {"v"}) != "meta.k8s.io/v1") return bad("incorrect encoded version");
  ContinueToken token{int_at(value, {"rv"}), std::string(string_at(value, {"start"}))};
  if (token.revision == 0) return bad("incorrect encoded start resourceVersion (version meta.k8s.io/v1)");
  return token;
}

}  // namespace fresnel::sim
