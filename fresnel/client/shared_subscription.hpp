// SharedSubscription: what all listeners of one key share: the store, the version to resume from, the state.
//
// A life:  begin_request -> on_data ... on_complete -> on_data ...          live
//          on_socket_lost -> begin_request                                  resumes from resource_version()
//          on_data(ERROR 410), or begin_request without a version -> ADDED for every object -> on_complete     resync
//          on_refused -> begin_request                                      retried by the owner
//
// Invariants: resource_version() is a place up to which the store has everything. It is empty while a resync is under
// way, so that a resync cut short starts anew; it never comes from an ERROR event.
//
// No I/O, no timers: the Multiplexer owns those. Handlers may do anything but destroy this object: the caller holds it.
//
// Thread safety: one thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fresnel/base/clock.hpp"
#include "fresnel/client/object_store.hpp"
#include "fresnel/client/subscription.hpp"
#include "fresnel/client/watch_query.hpp"
#include "fresnel/wire/multiplexer_message.hpp"

namespace fresnel::client {

class SharedSubscription {
 public:
  struct Listener {
    SubscriptionHandlers handlers;
    bool wants_bookmarks = false;
    bool active = true;        // false: unsubscribed, nothing is called any more
    bool ready = false;        // has been given the state so far
    bool has_columns = false;  // has seen a Table's columnDefinitions
  };

  // `key` as the first subscriber gave it; `query` is its query.
  SharedSubscription(const Clock& clock, SubscriptionKey key, WatchQuery query);
  SharedSubscription(const SharedSubscription&) = delete;
  SharedSubscription& operator=(const SharedSubscription&) = delete;

  [[nodiscard]] const SubscriptionKey& key() const noexcept { return key_; }
  [[nodiscard]] SubscriptionStatus status() const;
  [[nodiscard]] SubscriptionState state() const noexcept { return state_; }
  [[nodiscard]] bool completed() const noexcept { return completed_; }
  [[nodiscard]] const std::string& resource_version() const noexcept { return version_; }
  [[nodiscard]] const ObjectStore& store() const noexcept { return store_; }

  // Listeners. A new one is given nothing before replay().
  std::shared_ptr<Listener> add(SubscriptionHandlers handlers, bool wants_bookmarks);
  void remove(const std::shared_ptr<Listener>& listener) noexcept;
  [[nodiscard]] bool has_listeners() const noexcept { return !listeners_.empty(); }
  // Gives a listener the state so far: every object as ADDED, completion, the error of a failed subscription.
  // False when the store cannot tell the whole state that the listener needs: restart_fresh() and ask again.
  [[nodiscard]] bool replay(const std::shared_ptr<Listener>& listener);

  // The query of the REQUEST under way, empty: none.
  [[nodiscard]] const std::string& wire_query() const noexcept { return wire_query_; }
  // The query of the next REQUEST. A tag other than 0 makes it differ from others of the same list.
  [[nodiscard]] std::string next_wire_query(std::uint64_t tag) const { return query_.wire(version_, tag); }
  // A REQUEST with this query has been sent. Without a version, the answer replaces the store.
  void begin_request(std::string wire_query);
  // The next REQUEST asks for the whole state.
  void restart_fresh();

  // What the gateway says.
  void on_data(std::string event_json);
  void on_complete();
  void on_refused(Error error);
  void on_upstream(const wire::UpstreamStatus& status);
  // What the socket does. A failed connect is told to every listener.
  void on_socket_lost(Error error);
  void report(Error error);
  // The end: state failed, no handler is called any more.
  void shut(Error error) noexcept;

 private:
  void on_error_event(const kube::WatchEvent& event);
  void track(std::string_view version);
  void begin_resync();
  void set_state(SubscriptionState state);
  // To every listener that is ready.
  void tell(const kube::WatchEvent& event);
  void tell_one(Listener& listener, const kube::WatchEvent& event);
  template <class Function>
  void each(const Function& function);

  const Clock& clock_;
  SubscriptionKey key_;
  WatchQuery query_;
  ObjectStore store_;
  std::vector<std::shared_ptr<Listener>> listeners_;
  std::string wire_query_;
  std::string version_;
  std::string resync_version_;  // becomes version_ when the resync is complete
  std::string columns_;         // a Table's columnDefinitions: only the first event of a watch has them
  SubscriptionState state_ = SubscriptionState::connecting;
  bool completed_ = false;
  bool was_live_ = false;
  bool replayable_ = true;  // the store can tell a listener that starts at the key's version all that happened since
  std::optional<TimePoint> last_event_;
  std::optional<Error> last_error_;
};

}  // namespace fresnel::client
