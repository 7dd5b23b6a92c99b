// What libnats is told of a connection, but for its callbacks.
//
// Thread safety: plain functions.
#pragma once

#include <memory>

#include "fresnel/broker/nats_connection.hpp"

struct __natsOptions;  // NOLINT(bugprone-reserved-identifier): the name that libnats has given it

namespace fresnel::broker {

struct NatsOptionsEnd {
  void operator()(__natsOptions* options) const noexcept;
};
using NatsOptionsPtr = std::unique_ptr<__natsOptions, NatsOptionsEnd>;

// Throws std::runtime_error, without secrets, for servers or files that cannot be used.
[[nodiscard]] NatsOptionsPtr make_nats_options(const NatsConnectionOptions& options);

}  // namespace fresnel::broker
