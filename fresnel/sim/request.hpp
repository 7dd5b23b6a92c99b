// A request, read: its query, what it is about (kube-apiserver's RequestInfo) and the form of answer it accepts.
//
// Thread safety: values and pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fresnel/net/http_server.hpp"
#include "fresnel/sim/selector.hpp"
#include "fresnel/sim/status.hpp"

namespace fresnel::sim {

// "%20" and "+" are decoded; nullopt for a broken escape.
[[nodiscard]] std::optional<std::string> percent_decoded(std::string_view text, bool plus_is_space);

class Query {
 public:
  Query() = default;
  explicit Query(std::string_view text);  // parameters that cannot be decoded are skipped

  [[nodiscard]] bool has(std::string_view name) const noexcept;
  // The first of that name, empty when there is none.
  [[nodiscard]] std::string_view get(std::string_view name) const noexcept;
  // Go's reading of a boolean parameter: present and neither "0" nor "false".
  [[nodiscard]] bool is_set(std::string_view name) const noexcept;

 private:
  std::vector<std::pair<std::string, std::string>> parameters_;
};

// What a request wants to do, and to what.
struct RequestInfo {
  bool is_resource = false;  // false: discovery, health, and everything else; only verb and path are set then
  std::string verb;          // get, list, watch, create, update, patch, delete, deletecollection
  std::string path;          // decoded
  std::string group, version, ns, resource, name, subresource;
};

[[nodiscard]] RequestInfo info_of(const net::ServerRequest& request, const Query& query);

// How objects are written into a response.
enum class Form { plain, table, partial, partial_list };

struct Accepted {
  Form form = Form::plain;
  std::string meta_version = "v1";  // of meta.k8s.io, for the other forms
};

// The first acceptable clause of an Accept header; 406 when there is none.
[[nodiscard]] outcome<Accepted> negotiate(std::string_view accept);
// True when the header takes JSON as it is, whatever else it asks for: discovery has no other form.
[[nodiscard]] bool accepts_json(std::string_view accept);

// The parameters of list, watch and deletecollection.
struct ListOptions {
  Selector selector;
  // As given: empty when absent. Valid digits.
  std::string resource_version;
  std::string version_match;
  std::int64_t limit = 0;
  std::string continue_token;
  std::int64_t timeout_seconds = 0;
  bool watch = false;
  bool bookmarks = false;
  bool initial_events = false;  // sendInitialEvents, where the server knows it

  [[nodiscard]] Revision revision() const;  // 0 when absent or "0"
};

// `streaming`: the server knows streaming lists, as from Kubernetes 1.32 on.
[[nodiscard]] outcome<ListOptions> list_options(const ResourceType& type, const RequestInfo& info, const Query& query,
                                                bool streaming = false);

// Where a paged list goes on (k8s.io/apiserver, continue tokens): after `start` exclusive of earlier keys, at revision
// `revision` or, when that is negative, at the current one. Keys are "namespace/name", or the name alone within one
// namespace.
struct ContinueToken {
  std::int64_t revision = 0;
  std::string start;

  [[nodiscard]] std::string encode() const;
  [[nodiscard]] static outcome<ContinueToken> decode(std::string_view text);
};

}  // namespace fresnel::sim
