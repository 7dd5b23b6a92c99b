#include "fresnel/load/handshake.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fresnel::load {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string unmasked(std::string_view frame, std::size_t header) {
  std::string out;
  const auto mask = frame.substr(header, 4);
  const auto payload = frame.substr(header + 4);
  for (std::size_t i = 0; i < payload.size(); ++i) out += static_cast<char>(payload[i] ^ mask[i % 4]);
  return out;
}

TEST(Handshake, AsksForAWebSocket) {
  const auto plain = handshake_request({.host = "localhost:4466", .target = "/wsMultiplexer"});
  EXPECT_THAT(plain, testing::StartsWith("GET /wsMultiplexer HTTP/1.1\r\nHost: localhost:4466\r\n"));
  EXPECT_THAT(plain, testing::EndsWith("\r\n\r\n"));
  EXPECT_THAT(plain, Not(HasSubstr("Extensions")));
  EXPECT_THAT(plain, Not(HasSubstr("Authorization")));
  const auto full = handshake_request({.host = "a", .authorization = "Bearer x", .deflate = true});
  EXPECT_THAT(full, HasSubstr("\r\nAuthorization: Bearer x\r\n"));
  EXPECT_THAT(full, HasSubstr("permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n"));
}

TEST(Handshake, TakesTheAnswerAndLeavesTheFrames) {
  const std::string answer =
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
      "sec-WebSocket-extensions: permessage-deflate; server_no_context_takeover\r\n\r\n";
  const std::string bytes = answer + "\x81\x01x";
  for (std::size_t cut = 0; cut <= answer.size(); ++cut) {
    HandshakeReader reader;
    std::string_view first = std::string_view(bytes).substr(0, cut);
    auto read = reader.feed(first);
    ASSERT_TRUE(read);
    if (cut < answer.size()) {
      EXPECT_FALSE(*read);
      EXPECT_TRUE(first.empty());
      first = std::string_view(bytes).substr(cut);
      read = reader.feed(first);
      ASSERT_TRUE(read);
      EXPECT_EQ(first, "\x81\x01x");
    }
    ASSERT_TRUE(*read);
    EXPECT_TRUE((*read)->deflate);
  }
}

TEST(Handshake, KnowsThatDeflateWasNotAccepted) {
  HandshakeReader reader;
  std::string_view bytes = "HTTP/1.1 101 Switching Protocols\r\n\r\n";
  const auto read = reader.feed(bytes);
  ASSERT_TRUE(read && *read);
  EXPECT_FALSE((*read)->deflate);
}

TEST(Handshake, ARefusalTellsTheStatus) {
  HandshakeReader reader;
  std::string_view bytes = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n";
  const auto read = reader.feed(bytes);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().status, 401);
  EXPECT_THAT(read.error().message, HasSubstr("401 Unauthorized"));
}

TEST(Handshake, RefusesWhatIsNoHttpAndWhatDoesNotEnd) {
  HandshakeReader ssh;
  std::string_view greeting = "SSH-2.0-OpenSSH_9.2\r\n\r\n";
  EXPECT_FALSE(ssh.feed(greeting));
  HandshakeReader endless;
  const std::string much = "HTTP/1.1 101 OK\r\n" + std::string(HandshakeReader::kMaxHeader, 'x');
  std::string_view bytes = much;
  EXPECT_FALSE(endless.feed(bytes));
}

TEST(ClientFrame, IsMaskedWithTheShortestLength) {
  std::string out;
  append_client_frame(out, 1, "hello");
  EXPECT_EQ(out.substr(0, 2), "\x81\x85");
  EXPECT_EQ(unmasked(out, 2), "hello");

  const std::string medium(126, 'm');
  out.clear();
  append_client_frame(out, 10, medium);
  EXPECT_EQ(out.substr(0, 4), std::string("\x8A\xFE\x00\x7E", 4));
  EXPECT_EQ(unmasked(out, 4), medium);

  const std::string large(65'536, 'l');
  out.clear();
  append_client_frame(out, 1, large);
  EXPECT_EQ(out.substr(0, 10), std::string("\x81\xFF\0\0\0\0\0\x01\0\0", 10));
  EXPECT_EQ(unmasked(out, 10), large);
}

}  // namespace
}  // namespace fresnel::load
