#include "fresnel/kube/token_file.hpp"

#include <fmt/format.h>

#include <utility>

#include "fresnel/base/file.hpp"
#include "fresnel/base/log.hpp"
#include "fresnel/net/digest.hpp"

namespace fresnel::kube {
namespace {

constexpr std::size_t kMaxToken = 1u << 20;

std::string trimmed(const std::string& text) {
  constexpr const char* kSpace = " \t\r\n";
  const auto first = text.find_first_not_of(kSpace);
  return first == std::string::npos ? std::string() : text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

}  // namespace

TokenFile::TokenFile(std::string path, std::string place, std::string fallback)
    : path_(std::move(path)),
      place_(std::move(place)),
      identity_(net::sha256_hex("tokenFile\n" + path_ + "\n" + net::sha256_hex(fallback))),
      token_(trimmed(fallback)),
      generation_(token_.empty() ? 0 : 1) {}

awaitable<result<Credential>> TokenFile::get() {
  const auto self = shared_from_this();
  co_return self->read();
}

result<Credential> TokenFile::read() {
  const std::lock_guard lock(mutex_);
  look();
  if (token_.empty()) {
    return Error{.code = Errc::unauthorized, .message = fmt::format("{}: {}", place_, problem_)};
  }
  Credential credential;
  credential.bearer_token = token_;
  return credential;
}

// The file may have been written twice within the clock's grain.
void TokenFile::refused(const Credential& refused) {
  const std::lock_guard lock(mutex_);
  if (refused.bearer_token == token_) stamp_ = {};
}

std::uint64_t TokenFile::generation() {
  const std::lock_guard lock(mutex_);
  look();
  return generation_;
}

void TokenFile::look() {
  const auto stamp = FileStamp::of(path_);
  if (stamp.exists && stamp == stamp_) return;
  stamp_ = stamp;
  auto text = read_file(path_, kMaxToken);
  std::string token = text ? trimmed(*text) : std::string();
  std::string problem;
  if (!text) problem = text.error().message;
  if (text && token.empty()) problem = fmt::format("\"{}\" is empty; expected a token", path_);
  if (token.find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos) {
    token.clear();
    problem = fmt::format("\"{}\" has several lines; expected one with a token", path_);
  }
  if (problem != problem_ && !problem.empty()) log::warn("{}: {}", place_, problem);
  problem_ = std::move(problem);
  if (token.empty() || token == token_) return;
  token_ = std::move(token);
  ++generation_;
}

}  // namespace fresnel::kube
