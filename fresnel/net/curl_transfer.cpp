#include "fresnel/net/curl_transfer.hpp"

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <charconv>
#include <stdexcept>

#include "fresnel/net/digest.hpp"
#include "fresnel/net/tcp_options.hpp"

namespace fresnel::net {
namespace {

constexpr auto kNoThrow = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kMaxHeader = 256u << 10;
constexpr std::size_t kMaxRead = 256u << 10;

Errc code_of(CURLcode code) {
  switch (code) {
    case CURLE_OPERATION_TIMEDOUT: return Errc::timeout;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_PROXY: return Errc::connect_failed;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_SSL_ENGINE_INITFAILED:
    case CURLE_SSL_CLIENTCERT: return Errc::tls_failed;
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM: return Errc::closed;
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_WRITE_ERROR:
    case CURLE_UNSUPPORTED_PROTOCOL: return Errc::protocol;
    case CURLE_URL_MALFORMAT: return Errc::invalid_argument;
    default: return Errc::internal;
  }
}

std::string_view trim(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

// Fields that libcurl makes itself, or that mean one connection only (RFC 9110 section 7.6.1).
bool is_connection_field(std::string_view name) {
  static constexpr std::array<std::string_view, 5> kOwn{"connection", "keep-alive", "transfer-encoding",
                                                        "content-length", "upgrade"};
  return std::any_of(kOwn.begin(), kOwn.end(), [&](std::string_view own) { return equal_ignoring_case(name, own); });
}

std::string part_of(CURLU* url, CURLUPart part, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, flags) != CURLUE_OK) return {};
  std::string copy(text);
  curl_free(text);
  return copy;
}

bool append(std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)>& list, const std::string& line) {
  auto* longer = curl_slist_append(list.get(), line.c_str());
  if (longer == nullptr) return false;
  (void)list.release();
  list.reset(longer);
  return true;
}

// CURL_BLOB_NOCOPY would do, but the request outlives the handle only by care; a copy a request is cheap.
curl_blob blob_of(const std::string& text) { return {const_cast<char*>(text.data()), text.size(), CURL_BLOB_COPY}; }

// libcurl 7.88 shares a connection between requests of one certificate without comparing their keys, so that whoever
// knows a certificate, which is public, would pass for its owner. Text behind a PEM block means nothing to OpenSSL, but
// libcurl compares it: a digest of the key there keeps them apart.
std::string marked_certificate(const TlsOptions& tls) {
  return tls.client_cert_pem + "\n" + sha256_hex(tls.client_key_pem);
}

}  // namespace

CurlTransfer::CurlTransfer(const Executor& executor, const CurlClientOptions& options, HttpRequest request)
    : options_(options),
      request_(std::move(request)),
      easy_(curl_easy_init(), &curl_easy_cleanup),
      url_(curl_url(), &curl_url_cleanup),
      header_list_(nullptr, &curl_slist_free_all),
      connect_to_(nullptr, &curl_slist_free_all),
      signal_(executor),
      message_(CURL_ERROR_SIZE, '\0') {
  if (easy_ == nullptr || url_ == nullptr) throw std::bad_alloc();
}

CurlTransfer::~CurlTransfer() {
  if (multi_) multi_->cancel(*this);
}

template <class Value>
void CurlTransfer::set(CURLoption option, Value value) noexcept {
  curl_easy_setopt(easy_.get(), option, value);
}

