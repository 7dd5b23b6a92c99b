#include "fresnel/net/outbound_backlog.hpp"

#include <gtest/gtest.h>

#include <random>

namespace fresnel::net {
namespace {

std::string flatten(const OutboundBatch& batch) {
  std::string out;
  for (std::size_t i = 0; i < batch.count; ++i) {
    out.append(static_cast<const char*>(batch.parts[i].iov_base), batch.parts[i].iov_len);
  }
  EXPECT_EQ(out.size(), batch.bytes);
  return out;
}

std::string frame(char opcode, std::string_view payload) {
  std::string out(1, static_cast<char>(0x80 | opcode));
  if (payload.size() < 126) {
    out += static_cast<char>(payload.size());
  } else {
    const bool wide = payload.size() > 0xFFFF;
    out += static_cast<char>(wide ? 127 : 126);
    for (int shift = wide ? 56 : 8; shift >= 0; shift -= 8) out += static_cast<char>((payload.size() >> shift) & 0xFF);
  }
  return out.append(payload);
}

class OutboundBacklogTest : public ::testing::Test {
 protected:
  OutboundBatch gather() { return backlog_.gather(scratch_); }
  // All that is left, sent `step` bytes at a time.
  std::string drain(std::size_t step) {
    std::string out;
    while (backlog_.bytes() > 0) {
      auto piece = flatten(gather());
      piece.resize(std::min(piece.size(), step));
      EXPECT_FALSE(piece.empty());
      if (piece.empty()) break;
      backlog_.consume(piece.size());
      out += piece;
    }
    return out;
  }

  std::array<char, 64u << 10> scratch_;
  OutboundBacklog backlog_;
};

TEST_F(OutboundBacklogTest, EncodesEveryLengthOfHeader) {
  for (const std::size_t size : {0u, 1u, 125u, 126u, 127u, 256u, 257u, 65'535u, 65'536u, 200'000u}) {
    const std::string payload(size, 'x');
    backlog_.push(Opcode::text, {}, SharedBytes(payload));
    EXPECT_EQ(backlog_.bytes(), frame_header_size(size) + size);
    EXPECT_EQ(drain(SIZE_MAX), frame(1, payload)) << size;
    backlog_.push(Opcode::binary, payload, SharedBytes());
    EXPECT_EQ(drain(SIZE_MAX), frame(2, payload)) << size;
  }
}

TEST_F(OutboundBacklogTest, ARunOfTinyMessagesIsOnePart) {
  std::string expected;
  for (int i = 0; i < 5000; ++i) {
    const auto body = std::to_string(i);
    backlog_.push(Opcode::text, "p", SharedBytes(body));
    expected += frame(1, "p" + body);
  }
  const auto batch = gather();
  EXPECT_EQ(batch.count, 1u);
  EXPECT_EQ(flatten(batch), expected);
}

TEST_F(OutboundBacklogTest, CopiesSmallFramesAndRefersToLargeBodies) {
  const SharedBytes small(std::string(1000, 's'));
  const SharedBytes large(std::string(5000, 'l'));
  for (int i = 0; i < 3; ++i) backlog_.push(Opcode::text, "p", small);
  EXPECT_EQ(gather().count, 1u);
  backlog_.push(Opcode::text, "p", large);
  const auto batch = gather();
  ASSERT_EQ(batch.count, 2u);
  EXPECT_EQ(batch.parts[1].iov_base, static_cast<const void*>(large.view().data()));
  EXPECT_EQ(batch.bytes, backlog_.bytes());
}

TEST_F(OutboundBacklogTest, UrgentFramesGoAheadAtTheNextBoundary) {
  backlog_.push(Opcode::text, {}, SharedBytes(std::string_view("first")));
  backlog_.push(Opcode::text, {}, SharedBytes(std::string_view("second")));
  backlog_.consume(3);  // in the middle of the first
  const auto ping = frame(9, "p");
  const auto pong = frame(10, "q");
  backlog_.push_urgent(ping);
  backlog_.push_urgent(pong);
  EXPECT_EQ(flatten(gather()), frame(1, "first").substr(3) + ping + pong + frame(1, "second"));
  backlog_.consume(4 + 1);  // in the middle of the ping
  EXPECT_EQ(flatten(gather()), ping.substr(1) + pong + frame(1, "second"));
}

TEST_F(OutboundBacklogTest, UrgentFramesGoAheadOfFramesThatHaveNotBegun) {
  backlog_.push(Opcode::text, {}, SharedBytes(std::string_view("data")));
  backlog_.push_urgent(frame(9, ""));
  backlog_.push_raw(frame(8, "xx"));
  EXPECT_EQ(flatten(gather()), frame(9, "") + frame(1, "data") + frame(8, "xx"));
}

TEST_F(OutboundBacklogTest, StopsAtTheScratchsAndTheBatchsBounds) {
  const SharedBytes small(std::string(2000, 's'));
  for (int i = 0; i < 100; ++i) backlog_.push(Opcode::text, {}, small);
  EXPECT_LE(gather().bytes, scratch_.size());
  EXPECT_GT(gather().bytes, scratch_.size() - 2100);
  const auto all = drain(SIZE_MAX);
  EXPECT_EQ(all.size(), 100u * 2004);

  const SharedBytes large(std::string(10'000, 'l'));
  const auto count = OutboundBatch::kMaxBytes / large.size() + 10;
  for (std::size_t i = 0; i < count; ++i) backlog_.push(Opcode::text, {}, large);
  EXPECT_GE(gather().bytes, OutboundBatch::kMaxBytes);
  EXPECT_LT(gather().bytes, OutboundBatch::kMaxBytes + 10'004);
  EXPECT_EQ(drain(SIZE_MAX).size(), count * 10'004);

  const SharedBytes medium(std::string(2100, 'm'));
  for (int i = 0; i < 200; ++i) backlog_.push(Opcode::text, {}, medium);
  EXPECT_EQ(gather().count, OutboundBatch::kMaxParts);
  EXPECT_EQ(drain(SIZE_MAX).size(), 200u * 2104);
}

TEST_F(OutboundBacklogTest, AnyCutGivesTheSameBytes) {
  for (unsigned seed = 0; seed < 200; ++seed) {
    std::mt19937 random(seed);
    const auto pick = [&](std::size_t limit) { return std::uniform_int_distribution<std::size_t>(0, limit)(random); };
    std::string expected;
    std::string sent;
    for (int i = 0; i < 60; ++i) {
      const std::size_t limits[] = {10, 300, 4100, 9000, 70'000};
      const std::string prefix(pick(limits[pick(2)]), 'p');
      const std::string body(pick(limits[pick(4)]), static_cast<char>('a' + i % 26));
      backlog_.push(Opcode::text, prefix, SharedBytes(body));
      expected += frame(1, prefix + body);
      if (pick(3) == 0) {
        auto piece = flatten(gather());
        piece.resize(pick(piece.size()));
        backlog_.consume(piece.size());
        sent += piece;
      }
    }
    sent += drain(1 + pick(100'000));
    ASSERT_EQ(sent.size(), expected.size()) << seed;
    ASSERT_TRUE(sent == expected) << seed;
  }
}

}  // namespace
}  // namespace fresnel::net
