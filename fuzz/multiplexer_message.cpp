// What clients send to the multiplexer, and servers to our client. What is understood survives being written again.
#include "fresnel/wire/multiplexer_message.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

using namespace fresnel::wire;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto message = parse_client_message(text)) {
    const auto again = parse_client_message(encode(*message));
    if (!again || !(*again == *message)) std::abort();
  }
  if (const auto message = parse_server_message(text)) {
    (void)parse_error_data(message->data);
    (void)parse_status_data(message->data);
  }
  return 0;
}
