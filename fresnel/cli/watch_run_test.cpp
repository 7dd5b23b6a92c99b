#include "fresnel/cli/watch_run.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <string>

#include "fresnel/cli/commands.hpp"
#include "fresnel/kube/testing/fake_transport.hpp"

namespace fresnel::cli {
namespace {

using testing::HasSubstr;

class Pipe {
 public:
  Pipe() { EXPECT_EQ(pipe(ends_), 0); }
  ~Pipe() {
    close_reader();
    close(ends_[1]);
  }
  [[nodiscard]] Output output() const { return Output(ends_[1]); }
  void close_reader() {
    if (ends_[0] >= 0) close(ends_[0]);
    ends_[0] = -1;
  }
  // What has been written so far.
  [[nodiscard]] std::string text() const {
    int bytes = 0;
    EXPECT_EQ(ioctl(ends_[0], FIONREAD, &bytes), 0);
    std::string written(static_cast<std::size_t>(bytes), '\0');
    if (bytes == 0) return written;
    EXPECT_EQ(read(ends_[0], written.data(), written.size()), bytes);
    return written;
  }

 private:
  int ends_[2] = {-1, -1};
};

class WatchRunTest : public testing::Test {
 protected:
  WatchRunTest() {
    signal(SIGPIPE, SIG_IGN);
    transport_.answer("/api", {200, R"({"versions":["v1"]})"});
    transport_.answer("/apis", {200, R"({"groups":[]})"});
    transport_.answer("/api/v1", {200, R"({"resources":[
      {"name":"pods","kind":"Pod","namespaced":true,"verbs":["get","list","watch"],"shortNames":["po"]},
      {"name":"componentstatuses","kind":"ComponentStatus","namespaced":false,"verbs":["get","list"]}]})"});
    transport_.answer("/api/v1/namespaces/default/pods?limit=500",
                      {200, R"({"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"7"},"items":[
                        {"metadata":{"name":"web","uid":"u1","resourceVersion":"5"}}]})"});
    kube::FakeAnswer watch;
    watch.stays_open = true;
    transport_.answer("/api/v1/namespaces/default/pods", watch);
    args_.resource = "po";
    args_.output = OutputFormat::name;
  }

  int run(const std::vector<std::string>& clusters) {
    std::vector<kube::ClusterContext> contexts;
    for (const auto& name : clusters) contexts.push_back({.name = name, .server = "http://k"});
    return run_watch(io_, clock_, random_, transport_, args_, contexts, out_.output(), err_.output());
  }

  SteadyClock clock_;
  Random random_{7};
  kube::FakeTransport transport_;
  asio::io_context io_;
  ResourceArgs args_;
  Pipe out_;
  Pipe err_;
};

TEST_F(WatchRunTest, EndsWhenTheReaderHasGone) {
  out_.close_reader();
  EXPECT_EQ(run({"a"}), kExitOk);
  EXPECT_EQ(err_.text(), "");
}

TEST_F(WatchRunTest, AnUnknownResourceIsKubectlsError) {
  args_.resource = "foo";
  EXPECT_EQ(run({"a"}), kExitError);
  EXPECT_EQ(err_.text(), "error: the server doesn't have a resource type \"foo\"\n");
}

TEST_F(WatchRunTest, ARefusalIsSaidOnceAndEndsTheRun) {
  transport_.answer("/api/v1/namespaces/default/pods?limit=500",
                    {403, R"({"kind":"Status","message":"no","reason":"Forbidden","code":403})"});
  EXPECT_EQ(run({"a"}), kExitError);
  EXPECT_EQ(err_.text(), "Error from server (Forbidden): no\n");
}

TEST_F(WatchRunTest, WhatCannotBeWatchedIsSaid) {
  args_.resource = "componentstatuses";
  EXPECT_EQ(run({"a"}), kExitError);
  EXPECT_THAT(err_.text(), HasSubstr("the server cannot watch componentstatuses"));
}

TEST_F(WatchRunTest, EveryClusterThatFailsIsNamed) {
  transport_.fail(Error{Errc::connect_failed, "refused"});
  EXPECT_EQ(run({"a", "b"}), kExitError);
  const auto said = err_.text();
  EXPECT_THAT(said, HasSubstr("a: Unable to connect to the server: refused\n"));
  EXPECT_THAT(said, HasSubstr("b: Unable to connect to the server: refused\n"));
}

TEST(IsFinal, WhatTimeMayHealIsNot) {
  for (const auto code : {Errc::not_found, Errc::forbidden, Errc::unauthorized, Errc::invalid_argument}) {
    EXPECT_TRUE(is_final({code, ""}));
  }
  for (const auto code : {Errc::connect_failed, Errc::timeout, Errc::api, Errc::throttled, Errc::gone, Errc::closed}) {
    EXPECT_FALSE(is_final({code, ""}));
  }
}

}  // namespace
}  // namespace fresnel::cli
