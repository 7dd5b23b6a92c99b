#include "fresnel/client/shared_subscription.hpp"

#include <algorithm>
#include <exception>
#include <utility>

#include "fresnel/base/log.hpp"
#include "fresnel/kube/api_client.hpp"

namespace fresnel::client {
namespace {

using Type = kube::WatchEvent::Type;
using Knowledge = ObjectStore::Knowledge;

Error handler_error(std::string_view what) {
  return Error{.code = Errc::internal, .message = "a subscription's handler threw: " + std::string(what)};
}

// Calls on_error; what that throws has nowhere to go but the log.
void fail(const SharedSubscription::Listener& listener, const Error& error) noexcept {
  if (!listener.active || !listener.handlers.on_error) return;
  try {
    listener.handlers.on_error(error);
  } catch (const std::exception& thrown) {
    log::warn("a subscription's on_error threw: {}", thrown.what());
  } catch (...) {
    log::warn("a subscription's on_error threw");
  }
}

// Calls one handler of one listener.
template <class Handler, class... Arguments>
void call(const SharedSubscription::Listener& listener, const Handler& handler, const Arguments&... arguments) {
  if (!listener.active || !handler) return;
  try {
    handler(arguments...);
  } catch (const std::exception& thrown) {
    fail(listener, handler_error(thrown.what()));
  } catch (...) {
    fail(listener, handler_error("no std::exception"));
  }
}

// The version to watch from is no longer available (Kubernetes API conventions: 410 Gone, reason Expired or Gone).
bool is_gone(const Error& error) noexcept {
  return error.code == Errc::gone || error.reason == "Expired" || error.reason == "Gone";
}

}  // namespace

SharedSubscription::SharedSubscription(const Clock& clock, SubscriptionKey key, WatchQuery query)
    : clock_(clock),
      key_(std::move(key)),
      query_(std::move(query)),
      store_(query_.start_version().empty() ? Knowledge::whole : Knowledge::partial),
      version_(query_.start_version()) {
  store_.on_change([this](const kube::WatchEvent& event) {
    if (event.type == Type::deleted && !query_.start_version().empty()) replayable_ = false;
    tell(event);
  });
}

SubscriptionStatus SharedSubscription::status() const {
  SubscriptionStatus status{
      .state = state_, .completed = completed_, .resource_version = version_, .last_error = last_error_};
  if (last_event_) status.last_event_age = clock_.now() - *last_event_;
  return status;
}

std::shared_ptr<SharedSubscription::Listener> SharedSubscription::add(SubscriptionHandlers handlers,
                                                                      bool wants_bookmarks) {
  auto listener = std::make_shared<Listener>();
  listener->handlers = std::move(handlers);
  listener->wants_bookmarks = wants_bookmarks;
  listeners_.push_back(listener);
  return listener;
}

void SharedSubscription::remove(const std::shared_ptr<Listener>& listener) noexcept {
  listener->active = false;
  std::erase(listeners_, listener);
}

bool SharedSubscription::replay(const std::shared_ptr<Listener>& listener) {
  if (!listener->active || listener->ready) return true;
  listener->ready = true;
  if (!replayable_) {
    // What it listed itself at that version may be gone since, and nobody here knows which of it.
    tell_one(*listener, kube::make_expired_event("events between the version asked for and now are no longer known"));
  }
  const auto snapshot = store_.snapshot();
  for (const auto& object : *snapshot) tell_one(*listener, kube::with_type(*object, Type::added));
  const bool is_whole = replayable_ || store_.knowledge() == Knowledge::whole;
  if (completed_ && is_whole) call(*listener, listener->handlers.on_complete);
  if (state_ == SubscriptionState::failed && last_error_) fail(*listener, *last_error_);
  return is_whole;
}

void SharedSubscription::begin_request(std::string wire_query) {
  wire_query_ = std::move(wire_query);
  if (version_.empty()) begin_resync();
}

void SharedSubscription::restart_fresh() {
  wire_query_.clear();
  version_.clear();
}

void SharedSubscription::begin_resync() {
  version_.clear();
  resync_version_.clear();
  completed_ = false;
  // A store that had nothing yet has nothing that a listener could miss.
  if (!query_.start_version().empty()) replayable_ = false;
  store_.begin_replace();
}

void SharedSubscription::on_data(std::string event_json) {
  auto event = kube::parse_watch_event(SharedBytes(kube::padded_for_parser(std::move(event_json))));
  if (!event) {
    report(event.error());
    return;
  }
  last_event_ = clock_.now();
  set_state(SubscriptionState::live);
  if (event->has_columns) {
    columns_ = event->bytes.view().substr(event->columns_place.offset, event->columns_place.size);
  }
  switch (event->type) {
    case Type::error: on_error_event(*event); break;
    case Type::bookmark:
      track(event->resource_version);
      tell(*event);
      break;
    case Type::unknown: tell(*event); break;
    default:
      track(event->resource_version);
      if (store_.apply(*std::move(event)) == ObjectStore::Outcome::ignored) {
        report(Error{.code = Errc::protocol, .message = "a watch event has an object without uid and name"});
      }
  }
}

void SharedSubscription::on_error_event(const kube::WatchEvent& event) {
  last_error_ = kube::error_of_status(event.object_view());
  const bool gone = is_gone(*last_error_);
  const bool healed_unseen = gone && store_.knowledge() == Knowledge::whole;
  if (gone) begin_resync();
  if (!healed_unseen) tell(event);
}

void SharedSubscription::track(std::string_view version) {
  const auto number = kube::parse_resource_version(version);
  if (!number) return;
  if (!store_.replacing()) {
    version_ = version;
    return;
  }
  // A state comes in any order of versions; its newest object is not newer than the state.
  const auto newest = kube::parse_resource_version(resync_version_);
  if (!newest || *number > *newest) resync_version_ = version;
}

void SharedSubscription::on_complete() {
  // Some gateways repeat it.
  if (completed_) return;
  if (store_.replacing()) {
    version_ = std::exchange(resync_version_, {});
    store_.end_replace();
  }
  completed_ = true;
  set_state(SubscriptionState::live);
  each([](Listener& listener) {
    if (listener.ready) call(listener, listener.handlers.on_complete);
  });
}

void SharedSubscription::on_refused(Error error) {
  wire_query_.clear();
  completed_ = false;
  if (is_gone(error)) version_.clear();
  last_error_ = error;
  set_state(SubscriptionState::failed);
  report(std::move(error));
}

void SharedSubscription::on_upstream(const wire::UpstreamStatus& status) {
  if (state_ == SubscriptionState::failed) return;
  if (!status.error.empty()) last_error_ = Error{.code = Errc::api, .message = status.error};
  if (status.state == wire::UpstreamStatus::State::connected) {
    set_state(SubscriptionState::live);
  } else {
    set_state(was_live_ ? SubscriptionState::reconnecting : SubscriptionState::connecting);
  }
}

void SharedSubscription::on_socket_lost(Error error) {
  wire_query_.clear();
  completed_ = false;
  last_error_ = std::move(error);
  set_state(was_live_ ? SubscriptionState::reconnecting : SubscriptionState::connecting);
}

void SharedSubscription::report(Error error) {
  last_error_ = error;
  each([&](Listener& listener) { fail(listener, error); });
}

void SharedSubscription::shut(Error error) noexcept {
  for (const auto& listener : listeners_) listener->active = false;
  listeners_.clear();
  wire_query_.clear();
  completed_ = false;
  last_error_ = std::move(error);
  state_ = SubscriptionState::failed;
}

void SharedSubscription::set_state(SubscriptionState state) {
  if (state == SubscriptionState::live) was_live_ = true;
  if (state_ == state) return;
  state_ = state;
  const auto status = this->status();
  each([&](Listener& listener) { call(listener, listener.handlers.on_state, status); });
}

void SharedSubscription::tell(const kube::WatchEvent& event) {
  each([&](Listener& listener) {
    if (listener.ready) tell_one(listener, event);
  });
}

void SharedSubscription::tell_one(Listener& listener, const kube::WatchEvent& event) {
  if (event.type == Type::bookmark && !listener.wants_bookmarks) return;
  if (event.is_table && !listener.has_columns && !columns_.empty()) {
    // The watch's first event, the one with the columns, may have been told to others only.
    listener.has_columns = true;
    call(listener, listener.handlers.on_message, kube::with_columns(event, columns_));
    return;
  }
  call(listener, listener.handlers.on_message, event);
}

// Handlers may subscribe and unsubscribe, so the list is copied.
template <class Function>
void SharedSubscription::each(const Function& function) {
  const auto listeners = listeners_;
  for (const auto& listener : listeners) {
    if (listener->active) function(*listener);
  }
}

}  // namespace fresnel::client
