// One upstream watch and everybody who follows it.
//
// The Watcher keeps the objects (its index); the EventLog keeps the recent past. A joiner gets, by the version it
// brings: nothing or no version -> the current state; a version within the log -> the log's events after it; an older
// one -> the difference; one too old for that -> 410, then (if it asked for a new start) the current state.
//
// Thread safety: lives on its owner thread (Hub posts to it); talks to subscribers through one StreamPort a thread.
#pragma once

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "fresnel/base/backoff.hpp"
#include "fresnel/hub/event_log.hpp"
#include "fresnel/hub/hub_metrics.hpp"
#include "fresnel/hub/joiner_texts.hpp"
#include "fresnel/hub/stream_key.hpp"
#include "fresnel/hub/stream_port.hpp"
#include "fresnel/hub/upstream_progress.hpp"
#include "fresnel/kube/watcher.hpp"

namespace fresnel::hub {

struct JoinOptions {
  std::string resource_version;  // what the subscriber knows; "", "0", "undefined" and garbage: nothing
  bool bookmarks = false;        // wants BOOKMARK events
  // sendInitialEvents: true: first every object as ADDED, at least as new as resource_version, then a BOOKMARK that
  // says so to those who want bookmarks; false: without a version, only what comes from now on.
  std::optional<bool> initial_events = {};
  bool escaped = true;             // reads PublishedEvent::data_body (a multiplexer's subscription)
  bool deflated = false;           // has negotiated permessage-deflate
  bool restart_after_gone = true;  // after a 410: everything anew; false: the subscription ends
  bool start_over = false;         // what the subscriber knows is of another server: it is told 410 at once
};

struct SharedStreamOptions {
  EventLogOptions log = {};
  kube::WatcherOptions watcher = {};
  Duration linger = seconds(5);  // after the last subscriber has left
};

// A thread's executor and its place in the program's list of threads.
struct HomeThread {
  std::size_t number = 0;
  Executor executor;
};

class SharedStream : public std::enable_shared_from_this<SharedStream> {
 public:
  // `retire` is called on the owner thread when nobody needs the stream any more.
  SharedStream(StreamKey key, std::shared_ptr<kube::ApiClient> client, const Executor& executor, Clock& clock,
               Random& random, std::shared_ptr<ClusterMetrics> metrics, SharedStreamOptions options,
               std::function<void()> retire);
  ~SharedStream();

  void start();
  void join(SubscriberId id, const HomeThread& home, std::weak_ptr<StreamSubscriber> subscriber, JoinOptions options);
  void leave(SubscriberId id);
  // The source gives another credential; does nothing for a stream that asks with none of its.
  void renew(const kube::CredentialSource& source) {
    if (source_.get() == &source) watcher_.renew();
  }

 private:
  struct Member {
    std::optional<std::uint64_t> version;  // what it joined with, none: the current state
    std::uint16_t thread;
    Forms forms;
    bool bookmarks;
    bool restart_after_gone;
    bool start_over;
    std::optional<bool> initial_events;
    bool awaits_complete = false;
    bool inquired = false;  // the server is being asked whether it has come as far as `version`
  };
  struct Port {
    Executor executor;
    std::shared_ptr<StreamPort> port;
    std::size_t members = 0;
  };

  template <class Call>
  void post(const Port& port, Call call);
  [[nodiscard]] Port& port_of(const Member& member) { return ports_.at(member.thread); }

  void on_listed(const kube::ListedInfo& info);
  void on_relisted(std::uint64_t version);
  void on_events(std::vector<kube::WatchEvent> events);
  void on_status(const kube::WatchStatus& status);
  void on_start_lost();

  void admit(SubscriberId id, Member& member);
  void send_opening(SubscriberId id, const Member& member, Opening opening);
  void send_state(SubscriberId id, Member& member, std::vector<EventPtr> before);
  void send_gone(SubscriberId id, Member& member, std::uint64_t version);
  // That of the objects in the index.
  [[nodiscard]] std::uint64_t state_version() const noexcept {
    return std::max(progress_.list_version(), progress_.reached());
  }
  [[nodiscard]] EventPtr bookmark(const Member& member, std::uint64_t version);
  [[nodiscard]] Forms forms_read() const noexcept { return {readers_[0] > 0, readers_[1] > 0, readers_[2] > 0}; }
  void count_readers(Forms forms, bool come) noexcept;
  [[nodiscard]] std::string oldest_version_wanted() const;
  void complete_waiting();
  // Who brings a version that the stream has not seen knows it from another list, or from a history that was rewound
  // when the cluster was restored from a backup. The server can tell.
  void inquire_about_newer();
  void on_server_version(std::uint64_t version);
  static awaitable<void> await_quiet(std::weak_ptr<SharedStream> stream, std::shared_ptr<Timer> timer, TimePoint at);
  static awaitable<void> linger(std::weak_ptr<SharedStream> stream, std::shared_ptr<Timer> timer, Duration duration);

  const StreamKey key_;
  const std::shared_ptr<kube::CredentialSource> source_;
  Executor executor_;
  Clock& clock_;
  std::shared_ptr<ClusterMetrics> metrics_;
  SharedStreamOptions options_;
  std::function<void()> retire_;
  kube::Watcher watcher_;
  EventLog log_;
  std::shared_ptr<JoinerTexts> texts_;
  UpstreamProgress progress_;

  std::unordered_map<SubscriberId, Member> members_;
  std::map<std::size_t, Port> ports_;
  std::array<std::size_t, 3> readers_{};  // of each of Forms
  kube::WatchStatus status_;
  bool listed_ = false;
  std::string kind_;  // of the list's objects
  std::string api_version_;
  std::shared_ptr<const std::string> columns_;
  // Shared with the coroutines that wait for them, which do not keep the stream.
  std::shared_ptr<Timer> linger_;
  std::shared_ptr<Timer> quiet_;
  std::uint64_t server_version_ = 0;  // the server has come at least as far
  bool inquiring_ = false;
  bool somebody_waits_ = false;  // for its completion
  bool awaits_quiet_ = false;
};

}  // namespace fresnel::hub
