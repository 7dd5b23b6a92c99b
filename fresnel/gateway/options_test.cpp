#include "fresnel/gateway/options.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace fresnel::gateway {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::optional<std::string> nothing(const std::string&) { return std::nullopt; }

TEST(Options, DefaultsAreTheDocumentedOnes) {
  const auto loaded = load_options({}, "", nothing).value();
  EXPECT_EQ(loaded.options.listen.to_string(), "127.0.0.1:4466");
  EXPECT_EQ(loaded.options.base_url, "");
  EXPECT_EQ(loaded.options.max_message, 65536u);
  EXPECT_EQ(loaded.options.linger, seconds(5));
  EXPECT_FALSE(loaded.options.allow_anonymous_clients);
  EXPECT_EQ(loaded.sources.size(), option_specs().size());
  for (const auto& [name, source] : loaded.sources) EXPECT_EQ(source, OptionSource::defaults) << name;
}

TEST(Options, TheStrongestSourceWins) {
  struct Case {
    OptionValues flags, environment, file;
    unsigned threads;
    OptionSource source;
  };
  const Case cases[] = {
      {{}, {}, {}, 0, OptionSource::defaults},
      {{}, {}, {{"threads", "1"}}, 1, OptionSource::file},
      {{}, {{"threads", "2"}}, {{"threads", "1"}}, 2, OptionSource::environment},
      {{{"threads", "3"}}, {{"threads", "2"}}, {{"threads", "1"}}, 3, OptionSource::flag},
      {{{"threads", "3"}}, {}, {{"threads", "1"}}, 3, OptionSource::flag},
      {{{"threads", "0"}}, {{"threads", "2"}}, {}, 0, OptionSource::flag},
  };
  for (const Case& c : cases) {
    const auto loaded = resolve_options(c.flags, c.environment, c.file, "f.yaml").value();
    EXPECT_EQ(loaded.options.threads, c.threads);
    EXPECT_EQ(loaded.sources.at("threads"), c.source);
  }
}

TEST(Options, ValuesAreRead) {
  const auto options = resolve_options({{"listen", "[::1]:0"},
                                        {"base-url", "/dash/fresnel/"},
                                        {"max-message", "2MiB"},
                                        {"allowed-origins", "https://a.example.com, http://localhost:3000"},
                                        {"allow-anonymous-clients", "true"},
                                        {"no-compression", "true"},
                                        {"linger", "250ms"},
                                        {"kubeconfig", "/k"},
                                        {"log-level", "debug"}},
                                       {}, {}, "")
                           .value()
                           .options;
  EXPECT_EQ(options.listen.host, "::1");
  EXPECT_EQ(options.base_url, "/dash/fresnel");
  EXPECT_EQ(options.max_message, 2u << 20);
  EXPECT_THAT(options.allowed_origins, ElementsAre("https://a.example.com", "http://localhost:3000"));
  EXPECT_TRUE(options.allow_anonymous_clients);
  EXPECT_TRUE(options.no_compression);
  EXPECT_EQ(options.linger, milliseconds(250));
  EXPECT_EQ(options.kubeconfig, "/k");
  EXPECT_EQ(options.log_level, "debug");
}

TEST(Options, AStrongerListReplacesAWeakerOne) {
  const auto options =
      resolve_options({{"allowed-origins", "http://b"}}, {}, {{"allowed-origins", "http://a"}}, "").value().options;
  EXPECT_THAT(options.allowed_origins, ElementsAre("http://b"));
}

TEST(Options, ABadValueNamesPlaceKeyAndExpectation) {
  const std::pair<const char*, const char*> bad[] = {
      {"listen", "4466"},
      {"listen", "host:99999"},
      {"base-url", "fresnel"},
      {"base-url", "/a/../b"},
      {"base-url", "/a b"},
      {"base-url", "/a//b"},
      {"base-url", "/<script>"},
      {"threads", "-1"},
      {"threads", "4x"},
      {"threads", ""},
      {"max-connections", "0"},
      {"max-message", "0"},
      {"max-message", "64KB"},
      {"max-message", "KiB"},
      {"max-message", "9999999999999GiB"},
      {"allowed-origins", "a.example.com"},
      {"allowed-origins", "a"},
      {"allow-anonymous-clients", "yes"},
      {"log-level", "loud"},
      {"linger", "5"},
      {"linger", "48h"},
      {"html-static-dir", "/no/such"},
      {"channel-jwks", "issuer.example.com/keys"},
      {"broker", "http://nats.example.com"},
      {"broker", "nats://a:4222, b:4222"},
      {"broker-prefix", "a b"},
      {"broker-prefix", ""},
      {"broker-replicas", "0"},
      {"broker-replicas", "6"},
      {"broker-wait", "1"},
  };
  for (const auto& [key, value] : bad) {
    const auto flag = resolve_options({{key, value}}, {}, {}, "f.yaml");
    ASSERT_FALSE(flag) << key << " " << value;
    EXPECT_EQ(flag.error().code, Errc::invalid_argument);
    EXPECT_THAT(flag.error().message, StartsWith("--" + std::string(key) + ": expected "));
    const auto environment = resolve_options({}, {{key, value}}, {}, "f.yaml");
    EXPECT_THAT(environment.error().message, StartsWith(environment_name(key) + ": expected "));
    const auto file = resolve_options({}, {}, {{key, value}}, "f.yaml");
    EXPECT_THAT(file.error().message, StartsWith("f.yaml: " + std::string(key) + ": expected "));
  }
}

