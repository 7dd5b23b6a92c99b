// Failures as kube-apiserver tells them: the Status object (Kubernetes API conventions, "Response Status Kind") with
// the very words of the real one, so that clients and tests see no difference.
//
// Thread safety: plain values.
#pragma once

#include <boost/assert/source_location.hpp>
#include <boost/system/result.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "fresnel/sim/json.hpp"

namespace fresnel::sim {

struct ResourceType;

struct Status {
  struct Cause {
    std::string reason;
    std::string message;
    std::string field;
  };

  int code = 500;
  std::string message = {};
  std::string reason = {};
  // "details" of the body; it is written when `has_details`, even if everything in it is empty.
  bool has_details = false;
  std::string name = {};
  std::string group = {};
  std::string kind = {};
  std::vector<Cause> causes = {};
  int retry_after_seconds = 0;
  std::string continue_token = {};  // metadata.continue: how to go on with a list whose version is gone

  [[nodiscard]] json::object to_json() const;
  [[nodiscard]] std::string to_text() const;  // one line of JSON and a line feed
};

// What an API operation returns: its result, or the Status to answer with.
template <class T = void>
using outcome = boost::system::result<T, Status>;

// Called by outcome<T>::value() on a failure: throws std::runtime_error with the message. For tests and set-up.
[[noreturn]] void throw_exception_from_error(const Status& status, const boost::source_location& where);

// 400
[[nodiscard]] Status bad_request(std::string message);
[[nodiscard]] Status unauthorized();
[[nodiscard]] Status not_found(const ResourceType& type, std::string_view name);
[[nodiscard]] Status no_such_resource();
[[nodiscard]] Status method_not_allowed();
[[nodiscard]] Status not_acceptable(std::string message);
[[nodiscard]] Status already_exists(const ResourceType& type, std::string_view name);
[[nodiscard]] Status modified_meanwhile(const ResourceType& type, std::string_view name);
[[nodiscard]] Status conflict(const ResourceType& type, std::string_view name, std::string why);
[[nodiscard]] Status watch_expired();
[[nodiscard]] Status list_expired();
[[nodiscard]] Status continue_expired(std::string new_token);
[[nodiscard]] Status unsupported_media_type(std::string_view accepted);
// 422 for an object; `causes` are (reason, message, field), and the message is made of them.
[[nodiscard]] Status invalid(std::string_view group, std::string_view kind, std::string_view name,
                             std::vector<Status::Cause> causes);
// 403 by an admission rule, not for want of a right.
[[nodiscard]] Status refused(const ResourceType& type, std::string_view name, std::string why);
// 500 with kube-apiserver's bare message.
[[nodiscard]] Status internal_error(std::string message);
[[nodiscard]] Status too_large_version(std::uint64_t asked, std::uint64_t current);

}  // namespace fresnel::sim
