#include "fresnel/sim/selector.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "fresnel/sim/names.hpp"

namespace fresnel::sim {
namespace {

using Operator = LabelSelector::Operator;
using Requirement = LabelSelector::Requirement;

std::optional<std::int64_t> to_int(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || failed != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// Words, and the operators = == != ! < > ( ) and the comma. An empty token is the end.
class Lexer {
 public:
  explicit Lexer(std::string_view text) : rest_(text) { read(); }

  [[nodiscard]] std::string_view token() const noexcept { return token_; }
  [[nodiscard]] bool at_word() const noexcept { return !token_.empty() && kSpecial.find(token_[0]) == kSpecial.npos; }
  [[nodiscard]] bool at_end() const noexcept { return token_.empty(); }
  std::string take() {
    std::string taken(token_);
    read();
    return taken;
  }
  [[nodiscard]] bool accept(std::string_view token) {
    if (token_ != token || token.empty()) return false;
    read();
    return true;
  }

 private:
  static constexpr std::string_view kSpecial = "=!<>(),";
  static constexpr std::string_view kSpace = " \t\r\n";

  void read() {
    rest_.remove_prefix(std::min(rest_.find_first_not_of(kSpace), rest_.size()));
    std::size_t size = 0;
    if (!rest_.empty() && kSpecial.find(rest_[0]) != kSpecial.npos) {
      size = rest_.substr(0, 2) == "==" || rest_.substr(0, 2) == "!=" ? 2 : 1;
    } else {
      while (size < rest_.size() && kSpecial.find(rest_[size]) == kSpecial.npos &&
             kSpace.find(rest_[size]) == kSpace.npos) {
        ++size;
      }
    }
    token_ = rest_.substr(0, size);
    rest_.remove_prefix(size);
  }

  std::string_view rest_;
  std::string_view token_;
};

Status broken(std::string_view why) { return bad_request(fmt::format("unable to parse requirement: {}", why)); }

outcome<std::vector<std::string>> parse_set(Lexer& lexer) {
  if (!lexer.accept("(")) return broken(fmt::format("found '{}' expected: '('", lexer.token()));
  std::vector<std::string> values;
  for (;;) {
    // "(a,,b)" and "(a,)" hold an empty value.
    values.push_back(lexer.at_word() ? lexer.take() : std::string());
    if (lexer.accept(")")) break;
    if (!lexer.accept(",")) return broken(fmt::format("found '{}', expected: ',' or ')'", lexer.token()));
  }
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return values;
}

outcome<Operator> parse_operator(Lexer& lexer) {
  static constexpr std::pair<std::string_view, Operator> kOperators[] = {
      {"=", Operator::equal},      {"==", Operator::equal},  {"!=", Operator::not_equal}, {"in", Operator::in},
      {"notin", Operator::not_in}, {">", Operator::greater}, {"<", Operator::less},
  };
  for (const auto& [text, op] : kOperators) {
    if (lexer.accept(text)) return op;
  }
  return broken(fmt::format("found '{}', expected: '=', '!=', '==', 'in', notin'", lexer.token()));
}

std::optional<Status> check(const Requirement& requirement) {
  if (const auto wrong = check_label_key(requirement.key)) {
    return broken(fmt::format("invalid label key \"{}\": {}", requirement.key, *wrong));
  }
  const bool numeric = requirement.op == Operator::greater || requirement.op == Operator::less;
  for (const auto& value : requirement.values) {
    if (numeric && !to_int(value)) return broken("for 'Gt', 'Lt' operators, the value must be an integer");
    if (const auto wrong = check_label_value(value)) {
      return broken(fmt::format("invalid label value: \"{}\": at key: \"{}\": {}", value, requirement.key, *wrong));
    }
  }
  return std::nullopt;
}

outcome<Requirement> parse_requirement(Lexer& lexer) {
  Requirement requirement;
  const bool negated = lexer.accept("!");
  if (!lexer.at_word()) return broken(fmt::format("found '{}', expected: identifier", lexer.token()));
  requirement.key = lexer.take();
  if (negated) {
    requirement.op = Operator::absent;
  } else if (!lexer.at_end() && lexer.token() != ",") {
    const auto op = parse_operator(lexer);
    if (!op) return op.error();
    requirement.op = *op;
    if (*op == Operator::in || *op == Operator::not_in) {
      auto values = parse_set(lexer);
      if (!values) return values.error();
      requirement.values = std::move(*values);
    } else {
      // "key=" compares with the empty string.
      if (!lexer.at_word() && !lexer.at_end() && lexer.token() != ",") {
        return broken(fmt::format("found '{}', expected: identifier", lexer.token()));
      }
      requirement.values.push_back(lexer.at_word() ? lexer.take() : std::string());
    }
  }
  if (const auto wrong = check(requirement)) return *wrong;
  return requirement;
}

bool satisfied(const Requirement& requirement, const std::string* label) {
  const auto& values = requirement.values;
  const auto listed = [&] { return std::find(values.begin(), values.end(), *label) != values.end(); };
  switch (requirement.op) {
    case Operator::exists: return label != nullptr;
    case Operator::absent: return label == nullptr;
    case Operator::equal:
    case Operator::in: return label != nullptr && listed();
    case Operator::not_equal:
    case Operator::not_in: return label == nullptr || !listed();
    case Operator::greater:
    case Operator::less: {
      const auto number = label != nullptr ? to_int(*label) : std::nullopt;
      const auto bound = to_int(values.front());
      if (!number || !bound) return false;
      return requirement.op == Operator::greater ? *number > *bound : *number < *bound;
    }
  }
  return false;
}

}  // namespace

outcome<LabelSelector> LabelSelector::parse(std::string_view text) {
  LabelSelector selector;
  Lexer lexer(text);
  while (!lexer.at_end()) {
    if (!lexer.at_word() && lexer.token() != "!") {
      return bad_request(fmt::format("found '{}', expected: !, identifier, or 'end of string'", lexer.token()));
    }
    auto requirement = parse_requirement(lexer);
    if (!requirement) return requirement.error();
    selector.requirements_.push_back(std::move(*requirement));
    if (lexer.at_end()) break;
    if (!lexer.accept(","))
      return bad_request(fmt::format("found '{}', expected: ',' or 'end of string'", lexer.token()));
    if (!lexer.at_word() && lexer.token() != "!") {
      return bad_request(fmt::format("found '{}', expected: identifier after ','", lexer.token()));
    }
  }
  return selector;
}

bool LabelSelector::matches(const Object& object) const {
  return std::all_of(requirements_.begin(), requirements_.end(), [&](const Requirement& requirement) {
    return satisfied(requirement, object.label(requirement.key));
  });
}

outcome<FieldSelector> FieldSelector::parse(const ResourceType& type, std::string_view text) {
  FieldSelector selector;
  std::string_view rest = text;
  while (!rest.empty()) {
    const auto comma = rest.find(',');
    const auto part = rest.substr(0, comma);
    rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
    if (part.empty()) continue;
    const auto equals = part.find('=');
    if (equals == std::string_view::npos) {
      return bad_request(fmt::format("invalid selector: '{}'; can't understand '{}'", text, part));
    }
    Term term;
    term.equal = equals == 0 || part[equals - 1] != '!';
    term.path = part.substr(0, term.equal ? equals : equals - 1);
    term.value = part.substr(part.substr(equals, 2) == "==" ? equals + 2 : equals + 1);
    const auto& known = type.field_labels;
    if (term.path != "metadata.name" && term.path != "metadata.namespace" &&
        std::find(known.begin(), known.end(), term.path) == known.end()) {
      if (type.terse_field_errors || type.custom) {
        return bad_request(fmt::format("field label not supported: {}", term.path));
      }
      return bad_request(fmt::format(
          "\"{}\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"", term.path));
    }
    selector.terms_.push_back(std::move(term));
  }
  return selector;
}

bool FieldSelector::matches(const Object& object) const {
  return std::all_of(terms_.begin(), terms_.end(),
                     [&](const Term& term) { return (object.field(term.path) == term.value) == term.equal; });
}

std::string_view FieldSelector::name() const noexcept {
  for (const auto& term : terms_) {
    if (term.equal && term.path == "metadata.name") return term.value;
  }
  return {};
}

}  // namespace fresnel::sim
