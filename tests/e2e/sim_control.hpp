// What only the simulation can be made to do.
#pragma once

#include <functional>

#include "fresnel/sim/cluster.hpp"

namespace fresnel::test {

// Runs the action on the simulated cluster's own thread and waits for it.
void on_sim(const std::function<void(sim::Cluster&)>& action);

}  // namespace fresnel::test
