// Asks one cluster's API server as one user, over any HttpTransport.
//
//   ApiClient client(transport, context);
//   ApiRequest request{.path = "/api/v1/pods"};
//   auto response = co_await client.request(std::move(request));
//
// An HTTP status of 400 or more is an Error built from the Kubernetes Status in the body, so that success is always
// an answer that can be used. Source: Kubernetes API conventions, "Response Status Kind".
//
// A credential that comes from a source is renewed once when the API server refuses it with 401, and the request is
// sent again; for one that stays as it is the 401 is the answer.
//
// Thread safety: one thread, that of the transport. The client must outlive its requests, the transport the client.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "fresnel/base/asio.hpp"
#include "fresnel/base/clock.hpp"
#include "fresnel/base/error.hpp"
#include "fresnel/kube/cluster_context.hpp"
#include "fresnel/net/http.hpp"

namespace fresnel::kube {

inline constexpr std::string_view kJson = "application/json";
// What requests to clusters that clients brought have as Via.
inline constexpr std::string_view kVia = "1.1 fresnel";

struct ApiRequest {
  std::string method = "GET";
  std::string path;   // absolute, without the server's path prefix: "/api/v1/pods"
  std::string query;  // percent-encoded, without '?'
  std::string accept = std::string(kJson);
  std::string body;
  std::string content_type = std::string(kJson);  // sent with a body only
  net::Headers headers;                           // further ones; they replace those that the client would set
  std::size_t max_body = 256u << 20;              // bytes; request() only
  Duration response_timeout = seconds(30);        // until the response's header; 0 = none
  Duration idle_timeout = seconds(60);            // silence within the body ends the response; 0 = none
};

struct ApiResponse {
  int status = 0;  // below 400
  net::Headers headers;
  std::string body;
};

class ApiClient {
 public:
  ApiClient(net::HttpTransport& transport, ClusterContext context);

  [[nodiscard]] const ClusterContext& context() const noexcept { return context_; }

  // The whole response. Errors: the transport's, too_large beyond max_body, or the API server's (Error::status >= 400).
  [[nodiscard]] awaitable<result<ApiResponse>> request(ApiRequest request);
  // The response as it arrives: for watches and logs. The same errors.
  [[nodiscard]] awaitable<result<std::unique_ptr<net::HttpResponse>>> open(ApiRequest request);
  // Sends what a proxied client wants: credential, TLS and proxy are put in, the URL is that of `path_and_query`. Any
  // status is an answer. Errors: the transport's, and those of the credential's source.
  [[nodiscard]] awaitable<result<std::unique_ptr<net::HttpResponse>>> forward(net::HttpRequest request,
                                                                              std::string path_and_query);

 private:
  [[nodiscard]] static net::HttpRequest build(ApiRequest request);
  [[nodiscard]] net::HttpRequest addressed(net::HttpRequest request, const ClusterContext& context,
                                           const std::string& path_and_query) const;

  net::HttpTransport& transport_;
  ClusterContext context_;
};

// The Error that a Kubernetes Status object stands for, as in a watch's ERROR event. Text that is no Status becomes
// an error with code api and says so.
[[nodiscard]] Error error_of_status(std::string_view status_json);

// The Error for an HTTP error response. A body that is no Status is quoted, shortened.
[[nodiscard]] Error status_error(int http_status, std::string_view body, const net::Headers& headers);

// Percent-encodes everything that is not unreserved (RFC 3986 section 2.3): for path segments and query values.
[[nodiscard]] std::string percent_encode(std::string_view text);

}  // namespace fresnel::kube
