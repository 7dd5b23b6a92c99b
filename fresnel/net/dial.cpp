#include "fresnel/net/dial.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <optional>

namespace fresnel::net {

using asio::ip::tcp;
using TlsStream = asio::ssl::stream<tcp::socket&>;

namespace {

constexpr auto kNoThrow = asio::as_tuple(asio::use_awaitable);

}  // namespace

class ClientStream::Impl {
 public:
  explicit Impl(const Executor& executor) : socket(executor) {}

  tcp::socket socket;
  std::shared_ptr<asio::ssl::context> context;
  std::optional<TlsStream> tls;
};

ClientStream::executor_type ClientStream::get_executor() noexcept { return impl_->socket.get_executor(); }

bool ClientStream::is_tls() const noexcept { return impl_->tls.has_value(); }

void ClientStream::start_read(const Pieces<asio::mutable_buffer>& space, Handler handler) {
  if (impl_->tls) {
    impl_->tls->async_read_some(space, std::move(handler));
  } else {
    impl_->socket.async_read_some(space, std::move(handler));
  }
}

void ClientStream::start_write(const Pieces<asio::const_buffer>& bytes, Handler handler) {
  if (impl_->tls) {
    impl_->tls->async_write_some(bytes, std::move(handler));
  } else {
    impl_->socket.async_write_some(bytes, std::move(handler));
  }
}

void ClientStream::start_shutdown(Handler handler) {
  if (impl_->tls) {
    impl_->tls->async_shutdown(std::move(handler));
    return;
  }
  error_code failed;
  impl_->socket.shutdown(tcp::socket::shutdown_both, failed);
  const auto executor = handler.get_executor();
  asio::post(executor, [failed, handler = std::move(handler)]() mutable { handler(failed); });
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
  Attempt(const Executor& executor, std::string host, std::uint16_t port, Duration timeout)
      : stream_(std::make_shared<ClientStream::Impl>(executor)),
        resolver_(executor),
        signal_(executor),
        deadline_(std::chrono::steady_clock::now() + timeout),
        host_(std::move(host)),
        port_(std::to_string(port)) {}

  awaitable<std::optional<Error>> resolve();
  awaitable<std::optional<Error>> connect(const TcpLiveness& liveness);
  awaitable<std::optional<Error>> handshake(const TlsOptions& options);
  [[nodiscard]] std::shared_ptr<ClientStream::Impl> take() { return std::move(stream_); }

 private:
  // What a step's handler does: keep its outcome and wake the coroutine.
  auto completion() {
    return [self = shared_from_this()](const error_code& failed, auto&&...) { self->complete(failed); };
  }
  void complete(const error_code& failed) {
    outcome_ = failed;
    signal_.cancel();
  }
  awaitable<std::optional<Error>> wait(std::string_view doing, Errc code);
  [[nodiscard]] Error failure(Errc code, std::string_view what) const {
    return {code, "cannot connect to " + host_ + ":" + port_ + ": " + std::string(what)};
  }
  [[nodiscard]] std::string explain() const;

  std::shared_ptr<ClientStream::Impl> stream_;
  tcp::resolver resolver_;
  asio::steady_timer signal_;
  TimePoint deadline_;
  std::string host_;
  std::string port_;
  tcp::resolver::results_type addresses_;
  std::optional<error_code> outcome_;
};

awaitable<std::optional<Error>> Attempt::wait(std::string_view doing, Errc code) {
  signal_.expires_at(deadline_);
  co_await signal_.async_wait(kNoThrow);
  const auto state = co_await asio::this_coro::cancellation_state;
  const bool cancelled = state.cancelled() != asio::cancellation_type::none;
  if (cancelled || !outcome_) {
    resolver_.cancel();
    error_code ignored;
    stream_->socket.close(ignored);
    if (cancelled) co_return failure(Errc::cancelled, "cancelled");
    co_return failure(Errc::timeout, "it took too long " + std::string(doing));
  }
  const auto failed = *std::exchange(outcome_, std::nullopt);
  if (failed) co_return failure(code, code == Errc::tls_failed ? failed.message() + explain() : failed.message());
  co_return std::nullopt;
}

// Why a certificate was refused; OpenSSL's error says only that it was.
std::string Attempt::explain() const {
  const auto verdict = SSL_get_verify_result(stream_->tls->native_handle());
  return verdict == X509_V_OK ? std::string() : std::string(": ") + X509_verify_cert_error_string(verdict);
}

awaitable<std::optional<Error>> Attempt::resolve() {
  resolver_.async_resolve(host_, port_, [self = shared_from_this()](const error_code& failed, const auto& addresses) {
    self->addresses_ = addresses;
    self->complete(failed);
  });
  co_return co_await wait("to resolve the name", Errc::connect_failed);
}

awaitable<std::optional<Error>> Attempt::connect(const TcpLiveness& liveness) {
  asio::async_connect(stream_->socket, addresses_, completion());
  auto failed = co_await wait("to connect", Errc::connect_failed);
  if (!failed) set_tcp_options(stream_->socket.native_handle(), liveness);
  co_return failed;
}

awaitable<std::optional<Error>> Attempt::handshake(const TlsOptions& options) {
  auto context = make_client_context(options);
  if (!context) co_return failure(Errc::tls_failed, context.error().message);
  stream_->context = std::move(*context);
  auto& tls = stream_->tls.emplace(stream_->socket, *stream_->context);
  const auto& name = options.server_name.empty() ? host_ : options.server_name;
  error_code numeric;
  asio::ip::make_address(name, numeric);
  // A numeric address is no server name (RFC 6066 section 3), but it is verified.
  if (numeric) SSL_set_tlsext_host_name(tls.native_handle(), name.c_str());
  if (!options.insecure_skip_verify) tls.set_verify_callback(asio::ssl::host_name_verification(name));
  // The upgrade that follows exists in HTTP/1.1 only.
  constexpr std::string_view kHttp11 = "\x08http/1.1";
  SSL_set_alpn_protos(tls.native_handle(), reinterpret_cast<const unsigned char*>(kHttp11.data()),
                      static_cast<unsigned>(kHttp11.size()));
  tls.async_handshake(TlsStream::client, completion());
  co_return co_await wait("to agree on TLS", Errc::tls_failed);
}

}  // namespace

awaitable<result<std::unique_ptr<ClientStream>>> dial(Executor executor, std::string host, std::uint16_t port,
                                                      std::shared_ptr<const TlsOptions> tls, Duration timeout,
                                                      TcpLiveness liveness) {
  auto attempt = std::make_shared<Attempt>(executor, std::move(host), port, timeout);
  if (auto failed = co_await attempt->resolve()) co_return *failed;
  if (auto failed = co_await attempt->connect(liveness)) co_return *failed;
  if (tls) {
    if (auto failed = co_await attempt->handshake(*tls)) co_return *failed;
  }
  auto stream = std::make_unique<ClientStream>(attempt->take());
  co_return stream;
}

}  // namespace fresnel::net
