// The two servers that must agree: the simulation in a thread of this process, and a real kube-apiserver. Both know the
// users admin, who may do everything, and mallory, who may do nothing.
//
// Thread safety: requests may come from any thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace fresnel::conformance {

struct Request {
  std::string method = "GET";
  std::string path = {};  // with the query
  std::string body = {};
  std::string content_type = "application/json";
  std::string accept = {};
  std::string user = "admin";  // admin, mallory; "": no token; anything else is sent as a token nobody knows
};

struct Reply {
  int status = 0;
  std::string content_type;
  std::string body;
};

class Backend {
 public:
  virtual ~Backend() = default;
  // Throws std::runtime_error when the server does not answer.
  [[nodiscard]] virtual Reply send(const Request& request) = 0;
  // Forgets the history of Events up to now, so that an older watch of them gets 410.
  virtual void compact() = 0;
};

[[nodiscard]] std::unique_ptr<Backend> start_sim();
// The one of this program (tests/support). Throws when it cannot be started.
[[nodiscard]] std::unique_ptr<Backend> real();
// Whether there is one, or must be.
[[nodiscard]] bool real_wanted();

}  // namespace fresnel::conformance
