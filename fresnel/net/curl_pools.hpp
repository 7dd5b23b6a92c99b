// The connections of a CurlClient: a pool of its own for each proxy and each user of a proxy, and one without. A
// libcurl that lacks the mend of CVE-2026-3784 reuses a tunnel whatever credentials it was opened with: a request that
// does not know the password would pass. Internal to net.
//
// Thread safety: one thread, that of the executor.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "fresnel/net/curl_multi.hpp"
#include "fresnel/net/proxy.hpp"

namespace fresnel::net {

class CurlPools {
 public:
  explicit CurlPools(const Executor& executor) : executor_(executor) {}
  ~CurlPools();  // abandons every job
  CurlPools(const CurlPools&) = delete;
  CurlPools& operator=(const CurlPools&) = delete;

  // Pools that nobody uses make room for new ones when there are many.
  [[nodiscard]] std::shared_ptr<CurlMulti> pool_for(const std::optional<Proxy>& proxy);
  [[nodiscard]] const Executor& executor() const noexcept { return executor_; }

 private:
  Executor executor_;
  std::map<std::string, std::shared_ptr<CurlMulti>> pools_;
};

}  // namespace fresnel::net
