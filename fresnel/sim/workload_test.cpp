#include "fresnel/sim/workload.hpp"

#include <gtest/gtest.h>

#include <set>

namespace fresnel::sim {
namespace {

TEST(Workload, KeepsAboutItsNumberOfPodsAndChangesThemAll) {
  Store store;
  Resources resources(store, {.seed = 1});
  Workload workload(resources, {.pods = 40, .seed = 3});
  const auto pods = resources.types().named("pods");
  EXPECT_EQ(store.count(*pods), 40u);
  std::set<std::string> before;
  for (const auto& pod : store.list(*pods, "")) before.insert(pod->name());

  const auto revision = store.revision();
  for (int i = 0; i < 2000; ++i) workload.step();
  EXPECT_GE(store.revision(), revision + 2000);
  EXPECT_GE(store.count(*pods), 35u);
  EXPECT_LE(store.count(*pods), 45u);
  EXPECT_EQ(store.count(*pods), workload.pods());
  std::size_t kept = 0;
  for (const auto& pod : store.list(*pods, "")) kept += before.count(pod->name());
  EXPECT_LT(kept, 20u) << "rollouts replace pods";
  EXPECT_LE(store.count(*resources.types().named("events")), 201u);
}

TEST(Workload, TheSameSeedGivesTheSameLife) {
  std::vector<std::string> names[2];
  for (auto& run : names) {
    Store store;
    Resources resources(store, {.seed = 1});
    Workload workload(resources, {.pods = 20, .seed = 9});
    for (int i = 0; i < 500; ++i) workload.step();
    for (const auto& pod : store.list(*resources.types().named("pods"), "")) run.push_back(pod->name());
  }
  EXPECT_EQ(names[0], names[1]);
}

}  // namespace
}  // namespace fresnel::sim
