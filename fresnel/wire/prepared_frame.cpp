#include "fresnel/wire/prepared_frame.hpp"

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
