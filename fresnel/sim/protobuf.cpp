#include "fresnel/sim/protobuf.hpp"

#include <cstdint>
#include <string>

namespace fresnel::sim {
namespace {

enum class Type { text, number, flag, message, text_map, bytes_map };

struct Schema;

// One field of a message: its number and name in the API's generated.proto files.
struct Field {
  std::uint32_t number;
  std::string_view name;
  Type type = Type::text;
  const Schema* schema = nullptr;
  bool repeated = false;
};

struct Schema {
  const Field* fields;
  std::size_t size;
};

template <std::size_t Size>
constexpr Schema schema(const Field (&fields)[Size]) {
  return {fields, Size};
}

constexpr Field kMetaFields[] = {{1, "name"},
                                 {2, "generateName"},
                                 {3, "namespace"},
                                 {5, "uid"},
                                 {6, "resourceVersion"},
                                 {11, "labels", Type::text_map},
                                 {12, "annotations", Type::text_map},
                                 {14, "finalizers", Type::text, nullptr, true}};
constexpr Schema kMeta = schema(kMetaFields);
constexpr Field kOnlyMetaFields[] = {{1, "metadata", Type::message, &kMeta}};

constexpr Field kConfigMapFields[] = {{1, "metadata", Type::message, &kMeta},
                                      {2, "data", Type::text_map},
                                      {3, "binaryData", Type::bytes_map},
                                      {4, "immutable", Type::flag}};
constexpr Field kSecretFields[] = {{1, "metadata", Type::message, &kMeta},
                                   {2, "data", Type::bytes_map},
                                   {3, "type"},
                                   {4, "stringData", Type::text_map},
                                   {5, "immutable", Type::flag}};

constexpr Field kPortFields[] = {
    {1, "name"}, {2, "hostPort", Type::number}, {3, "containerPort", Type::number}, {4, "protocol"}};
constexpr Schema kPort = schema(kPortFields);
constexpr Field kContainerFields[] = {{1, "name"},
                                      {2, "image"},
                                      {3, "command", Type::text, nullptr, true},
                                      {4, "args", Type::text, nullptr, true},
                                      {6, "ports", Type::message, &kPort, true}};
constexpr Schema kContainer = schema(kContainerFields);
constexpr Field kPodSpecFields[] = {
    {2, "containers", Type::message, &kContainer, true}, {3, "restartPolicy"}, {10, "nodeName"}};
constexpr Schema kPodSpec = schema(kPodSpecFields);
constexpr Field kTemplateFields[] = {{1, "metadata", Type::message, &kMeta}, {2, "spec", Type::message, &kPodSpec}};
constexpr Schema kTemplate = schema(kTemplateFields);
constexpr Field kSelectorFields[] = {{1, "matchLabels", Type::text_map}};
constexpr Schema kSelector = schema(kSelectorFields);
constexpr Field kDeploymentSpecFields[] = {{1, "replicas", Type::number},
                                           {2, "selector", Type::message, &kSelector},
                                           {3, "template", Type::message, &kTemplate}};
constexpr Schema kDeploymentSpec = schema(kDeploymentSpecFields);
constexpr Field kDeploymentFields[] = {{1, "metadata", Type::message, &kMeta},
                                       {2, "spec", Type::message, &kDeploymentSpec}};
constexpr Field kJobSpecFields[] = {
    {1, "parallelism", Type::number}, {2, "completions", Type::number}, {6, "template", Type::message, &kTemplate}};
constexpr Schema kJobSpec = schema(kJobSpecFields);
constexpr Field kJobFields[] = {{1, "metadata", Type::message, &kMeta}, {2, "spec", Type::message, &kJobSpec}};

constexpr Field kAttributesFields[] = {{1, "namespace"}, {2, "verb"},        {3, "group"}, {4, "version"},
                                       {5, "resource"},  {6, "subresource"}, {7, "name"}};
constexpr Schema kAttributes = schema(kAttributesFields);
constexpr Field kPathFields[] = {{1, "path"}, {2, "verb"}};
constexpr Schema kPath = schema(kPathFields);
constexpr Field kAccessSpecFields[] = {{1, "resourceAttributes", Type::message, &kAttributes},
                                       {2, "nonResourceAttributes", Type::message, &kPath}};
constexpr Schema kAccessSpec = schema(kAccessSpecFields);
constexpr Field kAccessFields[] = {{2, "spec", Type::message, &kAccessSpec}};
constexpr Field kRulesSpecFields[] = {{1, "namespace"}};
constexpr Schema kRulesSpec = schema(kRulesSpecFields);
constexpr Field kRulesFields[] = {{2, "spec", Type::message, &kRulesSpec}};

struct Kind {
  std::string_view api_version;
  std::string_view name;
  Schema schema;
};

constexpr Kind kKinds[] = {
    {"v1", "Namespace", schema(kOnlyMetaFields)},
    {"v1", "ServiceAccount", schema(kOnlyMetaFields)},
    {"v1", "ConfigMap", schema(kConfigMapFields)},
    {"v1", "Secret", schema(kSecretFields)},
    {"apps/v1", "Deployment", schema(kDeploymentFields)},
    {"batch/v1", "Job", schema(kJobFields)},
    {"authorization.k8s.io/v1", "SelfSubjectAccessReview", schema(kAccessFields)},
    {"authorization.k8s.io/v1", "SelfSubjectRulesReview", schema(kRulesFields)},
    {"authentication.k8s.io/v1", "SelfSubjectReview", schema(kOnlyMetaFields)},
};

// Protocol Buffers encoding: varints, and fields of (number << 3 | wire type).
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  struct Entry {
    std::uint32_t number = 0;
    std::uint64_t value = 0;      // wire type 0
    std::string_view bytes = {};  // wire type 2
    bool is_bytes = false;
  };

