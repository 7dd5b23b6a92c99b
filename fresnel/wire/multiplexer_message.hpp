// The messages of the multiplexer, `GET <base-url>/wsMultiplexer`: one JSON object a WebSocket text frame.
//
//   client -> server   {"clusterId","path","query","userId","type":"REQUEST"|"CLOSE"[,"accept"][,"token"]}
//   server -> client   {"clusterId","path","query","userId","data","type":"DATA"}           data: the event as a string
//                      {"clusterId","path","query","userId","data","binary":true,"type":"DATA"}        data: base64
//                      {"clusterId","path","query","userId","type":"COMPLETE"}
//                      {"clusterId","path","query":"","userId","data","type":"STATUS"[,"requestQuery"]}
//                      {"clusterId","path","query","userId","data","type":"ERROR"}
//
// path is an absolute API path without /clusters/<name>; query has no leading '?'. encode() writes the fields in this
// order, byte for byte what Headlamp's frontend and server write. Fields that are not named here are ignored.
//
// Errors: invalid_argument with status 400; the message says which field and what was expected of it.
// Thread safety: values and pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "fresnel/base/error.hpp"

namespace fresnel::wire {

struct ClientMessage {
  enum class Type {
    request,  // start, or keep, watching
    close,    // stop the subscription with exactly these cluster, path and query
  };
  Type type = Type::request;
  std::string cluster_id;
  std::string path;
  std::string query;
  std::string user_id;  // a label, may be empty; it proves nothing
  std::string accept;   // media type wanted of the API server, empty: application/json
  std::string token;    // of REQUEST: the client's bearer token for this cluster from now on, empty: as it was

  friend bool operator==(const ClientMessage&, const ClientMessage&) = default;
};

struct ServerMessage {
  enum class Type {
    data,      // one watch event
    complete,  // the initial data has been delivered
    status,    // the state of the upstream connection
    error,     // the subscription failed
  };
  Type type = Type::data;
  std::string cluster_id;
  std::string path;
  std::string query;  // echoes the REQUEST byte for byte; empty in STATUS
  std::string user_id;
  std::string data;           // of data, status and error: un-escaped, and decoded when binary
  bool binary = false;        // of data: bytes that are no text travel as base64
  std::string request_query;  // of status: the query that the state belongs to, empty from other servers

  friend bool operator==(const ServerMessage&, const ServerMessage&) = default;
};

// Why a client message was refused, and the fields that could be read all the same, so that the answer can be routed.
struct RejectedMessage : Error {
  ClientMessage readable;
};

// Strict: all four string fields must be there; clusterId and path must not be empty.
[[nodiscard]] boost::system::result<ClientMessage, RejectedMessage> parse_client_message(std::string_view json);

// Needs `type`, clusterId and path, and data where the type has it; query and userId may be missing.
[[nodiscard]] result<ServerMessage> parse_server_message(std::string_view json);

[[nodiscard]] std::string encode(const ClientMessage& message);
[[nodiscard]] std::string encode(const ServerMessage& message);

// The data of an ERROR: {"error":"...","code":403,"reason":"Forbidden"}. code and reason are left out when unknown.
[[nodiscard]] std::string encode_error_data(const Error& error);
// Error::code comes from the HTTP code. Text that is no such object becomes the message of an `api` error.
[[nodiscard]] Error parse_error_data(std::string_view data);

// The data of a STATUS: {"state":"connecting"|"connected"|"error"|"closed","error":"..."}.
struct UpstreamStatus {
  enum class State { connecting, connected, error, closed };
  State state = State::connecting;
  std::string error;

  friend bool operator==(const UpstreamStatus&, const UpstreamStatus&) = default;
};

[[nodiscard]] std::string encode_status_data(const UpstreamStatus& status);
[[nodiscard]] result<UpstreamStatus> parse_status_data(std::string_view data);

}  // namespace fresnel::wire
