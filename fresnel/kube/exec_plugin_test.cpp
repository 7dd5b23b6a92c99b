#include "fresnel/kube/exec_plugin.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/json/parse.hpp>
#include <cerrno>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <latch>
#include <thread>

namespace fresnel::kube {
namespace {

namespace fs = std::filesystem;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;

constexpr char kV1[] = "client.authentication.k8s.io/v1";
constexpr char kPlace[] = "kubeconfig F: user \"u\"";

std::string read_file(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// One get() of its own, with its answer.
class Caller {
 public:
  Caller(asio::io_context& io, const std::shared_ptr<ExecPlugin>& plugin) {
    asio::co_spawn(
        io, plugin->get(),
        asio::bind_cancellation_slot(cancel_.slot(), [this](std::exception_ptr failed, result<Credential> given) {
          if (!failed) answer_ = std::move(given);
        }));
    io.poll();
    io.restart();
  }

  void cancel() { cancel_.emit(asio::cancellation_type::terminal); }
  [[nodiscard]] bool waits() const { return !answer_; }
  [[nodiscard]] Errc error() const { return answer_ && !*answer_ ? answer_->error().code : Errc::internal; }
  [[nodiscard]] std::string message() const { return answer_ && !*answer_ ? answer_->error().message : "no error"; }
  [[nodiscard]] std::string token() const {
    if (!answer_) return "no answer";
    return *answer_ ? (*answer_)->bearer_token : answer_->error().message;
  }

 private:
  asio::cancellation_signal cancel_;
  std::optional<result<Credential>> answer_;
};

class ExecPluginTest : public testing::Test {
 protected:
  ExecPluginTest() {
    std::string pattern = (fs::temp_directory_path() / "exec_plugin_test.XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
    mkfifo((folder_ / "ready").c_str(), 0600);
    mkfifo((folder_ / "gate").c_str(), 0600);
    gate_ =
        open((folder_ / "gate").c_str(), O_RDWR | O_CLOEXEC);  // for both, so that no open() waits for the other side
  }
  ~ExecPluginTest() override {
    EXPECT_TRUE(waitpid(-1, nullptr, WNOHANG) == -1 && errno == ECHILD) << "a process is left";
    close(gate_);
    fs::remove_all(folder_);
  }

  // A plugin that does this in the test's folder, and leaves a line in "runs".
  ExecConfig config(const std::string& script) {
    const std::string path = folder_ / "plugin";
    std::ofstream(path) << "#!/bin/sh\ncd " << folder_.string() << "\necho run >> runs\n" << script << "\n";
    chmod(path.c_str(), 0700);
    ExecConfig config;
    config.api_version = kV1;
    config.command = path;
    config.working_place = kPlace;
    return config;
  }
  // Its answer is the file "status".
  ExecConfig answering(const std::string& status, const std::string& before = {}) {
    answer(status);
    return config(before + "\necho '{\"apiVersion\":\"" + kV1 +
                  "\",\"kind\":\"ExecCredential\",\"status\":'; cat status; echo '}'");
  }
  // The same, when the gate has been opened.
  ExecConfig waiting(const std::string& status) { return answering(status, "read line < gate"); }

  void answer(const std::string& status) const { std::ofstream(folder_ / "status") << status; }
  static std::string token(const std::string& token, const std::string& expires = {}) {
    return R"({"token":")" + token + (expires.empty() ? "" : R"(","expirationTimestamp":")" + expires) + "\"}";
  }
  // For the program that waits, and for some after it: each takes a line.
  void open_gate() const { EXPECT_EQ(write(gate_, "1\n2\n3\n4\n", 8), 8); }
  std::shared_ptr<ExecPlugin> make(ExecConfig config) {
    return *ExecPlugin::make(std::move(config), {.clock = clock_});
  }
  // What get() gives: a token or an error's message.
  std::string ask(const std::shared_ptr<ExecPlugin>& plugin) {
    const Caller caller(io_, plugin);
    io_.run();
    io_.restart();
    return caller.token();
  }
  std::string error_of(ExecConfig config) {
    const Caller caller(io_, make(std::move(config)));
    io_.run();
    io_.restart();
    EXPECT_EQ(caller.error(), Errc::unauthorized);
    return caller.message();
  }
  [[nodiscard]] std::size_t runs() const { return read_file(folder_ / "runs").size() / 4; }

  fs::path folder_;
  int gate_ = -1;
  std::shared_ptr<ManualClock> clock_ = std::make_shared<ManualClock>();  // 2026-01-01 00:00 UTC
  asio::io_context io_;
};

TEST_F(ExecPluginTest, RunsOnceForACredentialWithoutAnEnd) {
  const auto plugin = make(answering(token("t")));
  EXPECT_EQ(plugin->generation(), 0u);
  EXPECT_EQ(runs(), 0u);
  EXPECT_EQ(ask(plugin), "t");
  clock_->advance(std::chrono::hours(10'000));
  EXPECT_EQ(ask(plugin), "t");
  EXPECT_EQ(runs(), 1u);
  EXPECT_EQ(plugin->generation(), 1u);
}

TEST_F(ExecPluginTest, RunsAgainWhenTheCredentialHasExpired) {
  const auto plugin = make(answering(token("a", "2026-01-01T00:00:10Z")));
  EXPECT_EQ(ask(plugin), "a");
  answer(token("b", "2026-01-01T00:01:00Z"));
  clock_->advance(milliseconds(9'999));
  EXPECT_EQ(ask(plugin), "a");
  clock_->advance(milliseconds(1));
  EXPECT_EQ(ask(plugin), "b");
  EXPECT_EQ(runs(), 2u);
  EXPECT_EQ(plugin->generation(), 2u);
}

TEST_F(ExecPluginTest, GivesACredentialThatHasAlreadyExpiredForASecond) {
  const auto plugin = make(answering(token("old", "2025-12-31T23:59:59Z")));
  EXPECT_EQ(ask(plugin), "old");
  EXPECT_EQ(ask(plugin), "old");
  EXPECT_EQ(runs(), 1u);
  clock_->advance(seconds(1));
  EXPECT_EQ(ask(plugin), "old");
  EXPECT_EQ(runs(), 2u);
  EXPECT_EQ(plugin->generation(), 1u) << "it is the same one";
}

TEST_F(ExecPluginTest, RunsAgainWhenTheCredentialWasRefused) {
  const auto plugin = make(answering(token("a")));
  EXPECT_EQ(ask(plugin), "a");
  answer(token("b"));
  plugin->refused({.bearer_token = "another"});
  EXPECT_EQ(ask(plugin), "a");
  // As the API client has it, which asks as somebody else.
  plugin->refused({.bearer_token = "a", .impersonate = {.user = "alice"}});
  EXPECT_EQ(ask(plugin), "b");
  plugin->refused({.bearer_token = "a"});
  EXPECT_EQ(ask(plugin), "b");
  EXPECT_EQ(runs(), 2u);
  EXPECT_EQ(plugin->generation(), 2u);
}

TEST_F(ExecPluginTest, GivesARefusedCredentialAgainWhenThereIsNoOther) {
  const auto plugin = make(answering(token("a")));
  EXPECT_EQ(ask(plugin), "a");
  for (int many = 0; many < 5; ++many) {
    plugin->refused({.bearer_token = "a"});
    EXPECT_EQ(ask(plugin), "a");
  }
  EXPECT_EQ(runs(), 2u) << "one for all who were refused within a second";
  clock_->advance(seconds(1));
  plugin->refused({.bearer_token = "a"});
  EXPECT_EQ(ask(plugin), "a");
  EXPECT_EQ(runs(), 3u);
  EXPECT_EQ(plugin->generation(), 1u);
}

TEST_F(ExecPluginTest, ReadsCertificates) {
  const auto plugin =
      make(answering(R"({"clientCertificateData":"-----BEGIN C","clientKeyData":"-----BEGIN K","token":"t"})"));
  EXPECT_EQ(ask(plugin), "t");
}

TEST_F(ExecPluginTest, RunsOnceForThreadsThatAskAtOnce) {
  constexpr int kThreads = 8;
  const auto plugin = *ExecPlugin::make(waiting(token("t")));
  std::latch asked(kThreads);
  std::vector<std::string> given(kThreads);
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      asio::io_context io;
      const Caller caller(io, plugin);
      asked.count_down();
      io.run();
      given[static_cast<std::size_t>(i)] = caller.token();
    });
  }
  asked.wait();
  open_gate();
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(given, std::vector<std::string>(kThreads, "t"));
  EXPECT_EQ(runs(), 1u);
}

TEST_F(ExecPluginTest, ThreadsMayComeAndGoWithTheirExecutors) {
  constexpr int kThreads = 4;
  const auto plugin = *ExecPlugin::make(answering(token("t")));
  std::vector<std::string> given(kThreads);
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < 20; ++round) {
        asio::io_context cut_off;
        const Caller caller(cut_off, plugin);
        plugin->refused({.bearer_token = "t"});
        (void)plugin->generation();
      }
      asio::io_context io;
      const Caller caller(io, plugin);
      io.run();
      given[static_cast<std::size_t>(i)] = caller.token();
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(given, std::vector<std::string>(kThreads, "t"));
  EXPECT_EQ(plugin->generation(), 1u);
}

TEST_F(ExecPluginTest, ACallerThatGivesUpLeavesTheRunToTheOthers) {
  const auto plugin = make(waiting(token("t")));
  Caller first(io_, plugin);
  Caller second(io_, plugin);
  Caller third(io_, plugin);
  first.cancel();
  third.cancel();
  io_.poll();
  EXPECT_EQ(first.error(), Errc::cancelled);
  EXPECT_EQ(third.error(), Errc::cancelled);
  EXPECT_TRUE(second.waits());
  open_gate();
  io_.run();
  EXPECT_EQ(second.token(), "t");
  EXPECT_EQ(runs(), 1u);
}

TEST_F(ExecPluginTest, ARunThatNobodyWaitsForIsNotLost) {
  const auto plugin = make(waiting(token("t")));
  Caller first(io_, plugin);
  first.cancel();
  io_.poll();
  EXPECT_EQ(first.error(), Errc::cancelled);
  open_gate();
  io_.run();
  io_.restart();
  EXPECT_EQ(ask(plugin), "t");
  EXPECT_EQ(runs(), 1u);
}

TEST_F(ExecPluginTest, ForgetsACallerWhoseExecutorIsDestroyed) {
  const auto plugin = make(waiting(token("t")));
  const Caller first(io_, plugin);
  const auto holders = clock_.use_count();
  auto second_io = std::make_unique<asio::io_context>();
  const Caller second(*second_io, plugin);
  EXPECT_GT(clock_.use_count(), holders);
  second_io.reset();
  EXPECT_EQ(clock_.use_count(), holders) << "something of the caller's is still there to be woken";
  open_gate();
  io_.run();
  EXPECT_EQ(first.token(), "t");
}

TEST_F(ExecPluginTest, AnotherRunStartsWhenTheExecutorOfTheFirstIsDestroyed) {
  const auto plugin = make(waiting(token("t")));
  auto first_io = std::make_unique<asio::io_context>();
  const Caller first(*first_io, plugin);
  const Caller beside(*first_io, plugin);
  const Caller second(io_, plugin);
  const Caller third(io_, plugin);
  first_io.reset();
  EXPECT_TRUE(first.waits());
  io_.poll();
  EXPECT_TRUE(second.waits());
  open_gate();
  io_.restart();
  io_.run();
  EXPECT_EQ(second.token(), "t");
  EXPECT_EQ(third.token(), "t");
}

TEST_F(ExecPluginTest, AnotherRunStartsWhenTheExecutorOfTheFirstIsDestroyedBeforeItsRunHasBegun) {
  const auto plugin = make(answering(token("t")));
  auto first_io = std::make_unique<asio::io_context>();
  asio::co_spawn(*first_io, plugin->get(), [](std::exception_ptr, const result<Credential>&) {});
  first_io->poll_one();
  const Caller second(io_, plugin);
  first_io.reset();
  io_.run();
  EXPECT_EQ(second.token(), "t");
}

TEST_F(ExecPluginTest, AnotherRunStartsWhenTheExecutorOfTheFirstStandsStill) {
  const auto plugin = make(waiting(token("t")));
  asio::io_context first_io;
  const Caller first(first_io, plugin);
  const Caller second(io_, plugin);
  open_gate();
  clock_->advance(seconds(31));
  io_.poll();
  EXPECT_TRUE(second.waits());
  clock_->advance(seconds(1));
  io_.restart();
  io_.run();
  EXPECT_EQ(second.token(), "t");
  EXPECT_TRUE(first.waits());
  io_.restart();
  EXPECT_EQ(ask(plugin), "t");
}

TEST_F(ExecPluginTest, LeavesNoProcessBehindWhenAllIsDestroyed) {
  auto io = std::make_unique<asio::io_context>();
  auto plugin = make(waiting(token("t")));
  const Caller caller(*io, plugin);
  plugin.reset();
  io.reset();
  EXPECT_TRUE(caller.waits());  // the fixture sees to the process
}

TEST_F(ExecPluginTest, OneErrorForAllWhoAskWithinASecond) {
  const auto plugin = make(waiting("{}"));
  const Caller first(io_, plugin);
  const Caller second(io_, plugin);
  open_gate();
  io_.run();
  io_.restart();
  EXPECT_EQ(first.error(), Errc::unauthorized);
  EXPECT_EQ(second.message(), first.message());
  clock_->advance(milliseconds(999));
  EXPECT_EQ(ask(plugin), first.message());
  EXPECT_EQ(runs(), 1u);
  EXPECT_EQ(plugin->generation(), 0u);

  answer(token("t"));
  clock_->advance(milliseconds(1));
  EXPECT_EQ(ask(plugin), "t");
  EXPECT_EQ(runs(), 2u);
}

TEST_F(ExecPluginTest, SaysWhatThePluginWroteOnStandardError) {
  const auto failing = config("printf 'no\\tsession:\\n\\n \\033[1mlog in\\r\\n' >&2; echo secret; exit 7");
  EXPECT_EQ(error_of(failing),
            fmt::format("{}: exec: the plugin \"{}\" failed with exit status 7: no session: [1mlog in", kPlace,
                        failing.command));

  const auto long_text = error_of(config("head -c 3000 /dev/zero | tr '\\0' x >&2; echo ' the end' >&2; exit 1"));
  EXPECT_THAT(long_text, HasSubstr("exit status 1: ...xxx"));
  EXPECT_THAT(long_text, EndsWith("xxx the end"));
  EXPECT_LE(long_text.size(), 1024u + 200u);

  const auto broken_text = error_of(config("printf 'a\\377b\\303\\244' >&2; exit 1"));
  EXPECT_THAT(broken_text, EndsWith(": a?b??"));
  EXPECT_THAT(error_of(config("exit 1")), EndsWith("failed with exit status 1"));
  EXPECT_THAT(error_of(config("echo why >&2; kill -KILL $$")), EndsWith("was ended by signal 9: why"));
}

TEST_F(ExecPluginTest, SaysThatThereIsNoSuchPluginAndHowToGetIt) {
  auto missing = config("");
  missing.command = "fresnel-no-such-plugin";
  EXPECT_EQ(error_of(missing),
            fmt::format("{}: exec: the plugin \"fresnel-no-such-plugin\" was not found in PATH", kPlace));
  missing.install_hint = "Get it\nfrom https://example.org";
  EXPECT_THAT(error_of(missing), EndsWith("was not found in PATH: Get it from https://example.org"));
  missing.command = "/";
  EXPECT_THAT(error_of(missing), EndsWith("the plugin cannot be run: cannot run \"/\": Permission denied"));
}

TEST_F(ExecPluginTest, EndsAPluginThatTakesTooLong) {
  const auto plugin = make(config("trap '' TERM; echo asked >&2; echo x > ready; sleep 60 & wait; wait"));
  const Caller caller(io_, plugin);
  EXPECT_EQ(read_file(folder_ / "ready"), "x\n");  // it has written by now
  io_.poll();
  clock_->advance(seconds(29));
  io_.poll();
  EXPECT_TRUE(caller.waits());
  clock_->advance(seconds(1));
  io_.restart();
  io_.run();
  EXPECT_EQ(caller.error(), Errc::unauthorized);
  EXPECT_THAT(caller.message(), EndsWith("took longer than 30 s: asked"));
}

TEST_F(ExecPluginTest, RepeatsNothingOfWhatThePluginPrinted) {
  for (const char* script : {"echo secret; exit 1", "echo secret", "echo '{\"token\": \"secret\"}'",
                             "echo secret; cat /dev/zero", "echo secret; kill -9 $$"}) {
    EXPECT_THAT(error_of(config(script)), Not(HasSubstr("secret"))) << script;
  }
  const auto wrong = error_of(answering(R"({"token":["secret"]})"));
  EXPECT_THAT(wrong, EndsWith("printed cannot be used: status.token: expected a string"));
  EXPECT_THAT(error_of(config("cat /dev/zero")), EndsWith("printed more than an ExecCredential may be"));
}

TEST_F(ExecPluginTest, GivesThePluginItsEnvironmentButNoSecretsOfTheGateway) {
  setenv("FRESNEL_API_TOKENS", "secret", 1);
  setenv("HEADLAMP_TOKEN", "secret", 1);
  setenv("EXEC_PLUGIN_TEST", "outer", 1);
  setenv("EXEC_PLUGIN_TEST_KEPT", "kept", 1);
  setenv("KUBERNETES_EXEC_INFO", "stale", 1);
  auto wanted = answering(
      token("t"),
      "tr '\\0' '\\n' < /proc/$$/environ > env; printf '%s' \"$KUBERNETES_EXEC_INFO\" > info; echo \"$0 $*\" > args");
  wanted.env = {{"EXEC_PLUGIN_TEST", "inner"}, {"FRESNEL_FOR_PLUGIN", "x=y"}};
  wanted.args = {"get", "a b"};
  wanted.cluster = {.server = "https://k:6443"};
  EXPECT_EQ(ask(make(wanted)), "t");
  const auto environment = "\n" + read_file(folder_ / "env");
  EXPECT_THAT(environment, Not(HasSubstr("secret")));
  EXPECT_THAT(environment, HasSubstr("\nEXEC_PLUGIN_TEST=inner\n"));
  EXPECT_THAT(environment, Not(HasSubstr("=outer")));
  EXPECT_THAT(environment, HasSubstr("\nEXEC_PLUGIN_TEST_KEPT=kept\n"));
  EXPECT_THAT(environment, HasSubstr("\nFRESNEL_FOR_PLUGIN=x=y\n"));
  EXPECT_THAT(read_file(folder_ / "args"), EndsWith("/plugin get a b\n"));
  EXPECT_EQ(boost::json::parse(read_file(folder_ / "info")), boost::json::parse(exec_info(kV1, nullptr)));

  wanted.provide_cluster_info = true;
  EXPECT_EQ(ask(make(wanted)), "t");
  EXPECT_EQ(boost::json::parse(read_file(folder_ / "info")), boost::json::parse(exec_info(kV1, &wanted.cluster)));
  for (const char* name :
       {"FRESNEL_API_TOKENS", "HEADLAMP_TOKEN", "EXEC_PLUGIN_TEST", "EXEC_PLUGIN_TEST_KEPT", "KUBERNETES_EXEC_INFO"}) {
    unsetenv(name);
  }
}

TEST_F(ExecPluginTest, RefusesAConfigurationThatCannotWork) {
  const auto problem = [&](auto change) {
    auto wrong = config("");
    change(wrong);
    const auto made = ExecPlugin::make(std::move(wrong));
    EXPECT_TRUE(!made && made.error().code == Errc::invalid_argument);
    return made ? std::string() : made.error().message;
  };
  EXPECT_EQ(problem([](ExecConfig& c) { c.api_version = "client.authentication.k8s.io/v1alpha1"; }),
            fmt::format("{}: exec: apiVersion: expected client.authentication.k8s.io/v1 or "
                        "client.authentication.k8s.io/v1beta1, got \"client.authentication.k8s.io/v1alpha1\"",
                        kPlace));
  EXPECT_THAT(problem([](ExecConfig& c) { c.interactive_mode = ExecConfig::InteractiveMode::always; }),
              HasSubstr("exec: interactiveMode: Always needs a terminal"));
  EXPECT_THAT(problem([](ExecConfig& c) { c.command = ""; }), HasSubstr("exec: command: is missing"));
  EXPECT_THAT(problem([](ExecConfig& c) { c.env = {{"A=B", ""}}; }), HasSubstr("exec: env: "));
  EXPECT_EQ(runs(), 0u);
}

TEST_F(ExecPluginTest, HasAnIdentityOfAllThatDecidesTheCredential) {
  auto base = config("");
  base.provide_cluster_info = true;
  const auto identity = [](const ExecConfig& config) { return (*ExecPlugin::make(config))->identity(); };
  EXPECT_EQ(identity(base).size(), 64u);
  auto same = base;
  same.install_hint = "x";
  same.working_place = "y";
  EXPECT_EQ(identity(same), identity(base));
  const std::vector<std::function<void(ExecConfig&)>> changes = {
      [](ExecConfig& c) { c.api_version = "client.authentication.k8s.io/v1beta1"; },
      [](ExecConfig& c) { c.command += "x"; },
      [](ExecConfig& c) { c.args = {"a b"}; },
      [](ExecConfig& c) {
        c.args = {"a", "b"};
      },
      [](ExecConfig& c) {
        c.env = {{"a", "b"}};
      },
      [](ExecConfig& c) {
        c.env = {{"a", "c"}};
      },
      [](ExecConfig& c) { c.provide_cluster_info = false; },
      [](ExecConfig& c) { c.interactive_mode = ExecConfig::InteractiveMode::never; },
      [](ExecConfig& c) { c.cluster.server = "x"; },
      [](ExecConfig& c) { c.cluster.tls_server_name = "x"; },
      [](ExecConfig& c) { c.cluster.insecure_skip_tls_verify = true; },
      [](ExecConfig& c) { c.cluster.certificate_authority_pem = "x"; },
      [](ExecConfig& c) { c.cluster.proxy_url = "x"; },
  };
  std::vector<std::string> all = {identity(base)};
  for (const auto& change : changes) {
    auto other = base;
    change(other);
    EXPECT_THAT(all, Not(testing::Contains(identity(other)))) << all.size();
    all.push_back(identity(other));
  }
  base.provide_cluster_info = false;
  same = base;
  same.cluster.server = "x";
  EXPECT_EQ(identity(same), identity(base)) << "the program is not told of it";
}

}  // namespace
}  // namespace fresnel::kube
