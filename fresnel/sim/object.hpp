// One version of one object: its JSON text, made once and shared by every list, log entry and watcher that has it, and
// what selectors ask about.
//
// Thread safety: immutable.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fresnel/base/shared_bytes.hpp"
#include "fresnel/sim/json.hpp"
#include "fresnel/sim/resource_type.hpp"

namespace fresnel::sim {

// The store's counter: metadata.resourceVersion as a number.
using Revision = std::uint64_t;

class Object;
using ObjectPtr = std::shared_ptr<const Object>;

class Object {
 public:
  // `value` needs metadata.name. Its members are put into kube-apiserver's order, kind and apiVersion are set from the
  // type and metadata.resourceVersion from `revision` (0: it
  // has none, as in the answer to a dry run).
  [[nodiscard]] static ObjectPtr make(ResourceTypePtr type, json::object value, Revision revision);
  // The same content at another revision, as events that report an object's absence show it.
  [[nodiscard]] ObjectPtr at(Revision revision) const;

  [[nodiscard]] const ResourceType& type() const noexcept { return *type_; }
  [[nodiscard]] const std::string& ns() const noexcept { return ns_; }  // empty for cluster-scoped types
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] const std::string& uid() const noexcept { return uid_; }
  [[nodiscard]] Revision revision() const noexcept { return revision_; }

  // The whole object as compact JSON.
  [[nodiscard]] const SharedBytes& text() const noexcept { return text_; }
  // Everything after kind and apiVersion, with the closing brace: what stands in a list of a built-in type after '{'.
  [[nodiscard]] std::string_view rest() const noexcept { return text_.view().substr(rest_begin_); }
  // The value of "metadata".
  [[nodiscard]] std::string_view metadata() const noexcept {
    return text_.view().substr(metadata_begin_, metadata_end_ - metadata_begin_);
  }
  [[nodiscard]] json::object parse() const;

  // Null when the object has no such label.
  [[nodiscard]] const std::string* label(std::string_view key) const noexcept;
  // The value of a field label of the type ("spec.nodeName"), metadata.name or metadata.namespace; empty when unset.
  [[nodiscard]] std::string_view field(std::string_view path) const noexcept;

 private:
  using Pairs = std::vector<std::pair<std::string, std::string>>;

  Object() = default;
  void encode(const json::object& value);
  void index(const json::object& value);

  ResourceTypePtr type_;
  std::string ns_, name_, uid_;
  Revision revision_ = 0;
  SharedBytes text_;
  std::size_t rest_begin_ = 0, metadata_begin_ = 0, metadata_end_ = 0;
  std::size_t version_begin_ = 0, version_size_ = 0;  // the digits of metadata.resourceVersion
  Pairs labels_, fields_;
};

}  // namespace fresnel::sim
