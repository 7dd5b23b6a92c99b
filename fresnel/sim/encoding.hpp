// Objects as responses have them: alone, in lists, as rows of a table, as metadata only.
//
// Thread safety: pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "fresnel/sim/object.hpp"
#include "fresnel/sim/request.hpp"
#include "fresnel/sim/timestamp.hpp"

namespace fresnel::sim {

// What a table's rows carry besides their cells (query parameter includeObject).
enum class IncludeObject { none, metadata, whole };

[[nodiscard]] outcome<IncludeObject> include_object(const Query& query);

struct Encoding {
  Accepted accepted = {};
  IncludeObject include = IncludeObject::metadata;
};

struct ListMeta {
  Revision revision = 0;
  std::string continue_token = {};
  std::int64_t remaining = 0;  // 0: not told
};

[[nodiscard]] std::string encode_object(const Object& object, const Encoding& encoding, WallTime now);
[[nodiscard]] std::string encode_list(const ResourceType& type, const std::vector<ObjectPtr>& objects,
                                      const ListMeta& meta, const Encoding& encoding, WallTime now);
// The object of a watch event. `with_columns`: a table's first event names its columns, the others have null.
void append_event_object(std::string& out, const Object& object, const Encoding& encoding, bool with_columns,
                         WallTime now);
// The object of a bookmark: nothing but its revision, in the type's empty shape; `ends_initial`: and the annotation
// that ends the initial events.
void append_bookmark_object(std::string& out, const ResourceType& type, Revision revision, const Encoding& encoding,
                            bool with_columns, bool ends_initial, WallTime now);

}  // namespace fresnel::sim
