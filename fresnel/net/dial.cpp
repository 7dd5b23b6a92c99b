#include "fresnel/net/dial.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <exception>
#include <optional>

#include "fresnel/net/proxy.hpp"
#include "fresnel/net/proxy_handshake.hpp"

namespace fresnel::net {

using asio::ip::tcp;
using TlsStream = asio::ssl::stream<tcp::socket&>;
using InnerTlsStream = asio::ssl::stream<TlsStream&>;

namespace {

constexpr auto kNoThrow = asio::as_tuple(asio::use_awaitable);

}  // namespace

class ClientStream::Impl {
 public:
  explicit Impl(const Executor& executor) : socket(executor) {}

  // Calls `use` with the layer that carries the server's bytes.
  template <class Use>
  void with_top(const Use& use) {
    if (inner_tls) {
      use(*inner_tls);
    } else if (tls) {
      use(*tls);
    } else if (proxy_tls) {
      use(*proxy_tls);
    } else {
      use(socket);
    }
  }

  tcp::socket socket;
  std::shared_ptr<asio::ssl::context> proxy_context;
  std::shared_ptr<asio::ssl::context> context;
  std::optional<TlsStream> proxy_tls;       // with an https proxy
  std::optional<TlsStream> tls;             // with the server
  std::optional<InnerTlsStream> inner_tls;  // with the server, inside proxy_tls
};

ClientStream::executor_type ClientStream::get_executor() noexcept { return impl_->socket.get_executor(); }

bool ClientStream::is_tls() const noexcept { return impl_->tls || impl_->inner_tls; }

void ClientStream::start_read(const Pieces<asio::mutable_buffer>& space, Handler handler) {
  impl_->with_top([&](auto& layer) { layer.async_read_some(space, std::move(handler)); });
}

void ClientStream::start_write(const Pieces<asio::const_buffer>& bytes, Handler handler) {
  impl_->with_top([&](auto& layer) { layer.async_write_some(bytes, std::move(handler)); });
}

void ClientStream::start_shutdown(Handler handler) {
  impl_->with_top([&](auto& layer) {
    if constexpr (std::is_same_v<decltype(layer), tcp::socket&>) {
      error_code failed;
      layer.shutdown(tcp::socket::shutdown_both, failed);
      const auto executor = handler.get_executor();
      asio::post(executor, [failed, handler = std::move(handler)]() mutable { handler(failed); });
    } else {
      layer.async_shutdown(std::move(handler));
    }
  });
}

void ClientStream::shutdown_send() noexcept {
  error_code ignored;
  impl_->socket.shutdown(tcp::socket::shutdown_send, ignored);
}

void ClientStream::close() noexcept {
  if (!impl_) return;  // moved from
  error_code ignored;
  impl_->socket.close(ignored);
}

namespace {

// One dial(): its steps complete into it, so that a step that cannot be cancelled (a slow name server) need not be
// waited for.
class Attempt : public std::enable_shared_from_this<Attempt> {
 public:
  Attempt(const Executor& executor, std::string host, std::uint16_t port, std::optional<Proxy> proxy, Duration timeout)
      : layers_(std::make_shared<ClientStream::Impl>(executor)),
        stream_(std::make_unique<ClientStream>(layers_)),
        resolver_(executor),
        signal_(executor),
        deadline_(std::chrono::steady_clock::now() + timeout),
        host_(std::move(host)),
        port_(port),
        proxy_(std::move(proxy)) {}

  awaitable<std::optional<Error>> resolve();
  awaitable<std::optional<Error>> connect(const TcpLiveness& liveness);
  awaitable<std::optional<Error>> pass_proxy();
  awaitable<std::optional<Error>> handshake(const TlsOptions& options);
  [[nodiscard]] std::unique_ptr<ClientStream> take() { return std::move(stream_); }

 private:
  // What a step's handler does: keep its outcome and wake the coroutine.
  auto completion() {
    return [self = shared_from_this()](const error_code& failed, auto&&...) { self->complete(failed); };
  }
  void complete(const error_code& failed) {
    outcome_ = failed;
    signal_.cancel();
  }
  template <class Layer>
  awaitable<std::optional<Error>> agree(Layer& layer, std::string name, bool verifies, std::string_view doing);
  awaitable<std::optional<Error>> wait(std::string_view doing, Errc code);
  [[nodiscard]] Error failure(Errc code, std::string_view what) const {
    const auto way = proxy_ ? " through the proxy " + proxy_->name() : std::string();
    return {code, "cannot connect to " + authority_of(host_, port_) + way + ": " + std::string(what)};
  }

