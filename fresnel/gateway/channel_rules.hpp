// The channels that a gateway serves, from the key `channels` of its configuration file:
//
//   channels:
//     news:                       # one channel
//       history-size: 100         # messages kept for those who come back (default: 0, none; at most 10000)
//       history-lifetime: 5m      # for so long (default: 5m)
//       presence: true            # who has subscribed is known (default: false)
//       slow-consumer: close      # of a client that lags: close, drop_oldest (default) or conflate
//       clients-publish: false    # only back ends do, by the HTTP API (default: true)
//       publishers: [ada]         # user ids (default: everybody)
//       subscribers: [ada, bob]
//     "chat:*": {}                # every channel whose name begins so
//
// A name's own rule counts, else the rule with the longest such beginning.
//
// Thread safety: values and pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fresnel/base/error.hpp"
#include "fresnel/channel/channel.hpp"

namespace fresnel::gateway {

struct ChannelRule {
  std::string name;     // without the '*'
  bool prefix = false;  // for all names that begin with it
  channel::ChannelOptions options;

  friend bool operator==(const ChannelRule&, const ChannelRule&) = default;
};

using ChannelRules = std::vector<ChannelRule>;

// `yaml` is the whole file, `file` its name for messages. No key `channels`: no rules. Errors (invalid_argument) name
// file, line, channel and key, and what was expected.
[[nodiscard]] result<ChannelRules> parse_channel_rules(std::string_view yaml, std::string_view file);

// The options of a channel; nothing when no rule is for it.
[[nodiscard]] std::optional<channel::ChannelOptions> channel_options(const ChannelRules& rules, std::string_view name);

}  // namespace fresnel::gateway
