#include "fresnel/channel/channel.hpp"

#include <algorithm>

namespace fresnel::channel {

bool is_channel_name(std::string_view name) noexcept {
  constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-:/@";
  return !name.empty() && name.size() <= 128 && name.find_first_not_of(kAllowed) == std::string_view::npos;
}

bool selects(const broker::Selection& selection, const ConnectionContext& context) {
  if (!selection.exclude_connection_id.empty() && selection.exclude_connection_id == context.id) return false;
  const auto& users = selection.user_ids;
  if (!users.empty() && std::find(users.begin(), users.end(), context.user_id) == users.end()) return false;
  return std::all_of(selection.attributes.begin(), selection.attributes.end(), [&](const auto& wanted) {
    const auto found = context.attributes.find(wanted.first);
    return found != context.attributes.end() && found->second == wanted.second;
  });
}

}  // namespace fresnel::channel