result<void> CurlTransfer::start(CurlPools& pools) {
  if (auto valid = set_url(); !valid) return valid;
  if (auto valid = set_proxy(); !valid) return valid;
  if (auto valid = set_headers(); !valid) return valid;
  set_method();
  set(CURLOPT_PRIVATE, static_cast<CurlJob*>(this));
  set(CURLOPT_ERRORBUFFER, message_.data());
  set(CURLOPT_HEADERFUNCTION, &CurlTransfer::on_header);
  set(CURLOPT_HEADERDATA, this);
  set(CURLOPT_WRITEFUNCTION, &CurlTransfer::on_body);
  set(CURLOPT_WRITEDATA, this);
  set(CURLOPT_SOCKOPTFUNCTION, &CurlTransfer::on_socket_open);
  set(CURLOPT_SOCKOPTDATA, this);
  set(CURLOPT_PREREQFUNCTION, &CurlTransfer::on_connected);
  set(CURLOPT_PREREQDATA, this);
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_QUICK_EXIT, 1L);  // cancelling while a name is being resolved must not wait for the resolver
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_PATH_AS_IS, 1L);
  set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);  // a proxy's answer is not the response
  set(CURLOPT_HTTP_VERSION, static_cast<long>(options_.http2 ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1));
  const auto connect = std::chrono::duration_cast<milliseconds>(request_.connect_timeout).count();
  set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(std::max<milliseconds::rep>(connect, 1)));
  set_tls(request_.tls ? *request_.tls : TlsOptions());
  multi_ = pools.pool_for(proxy_);
  if (!multi_->add(*this)) return Error{Errc::cancelled, "the HTTP client has been shut down"};
  return {};
}

result<void> CurlTransfer::set_url() {
  if (curl_url_set(url_.get(), CURLUPART_URL, request_.url.c_str(), CURLU_PATH_AS_IS) != CURLUE_OK) {
    return Error{Errc::invalid_argument, "the URL of the request cannot be parsed: expected http(s)://host:port/path"};
  }
  const auto scheme = part_of(url_.get(), CURLUPART_SCHEME);
  const auto host = part_of(url_.get(), CURLUPART_HOST);
  const auto port = part_of(url_.get(), CURLUPART_PORT, CURLU_DEFAULT_PORT);
  origin_ = scheme + "://" + host + ":" + port;
  // Waiting to learn whether a connection can be shared pays only where it can: with TLS, which negotiates HTTP/2.
  set(CURLOPT_PIPEWAIT, options_.http2 && scheme == "https" ? 1L : 0L);
  if (scheme == "https" && request_.tls && !request_.tls->server_name.empty()) {
    // libcurl verifies and announces the URL's host: so that becomes the wanted name, and the connection still goes to
    // the real host, which the Host field names.
    const auto& name = request_.tls->server_name;
    const auto given_port = part_of(url_.get(), CURLUPART_PORT);
    if (curl_url_set(url_.get(), CURLUPART_HOST, name.c_str(), 0) != CURLUE_OK ||
        !append(connect_to_, name + ":" + port + ":" + host + ":" + port)) {
      return Error{Errc::invalid_argument, "the TLS server name for " + origin_ + " is no host name"};
    }
    if (!request_.headers.has("host"))
      request_.headers.add("Host", given_port.empty() ? host : host + ":" + given_port);
    set(CURLOPT_CONNECT_TO, connect_to_.get());
  }
  set(CURLOPT_CURLU, url_.get());
  return {};
}

