#include "fresnel/load/message_text.hpp"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <charconv>

namespace fresnel::load {

MessageKind kind_of(std::string_view head) noexcept {
  constexpr std::string_view kType = R"("type":")";
  const auto at = head.find(kType);
  if (at == std::string_view::npos) return MessageKind::data;
  const auto type = head.substr(at + kType.size());
  if (type.starts_with("COMPLETE\"")) return MessageKind::complete;
  if (type.starts_with("STATUS\"")) return MessageKind::status;
  if (type.starts_with("ERROR\"")) return MessageKind::error;
  return MessageKind::data;
}

std::optional<std::uint64_t> written_at(std::string_view head) noexcept {
  const auto at = head.find(kWrittenAt);
  if (at == std::string_view::npos) return std::nullopt;
  // Between name and digits: quotation marks, each escaped once in a DATA message, and a colon.
  constexpr std::size_t kMaxBetween = 12;
  const auto begin = head.find_first_of("0123456789", at + kWrittenAt.size());
  if (begin == std::string_view::npos || begin > at + kWrittenAt.size() + kMaxBetween) return std::nullopt;
  std::uint64_t time = 0;
  const auto* const end = head.data() + head.size();
  const auto [stop, failure] = std::from_chars(head.data() + begin, end, time);
  // Digits up to the head's end may have been cut.
  if (failure != std::errc() || stop == end) return std::nullopt;
  return time;
}

std::string request_message(std::string_view cluster, std::string_view path) {
  const auto question = path.find('?');
  std::string query = "watch=1";
  if (question != std::string_view::npos) query.append("&").append(path.substr(question + 1));
  const boost::json::object message = {{"clusterId", cluster},
                                       {"path", path.substr(0, question)},
                                       {"query", query},
                                       {"userId", ""},
                                       {"type", "REQUEST"}};
  return boost::json::serialize(message);
}

}  // namespace fresnel::load
