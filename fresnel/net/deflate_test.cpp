#include "fresnel/net/deflate.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fresnel::net {
namespace {

constexpr std::string_view kGranted = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

std::optional<std::string> negotiate(std::string offer) {
  Headers headers;
  headers.add("Sec-WebSocket-Extensions", std::move(offer));
  return negotiate_deflate(headers);
}

std::string text_of_size(std::size_t size) {
  std::string text;
  while (text.size() < size) text += R"({"name":"pod-)" + std::to_string(text.size()) + R"(","namespace":"default"},)";
  text.resize(size);
  return text;
}

std::string inflated(std::string_view payload, std::size_t limit = 1u << 20) {
  bool too_large = false;
  return inflate_message(payload, limit, too_large).value_or(too_large ? "too large" : "no deflate data");
}

TEST(NegotiateDeflate, GrantsWhatBrowsersOffer) {
  EXPECT_EQ(negotiate("permessage-deflate; client_max_window_bits"), kGranted);
  EXPECT_EQ(negotiate("permessage-deflate"), kGranted);
  EXPECT_EQ(negotiate("PerMessage-Deflate; server_no_context_takeover; client_no_context_takeover"), kGranted);
  EXPECT_EQ(negotiate("x-other; a=1, permessage-deflate; client_max_window_bits=\"10\""), kGranted);
  EXPECT_EQ(negotiate("permessage-deflate; server_max_window_bits=15"),
            std::string(kGranted) + "; server_max_window_bits=15");
}

// RFC 7692 section 7.1: an offer with a parameter that is unknown, given twice or wrong is declined; the next counts.
TEST(NegotiateDeflate, DeclinesWhatItCannotKeep) {
  for (const auto* offer :
       {"", "x-webkit-deflate-frame", "permessage-deflate; server_max_window_bits=10", "permessage-deflate; other",
        "permessage-deflate; server_no_context_takeover=1", "permessage-deflate; client_max_window_bits=16",
        "permessage-deflate; client_max_window_bits=7", "permessage-deflate; client_max_window_bits=1x",
        "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
        "permessage-deflate; server_max_window_bits"}) {
    EXPECT_EQ(negotiate(offer), std::nullopt) << offer;
  }
  EXPECT_EQ(negotiate("permessage-deflate; server_max_window_bits=9, permessage-deflate"), kGranted);
  EXPECT_EQ(negotiate_deflate(Headers()), std::nullopt);
}

TEST(Deflate, ABodyStandsBehindAnyPrefix) {
  const auto body = text_of_size(4000);
  const auto shared = deflate_body(body);
  EXPECT_LT(shared.size(), body.size() / 4);
  EXPECT_EQ(inflated(shared.view()), body);
  for (const std::size_t size : {0u, 1u, 200u, 65'535u}) {
    const auto prefix = text_of_size(size);
    EXPECT_EQ(inflated(stored_block(prefix).append(shared.view())), prefix + body) << size;
  }
}

TEST(Deflate, SmallOrRandomBodiesAreNotCompressed) {
  EXPECT_TRUE(deflate_body(text_of_size(kDeflateThreshold - 1)).empty());
  EXPECT_FALSE(deflate_body(text_of_size(kDeflateThreshold)).empty());
  std::string noise;
  unsigned state = 1;
  for (int i = 0; i < 4096; ++i) noise += static_cast<char>((state = state * 1664525u + 1013904223u) >> 24);
  EXPECT_TRUE(deflate_body(noise).empty());
}

TEST(Deflate, InflatingHasALimitAndFindsGarbage) {
  const auto body = text_of_size(4000);
  const auto shared = deflate_body(body);
  EXPECT_EQ(inflated(shared.view(), 4000), body);
  EXPECT_EQ(inflated(shared.view(), 3999), "too large");
  EXPECT_EQ(inflated("\xFF\xFF\xFF"), "no deflate data");
}

// RFC 7692 section 7.2.3.5 has the first; any compressor may go on behind such a block, and refer to it.
TEST(Deflate, BlocksMayFollowALastOne) {
  const std::string hello("\xf3\x48\xcd\xc9\xc9\x07\x00", 7);
  EXPECT_EQ(inflated(hello + std::string(1, '\0')), "Hello");
  EXPECT_EQ(inflated(hello + stored_block(" world")), "Hello world");
  const std::string five_from_five_back("\x02\x13\x00", 3);
  EXPECT_EQ(inflated(hello + five_from_five_back), "HelloHello");
  EXPECT_EQ(inflated(hello + "\xFF\xFF\xFF"), "no deflate data");
  std::string many;
  for (int i = 0; i < 1000; ++i) many += std::string("\x03\x00", 2);
  EXPECT_EQ(inflated(many), "no deflate data") << "each costs more than its two bytes";
}

}  // namespace
}  // namespace fresnel::net