result<void> CurlTransfer::set_proxy() {
  const bool tls = part_of(url_.get(), CURLUPART_SCHEME) == "https";
  // The URL may have the TLS server name for its host by now; what counts is where the connection goes.
  auto target = origin_.substr(origin_.find("://") + 3);
  const auto colon = target.rfind(':');
  std::uint16_t port = 0;
  std::from_chars(target.data() + colon + 1, target.data() + target.size(), port);
  target.resize(colon);
  if (target.starts_with('[')) target = target.substr(1, target.size() - 2);
  auto proxy = ProxyEnvironment::of_process().proxy_for(request_.proxy_url, tls, target, port);
  if (!proxy) return Error{proxy.error().code, "no request to " + origin_ + ": " + proxy.error().message};
  proxy_ = std::move(*proxy);
  // Unset, both would come from the environment, by libcurl's rules instead of ours.
  set(CURLOPT_NOPROXY, proxy_ ? "" : "*");
  const auto address = proxy_ ? authority_of(proxy_->host, proxy_->port) : std::string();
  set(CURLOPT_PROXY, address.c_str());
  if (!proxy_) return {};
  using Kind = Proxy::Kind;
  set(CURLOPT_PROXYTYPE, static_cast<long>(proxy_->kind == Kind::http    ? CURLPROXY_HTTP
                                           : proxy_->kind == Kind::https ? CURLPROXY_HTTPS
                                                                         : CURLPROXY_SOCKS5_HOSTNAME));
  set(CURLOPT_HEADEROPT, static_cast<long>(CURLHEADER_SEPARATE));  // the server's headers are none of its business
  set(CURLOPT_PROXYAUTH, static_cast<long>(CURLAUTH_BASIC));
  set(CURLOPT_SOCKS5_AUTH, static_cast<long>(CURLAUTH_BASIC));
  if (proxy_->has_credentials()) {
    set(CURLOPT_PROXYUSERNAME, proxy_->username.c_str());
    set(CURLOPT_PROXYPASSWORD, proxy_->password.c_str());
  }
  // The request's TlsOptions are the server's; a proxy is held to the system's roots.
  set(CURLOPT_PROXY_SSL_VERIFYPEER, 1L);
  set(CURLOPT_PROXY_SSL_VERIFYHOST, 2L);
  set(CURLOPT_PROXY_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  if (const auto roots = system_roots_file(); !roots.empty()) set(CURLOPT_PROXY_CAINFO, roots.c_str());
  return {};
}

std::string CurlTransfer::whereto() const {
  return proxy_ ? origin_ + " through the proxy " + proxy_->name() : origin_;
}

// Whether the request goes to the proxy itself, which passes it on, instead of through a tunnel.
bool CurlTransfer::is_forwarded() const noexcept {
  return proxy_ && proxy_->kind != Proxy::Kind::socks5 && origin_.starts_with("http://");
}

result<void> CurlTransfer::set_headers() {
  for (const auto& [name, value] : request_.headers) {
    const auto breaks = [](const std::string& text) { return text.find_first_of(std::string_view("\r\n\0", 3)); };
    if (name.empty() || breaks(name) != std::string::npos || breaks(value) != std::string::npos) {
      return Error{Errc::invalid_argument, "a header field for " + origin_ + " has a line break or no name"};
    }
    if (is_connection_field(name)) continue;
    if (!append(header_list_, value.empty() ? name + ";" : name + ": " + value)) throw std::bad_alloc();
  }
  // A large body would otherwise wait a second for an invitation that few servers send.
  (void)append(header_list_, "Expect:");
  if (!request_.headers.has("content-type")) (void)append(header_list_, "Content-Type:");
  if (!request_.headers.has("accept-encoding")) {
    decodes_ = true;
    set(CURLOPT_ACCEPT_ENCODING, "gzip");
  }
  set(CURLOPT_HTTPHEADER, header_list_.get());
  return {};
}

void CurlTransfer::set_method() {
  const auto& method = request_.method;
  if (method == "HEAD") {
    set(CURLOPT_NOBODY, 1L);
    return;
  }
  const bool has_body = !request_.body.empty() || method == "POST" || method == "PUT" || method == "PATCH";
  if (has_body) {
    set(CURLOPT_POST, 1L);
    set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request_.body.size()));
    set(CURLOPT_POSTFIELDS, request_.body.data());
  }
  set(CURLOPT_CUSTOMREQUEST, method.c_str());
}

