#include "fresnel/net/http_server.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/url/authority_view.hpp>
#include <boost/url/parse.hpp>
#include <charconv>
#include <unordered_set>

#include "fresnel/base/log.hpp"
#include "fresnel/net/http_connection.hpp"
#include "fresnel/net/tcp_options.hpp"

namespace fresnel::net {
namespace {

using asio::ip::tcp;

constexpr auto kNoThrow = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kMaxRefusals = 128;  // connections being told 503 at a time; beyond, they are just closed

result<tcp::endpoint> resolve(const Executor& executor, const Endpoint& endpoint) {
  error_code failed;
  const auto address = asio::ip::make_address(endpoint.host, failed);
  if (!failed) return tcp::endpoint(address, endpoint.port);
  tcp::resolver resolver(executor);
  const auto found = resolver.resolve(endpoint.host, std::to_string(endpoint.port), tcp::resolver::passive, failed);
  if (failed || found.empty()) {
    return Error{Errc::invalid_argument, "cannot listen on " + endpoint.to_string() + ": the host is unknown"};
  }
  return found.begin()->endpoint();
}

}  // namespace

result<Endpoint> Endpoint::parse(std::string_view text) {
  const auto authority = boost::urls::parse_authority(boost::urls::string_view(text.data(), text.size()));
  bool valid = authority && !authority->has_userinfo() && !authority->encoded_host().empty() && authority->has_port();
  std::uint16_t port = 0;
  if (valid) {
    const std::string_view digits(authority->port().data(), authority->port().size());
    const auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    valid = failed == std::errc{} && end == digits.data() + digits.size();
  }
  if (!valid) {
    return Error{Errc::invalid_argument,
                 "\"" + std::string(text) + "\" is no address: expected host:port, for example 127.0.0.1:4466"};
  }
  return Endpoint{authority->host_address(), port};
}

std::string Endpoint::to_string() const {
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? '[' + host + ']' : host) + ':' + std::to_string(port);
}

std::string_view ServerRequest::path() const noexcept { return std::string_view(target).substr(0, target.find('?')); }

std::string_view ServerRequest::query() const noexcept {
  const auto mark = target.find('?');
  return mark == std::string::npos ? std::string_view() : std::string_view(target).substr(mark + 1);
}

class HttpServer::Impl : public std::enable_shared_from_this<Impl> {
 public:
  Impl(const Executor& executor, Clock& clock, HttpServerOptions options, Handler handler)
      : executor_(executor),
        clock_(clock),
        options_(options),
        handler_(std::move(handler)),
        acceptor_(executor),
        pause_(executor, clock) {}

  result<Endpoint> listen(const Endpoint& endpoint);
  void stop();
  [[nodiscard]] std::size_t connections() const noexcept { return open_.size(); }

 private:
  using Connection = std::shared_ptr<HttpConnection>;

  static awaitable<void> accept(std::shared_ptr<Impl> self);
  static awaitable<void> serve(std::shared_ptr<Impl> self, Connection connection) {
    co_await connection->serve(self->handler_);
  }
  static awaitable<void> refuse(Connection connection) { co_await connection->refuse(); }
  static awaitable<void> watch(Connection connection) { co_await connection->watch(); }
  void start(tcp::socket socket);

  Executor executor_;
  Clock& clock_;
  HttpServerOptions options_;
  Handler handler_;
  tcp::acceptor acceptor_;
  Timer pause_;
  std::unordered_set<Connection> open_;
  std::unordered_set<Connection> refused_;
  bool stopped_ = false;
};

result<Endpoint> HttpServer::Impl::listen(const Endpoint& endpoint) {
  const auto address = resolve(executor_, endpoint);
  if (!address) return address.error();
  error_code failed;
  acceptor_.open(address->protocol(), failed);
  if (!failed) acceptor_.set_option(tcp::acceptor::reuse_address(true), failed);
  if (!failed && options_.reuse_port && !set_reuse_port(acceptor_.native_handle())) {
    failed = asio::error::operation_not_supported;
  }
  if (!failed) acceptor_.bind(*address, failed);
  if (!failed) acceptor_.listen(tcp::acceptor::max_listen_connections, failed);
  if (failed) {
    error_code ignored;
    acceptor_.close(ignored);
    return Error{Errc::internal, "cannot listen on " + endpoint.to_string() + ": " + failed.message()};
  }
  const auto bound = acceptor_.local_endpoint();
  asio::co_spawn(executor_, accept(shared_from_this()), asio::detached);
  return Endpoint{bound.address().to_string(), bound.port()};
}

void HttpServer::Impl::stop() {
  stopped_ = true;
  error_code ignored;
  acceptor_.close(ignored);
  pause_.cancel();
  const auto open = open_;  // dropping one may end it
  for (const auto& connection : open) connection->drop();
  const auto refused = refused_;
  for (const auto& connection : refused) connection->drop();
}

awaitable<void> HttpServer::Impl::accept(std::shared_ptr<Impl> self) {
  while (!self->stopped_) {
    auto [failed, socket] = co_await self->acceptor_.async_accept(kNoThrow);
    if (self->stopped_) break;
    if (!failed) {
      self->start(std::move(socket));
    } else if (failed != asio::error::connection_aborted) {
      // Out of file descriptors or memory: waiting is all that helps, and a tight loop would starve what could free
      // them.
      log::warn("cannot accept a connection: {}", failed.message());
      (void)co_await self->pause_.wait_for(milliseconds(100));
    }
  }
}

void HttpServer::Impl::start(tcp::socket socket) {
  const bool admitted = open_.size() < options_.max_connections;
  if (!admitted && refused_.size() >= kMaxRefusals) return;
  auto& set = admitted ? open_ : refused_;
  auto served = options_.tls ? ServerSocket(std::move(socket), *options_.tls) : ServerSocket(std::move(socket));
  auto connection = std::make_shared<HttpConnection>(std::move(served), clock_, options_);
  set.insert(connection);
  // The handler, destroyed last, keeps the connection: its cancellation signal must outlive the coroutine.
  auto done = [self = shared_from_this(), &set, connection](const std::exception_ptr&) { set.erase(connection); };
  asio::co_spawn(executor_, watch(connection), asio::detached);
  auto work = admitted ? serve(shared_from_this(), connection) : refuse(connection);
  asio::co_spawn(executor_, std::move(work), asio::bind_cancellation_slot(connection->slot(), std::move(done)));
}

HttpServer::HttpServer(const Executor& executor, Clock& clock, HttpServerOptions options, Handler handler)
    : impl_(std::make_shared<Impl>(executor, clock, options, std::move(handler))) {}

HttpServer::~HttpServer() { stop(); }

result<Endpoint> HttpServer::listen(const Endpoint& endpoint) { return impl_->listen(endpoint); }

void HttpServer::stop() { impl_->stop(); }

std::size_t HttpServer::connections() const noexcept { return impl_->connections(); }

}  // namespace fresnel::net
