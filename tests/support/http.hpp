// One blocking HTTP request, for a test's own side of the story. The code under test is not involved.
//
// Thread safety: any thread.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

namespace fresnel::test {

struct HttpCall {
  std::string method = "GET";
  std::string url = {};
  std::vector<std::string> headers = {};  // "name: value"
  std::string body = {};
  std::string ca_file = {};  // trusted authorities for https
  std::chrono::milliseconds timeout = std::chrono::seconds(10);
};

struct HttpReply {
  int status = 0;     // 0: no response; `error` says why
  std::string body;   // of what arrived before the timeout, in case of one
  std::string error;  // empty when the response is whole
  std::vector<std::string> headers;
};

[[nodiscard]] HttpReply http(const HttpCall& call);

}  // namespace fresnel::test
