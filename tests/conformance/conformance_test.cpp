// The simulation against kube-apiserver: every script's transcript must be the same on both.
//
// With a real server at hand (KUBEBUILDER_ASSETS; required when CI is set) the two are compared directly. Without one
// the simulation is compared with transcripts that were recorded from kube-apiserver 1.20.2 (expected/*.json). To
// record them anew: FRESNEL_RECORD=1 with the real server.
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>

#include "tests/conformance/scripts.hpp"

namespace fresnel::conformance {
namespace {

std::filesystem::path expected_file(const std::string& script) {
  return std::filesystem::path(FRESNEL_CONFORMANCE_EXPECTED) / (script + ".json");
}

json::array transcript_of(const Script& script, Backend& backend) {
  Transcript transcript(backend);
  script.run(transcript);
  return transcript.steps();
}

json::array recorded(const std::string& script) {
  std::ifstream file(expected_file(script));
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  return from_lines(text);
}

class ConformanceTest : public ::testing::TestWithParam<Script> {
 protected:
  // From the real server once for each script: its cases share it.
  static const json::array& reference(const Script& script) {
    static std::map<std::string, json::array> kKept;
    auto found = kKept.find(script.name);
    if (found == kKept.end()) {
      auto steps = real_wanted() ? transcript_of(script, *real()) : recorded(script.name);
      found = kKept.emplace(script.name, std::move(steps)).first;
    }
    return found->second;
  }

  static void compare(const json::array& expected, const json::array& actual) {
    for (std::size_t i = 0; i < std::min(expected.size(), actual.size()); ++i) {
      EXPECT_EQ(expected[i], actual[i]) << "step " << i << " of the script";
    }
    EXPECT_EQ(expected.size(), actual.size());
  }
};

TEST_P(ConformanceTest, TheSimulationAnswersAsKubeApiserver) {
  const auto sim = start_sim();
  compare(reference(GetParam()), transcript_of(GetParam(), *sim));
}

// There are such cases only where there is a real server.
class RecordedTranscript : public ConformanceTest {};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(RecordedTranscript);

TEST_P(RecordedTranscript, IsTheRealServers) {
  const auto version = json::serialize(Transcript(*real()).quietly({"GET", "/version"}).at("gitVersion"));
  const auto& steps = reference(GetParam());
  if (std::getenv("FRESNEL_RECORD") != nullptr) std::ofstream(expected_file(GetParam().name)) << to_lines(steps);
  // Debian's build of 1.20.2 has no version stamped in.
  ASSERT_TRUE(version.find("v1.20.") != std::string::npos || version.find("v0.0.0-master") != std::string::npos)
      << "recorded from 1.20, and this is " << version;
  compare(recorded(GetParam().name), steps);
}

INSTANTIATE_TEST_SUITE_P(Scripts, ConformanceTest, ::testing::ValuesIn(scripts()),
                         [](const auto& info) { return info.param.name; });
INSTANTIATE_TEST_SUITE_P(Scripts, RecordedTranscript,
                         ::testing::ValuesIn(real_wanted() ? scripts() : std::vector<Script>()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace fresnel::conformance
