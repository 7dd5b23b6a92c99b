// Where a credential comes from that does not stay as it is: a token's file, an exec plugin.
//
//   auto credential = co_await source->get();
//   ... the API server answers 401 ...
//   source->refused(*credential);
//   credential = co_await source->get();   // another one, when there is one
//
// Thread safety: all functions from any thread. A source outlives the coroutines of get() through shared_ptr.
#pragma once

#include <cstdint>
#include <string>

#include "fresnel/base/asio.hpp"
#include "fresnel/base/error.hpp"
#include "fresnel/kube/credential.hpp"

namespace fresnel::kube {

class CredentialSource {
 public:
  virtual ~CredentialSource() = default;

  // Equal for sources that give the same credentials, and the same while what they give changes: it stands for them in
  // keys. SHA-256 in hex.
  [[nodiscard]] virtual const std::string& identity() const noexcept = 0;
  // The credential to ask with now; waits while it is being made. Errors: unauthorized, with what is wrong and where.
  [[nodiscard]] virtual awaitable<result<Credential>> get() = 0;
  // An API server answered `refused` with 401. When that is what the source gives now, the next get() makes another.
  virtual void refused(const Credential& refused) = 0;
  // Grows with each credential that differs from the one before it. Looks where looking costs nothing (a file's state),
  // so that whoever asks from time to time learns of a change without a request to a server.
  [[nodiscard]] virtual std::uint64_t generation() = 0;
};

}  // namespace fresnel::kube
