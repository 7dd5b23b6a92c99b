// One event of a Kubernetes watch: {"type":"ADDED","object":{...}}
// (https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes).
//
// The text is stored once (bytes); what everything else needs of it is found in one pass, and refers to it: an event
// has no other memory. An event of a Table watch (Accept: application/json;as=Table) is a Table of one row and is known
// by row.object.metadata.
//
// Thread safety: a value; copies share the text. Its views live as long as any copy of the event or of its bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "fresnel/base/error.hpp"
#include "fresnel/base/shared_bytes.hpp"

namespace fresnel::kube {

struct ByteRange {
  std::size_t offset = 0;
  std::size_t size = 0;
};

struct WatchEvent {
  enum class Type : std::uint8_t { added, modified, deleted, bookmark, error, unknown };

  Type type = Type::unknown;
  bool is_table = false;
  bool has_columns = false;  // a Table that carries columnDefinitions
  // DELETED with the version that its object had before, as some servers send it: that version tells nothing about
  // when. Set by the Watcher.
  bool keeps_version = false;
  bool ends_initial = false;  // a BOOKMARK of make_bookmark_event() that ends the initial events
  int status_code = 0;        // ERROR: Status.code
  SharedBytes bytes;
  // Within bytes.
  std::string_view uid;
  std::string_view namespace_;
  std::string_view name;
  std::string_view resource_version;

  // Places in bytes, for rewriting without parsing again. Size 0: absent.
  ByteRange object;         // the value of "object"
  ByteRange columns_place;  // the value of columnDefinitions

  [[nodiscard]] std::string_view object_view() const noexcept {
    return bytes.view().substr(object.offset, object.size);
  }
  [[nodiscard]] bool changes_an_object() const noexcept {
    return type == Type::added || type == Type::modified || type == Type::deleted;
  }
};

// namespace/name; without a namespace: /name.
[[nodiscard]] std::string full_name(const WatchEvent& event);

// "ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"; "UNKNOWN" for the rest.
[[nodiscard]] std::string_view to_string(WatchEvent::Type type) noexcept;

// Bytes behind an event's text that the parser may read; strings reserved with it are parsed without a copy.
inline constexpr std::size_t kParserPadding = 64;

// The text with the parser's padding behind it and not much more, as an event is kept for long. Copied only if it has
// too little or too much; std::string::reserve would give it twice its size.
[[nodiscard]] std::string padded_for_parser(std::string text);

// Error protocol when the text is no watch event. An event of an unknown type is a value (Type::unknown), so is one
// without an object's identity: the callers decide.
[[nodiscard]] result<WatchEvent> parse_watch_event(SharedBytes bytes);

// Makes {"type":TYPE,"object":OBJECT}; when the object lacks kind and apiVersion (items of a typed list do) they are
// put in front. Empty kind or api_version: nothing is put.
[[nodiscard]] std::string make_event_text(WatchEvent::Type type, std::string_view object, std::string_view kind,
                                          std::string_view api_version);

// The same object as another type of event. Shares the text when nothing changes.
[[nodiscard]] WatchEvent with_type(const WatchEvent& event, WatchEvent::Type type);

// The same object as another type of event with another metadata.resourceVersion.
[[nodiscard]] WatchEvent with_type_and_version(const WatchEvent& event, WatchEvent::Type type,
                                               std::string_view resource_version);

// A Table event that carries these columnDefinitions (a JSON array), whatever it carried before.
[[nodiscard]] WatchEvent with_columns(const WatchEvent& event, std::string_view columns);

// A Table event whose columnDefinitions are null, as in all but a watch's first event.
[[nodiscard]] WatchEvent without_columns(const WatchEvent& event);

// {"type":"ERROR","object":Status} as kube-apiserver writes it, with the error's message, reason and HTTP code.
[[nodiscard]] WatchEvent make_error_event(const Error& error);
// The one for a version that is no longer available (410, Expired).
[[nodiscard]] WatchEvent make_expired_event(std::string_view message);

// {"type":"BOOKMARK","object":{...}}: everything up to `resource_version` has been sent
// (https://kubernetes.io/docs/reference/using-api/api-concepts/#watch-bookmarks). `kind` is that of the list's objects;
// of a Table, the version stands in the one row, as kube-apiserver writes it. `ends_initial`: with the annotation that
// ends the initial events of a watch that asked for them by sendInitialEvents (Kubernetes API concepts, "Streaming
// lists").
[[nodiscard]] WatchEvent make_bookmark_event(std::string_view kind, std::string_view api_version,
                                             std::string_view resource_version, bool ends_initial = false);

// A resource version as a number, for finding a place in a log only: versions are opaque to clients
// (https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions), this program orders them only
// within one stream. Nothing for "", "0", "undefined" and all that is no positive decimal number of 64 bits: those mean
// a fresh start.
[[nodiscard]] std::optional<std::uint64_t> parse_resource_version(std::string_view text) noexcept;

}  // namespace fresnel::kube
