// What clients of channels send. Whatever is answered, to understood and not understood requests, is JSON with the same
// id.
#include "fresnel/channel/channel_message.hpp"

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

using namespace fresnel::channel;

namespace {

void check_answer(const std::string& answer, const boost::json::value& id) {
  boost::system::error_code error;
  const auto value = boost::json::parse(answer, error);
  if (error || !value.is_object()) std::abort();
  const auto* told = value.get_object().if_contains("id");
  if (id.is_null() != (told == nullptr)) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto request = parse_channel_request(text);
  if (!request) {
    check_answer(encode_error(request.error().id, request.error()), request.error().id);
    return 0;
  }
  check_answer(encode_subscribed(*request, request->position.value_or(fresnel::broker::Position()), true), request->id);
  fresnel::broker::Publication publication{fresnel::net::OutboundMessage::json(request->data), {}, 1, {}};
  check_answer(std::string(encode_message(request->channel, publication).payload().view()), nullptr);
  return 0;
}
