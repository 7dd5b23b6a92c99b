#include "fresnel/gateway/channel_rules.hpp"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <iterator>

#include "fresnel/gateway/option_values.hpp"

namespace fresnel::gateway {
namespace {

using channel::ChannelOptions;
using websocket::SlowConsumer;

constexpr std::size_t kMaxHistory = 10'000;

// Where something stands, for messages.
struct Place {
  std::string_view file;
  std::string channel;

  [[nodiscard]] Error expected(const YAML::Node& at, std::string_view key, std::string_view what) const {
    return {Errc::invalid_argument,
            fmt::format("{}:{}: channels: {}: {}: expected {}", file, at.Mark().line + 1, channel, key, what)};
  }
};

Expectation apply_history(std::string_view text, ChannelOptions& options) {
  const auto size = parse_number(text);
  if (!size || *size > kMaxHistory) return fmt::format("a number from 0 to {}", kMaxHistory);
  options.history_size = static_cast<std::size_t>(*size);
  return std::nullopt;
}

Expectation apply_lifetime(std::string_view text, ChannelOptions& options) {
  if (auto expectation = apply_duration(text, options.history_lifetime)) return expectation;
  if (options.history_lifetime < seconds(1)) return "a duration of at least 1s such as 30s or 5m";
  return std::nullopt;
}

Expectation apply_slow_consumer(std::string_view text, ChannelOptions& options) {
  if (text == "close") return options.slow_consumer = SlowConsumer::close, std::nullopt;
  if (text == "drop_oldest") return options.slow_consumer = SlowConsumer::drop_oldest, std::nullopt;
  if (text == "conflate") return options.slow_consumer = SlowConsumer::conflate, std::nullopt;
  return "close, drop_oldest or conflate";
}

struct Scalar {
  std::string_view key;
  Expectation (*apply)(std::string_view text, ChannelOptions& options);
};
constexpr Scalar kScalars[] = {
    {"history-size", apply_history},
    {"history-lifetime", apply_lifetime},
    {"slow-consumer", apply_slow_consumer},
    {"presence", [](std::string_view text, ChannelOptions& o) { return apply_bool(text, o.presence); }},
    {"clients-publish", [](std::string_view text, ChannelOptions& o) { return apply_bool(text, o.clients_publish); }},
};

struct Users {
  std::string_view key;
  std::vector<std::string> ChannelOptions::*list;
};
constexpr Users kUsers[] = {{"publishers", &ChannelOptions::publishers}, {"subscribers", &ChannelOptions::subscribers}};

std::string all_keys() {
  std::string keys;
  for (const auto& scalar : kScalars) keys += fmt::format("{}{}", keys.empty() ? "" : ", ", scalar.key);
  for (const auto& users : kUsers) keys += fmt::format(", {}", users.key);
  return keys;
}

result<void> read_option(const YAML::Node& key, const YAML::Node& value, const Place& place, ChannelOptions& options) {
  const auto name = key.IsScalar() ? key.Scalar() : std::string("(not a text)");
  const auto scalar = std::find_if(std::begin(kScalars), std::end(kScalars), [&](auto& s) { return s.key == name; });
  if (scalar != std::end(kScalars)) {
    const auto text = value.IsScalar() ? value.Scalar() : std::string();
    if (const auto expectation = scalar->apply(text, options)) return place.expected(key, name, *expectation);
    return {};
  }
  const auto users = std::find_if(std::begin(kUsers), std::end(kUsers), [&](auto& u) { return u.key == name; });
  if (users == std::end(kUsers)) return place.expected(key, name, "one of " + all_keys());
  // An empty list would be for everybody, which is not what it looks like.
  if (!value.IsSequence() || value.size() == 0) return place.expected(key, name, "a list of user ids");
  for (const auto& user : value) {
    if (!user.IsScalar() || user.Scalar().empty()) return place.expected(user, name, "a list of user ids");
    (options.*users->list).push_back(user.Scalar());
  }
  return {};
}

result<ChannelRule> read_rule(const YAML::Node& key, const YAML::Node& value, std::string_view file) {
  const Place place{file, key.IsScalar() ? key.Scalar() : std::string("(not a text)")};
  ChannelRule rule;
  rule.name = place.channel;
  rule.prefix = rule.name.ends_with('*');
  if (rule.prefix) rule.name.pop_back();
  const bool valid = rule.name.empty() ? rule.prefix : channel::is_channel_name(rule.name);
  if (!key.IsScalar() || !valid) {
    return place.expected(key, "name", "1 to 128 letters, digits and . _ - : / @, and a * at the end for all of them");
  }
  if (value.IsNull()) return rule;
  if (!value.IsMap()) return place.expected(key, "options", "a mapping such as {history-size: 100}");
  for (const auto& item : value) {
    if (const auto read = read_option(item.first, item.second, place, rule.options); !read) return read.error();
  }
  return rule;
}

}  // namespace

result<ChannelRules> parse_channel_rules(std::string_view yaml, std::string_view file) {
  ChannelRules rules;
  try {
    const YAML::Node root = YAML::Load(std::string(yaml));
    if (!root.IsMap()) return rules;
    const YAML::Node channels = root["channels"];
    if (!channels) return rules;
    if (!channels.IsMap()) {
      return Error{Errc::invalid_argument, fmt::format("{}:{}: channels: expected a mapping such as {{news: {{}}}}",
                                                       file, channels.Mark().line + 1)};
    }
    for (const auto& item : channels) {
      auto rule = read_rule(item.first, item.second, file);
      if (!rule) return rule.error();
      const bool known = std::any_of(rules.begin(), rules.end(), [&](const ChannelRule& other) {
        return other.name == rule->name && other.prefix == rule->prefix;
      });
      if (known) return Place{file, item.first.Scalar()}.expected(item.first, "name", "it once");
      rules.push_back(*std::move(rule));
    }
  } catch (const YAML::Exception& e) {  // yaml-cpp has no interface without exceptions
    return Error{Errc::invalid_argument, fmt::format("{}:{}: not YAML: {}", file, e.mark.line + 1, e.msg)};
  }
  return rules;
}

std::optional<channel::ChannelOptions> channel_options(const ChannelRules& rules, std::string_view name) {
  const ChannelRule* best = nullptr;
  for (const auto& rule : rules) {
    if (!rule.prefix && rule.name == name) return rule.options;
    if (!rule.prefix || !name.starts_with(rule.name)) continue;
    if (best == nullptr || rule.name.size() > best->name.size()) best = &rule;
  }
  if (best == nullptr) return std::nullopt;
  return best->options;
}

}  // namespace fresnel::gateway
