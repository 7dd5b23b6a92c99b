#include "fresnel/gateway/token_routes.hpp"

#include <array>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <utility>

#include "fresnel/gateway/credentials.hpp"
#include "fresnel/gateway/responses.hpp"
#include "fresnel/kube/api_client.hpp"

namespace fresnel::gateway {
namespace {

namespace json = boost::json;

constexpr std::size_t kMaxToken = 16u << 10;  // bytes; every request brings it, beside other clusters'
constexpr std::size_t kMaxReview = 1u << 20;  // bytes
// Newest first: v1 since Kubernetes 1.28.
constexpr std::array<std::string_view, 3> kVersions = {"v1", "v1beta1", "v1alpha1"};

Error bad(std::string message) {
  return Error{.code = Errc::invalid_argument, .message = std::move(message), .status = 400};
}

// status.userInfo as the frontend reads it.
result<std::string> me_of(std::string_view review) {
  boost::system::error_code failed;
  const auto value = json::parse(json::string_view(review.data(), review.size()), failed);
  const auto* user = failed ? nullptr : value.find_pointer("/status/userInfo", failed);
  if (failed || user == nullptr || !user->is_object()) {
    return Error{Errc::protocol, "the API server's SelfSubjectReview names no user"};
  }
  json::object me;
  const auto* name = user->as_object().if_contains("username");
  const auto* groups = user->as_object().if_contains("groups");
  me["username"] = name != nullptr && name->is_string() ? *name : json::value("");
  me["email"] = "";
  me["groups"] = groups != nullptr && groups->is_array() ? *groups : json::value(json::array());
  me["userInfoURL"] = "";
  return json::serialize(me);
}

}  // namespace

result<std::string> parse_set_token(std::string_view body) {
  boost::system::error_code failed;
  const auto value = json::parse(json::string_view(body.data(), body.size()), failed);
  if (failed || !value.is_object()) return bad("expected a JSON object with the text \"token\"");
  const auto* token = value.get_object().if_contains("token");
  if (token == nullptr || token->is_null()) return std::string();  // how Headlamp's frontend logs out
  if (!token->is_string()) return bad("token: expected a text");
  std::string text(token->get_string());
  if (!text.empty() && !is_token(text)) return bad("token: expected visible ASCII, as in an Authorization field");
  if (text.find_first_of(",;\\\"") != std::string::npos) return bad("token: expected no comma, semicolon or quote");
  if (text.size() > kMaxToken) return bad("token: expected at most 16 KiB");
  return text;
}

awaitable<int> serve_me(net::HttpExchange& exchange, net::HttpTransport& transport, kube::ClusterContext cluster,
                        net::Headers extra) {
  kube::ApiClient client(transport, std::move(cluster));
  Error error{Errc::not_found, "the API server has no SelfSubjectReview"};
  for (const auto version : kVersions) {
    const std::string group = "authentication.k8s.io/" + std::string(version);
    kube::ApiRequest request;
    request.method = "POST";
    request.path = "/apis/" + group + "/selfsubjectreviews";
    request.body = R"({"kind":"SelfSubjectReview","apiVersion":")" + group + R"("})";
    request.max_body = kMaxReview;
    auto asking = client.request(std::move(request));
    const auto review = co_await std::move(asking);
    if (review) {
      auto me = me_of(review->body);
      if (me) co_return co_await respond_json(exchange, *std::move(me), std::move(extra));
      error = me.error();
      break;
    }
    error = review.error();
    if (error.code != Errc::not_found) break;
  }
  std::string message = error.message;
  co_return co_await respond_status(exchange, http_status_of(error), std::move(message), std::move(extra));
}

}  // namespace fresnel::gateway
