#include "fresnel/sim/encoding.hpp"

#include <fmt/format.h>

#include "fresnel/sim/printer.hpp"

namespace fresnel::sim {
namespace {

std::string quoted(std::string_view text) { return json::serialize(json::string(text)); }

std::string meta_type(std::string_view kind, const Accepted& accepted) {
  return fmt::format(R"("kind":"{}","apiVersion":"meta.k8s.io/{}")", kind, accepted.meta_version);
}

std::string partial_object(std::string_view metadata, const Accepted& accepted) {
  return fmt::format(R"({{{},"metadata":{}}})", meta_type("PartialObjectMetadata", accepted), metadata);
}

std::string row(const Object& object, const Encoding& encoding, WallTime now) {
  const auto cells = json::serialize(cells_of(object.type(), object.parse(), now));
  std::string shown = "null";
  if (encoding.include == IncludeObject::metadata) shown = partial_object(object.metadata(), encoding.accepted);
  if (encoding.include == IncludeObject::whole) shown = object.text().view();
  return fmt::format(R"({{"cells":{},"object":{}}})", cells, shown);
}

// Custom resources' lists have an empty continue token where others leave it out.
std::string list_meta(const ListMeta& meta, bool always_continue = false) {
  std::string text = fmt::format(R"("metadata":{{"resourceVersion":"{}")", meta.revision);
  if (always_continue || !meta.continue_token.empty()) text += fmt::format(R"(,"continue":"{}")", meta.continue_token);
  if (meta.remaining > 0) text += fmt::format(R"(,"remainingItemCount":{})", meta.remaining);
  return text + "}";
}

std::string table(const ResourceType& type, std::string_view metadata, std::string_view rows, bool with_columns,
                  const Accepted& accepted) {
  const auto columns = with_columns ? json::serialize(column_definitions(type)) : "null";
  return fmt::format(R"({{{},{},"columnDefinitions":{},"rows":[{}]}})", meta_type("Table", accepted), metadata, columns,
                     rows);
}

std::string encode_plain_list(const ResourceType& type, const std::vector<ObjectPtr>& objects, const ListMeta& meta) {
  std::string out = fmt::format(R"({{"kind":{},"apiVersion":{},{},"items":[)", quoted(type.list_kind),
                                quoted(type.group_version()), list_meta(meta, type.custom));
  bool first = true;
  for (const auto& object : objects) {
    if (!std::exchange(first, false)) out += ',';
    // A list of a built-in type says the kind once; custom resources repeat it in every item.
    if (type.custom) {
      out += object->text().view();
    } else {
      out += '{';
      out += object->rest();
    }
  }
  return out + "]}";
}

}  // namespace

outcome<IncludeObject> include_object(const Query& query) {
  const auto text = query.get("includeObject");
  if (text.empty() || text == "Metadata") return {boost::system::in_place_value, IncludeObject::metadata};
  if (text == "None") return {boost::system::in_place_value, IncludeObject::none};
  if (text == "Object") return {boost::system::in_place_value, IncludeObject::whole};
  return bad_request(fmt::format("unrecognized includeObject value: \"{}\"", text));
}

std::string encode_object(const Object& object, const Encoding& encoding, WallTime now) {
  switch (encoding.accepted.form) {
    case Form::table: {
      const auto metadata = list_meta({.revision = object.revision()});
      return table(object.type(), metadata, row(object, encoding, now), true, encoding.accepted);
    }
    case Form::partial:
    case Form::partial_list: return partial_object(object.metadata(), encoding.accepted);
    case Form::plain: break;
  }
  return std::string(object.text().view());
}

std::string encode_list(const ResourceType& type, const std::vector<ObjectPtr>& objects, const ListMeta& meta,
                        const Encoding& encoding, WallTime now) {
  if (encoding.accepted.form == Form::plain) return encode_plain_list(type, objects, meta);
  std::string entries;
  for (const auto& object : objects) {
    if (!entries.empty()) entries += ',';
    entries += encoding.accepted.form == Form::table ? row(*object, encoding, now)
                                                     : partial_object(object->metadata(), encoding.accepted);
  }
  if (encoding.accepted.form == Form::table) return table(type, list_meta(meta), entries, true, encoding.accepted);
  return fmt::format(R"({{{},{},"items":[{}]}})", meta_type("PartialObjectMetadataList", encoding.accepted),
                     list_meta(meta), entries);
}

void append_event_object(std::string& out, const Object& object, const Encoding& encoding, bool with_columns,
                         WallTime now) {
  if (encoding.accepted.form == Form::plain) {
    out += object.text().view();
  } else if (encoding.accepted.form == Form::table) {
    const auto metadata = list_meta({.revision = object.revision()});
    out += table(object.type(), metadata, row(object, encoding, now), with_columns, encoding.accepted);
  } else {
    out += partial_object(object.metadata(), encoding.accepted);
  }
}

void append_bookmark_object(std::string& out, const ResourceType& type, Revision revision, const Encoding& encoding,
                            bool with_columns, bool ends_initial, WallTime now) {
  const auto time = type.custom && encoding.accepted.form == Form::plain ? "" : R"(,"creationTimestamp":null)";
  const auto end = ends_initial ? R"(,"annotations":{"k8s.io/initial-events-end":"true"})" : "";
  const auto metadata = fmt::format(R"({{"resourceVersion":"{}"{}{}}})", revision, time, end);
  if (encoding.accepted.form == Form::plain) {
    out += fmt::format(R"({{"kind":{},"apiVersion":{},"metadata":{}{}}})", quoted(type.kind),
                       quoted(type.group_version()), metadata, type.bookmark_rest);
  } else if (encoding.accepted.form == Form::table) {
    const auto cells = json::serialize(cells_of(type, json::object(), now));
    const auto object = encoding.include == IncludeObject::none ? "null" : partial_object(metadata, encoding.accepted);
    const auto only_row = fmt::format(R"({{"cells":{},"object":{}}})", cells, object);
    out += table(type, list_meta({.revision = revision}), only_row, with_columns, encoding.accepted);
  } else {
    out += partial_object(metadata, encoding.accepted);
  }
}

}  // namespace fresnel::sim
