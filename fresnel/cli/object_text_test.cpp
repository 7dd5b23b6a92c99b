#include "fresnel/cli/object_text.hpp"

#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <boost/json/parse.hpp>

#include "fresnel/cli/json_value.hpp"

namespace fresnel::cli {
namespace {

boost::json::value value(std::string_view text) { return parse_json(text).value(); }

TEST(PrettyJson, IsKubectls) {
  EXPECT_EQ(pretty_json(value(R"({"b":[1,{"x":true}],"a":{"z":null,"y":"<&>\n\"é"},"c":[],"d":{},"e":1.5})")),
            R"({
    "a": {
        "y": "\u003c\u0026\u003e\n\"é",
        "z": null
    },
    "b": [
        1,
        {
            "x": true
        }
    ],
    "c": [],
    "d": {},
    "e": 1.5
}
)");
}

TEST(CompactJson, IsOneLine) {
  EXPECT_EQ(compact_json(R"({"a": 1})"), R"({"a": 1})");
  EXPECT_EQ(compact_json("{\n  \"a\": [1,\n 2], \"b\": \" x\\n\"\n}"), R"({"a":[1,2],"b":" x\n"})");
}

TEST(Yaml, IsBlockStyleWithKeysInOrder) {
  EXPECT_EQ(yaml(value(R"({"kind":"Pod","apiVersion":"v1","spec":{"containers":[{"image":"nginx:1.2","name":"c"}],
                           "empty":{},"none":[]}})")),
            "apiVersion: v1\n"
            "kind: Pod\n"
            "spec:\n"
            "  containers:\n"
            "    - image: nginx:1.2\n"
            "      name: c\n"
            "  empty: {}\n"
            "  none: []\n");
}

// Read back as YAML, every string is that string, and quoted where another reader could see another type.
TEST(Yaml, StringsStayStrings) {
  for (const char* text : {"true",  "True", "no",       "ON",         "y",
                           "null",  "~",    "",         "12",         "-7",
                           "+1",    "0x1F", "0o17",     "017",        "1_000",
                           "1.5",   ".5",   "1e3",      "-1.5E+10",   ".inf",
                           "-.INF", ".nan", "12:30:45", "2026-01-31", "2026-01-31T10:00:00Z",
                           "=",     "<<"}) {
    boost::json::object object{{"k", text}};
    EXPECT_EQ(yaml(object), std::string("k: \"") + text + "\"\n");
  }
  for (const char* text :
       {"plain",   "1.2.3",   "v1",     "a: b",      "a #b", "# a",        "- a",   "[a]",   "{a",
        "'q'",     "\"q\"",   "*a",     "&a",        "!a",   "%a",         "@a",    "`a",    "|",
        ">",       " lead",   "trail ", "tab\there", "a\nb", "a\nb\n",     "a\n\n", "\na\n", "  a\nb\n",
        "a \nb\n", "nul\x01", "é✓\n",   "a\r\nb\n",  "---",  "back\\slash"}) {
    boost::json::object object{{"k", text}};
    EXPECT_EQ(YAML::Load(yaml(object))["k"].as<std::string>(), text) << yaml(object);
  }
}

TEST(Yaml, LinesAreABlock) { EXPECT_EQ(yaml(value(R"({"script":"set -e\nrun\n"})")), "script: |\n  set -e\n  run\n"); }

TEST(Yaml, OtherTypesAreThemselves) {
  EXPECT_EQ(yaml(value(R"({"a":true,"b":null,"c":3,"d":1.5,"true":1})")),
            "a: true\nb: null\nc: 3\nd: 1.5\n\"true\": 1\n");
}

TEST(KindAndName, NamesTheGroup) {
  EXPECT_EQ(kind_and_name(value(R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"web"}})")), "pod/web");
  EXPECT_EQ(kind_and_name(value(R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"}})")),
            "deployment.apps/web");
}

TEST(ParseJson, TakesDeepObjects) {
  EXPECT_TRUE(parse_json(std::string(500, '[') + std::string(500, ']')));
  EXPECT_EQ(parse_json(std::string(2000, '[') + std::string(2000, ']')).error().code, Errc::protocol);
}

}  // namespace
}  // namespace fresnel::cli