void CurlTransfer::set_tls(const TlsOptions& tls) {
  set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  if (tls.insecure_skip_verify) {
    set(CURLOPT_SSL_VERIFYPEER, 0L);
    set(CURLOPT_SSL_VERIFYHOST, 0L);
  } else if (!tls.ca_pem.empty()) {
    auto authorities = blob_of(tls.ca_pem);
    set(CURLOPT_CAINFO_BLOB, &authorities);
    // Only those: the system's folder of authorities would stay in force beside the blob.
    set(CURLOPT_CAPATH, static_cast<const char*>(nullptr));
  } else if (const auto roots = system_roots_file(); !roots.empty()) {
    set(CURLOPT_CAINFO, roots.c_str());
  }
  if (!tls.client_cert_pem.empty()) {
    const auto marked = marked_certificate(tls);
    auto certificate = blob_of(marked);
    auto key = blob_of(tls.client_key_pem);
    set(CURLOPT_SSLCERT_BLOB, &certificate);
    set(CURLOPT_SSLCERTTYPE, "PEM");
    set(CURLOPT_SSLKEY_BLOB, &key);
    set(CURLOPT_SSLKEYTYPE, "PEM");
    set(CURLOPT_KEYPASSWD, "");  // an encrypted key must be an error, not a question on the terminal
  }
}

int CurlTransfer::on_socket_open(void* self, curl_socket_t socket, curlsocktype) noexcept {
  const auto& options = static_cast<CurlTransfer*>(self)->options_;
  set_tcp_options(socket, {options.keep_alive_idle, options.keep_alive_interval, options.user_timeout});
  return CURL_SOCKOPT_OK;
}

int CurlTransfer::on_connected(void* self, char* to, char* from, int to_port, int from_port) noexcept {
  static_cast<CurlTransfer*>(self)->connection_ =
      std::string(from) + " " + std::to_string(from_port) + " " + to + " " + std::to_string(to_port);
  return CURL_PREREQFUNC_OK;
}

std::size_t CurlTransfer::on_header(char* line, std::size_t size, std::size_t count, void* self) noexcept {
  const std::size_t length = size * count;
  return static_cast<CurlTransfer*>(self)->take_header_line(std::string_view(line, length)) ? length : 0;
}

bool CurlTransfer::take_header_line(std::string_view line) {
  if (stage_ != Stage::header) return true;  // trailers
  header_size_ += line.size();
  if (header_size_ > kMaxHeader) return false;
  if (line.starts_with("HTTP/")) {
    // Each status line starts over: those before it were interim responses (RFC 9110 section 15.2).
    headers_ = {};
    status_ = 0;
    const auto space = line.find(' ');
    if (space == std::string_view::npos) return false;
    const auto digits = trim(line.substr(space));
    return std::from_chars(digits.data(), digits.data() + digits.size(), status_).ec == std::errc();
  }
  const auto text = trim(line);
  if (!text.empty()) {
    const auto colon = text.find(':');
    if (colon == std::string_view::npos) return true;
    headers_.add(std::string(trim(text.substr(0, colon))), std::string(trim(text.substr(colon + 1))));
    return true;
  }
  if (status_ < 200) return true;
  if (status_ == 407 && is_forwarded()) {  // a proxy's own status (RFC 9110 section 15.5.8), not the server's
    proxy_refused_ = true;
    return false;
  }
  if (decodes_ && headers_.has("content-encoding")) {
    headers_.remove("content-encoding");
    headers_.remove("content-length");
  }
  stage_ = Stage::body;
  signal_.cancel();
  return true;
}

std::size_t CurlTransfer::on_body(char* bytes, std::size_t size, std::size_t count, void* self) noexcept {
  return static_cast<CurlTransfer*>(self)->take_body(std::string_view(bytes, size * count));
}

std::size_t CurlTransfer::take_body(std::string_view bytes) {
  if (!buffer_.empty() && buffer_.size() + bytes.size() > options_.max_buffered) {
    paused_ = true;
    return CURL_WRITEFUNC_PAUSE;
  }
  buffer_.append(bytes);
  signal_.cancel();
  return bytes.size();
}

void CurlTransfer::finished(CURLcode code) noexcept {
  if (code == CURLE_OK && stage_ != Stage::header) return end(std::nullopt);
  end(describe(code == CURLE_OK ? CURLE_WEIRD_SERVER_REPLY : code));
}

