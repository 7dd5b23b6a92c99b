#include "fresnel/net/curl_pools.hpp"

namespace fresnel::net {
namespace {

constexpr std::size_t kMaxPools = 32;  // from here on those without a job go

// None of the parts has a control character.
std::string key_of(const std::optional<Proxy>& proxy) {
  return proxy ? proxy->name() + "\n" + proxy->username + "\n" + proxy->password : std::string();
}

}  // namespace

CurlPools::~CurlPools() {
  for (const auto& [key, pool] : pools_) pool->shutdown();
}

std::shared_ptr<CurlMulti> CurlPools::pool_for(const std::optional<Proxy>& proxy) {
  auto key = key_of(proxy);
  if (const auto found = pools_.find(key); found != pools_.end()) return found->second;
  if (pools_.size() >= kMaxPools) {
    std::erase_if(pools_, [](const auto& entry) { return entry.second->jobs() == 0; });
  }
  return pools_.emplace(std::move(key), std::make_shared<CurlMulti>(executor_)).first->second;
}

}  // namespace fresnel::net
