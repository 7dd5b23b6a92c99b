// A client that writes down everything it is told about one list, and the check that ends every test: its store is the
// cluster's truth, and each object's events came in order, without repeats, the last one being the truth.
//
// Thread safety: the executor's thread.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "fresnel/client/multiplexer.hpp"

namespace fresnel::test {

using Truth = std::set<std::pair<std::string, std::string>>;  // (uid, resourceVersion)

class Recorder {
 public:
  Recorder(client::Multiplexer& multiplexer, client::SubscriptionKey key);
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  [[nodiscard]] Truth holds() const;
  [[nodiscard]] client::SubscriptionStatus status() const { return subscription_.status(); }
  [[nodiscard]] bool live() const { return status().state == client::SubscriptionState::live && status().completed; }
  [[nodiscard]] std::size_t events() const noexcept { return events_; }
  [[nodiscard]] const std::vector<std::string>& errors() const noexcept { return errors_; }
  // What is wrong with the history; empty when nothing is.
  [[nodiscard]] std::vector<std::string> faults() const;

 private:
  struct Seen {
    std::uint64_t version;
    kube::WatchEvent::Type type;
  };
  void record(const kube::WatchEvent& event);

  std::map<std::string, std::vector<Seen>> history_;
  std::map<std::string, std::string> names_;
  std::vector<std::string> errors_;
  std::size_t events_ = 0;
  client::Subscription subscription_;
};

}  // namespace fresnel::test