Error CurlTransfer::describe(CURLcode code) const {
  std::string text = "the request to " + whereto() + " failed: ";
  if (proxy_) {
    long answer = 0;  // to CONNECT
    curl_easy_getinfo(easy_.get(), CURLINFO_HTTP_CONNECTCODE, &answer);
    if (proxy_refused_) answer = 407;
    if (answer >= 300) {
      return {Errc::connect_failed, text + describe_refusal(static_cast<int>(answer))};
    }
  }
  const std::string_view detail = message_.c_str();
  text += detail.empty() ? std::string_view(curl_easy_strerror(code)) : detail;
  auto kind = code_of(code);
  // Whatever goes wrong with a proxy before there is a connection means that there is none.
  if (proxy_ && connection_.empty() && (kind == Errc::closed || kind == Errc::protocol)) kind = Errc::connect_failed;
  return {kind, std::move(text)};
}

void CurlTransfer::abandoned() noexcept { end(Error{Errc::cancelled, "the HTTP client has been shut down"}); }

void CurlTransfer::end(std::optional<Error> failure) noexcept {
  multi_->cancel(*this);
  if (stage_ == Stage::header) status_ = 0;  // no response
  stage_ = Stage::ended;
  failure_ = std::move(failure);
  signal_.cancel();
}

// Waits until something has changed. The error is timeout or cancelled.
awaitable<std::optional<Error>> CurlTransfer::wait(TimePoint deadline, std::string_view waiting_for) {
  signal_.expires_at(deadline);
  const auto [woken] = co_await signal_.async_wait(kNoThrow);
  const auto state = co_await asio::this_coro::cancellation_state;
  if (state.cancelled() != asio::cancellation_type::none) {
    co_return Error{Errc::cancelled, "the request to " + whereto() + " was cancelled"};
  }
  if (!woken) co_return Error{Errc::timeout, whereto() + " sent " + std::string(waiting_for) + " for too long"};
  co_return std::nullopt;
}

awaitable<result<void>> CurlTransfer::wait_for_header() {
  const auto deadline = request_.response_timeout > Duration::zero()
                            ? std::chrono::steady_clock::now() + request_.response_timeout
                            : TimePoint::max();
  while (stage_ == Stage::header) {
    auto failed = co_await wait(deadline, "no response");
    if (stage_ == Stage::header && failed) end(std::move(failed));
  }
  if (failure_ && status_ == 0) co_return *failure_;
  co_return result<void>();
}

awaitable<result<std::string>> CurlTransfer::read() {
  const auto deadline = request_.idle_timeout > Duration::zero()
                            ? std::chrono::steady_clock::now() + request_.idle_timeout
                            : TimePoint::max();
  while (buffer_.empty() && stage_ != Stage::ended) {
    auto failed = co_await wait(deadline, "nothing");
    if (buffer_.empty() && stage_ != Stage::ended && failed) end(std::move(failed));
  }
  if (buffer_.empty() && failure_) co_return *failure_;
  std::string part = std::move(buffer_);
  buffer_.clear();
  if (part.size() > kMaxRead) {
    buffer_ = part.substr(kMaxRead);
    part.resize(kMaxRead);
  }
  resume();
  co_return part;
}

// A pause taken back is the one thing that makes libcurl 7.88 write to the connection.
void CurlTransfer::flush_connection() noexcept {
  if (stage_ == Stage::ended) return;
  if (!paused_) curl_easy_pause(easy_.get(), CURLPAUSE_RECV);
  paused_ = false;  // when the buffer is still full, it is paused again
  curl_easy_pause(easy_.get(), CURLPAUSE_CONT);
}

// Takes up a paused transfer; libcurl hands over at once what it kept.
void CurlTransfer::resume() {
  if (!paused_ || stage_ == Stage::ended) return;
  paused_ = false;
  curl_easy_pause(easy_.get(), CURLPAUSE_CONT);
}

}  // namespace fresnel::net
