#include "fresnel/load/frame_parser.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace fresnel::load {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Writes down what the parser tells, one line each.
class Recorder final : public FrameHandler {
 public:
  void on_message(const ReceivedMessage& message) override {
    lines.push_back(std::string(message.binary ? "binary " : "text ") + (message.compressed ? "deflated " : "") +
                    std::to_string(message.size) + " " + std::string(message.head));
  }
  void on_control(int opcode, std::string_view payload) override {
    lines.push_back("control " + std::to_string(opcode) + " " + std::string(payload));
  }
  std::vector<std::string> lines;
};

// A server's frame; `first` is FIN, RSV and the opcode.
std::string frame(int first, std::string_view payload) {
  std::string out(1, static_cast<char>(first));
  const auto size = payload.size();
  const int bytes = size < 126 ? 0 : size <= 0xFFFF ? 2 : 8;
  out += static_cast<char>(bytes == 0 ? size : bytes == 2 ? 126 : 127);
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) out += static_cast<char>(size >> shift & 0xFF);
  return out.append(payload);
}

std::vector<std::string> parse(std::string_view bytes, std::size_t piece, std::size_t head_limit = 16) {
  FrameParser parser(head_limit);
  Recorder recorder;
  for (; !bytes.empty(); bytes.remove_prefix(std::min(piece, bytes.size()))) {
    const auto fed = parser.feed(bytes.substr(0, piece), recorder);
    if (!fed) recorder.lines.push_back(fed.error().message);
    if (!fed) return recorder.lines;
  }
  EXPECT_FALSE(parser.in_message());
  return recorder.lines;
}

std::string error_of(std::string_view bytes) {
  const auto lines = parse(bytes, bytes.size());
  return lines.empty() ? "" : lines.back();
}

TEST(FrameParser, CountsMessagesOfEveryLengthCutAnywhere) {
  const std::string sizes16(126, 'b');
  const std::string sizes64(70'000, 'c');
  const auto bytes = frame(0x81, "") + frame(0x81, "hello") + frame(0x82, sizes16) + frame(0xC1, sizes64) +
                     frame(0x88, std::string("\x03\xE8", 2));
  const std::vector<std::string> expected = {"text 0 ", "text 5 hello", "binary 126 bbbbbbbbbbbbbbbb",
                                             "text deflated 70000 cccccccccccccccc", "control 8 \x03\xE8"};
  EXPECT_EQ(parse(bytes, bytes.size()), expected);
  for (const std::size_t piece : {1u, 2u, 3u, 7u, 125u, 4096u}) EXPECT_EQ(parse(bytes, piece), expected) << piece;
}

TEST(FrameParser, SplitsOnceAtEveryByte) {
  const auto bytes = frame(0x81, std::string(130, 'x')) + frame(0x89, "are you there") + frame(0x81, "{}");
  const auto expected = parse(bytes, bytes.size());
  ASSERT_EQ(expected.size(), 3u);
  for (std::size_t cut = 1; cut < bytes.size(); ++cut) {
    FrameParser parser(16);
    Recorder recorder;
    ASSERT_TRUE(parser.feed(bytes.substr(0, cut), recorder));
    ASSERT_TRUE(parser.feed(bytes.substr(cut), recorder));
    EXPECT_EQ(recorder.lines, expected) << cut;
  }
}

TEST(FrameParser, JoinsFragmentsAroundControlFrames) {
  const auto bytes = frame(0x41, "abc") + frame(0x89, "ping") + frame(0x00, "") + frame(0x8A, "pong") +
                     frame(0x80, "defgh") + frame(0x81, "next");
  for (const std::size_t piece : {std::size_t{1}, bytes.size()}) {
    EXPECT_THAT(parse(bytes, piece),
                ElementsAre("control 9 ping", "control 10 pong", "text deflated 8 abcdefgh", "text 4 next"));
  }
}

TEST(FrameParser, KeepsNoMoreOfAMessageThanTheHead) {
  EXPECT_THAT(parse(frame(0x81, "abcdef"), 1, 0), ElementsAre("text 6 "));
  EXPECT_THAT(parse(frame(0x81, "abcdef"), 2, 3), ElementsAre("text 6 abc"));
  const std::string large(10'000, 'y');
  EXPECT_THAT(parse(frame(0x81, large), 999, 1u << 20),
              ElementsAre("text 10000 " + std::string(FrameParser::kMaxHead, 'y')));
}

TEST(FrameParser, RefusesWhatIsNotRfc6455) {
  EXPECT_THAT(error_of(frame(0xA1, "x")), HasSubstr("RSV2"));
  EXPECT_THAT(error_of(frame(0xC9, "x")), HasSubstr("RSV1"));
  EXPECT_THAT(error_of(std::string("\x81\x81\0\0\0\0x", 7)), HasSubstr("masked"));
  EXPECT_THAT(error_of(frame(0x83, "x")), HasSubstr("opcode 3"));
  EXPECT_THAT(error_of(frame(0x8B, "x")), HasSubstr("opcode 11"));
  EXPECT_THAT(error_of(frame(0x80, "x")), HasSubstr("continuation"));
  EXPECT_THAT(error_of(frame(0x01, "x") + frame(0x81, "y")), HasSubstr("inside a fragmented"));
  EXPECT_THAT(error_of(frame(0x09, "x")), HasSubstr("fragmented control"));
  EXPECT_THAT(error_of(frame(0x89, std::string(126, 'x'))), HasSubstr("125"));
  EXPECT_THAT(error_of(std::string("\x81\x7F\x80\0\0\0\0\0\0\0", 10)), HasSubstr("highest bit"));
}

}  // namespace
}  // namespace fresnel::load
