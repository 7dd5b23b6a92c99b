#include "fresnel/sim/body.hpp"

#include <fmt/format.h>

#include <boost/json/parse.hpp>
#include <charconv>
#include <optional>

#include "fresnel/sim/protobuf.hpp"

namespace fresnel::sim {
namespace {

std::string_view media_type(const net::ServerRequest& request) {
  auto type = request.headers.get("content-type");
  type = type.substr(0, type.find(';'));
  while (!type.empty() && type.back() == ' ') type.remove_suffix(1);
  return type;
}

std::optional<json::value> parse_json(std::string_view text) {
  error_code failed;
  auto value = json::parse(text, failed);
  if (failed) return std::nullopt;
  return value;
}

}  // namespace

outcome<json::object> read_object(const ResourceType& type, const net::ServerRequest& request) {
  const auto media = media_type(request);
  if (media == "application/vnd.kubernetes.protobuf") {
    auto object = object_from_protobuf(request.body);
    if (object) return std::move(*object);
    return unsupported_media_type("application/json");
  }
  if (!media.empty() && media != "application/json" && media != "*/*") {
    return unsupported_media_type("application/json, application/yaml, application/vnd.kubernetes.protobuf");
  }
  auto value = parse_json(request.body);
  if (!value) {
    const auto shown = request.body.empty() ? std::string("<empty>") : request.body.substr(0, 40);
    return bad_request(
        fmt::format("the object provided is unrecognized (must be of type {}): couldn't get version/kind; json parse "
                    "error: {} ({})",
                    type.kind, request.body.empty() ? "unexpected end of JSON input" : "invalid JSON", shown));
  }
  if (!value->is_object()) {
    return bad_request(fmt::format("{} in version \"{}\" cannot be handled as a {}: it is no JSON object", type.kind,
                                   type.version, type.kind));
  }
  if (type.custom && string_at(*value, {"kind"}).empty()) {
    return bad_request(
        fmt::format("{0} in version \"{1}\" cannot be handled as a {0}: unmarshalerDecoder: Object 'Kind' is missing",
                    type.kind, type.version));
  }
  return std::move(value->get_object());
}

outcome<PatchBody> read_patch(const ResourceType& type, const net::ServerRequest& request) {
  const auto media = media_type(request);
  PatchBody body;
  if (media == "application/strategic-merge-patch+json" && !type.custom) {
    body.kind = PatchKind::strategic;
  } else if (media != "application/merge-patch+json") {
    return unsupported_media_type(type.custom ? "application/merge-patch+json"
                                              : "application/merge-patch+json, application/strategic-merge-patch+json");
  }
  auto value = parse_json(request.body);
  if (!value) return internal_error("Invalid JSON Patch");
  if (!value->is_object()) {
    return invalid(
        "", "", "",
        {{"FieldValueInvalid", fmt::format("Invalid value: \"{}\": it is no JSON object", request.body), "patch"}});
  }
  body.patch = std::move(value->get_object());
  return body;
}

outcome<DeleteOptions> read_delete_options(const net::ServerRequest& request, const Query& query) {
  DeleteOptions options;
  std::string dry_run(query.get("dryRun"));
  if (!request.body.empty()) {
    const auto value = parse_json(request.body);
    if (!value || !value->is_object()) return bad_request("the delete options are no JSON object");
    options.uid = string_at(*value, {"preconditions", "uid"});
    options.resource_version = string_at(*value, {"preconditions", "resourceVersion"});
    const auto* grace = find(*value, {"gracePeriodSeconds"});
    if (grace != nullptr && grace->is_int64()) options.grace_period_seconds = grace->get_int64();
    const auto& stages = array_at(*value, {"dryRun"});
    if (!stages.empty() && stages[0].is_string()) dry_run = view(stages[0].get_string());
  }
  if (const auto text = query.get("gracePeriodSeconds"); !text.empty()) {
    std::int64_t grace = 0;
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), grace);
    if (failed != std::errc() || end != text.data() + text.size()) {
      return bad_request(fmt::format("strconv.ParseInt: parsing \"{}\": invalid syntax", text));
    }
    options.grace_period_seconds = grace;
  }
  options.dry_run = dry_run == "All";
  return options;
}

}  // namespace fresnel::sim
