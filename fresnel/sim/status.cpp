#include "fresnel/sim/status.hpp"

#include <fmt/format.h>

#include <stdexcept>

#include "fresnel/sim/resource_type.hpp"

namespace fresnel::sim {
namespace {

Status about(const ResourceType& type, std::string_view name, int code, std::string reason, std::string message) {
  Status status{.code = code, .message = std::move(message), .reason = std::move(reason), .has_details = true};
  status.name = name;
  status.group = type.group;
  status.kind = type.plural;
  return status;
}

json::object details_of(const Status& status) {
  json::object details;
  if (!status.name.empty()) details["name"] = status.name;
  if (!status.group.empty()) details["group"] = status.group;
  if (!status.kind.empty()) details["kind"] = status.kind;
  if (!status.causes.empty()) {
    json::array causes;
    for (const auto& cause : status.causes) {
      json::object entry{{"reason", cause.reason}, {"message", cause.message}};
      if (!cause.field.empty()) entry["field"] = cause.field;
      causes.push_back(std::move(entry));
    }
    details["causes"] = std::move(causes);
  }
  if (status.retry_after_seconds != 0) details["retryAfterSeconds"] = status.retry_after_seconds;
  return details;
}

}  // namespace

json::object Status::to_json() const {
  json::object metadata;
  if (!continue_token.empty()) metadata["continue"] = continue_token;
  json::object body{{"kind", "Status"}, {"apiVersion", "v1"}, {"metadata", std::move(metadata)}, {"status", "Failure"}};
  body["message"] = message;
  if (!reason.empty()) body["reason"] = reason;
  if (has_details) body["details"] = details_of(*this);
  body["code"] = code;
  return body;
}

std::string Status::to_text() const { return json::serialize(to_json()) + "\n"; }

void throw_exception_from_error(const Status& status, const boost::source_location&) {
  throw std::runtime_error(fmt::format("{} {}: {}", status.code, status.reason, status.message));
}

Status bad_request(std::string message) { return {.code = 400, .message = std::move(message), .reason = "BadRequest"}; }

Status unauthorized() { return {.code = 401, .message = "Unauthorized", .reason = "Unauthorized"}; }

Status not_found(const ResourceType& type, std::string_view name) {
  return about(type, name, 404, "NotFound", fmt::format("{} \"{}\" not found", type.qualified_name(), name));
}

Status no_such_resource() {
  return {.code = 404,
          .message = "the server could not find the requested resource",
          .reason = "NotFound",
          .has_details = true};
}

Status method_not_allowed() {
  return {.code = 405,
          .message = "the server does not allow this method on the requested resource",
          .reason = "MethodNotAllowed",
          .has_details = true};
}

Status not_acceptable(std::string message) {
  return {.code = 406, .message = std::move(message), .reason = "NotAcceptable"};
}

Status already_exists(const ResourceType& type, std::string_view name) {
  return about(type, name, 409, "AlreadyExists", fmt::format("{} \"{}\" already exists", type.qualified_name(), name));
}

Status conflict(const ResourceType& type, std::string_view name, std::string why) {
  return about(type, name, 409, "Conflict",
               fmt::format("Operation cannot be fulfilled on {} \"{}\": {}", type.qualified_name(), name, why));
}

Status modified_meanwhile(const ResourceType& type, std::string_view name) {
  return conflict(type, name,
                  "the object has been modified; please apply your changes to the latest version and try again");
}

Status watch_expired() {
  return {.code = 410, .message = "The resourceVersion for the provided watch is too old.", .reason = "Expired"};
}

Status list_expired() {
  return {.code = 410, .message = "The resourceVersion for the provided list is too old.", .reason = "Expired"};
}

Status continue_expired(std::string new_token) {
  return {.code = 410,
          .message =
              "The provided continue parameter is too old to display a consistent list result. You can start a "
              "new list without the continue parameter, or use the continue token in this response to retrieve "
              "the remainder of the results. Continuing with the provided token results in an inconsistent list "
              "- objects that were created, modified, or deleted between the time the first chunk was returned "
              "and now may show up in the list.",
          .reason = "Expired",
          .continue_token = std::move(new_token)};
}

Status unsupported_media_type(std::string_view accepted) {
  return {.code = 415,
          .message = fmt::format("the body of the request was in an unknown format - accepted media types include: {}",
                                 accepted),
          .reason = "UnsupportedMediaType"};
}

Status invalid(std::string_view group, std::string_view kind, std::string_view name,
               std::vector<Status::Cause> causes) {
  const auto qualified = group.empty() ? std::string(kind) : fmt::format("{}.{}", kind, group);
  std::string list;
  for (const auto& cause : causes) {
    if (!list.empty()) list += ", ";
    list += fmt::format("{}: {}", cause.field, cause.message);
  }
  if (causes.size() > 1) list = "[" + list + "]";
  Status status{.code = 422,
                .message = fmt::format("{} \"{}\" is invalid: {}", qualified, name, list),
                .reason = "Invalid",
                .has_details = true};
  status.name = name;
  status.group = group;
  status.kind = kind;
  status.causes = std::move(causes);
  return status;
}

Status refused(const ResourceType& type, std::string_view name, std::string why) {
  return about(type, name, 403, "Forbidden",
               fmt::format("{} \"{}\" is forbidden: {}", type.qualified_name(), name, why));
}

Status internal_error(std::string message) { return {.code = 500, .message = std::move(message)}; }

Status too_large_version(std::uint64_t asked, std::uint64_t current) {
  return {.code = 504,
          .message = fmt::format("Timeout: Too large resource version: {}, current: {}", asked, current),
          .reason = "Timeout",
          .has_details = true,
          .causes = {{"ResourceVersionTooLarge", "Too large resource version", ""}},
          .retry_after_seconds = 1};
}

}  // namespace fresnel::sim
