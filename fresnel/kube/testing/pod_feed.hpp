// Pods that change at random, for benchmarks: texts as a kube-apiserver's watch sends them, `size` bytes each.
//
// Thread safety: one owner.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "fresnel/kube/watch_event.hpp"

namespace fresnel::kube::testing {

class PodFeed {
 public:
  PodFeed(std::size_t pods, std::size_t size) : pods_(pods), any_(0, pods - 1) {
    text_ = R"({"type":"MODIFIED","object":{"kind":"Pod","apiVersion":"v1","metadata":{"name":"checkout-7d4b9c8f6-)";
    mark(name_at_);
    text_ += R"(","namespace":"shop","uid":"8f1b9c0e-4a51-4b7e-9d02-00)";
    mark(uid_at_);
    text_ += R"(","resourceVersion":")";
    mark(version_at_);
    text_ += R"(","labels":{"app":"checkout","pod-template-hash":"7d4b9c8f6"}},"spec":{"containers":[{"env":[)";
    while (text_.size() + 96 < size) text_ += R"({"name":"LOG_LEVEL","value":"info"},)";
    const std::string_view end = R"("}]}]},"status":{"phase":"Running"}}})";
    text_ += R"({"name":"END","value":")";
    if (text_.size() + end.size() < size) text_.append(size - text_.size() - end.size(), 'x');
    text_ += end;
  }

  // The next change of any pod.
  [[nodiscard]] std::string change() { return text_of(any_(random_)); }

  // One event a pod.
  [[nodiscard]] std::vector<std::string> initial() {
    std::vector<std::string> texts;
    texts.reserve(pods_);
    for (std::size_t pod = 0; pod < pods_; ++pod) texts.push_back(text_of(pod));
    return texts;
  }

  [[nodiscard]] std::vector<std::string> changes(std::size_t count) {
    std::vector<std::string> texts;
    texts.reserve(count);
    for (std::size_t i = 0; i < count; ++i) texts.push_back(change());
    return texts;
  }

  // The text's bytes, parsed: what the bytes of a watch become.
  [[nodiscard]] static WatchEvent parsed(std::string_view text) {
    std::string own;
    own.reserve(text.size() + kParserPadding);
    own.append(text);
    return parse_watch_event(SharedBytes(std::move(own))).value();
  }

  [[nodiscard]] static std::vector<WatchEvent> parsed(const std::vector<std::string>& texts) {
    std::vector<WatchEvent> events;
    events.reserve(texts.size());
    for (const auto& text : texts) events.push_back(parsed(text));
    return events;
  }

  // The pods as a PodList.
  [[nodiscard]] std::string list() {
    std::string items;
    for (std::size_t pod = 0; pod < pods_; ++pod) {
      if (pod > 0) items += ',';
      items += parsed(text_of(pod)).object_view();
    }
    std::string text = R"({"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":")";
    return text.append(std::to_string(version_)).append(R"("},"items":[)").append(items).append("]}");
  }

 private:
  static constexpr std::size_t kDigits = 10;

  void mark(std::size_t& place) {
    place = text_.size();
    text_.append(kDigits, '0');
  }

  void put(std::size_t place, std::uint64_t number) {
    for (std::size_t i = kDigits; i > 0; --i, number /= 10) text_[place + i - 1] = static_cast<char>('0' + number % 10);
  }

  std::string text_of(std::size_t pod) {
    put(name_at_, pod);
    put(uid_at_, pod);
    put(version_at_, ++version_);
    return text_;
  }

  std::size_t pods_;
  std::string text_;
  std::size_t name_at_ = 0;
  std::size_t uid_at_ = 0;
  std::size_t version_at_ = 0;
  std::uint64_t version_ = 1'000'000'000;  // of kDigits digits, whatever follows
  std::minstd_rand random_;
  std::uniform_int_distribution<std::size_t> any_;
};

}  // namespace fresnel::kube::testing