TEST(Options, ErrorsDoNotRepeatAPassword) {
  const auto bad = resolve_options({{"broker", "nats:/user:distinctive@host"}}, {}, {}, "f.yaml");
  ASSERT_FALSE(bad);
  EXPECT_THAT(bad.error().message, ::testing::Not(HasSubstr("distinctive")));
}

TEST(Options, ChannelsAndTheirBrokerAreRead) {
  const auto options = resolve_options({{"broker", "nats://a:4222, tls://b:4222"},
                                        {"broker-prefix", "blue"},
                                        {"broker-replicas", "3"},
                                        {"broker-wait", "true"},
                                        {"channel-jwks", "https://issuer/keys"},
                                        {"channel-jwt-attributes", "team, role"}},
                                       {}, {}, "")
                           .value()
                           .options;
  EXPECT_THAT(options.broker, ElementsAre("nats://a:4222", "tls://b:4222"));
  EXPECT_EQ(options.broker_prefix, "blue");
  EXPECT_EQ(options.broker_replicas, 3u);
  EXPECT_TRUE(options.broker_wait);
  EXPECT_EQ(options.channel_jwks, "https://issuer/keys");
  EXPECT_THAT(options.channel_jwt_attributes, ElementsAre("team", "role"));
}

TEST(Options, ABadValueIsAnErrorEvenWhenHidden) {
  EXPECT_FALSE(resolve_options({{"threads", "1"}}, {}, {{"threads", "many"}}, "f.yaml"));
}

TEST(Options, EnvironmentNamesAndEmptyVariables) {
  EXPECT_EQ(environment_name("allow-anonymous-clients"), "FRESNEL_ALLOW_ANONYMOUS_CLIENTS");
  const auto values = options_from_environment([](const std::string& name) -> std::optional<std::string> {
    if (name == "FRESNEL_LISTEN") return "0.0.0.0:80";
    if (name == "FRESNEL_THREADS") return "";
    return std::nullopt;
  });
  EXPECT_EQ(values, (OptionValues{{"listen", "0.0.0.0:80"}}));
}

TEST(OptionsFile, ReadsScalarsAndLists) {
  const auto values =
      parse_options_file(
          "listen: 0.0.0.0:80\nallow-anonymous-clients: true\nallowed-origins:\n- http://a\n- http://b\n", "f.yaml")
          .value();
  EXPECT_EQ(values, (OptionValues{{"listen", "0.0.0.0:80"},
                                  {"allow-anonymous-clients", "true"},
                                  {"allowed-origins", "http://a,http://b"}}));
  EXPECT_TRUE(parse_options_file("", "f.yaml").value().empty());
  EXPECT_TRUE(parse_options_file("# nothing\n", "f.yaml").value().empty());
}

TEST(OptionsFile, ErrorsNameFileLineAndKey) {
  const std::pair<const char*, const char*> bad[] = {
      {"listen: a:1\nmax-mesage: 1\n", "f.yaml:2: max-mesage: unknown option; expected one of kubeconfig, in-cluster"},
      {"threads: 1\nthreads: 2\n", "f.yaml:2: threads: given twice"},
      {"threads: [1]\n", "f.yaml:1: threads: expected a single value"},
      {"threads:\n", "f.yaml:1: threads: expected a single value"},
      {"allowed-origins: [{a: b}]\n", "f.yaml:1: allowed-origins: expected a list of texts"},
      {"- listen\n", "f.yaml: expected a mapping"},
      {"listen: [\n", "f.yaml:"},
      {"? [a]\n: b\n", "f.yaml:1: (not a text): unknown option"},
  };
  for (const auto& [yaml, message] : bad) {
    const auto parsed = parse_options_file(yaml, "f.yaml");
    ASSERT_FALSE(parsed) << yaml;
    EXPECT_THAT(parsed.error().message, StartsWith(message));
  }
}

TEST(OptionsFile, ConfigFlagBeatsItsEnvironmentVariableAndMustExist) {
  const auto path =
      std::filesystem::temp_directory_path() / ("fresnel_options_test_" + std::to_string(::getpid()) + ".yaml");
  std::ofstream(path) << "threads: 5\n";
  const auto environment = [](const std::string& name) -> std::optional<std::string> {
    if (name == "FRESNEL_CONFIG") return "/no/such/file.yaml";
    return std::nullopt;
  };
  const auto loaded = load_options({}, path.string(), environment);
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->options.threads, 5u);
  std::ofstream(path) << "threads: 5\nchannels: {news: {history-size: 7}}\n";
  const auto with_channels = load_options({}, path.string(), environment);
  ASSERT_TRUE(with_channels) << with_channels.error().message;
  EXPECT_EQ(channel_options(with_channels->options.channels, "news").value().history_size, 7u);
  for (const auto* bad : {"channels: 3\n", "channels: {}\nchannels: {news: {}}\n"}) {
    std::ofstream(path) << bad;
    EXPECT_THAT(load_options({}, path.string(), environment).error().message, HasSubstr("channels: ")) << bad;
  }
  std::filesystem::remove(path);
  const auto missing = load_options({}, "", environment);
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().message, HasSubstr("/no/such/file.yaml"));
}

}  // namespace
}  // namespace fresnel::gateway
