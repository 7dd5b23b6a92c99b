#include "fresnel/wire/prepared_frame.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include "fresnel/base/asio.hpp"
#include "fresnel/json/escape.hpp"

namespace fresnel::wire {

DataPrefix::DataPrefix(std::string_view cluster_id, std::string_view path, std::string_view query,
                       std::string_view user_id) {
  bytes_ += R"({"clusterId":)";
  json::append_quoted(bytes_, cluster_id);
  bytes_ += R"(,"path":)";
  json::append_quoted(bytes_, path);
  bytes_ += R"(,"query":)";
  json::append_quoted(bytes_, query);
  bytes_ += R"(,"userId":)";
  json::append_quoted(bytes_, user_id);
  bytes_.shrink_to_fit();
}

SubscriptionAddress address_in(std::string_view prefix) {
  std::string text(prefix);
  text += '}';
  error_code failed;
  const auto value = boost::json::parse(text, failed);
  if (failed || !value.is_object()) return {};
  const auto member = [&](std::string_view name) {
    const auto* found = value.get_object().if_contains({name.data(), name.size()});
    return found != nullptr && found->is_string() ? std::string(found->get_string()) : std::string();
  };
  return {member("clusterId"), member("path"), member("query"), member("userId")};
}

// No value can hold these bytes: quotes within strings are escaped.
std::string_view key_in(std::string_view prefix) noexcept { return prefix.substr(0, prefix.rfind(R"(,"userId":")")); }

SharedBytes make_data_body(std::string_view event_json) {
  constexpr std::string_view kHead = R"(,"type":"DATA","data":")";
  constexpr std::string_view kTail = R"("})";
  std::string body;
  body.reserve(kHead.size() + json::escaped_size(event_json) + kTail.size());
  body += kHead;
  json::append_escaped(body, event_json);
  body += kTail;
  return SharedBytes(std::move(body));
}

std::string PreparedFrame::text() const {
  std::string text;
  text.reserve(size());
  text += prefix;
  text += body.view();
  return text;
}

}  // namespace fresnel::wire