  // nullopt at the end, and when ok() is false.
  [[nodiscard]] std::optional<Entry> next() {
    if (rest_.empty() || !ok_) return std::nullopt;
    const auto tag = varint();
    Entry entry{.number = static_cast<std::uint32_t>(tag >> 3), .is_bytes = (tag & 7) == 2};
    switch (tag & 7) {
      case 0: entry.value = varint(); break;
      case 1: entry.bytes = take(8); break;
      case 2: entry.bytes = take(varint()); break;
      case 5: entry.bytes = take(4); break;
      default: ok_ = false;
    }
    if (!ok_) return std::nullopt;
    return entry;
  }
  [[nodiscard]] bool ok() const noexcept { return ok_; }

 private:
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
      if ((byte & 0x80) == 0) return value;
    }
    ok_ = false;
    return 0;
  }
  std::string_view take(std::uint64_t size) {
    if (size > rest_.size()) {
      ok_ = false;
      return {};
    }
    const auto taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }

  std::string_view rest_;
  bool ok_ = true;
};

std::string to_base64(std::string_view bytes) {
  constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t bits = 0;
    for (std::size_t j = 0; j < 3; ++j) {
      bits = bits << 8 | (i + j < bytes.size() ? static_cast<unsigned char>(bytes[i + j]) : 0u);
    }
    for (std::size_t j = 0; j < 4; ++j) text += i + j > bytes.size() ? '=' : kAlphabet[bits >> (18 - 6 * j) & 0x3F];
  }
  return text;
}

bool decode(const Schema& schema, std::string_view bytes, json::object& out);

bool decode_map_entry(const Field& field, std::string_view bytes, json::object& out) {
  std::string_view key, value;
  Reader reader(bytes);
  while (const auto entry = reader.next()) {
    if (entry->number == 1) key = entry->bytes;
    if (entry->number == 2) value = entry->bytes;
  }
  out[key] = json::string(field.type == Type::bytes_map ? to_base64(value) : std::string(value));
  return reader.ok();
}

std::optional<json::value> decode_value(const Field& field, const Reader::Entry& entry) {
  switch (field.type) {
    case Type::number: return json::value(static_cast<std::int64_t>(entry.value));
    case Type::flag: return json::value(entry.value != 0);
    case Type::message: {
      json::object nested;
      if (!decode(*field.schema, entry.bytes, nested)) return std::nullopt;
      return json::value(std::move(nested));
    }
    default: return json::value(json::string(entry.bytes));
  }
}

bool decode_field(const Field& field, const Reader::Entry& entry, json::object& out) {
  const bool wants_bytes = field.type != Type::number && field.type != Type::flag;
  if (entry.is_bytes != wants_bytes) return false;
  if (field.type == Type::text_map || field.type == Type::bytes_map) {
    return decode_map_entry(field, entry.bytes, ensure_object(out, field.name));
  }
  auto value = decode_value(field, entry);
  if (!value) return false;
  if (field.repeated) {
    auto& list = out[field.name];
    if (!list.is_array()) list.emplace_array();
    list.get_array().push_back(std::move(*value));
  } else if (!value->is_string() || !value->get_string().empty()) {
    // Go's encoder writes a required string even when it is empty.
    out[field.name] = std::move(*value);
  }
  return true;
}

bool decode(const Schema& schema, std::string_view bytes, json::object& out) {
  Reader reader(bytes);
  while (const auto entry = reader.next()) {
    for (std::size_t i = 0; i < schema.size; ++i) {
      if (schema.fields[i].number == entry->number && !decode_field(schema.fields[i], *entry, out)) return false;
    }
  }
  return reader.ok();
}

}  // namespace

std::optional<json::object> object_from_protobuf(std::string_view bytes) {
  constexpr std::string_view kMagic("k8s\0", 4);
  if (bytes.substr(0, kMagic.size()) != kMagic) return std::nullopt;
  std::string_view api_version, kind;
  std::optional<std::string_view> raw;
  Reader envelope(bytes.substr(kMagic.size()));
  while (const auto entry = envelope.next()) {
    if (entry->number == 2) raw = entry->bytes;
    if (entry->number != 1) continue;
    Reader meta(entry->bytes);
    while (const auto field = meta.next()) {
      if (field->number == 1) api_version = field->bytes;
      if (field->number == 2) kind = field->bytes;
    }
  }
  if (!envelope.ok() || !raw) return std::nullopt;
  for (const auto& known : kKinds) {
    if (known.api_version != api_version || known.name != kind) continue;
    json::object object{{"kind", kind}, {"apiVersion", api_version}};
    if (!decode(known.schema, *raw, object)) return std::nullopt;
    return object;
  }
  return std::nullopt;
}

}  // namespace fresnel::sim
