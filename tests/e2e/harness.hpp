// One cluster, one gateway in a process of its own, and the two links between them and the clients:
//
//   clients --client_link--> fresnel serve --server_link--> API server
//
// Thread safety: the test's thread.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fresnel/base/clock.hpp"
#include "tests/e2e/cluster.hpp"
#include "tests/e2e/link.hpp"
#include "tests/e2e/raw_client.hpp"
#include "tests/e2e/recorder.hpp"
#include "tests/support/ports.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/support/wait.hpp"

namespace fresnel::test {

class EndToEnd : public testing::TestWithParam<std::string> {
 protected:
  EndToEnd();
  ~EndToEnd() override;
  void TearDown() override;

  void start_gateway(std::vector<std::string> extra = {});
  // As another user than the administrator.
  void use_kubeconfig(std::string text) { kubeconfig_ = std::move(text); }
  void kill_gateway() { gateway_->kill(); }

  [[nodiscard]] std::unique_ptr<client::Multiplexer> connect();
  [[nodiscard]] std::string gateway_url(std::string_view scheme = "http") const;
  [[nodiscard]] std::shared_ptr<RawClient> raw(std::string_view path, net::Headers headers = {},
                                               std::vector<std::string> protocols = {});
  [[nodiscard]] std::shared_ptr<RawClient> raw_multiplexer() { return raw("/wsMultiplexer"); }
  // The path of a direct watch socket on this test's configmaps.
  [[nodiscard]] std::string direct_path(std::string_view query) const;
  [[nodiscard]] std::string list_path() const { return configmaps(ns_); }
  [[nodiscard]] std::string request(std::string_view query, std::string_view user = "user") const;
  [[nodiscard]] std::string close_message(std::string_view query, std::string_view user = "user") const;
  [[nodiscard]] client::SubscriptionKey key(std::string query = {}) const { return {kCluster, list_path(), query}; }

  [[nodiscard]] bool until(const std::function<bool()>& predicate, std::chrono::milliseconds timeout = 30s) {
    return run_until(io_, predicate, timeout);
  }
  // The check that ends every test.
  void expect_truth(Recorder& recorder, std::string_view selector = "");
  // A value of the gateway's /metrics, summed over its labels.
  [[nodiscard]] double metric(std::string_view name) const;

  static constexpr const char* kCluster = "east";
  Cluster& cluster_;
  SteadyClock clock_;
  boost::asio::io_context io_;
  TempDir dir_;
  std::string ns_;
  std::string kubeconfig_;  // empty: the administrator's
  Link server_link_;
  std::uint16_t gateway_port_ = free_port();
  Link client_link_{gateway_port_};
  std::optional<Process> gateway_;
};

// name -> suites in cluster_kinds() order.
struct KindName {
  std::string operator()(const testing::TestParamInfo<std::string>& info) const { return info.param; }
};

}  // namespace fresnel::test
