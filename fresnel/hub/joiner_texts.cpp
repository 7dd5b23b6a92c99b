#include "fresnel/hub/joiner_texts.hpp"

#include <algorithm>
#include <utility>

namespace fresnel::hub {
namespace {

constexpr Duration kKeep = seconds(1);  // after the last joiner

std::uint64_t number(const kube::WatchEvent& event) {
  return kube::parse_resource_version(event.resource_version).value_or(0);
}

std::vector<EventPtr> in_order_of_version(std::vector<EventPtr> events) {
  std::vector<std::pair<std::uint64_t, EventPtr>> numbered;
  numbered.reserve(events.size());
  for (auto& event : events) {
    const auto version = number(event->event);
    numbered.emplace_back(version, std::move(event));
  }
  std::stable_sort(numbered.begin(), numbered.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  events.clear();
  for (auto& [version, event] : numbered) events.push_back(std::move(event));
  return events;
}

}  // namespace

std::shared_ptr<const std::vector<EventPtr>> JoinerTexts::state(const kube::ObjectIndex& objects, Forms forms) {
  if (!state_ || (!state_->empty() && !state_->front()->forms.include(forms))) {
    std::vector<EventPtr> state;
    state.reserve(objects.size());
    for (const auto& [identity, event] : objects) {
      state.push_back(text(added_, identity, event, kube::WatchEvent::Type::added, forms));
    }
    state_ = std::make_shared<const std::vector<EventPtr>>(in_order_of_version(std::move(state)));
  }
  keep();
  return state_;
}

std::vector<EventPtr> JoinerTexts::difference(const kube::ObjectIndex& objects, std::uint64_t version,
                                              std::vector<EventPtr> deleted, Forms forms) {
  std::vector<EventPtr> events;
  for (const auto& [identity, event] : objects) {
    if (number(event) > version)
      events.push_back(text(modified_, identity, event, kube::WatchEvent::Type::modified, forms));
  }
  std::move(deleted.begin(), deleted.end(), std::back_inserter(events));
  keep();
  return in_order_of_version(std::move(events));
}

const EventPtr& JoinerTexts::text(Texts& texts, const std::string& identity, const kube::WatchEvent& event,
                                  kube::WatchEvent::Type type, Forms forms) {
  EventPtr& made = texts[identity];
  if (made && made->event.resource_version == event.resource_version) {
    made = with_forms(made, forms, *metrics_);
  } else {
    made = publish(kube::with_type(event, type), forms, *metrics_);
  }
  return made;
}

EventPtr JoinerTexts::bookmark(std::string_view kind, std::string_view api_version, std::uint64_t version, bool initial,
                               Forms forms) {
  const auto text = std::to_string(version);
  EventPtr& made = bookmarks_[initial ? 1 : 0];
  if (made && made->event.resource_version == text) {
    made = with_forms(made, forms, *metrics_);
  } else {
    made = publish(kube::make_bookmark_event(kind, api_version, text, initial), forms, *metrics_);
  }
  return made;
}

void JoinerTexts::forget(const kube::WatchEvent& deleted) {
  if (added_.empty() && modified_.empty()) return;
  const auto identity = kube::object_identity(deleted);
  added_.erase(identity);
  modified_.erase(identity);
}

void JoinerTexts::clear() {
  state_.reset();
  added_.clear();
  modified_.clear();
}

void JoinerTexts::keep() {
  until_ = clock_.now() + kKeep;
  end_.call_at(until_, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (self && self->clock_.now() >= self->until_) self->clear();
  });
}

}  // namespace fresnel::hub
