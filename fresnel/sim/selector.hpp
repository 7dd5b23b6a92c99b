// labelSelector and fieldSelector of list and watch requests.
//
// Grammar of labels (k8s.io/apimachinery labels.Parse): requirements joined by ',', each one of
//   key | !key | key = value | key == value | key != value | key in (a, b) | key notin (a, b) | key > 1 | key < 1
// Fields: path = value | path == value | path != value, joined by ','. Errors are kube-apiserver's 400s, word for word.
//
// Thread safety: values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "fresnel/sim/object.hpp"
#include "fresnel/sim/status.hpp"

namespace fresnel::sim {

class LabelSelector {
 public:
  LabelSelector() = default;  // matches everything
  [[nodiscard]] static outcome<LabelSelector> parse(std::string_view text);

  [[nodiscard]] bool matches(const Object& object) const;
  [[nodiscard]] bool empty() const noexcept { return requirements_.empty(); }

  enum class Operator { exists, absent, in, not_in, equal, not_equal, greater, less };
  struct Requirement {
    std::string key;
    Operator op = Operator::exists;
    std::vector<std::string> values = {};
  };

 private:
  std::vector<Requirement> requirements_;
};

class FieldSelector {
 public:
  FieldSelector() = default;  // matches everything
  [[nodiscard]] static outcome<FieldSelector> parse(const ResourceType& type, std::string_view text);

  [[nodiscard]] bool matches(const Object& object) const;
  [[nodiscard]] bool empty() const noexcept { return terms_.empty(); }
  // The value that "metadata.name=value" asks for, empty when it asks for none.
  [[nodiscard]] std::string_view name() const noexcept;

 private:
  struct Term {
    std::string path;
    std::string value;
    bool equal = true;
  };
  std::vector<Term> terms_;
};

struct Selector {
  LabelSelector labels;
  FieldSelector fields;

  [[nodiscard]] bool matches(const Object& object) const { return labels.matches(object) && fields.matches(object); }
  [[nodiscard]] bool empty() const noexcept { return labels.empty() && fields.empty(); }
};

}  // namespace fresnel::sim
