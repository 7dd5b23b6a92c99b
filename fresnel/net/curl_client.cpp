#include "fresnel/net/curl_client.hpp"

#include "fresnel/net/curl_pools.hpp"
#include "fresnel/net/curl_transfer.hpp"

namespace fresnel::net {

class CurlClient::Impl {
 public:
  Impl(const Executor& executor, const CurlClientOptions& options) : pools_(executor), options_(options) {}

  [[nodiscard]] std::unique_ptr<CurlTransfer> make_transfer(HttpRequest request) const {
    return std::make_unique<CurlTransfer>(pools_.executor(), options_, std::move(request));
  }
  [[nodiscard]] CurlPools& pools() noexcept { return pools_; }

 private:
  CurlPools pools_;
  CurlClientOptions options_;
};

CurlClient::CurlClient(const Executor& executor, CurlClientOptions options)
    : impl_(std::make_shared<Impl>(executor, options)) {}

CurlClient::~CurlClient() = default;

awaitable<result<std::unique_ptr<HttpResponse>>> CurlClient::open(HttpRequest request) {
  auto transfer = impl_->make_transfer(std::move(request));
  if (auto started = transfer->start(impl_->pools()); !started) co_return started.error();
  // From here on the transfer stands alone: the client may be destroyed, which ends it.
  if (auto arrived = co_await transfer->wait_for_header(); !arrived) co_return arrived.error();
  std::unique_ptr<HttpResponse> response = std::move(transfer);
  co_return response;
}

}  // namespace fresnel::net
