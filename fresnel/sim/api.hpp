// Requests to responses, without sockets: authentication, routing and the verbs. A watch or an upgrade is handed back
// for the server to carry out.
//
// Thread safety: one thread.
#pragma once

#include <string>
#include <variant>

#include "fresnel/net/http_server.hpp"
#include "fresnel/sim/authorizer.hpp"
#include "fresnel/sim/encoding.hpp"
#include "fresnel/sim/request.hpp"
#include "fresnel/sim/resources.hpp"
#include "fresnel/sim/watch_stream.hpp"

namespace fresnel::sim {

struct Response {
  int status = 200;
  std::string body;
  std::string content_type = "application/json";

  Response() = default;
  Response(int code, std::string text) : status(code), body(std::move(text)) {}
  Response(const Status& failure) : status(failure.code), body(failure.to_text()) {}  // NOLINT(*-explicit-*)
};

// An upgrade of pods/exec, attach or portforward: its messages are to be echoed.
struct EchoRequest {};

using Answer = std::variant<Response, WatchRequest, EchoRequest>;

class Api {
 public:
  Api(Resources& resources, Authorizer& authorizer) : resources_(resources), authorizer_(authorizer) {}

  // Told to clients by /api; the listener's host:port.
  void set_address(std::string address) { address_ = std::move(address); }

  // Whether watches may ask for a streaming list.
  void set_streaming_lists(bool on) { streaming_lists_ = on; }

  [[nodiscard]] Answer handle(const net::ServerRequest& request);

 private:
  struct Call;  // a request to a resource, resolved

  [[nodiscard]] Response serve_path(const net::ServerRequest& request, const RequestInfo& info);
  [[nodiscard]] Response openapi(std::string_view path, std::string_view accept) const;
  [[nodiscard]] Response review(const net::ServerRequest& request, const RequestInfo& info, const User& user);
  [[nodiscard]] Answer serve_resource(const net::ServerRequest& request, const RequestInfo& info, const Query& query);
  [[nodiscard]] Answer serve_pod_stream(const Call& call);
  [[nodiscard]] Answer dispatch(const Call& call);
  [[nodiscard]] Response get(const Call& call);
  [[nodiscard]] Answer list_or_watch(const Call& call);
  [[nodiscard]] Response list(const Call& call, const ListOptions& options, const Encoding& encoding);
  [[nodiscard]] Response create(const Call& call);
  [[nodiscard]] Response update(const Call& call);
  [[nodiscard]] Response patch(const Call& call);
  [[nodiscard]] Response remove(const Call& call);
  [[nodiscard]] Response remove_all(const Call& call);

  Resources& resources_;
  Authorizer& authorizer_;
  std::string address_;
  bool streaming_lists_ = false;
};

}  // namespace fresnel::sim
