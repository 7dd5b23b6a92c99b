#include "fresnel/net/frame_inflater.hpp"

#include <gtest/gtest.h>

#include "fresnel/net/deflate.hpp"
#include "fresnel/net/websocket_testing.hpp"

namespace fresnel::net {
namespace {

using testing::client_frame;

constexpr int kRsv1 = 0x40;
constexpr std::size_t kMax = 64u << 10;

// A message's payload as a client compresses it.
std::string compressed(std::string text) {
  text.resize(std::max(text.size(), kDeflateThreshold), ' ');
  return std::string(deflate_body(text).view());
}
std::string padded(std::string text) {
  text.resize(std::max(text.size(), kDeflateThreshold), ' ');
  return text;
}

// What a WebSocket stream that knows no extension makes of its bytes: "opcode first-byte-flags payload-size payload".
struct Seen {
  unsigned first = 0;
  std::uint64_t size = 0;
  std::string payload;
};

std::vector<Seen> frames_in(std::string_view bytes) {
  std::vector<Seen> all;
  while (bytes.size() >= 2) {
    Seen frame;
    frame.first = static_cast<unsigned char>(bytes[0]);
    frame.size = static_cast<unsigned char>(bytes[1]) & 0x7F;
    std::size_t at = 2;
    if (frame.size >= 126) {
      const std::size_t count = frame.size == 126 ? 2 : 8;
      frame.size = 0;
      for (std::size_t i = 0; i < count; ++i) frame.size = frame.size << 8 | static_cast<unsigned char>(bytes[at++]);
    }
    const auto mask = bytes.substr(at, 4);
    at += 4;
    frame.payload = bytes.substr(std::min(at, bytes.size()), frame.size);
    for (std::size_t i = 0; i < frame.payload.size(); ++i)
      frame.payload[i] = static_cast<char>(frame.payload[i] ^ mask[i % 4]);
    bytes.remove_prefix(std::min<std::size_t>(at + frame.size, bytes.size()));
    all.push_back(std::move(frame));
  }
  return all;
}

std::string fed(std::string_view in, std::size_t piece = 1u << 20, std::size_t max = kMax) {
  FrameInflater inflater(max);
  std::string out;
  for (; !in.empty(); in.remove_prefix(std::min(piece, in.size()))) inflater.feed(in.substr(0, piece), out);
  return out;
}

TEST(FrameInflater, PlainFramesPassAsTheyAre) {
  const auto frames = client_frame(1, "hello") + client_frame(9, "") + client_frame(2, std::string(70'000, 'x')) +
                      client_frame(1, "a", false) + client_frame(0, "b") + client_frame(8, "\x03\xE8");
  for (const std::size_t piece : {1u, 7u, 100'000u}) EXPECT_EQ(fed(frames, piece), frames);
}

TEST(FrameInflater, ACompressedMessageBecomesOneFrameWhereverItIsCut) {
  const auto payload = compressed("the message");
  const auto whole = client_frame(1 | kRsv1, payload);
  const auto in_pieces = client_frame(1 | kRsv1, payload.substr(0, 10), false) + client_frame(9, "ping") +
                         client_frame(0, "", false) + client_frame(0, payload.substr(10));
  for (std::size_t piece = 1; piece < 40; ++piece) {
    const auto one = frames_in(fed(whole + client_frame(1, "next"), piece));
    ASSERT_EQ(one.size(), 2u);
    EXPECT_EQ(one[0].first, 0x81u);
    EXPECT_EQ(one[0].payload, padded("the message"));
    EXPECT_EQ(one[1].payload, "next");
    const auto parts = frames_in(fed(in_pieces, piece));
    ASSERT_EQ(parts.size(), 2u);
    EXPECT_EQ(parts[0].first, 0x89u);
    EXPECT_EQ(parts[1].payload, padded("the message"));
  }
}

TEST(FrameInflater, MessagesOfAnyLengthKeepTheirOpcode) {
  for (const std::size_t size : {1024u, 65'535u, 65'536u, 200'000u}) {
    const std::string text(size, 'y');
    const auto seen = frames_in(fed(client_frame(2 | kRsv1, deflate_body(text).view()), 1000, 1u << 20));
    ASSERT_EQ(seen.size(), 1u);
    EXPECT_EQ(seen[0].first, 0x82u);
    EXPECT_EQ(seen[0].payload, text);
  }
}

// The stream that reads the announcement ends the connection with 1009; nothing behind it gets through.
TEST(FrameInflater, ATooLargeMessageIsAnnouncedAsSuch) {
  const std::string bomb(1u << 20, 'z');
  const auto frames = client_frame(1 | kRsv1, deflate_body(bomb).view()) + client_frame(1, "after");
  const auto seen = frames_in(fed(frames));
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].size, kMax + 1);
  EXPECT_EQ(seen[0].payload, "");
  const auto endless = frames_in(
      fed(client_frame(1 | kRsv1, std::string(50'000, 'x'), false) + client_frame(0, std::string(50'000, 'x'), false)));
  ASSERT_EQ(endless.size(), 1u);
  EXPECT_EQ(endless[0].size, kMax + 1);
}

TEST(FrameInflater, WhatIsNoDeflateDataIsMadeAFault) {
  const auto seen = frames_in(fed(client_frame(1 | kRsv1, "\xFF\xFF\xFF") + client_frame(1, "after")));
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].first, 0xC1u) << "RSV1, which the stream does not know";
}

TEST(FrameInflater, MisplacedFlagsAreLeftToTheStream) {
  const auto control = client_frame(9 | kRsv1, "");
  EXPECT_EQ(fed(control), control);
  const auto unmasked = std::string("\xC1\x01x", 3);
  EXPECT_EQ(fed(unmasked), unmasked);
  const auto nested = client_frame(1 | kRsv1, "x", false) + client_frame(1 | kRsv1, "y");
  EXPECT_EQ(frames_in(fed(nested))[0].first, 0xC1u);
  const auto other_bits = client_frame(1 | kRsv1 | 0x20, "x");
  EXPECT_EQ(fed(other_bits), other_bits);
  for (const auto& long_winded : {std::string("\xC1\xFE\x00\x7D", 4) + std::string(4 + 125, 'x'),
                                  std::string("\xC1\xFF\0\0\0\0\0\0\xFF\xFF", 10) + std::string(4 + 0xFFFF, 'x')}) {
    EXPECT_EQ(fed(long_winded), long_winded);
  }
  const auto plain_inside = client_frame(1 | kRsv1, "x", false) + client_frame(1, "a message of its own");
  const auto seen = frames_in(fed(plain_inside));
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].first, 0xC1u);
}

}  // namespace
}  // namespace fresnel::net
