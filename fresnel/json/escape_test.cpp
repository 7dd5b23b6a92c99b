#include "fresnel/json/escape.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <random>

namespace fresnel::json {
namespace {

std::string escaped(std::string_view text) {
  std::string out;
  append_escaped(out, text);
  EXPECT_EQ(out.size(), escaped_size(text));
  return out;
}

// One character at a time, straight from the RFC.
std::string escaped_slowly(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\b': out += "\\b"; break;
      case '\f': out += "\\f"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
        } else {
          out += c;
        }
    }
  }
  return out;
}

TEST(Escape, EscapesEveryControlCharacter) {
  for (int i = 0; i < 0x20; ++i) {
    const std::string text(1, static_cast<char>(i));
    EXPECT_EQ(escaped(text), escaped_slowly(text)) << "U+00" << i;
  }
  EXPECT_EQ(escaped("\b\f\n\r\t"), R"(\b\f\n\r\t)");
  EXPECT_EQ(escaped(std::string_view("\0\x1f", 2)), R"(\u0000\u001f)");
}

TEST(Escape, EscapesQuotesAndBackslashes) { EXPECT_EQ(escaped(R"({"a":"\\n"})"), R"({\"a\":\"\\\\n\"})"); }

TEST(Escape, PassesUtf8AndDelThrough) {
  const std::string text = "Zürich \u2603 \U0001F680 \x7f / <>&'";
  EXPECT_EQ(escaped(text), text);
}

TEST(Escape, CopiesLongCleanRuns) {
  for (std::size_t length = 0; length < 200; ++length) {
    const std::string text(length, 'x');
    EXPECT_EQ(escaped(text), text);
  }
  const std::string megabyte(1u << 20, '\xc3');
  EXPECT_EQ(escaped(megabyte), megabyte);
}

TEST(Escape, FindsADirtyByteAtEveryOffset) {
  for (std::size_t length = 1; length < 70; ++length) {
    for (std::size_t at = 0; at < length; ++at) {
      for (const char dirty : {'"', '\x01', '\n', '\\'}) {
        std::string text(length, 'x');
        text[at] = dirty;
        ASSERT_EQ(escaped(text), escaped_slowly(text)) << "length " << length << ", offset " << at;
      }
    }
  }
}

TEST(Escape, AgreesWithTheSlowWayOnRandomBytes) {
  std::mt19937 random(1);
  for (int round = 0; round < 2000; ++round) {
    std::string text(random() % 100, '\0');
    const unsigned kinds = 1 + random() % 256;
    for (char& c : text) c = static_cast<char>(random() % kinds);
    ASSERT_EQ(escaped(text), escaped_slowly(text));
  }
}

TEST(Escape, AppendsAfterWhatIsThere) {
  std::string out = "{\"name\":";
  append_quoted(out, "a\"b");
  EXPECT_EQ(out, R"({"name":"a\"b")");
}

TEST(Escape, AParserReadsItBack) {
  std::string text;
  for (int i = 0; i < 0x80; ++i) text.push_back(static_cast<char>(i));
  text += "Zürich \u2603 \U0001F680";
  std::string out;
  append_quoted(out, text);
  EXPECT_EQ(boost::json::parse(out).as_string(), text);
}

}  // namespace
}  // namespace fresnel::json