  std::shared_ptr<ClientStream::Impl> layers_;
  std::unique_ptr<ClientStream> stream_;
  tcp::resolver resolver_;
  asio::steady_timer signal_;
  TimePoint deadline_;
  std::string host_;
  std::uint16_t port_;
  std::optional<Proxy> proxy_;
  tcp::resolver::results_type addresses_;
  std::optional<error_code> outcome_;
  result<void> tunnel_;
};

awaitable<std::optional<Error>> Attempt::wait(std::string_view doing, Errc code) {
  if (!outcome_) {
    signal_.expires_at(deadline_);
    co_await signal_.async_wait(kNoThrow);
  }
  const auto state = co_await asio::this_coro::cancellation_state;
  const bool cancelled = state.cancelled() != asio::cancellation_type::none;
  if (cancelled || !outcome_) {
    resolver_.cancel();
    error_code ignored;
    layers_->socket.close(ignored);
    if (cancelled) co_return failure(Errc::cancelled, "cancelled");
    co_return failure(Errc::timeout, "it took too long " + std::string(doing));
  }
  const auto failed = *std::exchange(outcome_, std::nullopt);
  if (failed) co_return failure(code, failed.message());
  co_return std::nullopt;
}

awaitable<std::optional<Error>> Attempt::resolve() {
  const auto& host = proxy_ ? proxy_->host : host_;
  const auto port = std::to_string(proxy_ ? proxy_->port : port_);
  resolver_.async_resolve(host, port, [self = shared_from_this()](const error_code& failed, const auto& addresses) {
    self->addresses_ = addresses;
    self->complete(failed);
  });
  co_return co_await wait("to resolve the name", Errc::connect_failed);
}

awaitable<std::optional<Error>> Attempt::connect(const TcpLiveness& liveness) {
  asio::async_connect(layers_->socket, addresses_, completion());
  auto failed = co_await wait("to connect", Errc::connect_failed);
  if (!failed) set_tcp_options(layers_->socket.native_handle(), liveness);
  co_return failed;
}

awaitable<std::optional<Error>> Attempt::pass_proxy() {
  if (!proxy_) co_return std::nullopt;
  if (proxy_->kind == Proxy::Kind::https) {
    const TlsOptions system;  // those of dial() are the server's
    auto context = make_client_context(system);
    if (!context) co_return failure(Errc::tls_failed, context.error().message);
    layers_->proxy_context = std::move(*context);
    auto& layer = layers_->proxy_tls.emplace(layers_->socket, *layers_->proxy_context);
    auto agreeing = agree(layer, proxy_->host, true, "to agree on TLS with the proxy");
    if (auto failed = co_await std::move(agreeing)) co_return failed;
  }
  auto asking = request_tunnel(*stream_, *proxy_, host_, port_);
  auto done = [self = shared_from_this()](const std::exception_ptr& thrown, result<void> tunnel) {
    self->tunnel_ = thrown ? Error{Errc::internal, "an exception"} : std::move(tunnel);
    self->complete({});
  };
  asio::co_spawn(signal_.get_executor(), std::move(asking), std::move(done));
  if (auto failed = co_await wait("to get the proxy's answer", Errc::connect_failed)) co_return failed;
  if (!tunnel_) co_return failure(tunnel_.error().code, tunnel_.error().message);
  co_return std::nullopt;
}

awaitable<std::optional<Error>> Attempt::handshake(const TlsOptions& options) {
  auto context = make_client_context(options);
  if (!context) co_return failure(Errc::tls_failed, context.error().message);
  layers_->context = std::move(*context);
  const auto name = options.server_name.empty() ? host_ : options.server_name;
  const bool verifies = !options.insecure_skip_verify;
  constexpr std::string_view kDoing = "to agree on TLS";
  if (layers_->proxy_tls) {
    auto& layer = layers_->inner_tls.emplace(*layers_->proxy_tls, *layers_->context);
    co_return co_await agree(layer, name, verifies, kDoing);
  }
  auto& layer = layers_->tls.emplace(layers_->socket, *layers_->context);
  co_return co_await agree(layer, name, verifies, kDoing);
}

template <class Layer>
awaitable<std::optional<Error>> Attempt::agree(Layer& layer, std::string name, bool verifies, std::string_view doing) {
  auto* native = layer.native_handle();
  error_code numeric;
  asio::ip::make_address(name, numeric);
  // A numeric address is no server name (RFC 6066 section 3), but it is verified.
  if (numeric) SSL_set_tlsext_host_name(native, name.c_str());
  if (verifies) layer.set_verify_callback(asio::ssl::host_name_verification(name));
  // CONNECT and the upgrade that follows exist in this form in HTTP/1.1 only.
  constexpr std::string_view kHttp11 = "\x08http/1.1";
  SSL_set_alpn_protos(native, reinterpret_cast<const unsigned char*>(kHttp11.data()),
                      static_cast<unsigned>(kHttp11.size()));
  layer.async_handshake(Layer::client, completion());
  auto failed = co_await wait(doing, Errc::tls_failed);
  // Why a certificate was refused; OpenSSL's error says only that it was.
  const auto verdict = SSL_get_verify_result(native);
  if (failed && failed->code == Errc::tls_failed && verdict != X509_V_OK) {
    failed->message += std::string(": ") + X509_verify_cert_error_string(verdict);
  }
  co_return failed;
}

}  // namespace

awaitable<result<std::unique_ptr<ClientStream>>> dial(Executor executor, std::string host, std::uint16_t port,
                                                      std::shared_ptr<const TlsOptions> tls, Duration timeout,
                                                      std::string proxy_url, TcpLiveness liveness) {
  auto proxy = ProxyEnvironment::of_process().proxy_for(proxy_url, tls != nullptr, host, port);
  if (!proxy) {
    co_return Error{proxy.error().code, "cannot connect to " + authority_of(host, port) + ": " + proxy.error().message};
  }
  auto attempt = std::make_shared<Attempt>(executor, std::move(host), port, std::move(*proxy), timeout);
  if (auto failed = co_await attempt->resolve()) co_return *failed;
  if (auto failed = co_await attempt->connect(liveness)) co_return *failed;
  if (auto failed = co_await attempt->pass_proxy()) co_return *failed;
  if (tls) {
    if (auto failed = co_await attempt->handshake(*tls)) co_return *failed;
  }
  auto stream = attempt->take();
  co_return stream;
}

}  // namespace fresnel::net
