// For tests of hub: a model API server with one list, behind net::HttpTransport, and subscribers that follow its rules.
//
//   ModelCluster cluster;
//   cluster.put("web");
//   ModelTransport transport(io.get_executor(), clock, cluster);   // one a thread
//
// The model has what a watch can see of a real server: one revision for all lists, a history that is compacted, lists
// in pages, watches from a version, 410 as an HTTP status or as an ERROR event, BOOKMARKs, Tables, and faults.
//
// Thread safety: ModelCluster any thread; a ModelTransport, a Recorder: their executor's thread.
#pragma once

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fresnel/base/clock.hpp"
#include "fresnel/net/http.hpp"

namespace fresnel::hub::testing {

// What a list says: uid -> resourceVersion.
using State = std::map<std::string, std::uint64_t>;

class ModelCluster {
 public:
  enum class GoneForm { event, status };
  struct Fault {
    int status = 0;  // 0: the connection fails
    std::string reason = {};
  };
  // A reader that waits for something new; woken on its own thread.
  struct Waiter {
    Waiter(const Executor& e, Clock& clock) : executor(e), timer(e, clock) {}
    Executor executor;
    Timer timer;
  };
  struct Watch {
    std::uint64_t cursor = 0;  // everything up to here has been read
    bool accepted = false;     // the first read has found the version available
    bool table = false;
    bool told_columns = false;
    int bookmarks = 0;      // to be sent
    std::size_t paced = 0;  // changes read since pace()
    bool ended = false;
    bool torn = false;       // ends inside an event
    std::string extra = {};  // comes before anything else
  };

  // Creates the object or changes it; a name that was deleted before gets a new uid. Returns the revision.
  std::uint64_t put(const std::string& name) {
    const std::lock_guard lock(mutex_);
    auto [it, created] = objects_.try_emplace(name);
    if (created) it->second.uid = name + "." + std::to_string(++uids_);
    it->second.version = ++revision_;
    history_.push_back({created ? "ADDED" : "MODIFIED", name, it->second});
    wake();
    return revision_;
  }
  std::uint64_t remove(const std::string& name) {
    const std::lock_guard lock(mutex_);
    const auto it = objects_.find(name);
    if (it == objects_.end()) return revision_;
    it->second.version = ++revision_;
    history_.push_back({"DELETED", name, it->second});
    objects_.erase(it);
    wake();
    return revision_;
  }
  // As some servers tell it: the object as it was, at the version that it had.
  void remove_at_its_version(const std::string& name) {
    const std::lock_guard lock(mutex_);
    const Object object = objects_.at(name);
    ++revision_;
    for (const auto& watch : watches()) watch->extra += event_text("DELETED", text_of(name, object));
    objects_.erase(name);
    wake();
  }
  // Other lists change.
  std::uint64_t touch(std::uint64_t count = 1) {
    const std::lock_guard lock(mutex_);
    revision_ += count;
    return revision_;
  }
  // Forgets what happened up to `revision`, or up to now.
  void compact(std::optional<std::uint64_t> revision = {}) {
    const std::lock_guard lock(mutex_);
    compacted_ = std::max(compacted_, std::min(revision.value_or(revision_), revision_));
  }
  // The cluster is restored from an old backup, in which it was empty: its revisions start over.
  void rewind(std::uint64_t revision) {
    const std::lock_guard lock(mutex_);
    history_.clear();
    objects_.clear();
    revision_ = compacted_ = revision;
    end_watches(false);
  }
  void bookmark() {
    const std::lock_guard lock(mutex_);
    for (const auto& watch : watches()) ++watch->bookmarks;
    wake();
  }
  // Ends every open watch; what has not been read is lost. torn: inside an event.
  void drop_watches(bool torn = false) {
    const std::lock_guard lock(mutex_);
    end_watches(torn);
  }
  // The next requests of a kind are answered by these.
  void fail_lists(const Fault& fault, int times = 1) { fail(list_faults_, fault, times); }
  void fail_watches(const Fault& fault, int times = 1) { fail(watch_faults_, fault, times); }
  void heal() {
    const std::lock_guard lock(mutex_);
    list_faults_.clear();
    watch_faults_.clear();
    held_lists_ = held_watches_ = false;
    pace_.reset();
    wake();
  }
  // Lists, or watches, are not answered until they are released.
  void hold_lists(bool held) { hold(held_lists_, held); }
  void hold_watches(bool held) { hold(held_watches_, held); }
  // Each watch tells so many changes more, the rest when it is lifted.
  void pace(std::optional<std::size_t> changes) {
    const std::lock_guard lock(mutex_);
    pace_ = changes;
    for (const auto& watch : watches()) watch->paced = 0;
    wake();
  }
  void set_gone_form(GoneForm form) {
    const std::lock_guard lock(mutex_);
    gone_form_ = form;
  }
  // Bytes a read of a watch returns at most.
  void set_read_size(std::size_t size) {
    const std::lock_guard lock(mutex_);
    read_size_ = size;
  }

  [[nodiscard]] std::uint64_t revision() const {
    const std::lock_guard lock(mutex_);
    return revision_;
  }
  [[nodiscard]] std::uint64_t compacted() const {
    const std::lock_guard lock(mutex_);
    return compacted_;
  }
  [[nodiscard]] State state() const {
    const std::lock_guard lock(mutex_);
    State state;
    for (const auto& [name, object] : objects_) state[object.uid] = object.version;
    return state;
  }
  // The state at an earlier revision; compaction hides nothing from tests.
  [[nodiscard]] State state_at(std::uint64_t revision) const {
    const std::lock_guard lock(mutex_);
    State state;
    for (const auto& change : history_) {
      if (change.object.version > revision) break;
      apply(state, change);
    }
    return state;
  }
  // Whether the list looked like this at `from` or later.
  [[nodiscard]] bool has_been(const State& wanted, std::uint64_t from) const {
    const std::lock_guard lock(mutex_);
    State state;
    for (const auto& change : history_) {
      if (change.object.version > from && state == wanted) return true;
      apply(state, change);
    }
    return state == wanted;
  }
  [[nodiscard]] std::size_t open_watches() const {
    const std::lock_guard lock(mutex_);
    const auto all = watches();
    return static_cast<std::size_t>(std::count_if(all.begin(), all.end(), [](const auto& w) { return !w->ended; }));
  }
  // Path and query of every request so far.
  [[nodiscard]] std::vector<std::string> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }
  [[nodiscard]] std::size_t lists() const { return count_requests(false); }
  [[nodiscard]] std::size_t watches_asked() const { return count_requests(true); }

 private:
  friend class ModelTransport;
  friend class ModelResponse;

  struct Object {
    std::string uid;
    std::uint64_t version = 0;
  };
  struct Change {
    std::string type;
    std::string name;
    Object object;  // with the change's revision
  };
  struct Answer {
    int status = 200;
    bool fails = false;
    std::string body = {};
    std::shared_ptr<Watch> watch = {};
  };

  static void apply(State& state, const Change& change) {
    if (change.type == "DELETED") {
      state.erase(change.object.uid);
    } else {
      state[change.object.uid] = change.object.version;
    }
  }

  void fail(std::deque<Fault>& faults, const Fault& fault, int times) {
    const std::lock_guard lock(mutex_);
    for (int i = 0; i < times; ++i) faults.push_back(fault);
  }
  void hold(bool& gate, bool held) {
    const std::lock_guard lock(mutex_);
    gate = held;
    wake();
  }
  [[nodiscard]] std::vector<std::shared_ptr<Watch>> watches() const {
    std::vector<std::shared_ptr<Watch>> alive;
    for (const auto& watch : watches_) {
      if (auto open = watch.lock()) alive.push_back(std::move(open));
    }
    return alive;
  }
  void end_watches(bool torn) {
    for (const auto& watch : watches()) {
      watch->torn = torn;
      watch->ended = true;
    }
    wake();
  }
  void wake() {
    std::erase_if(waiters_, [](const auto& waiter) { return waiter.expired(); });
    for (const auto& waiting : waiters_) {
      if (const auto waiter = waiting.lock()) asio::post(waiter->executor, [waiter] { waiter->timer.cancel(); });
    }
  }
  [[nodiscard]] std::size_t count_requests(bool watch) const {
    const std::lock_guard lock(mutex_);
    return static_cast<std::size_t>(std::count_if(requests_.begin(), requests_.end(), [watch](const auto& request) {
      return (request.find("watch=1") != std::string::npos) == watch;
    }));
  }

  static std::string text_of(const std::string& name, const Object& object) {
    return R"({"kind":"Thing","apiVersion":"v1","metadata":{"name":")" + name + R"(","namespace":"d","uid":")" +
           object.uid + R"(","resourceVersion":")" + std::to_string(object.version) + R"("}})";
  }
  static std::string row_of(const std::string& name, const Object& object) {
    return R"({"cells":[")" + name + R"("],"object":)" + text_of(name, object) + "}";
  }
  static std::string table_of(const std::string& version, bool columns, const std::string& rows) {
    return R"({"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{"resourceVersion":")" + version +
           R"("},"columnDefinitions":)" + (columns ? R"([{"name":"Name"}])" : "null") + R"(,"rows":[)" + rows + "]}";
  }
  static std::string event_text(const std::string& type, const std::string& object) {
    return R"({"type":")" + type + R"(","object":)" + object + "}\n";
  }
  static std::string status_text(int code, const std::string& reason) {
    return R"({"kind":"Status","apiVersion":"v1","status":"Failure","message":"refused","reason":")" + reason +
           R"(","code":)" + std::to_string(code) + "}";
  }
  static std::string parameter(const std::string& url, const std::string& name) {
    const auto at = url.find("&" + name + "=") != std::string::npos ? url.find("&" + name + "=") + 1
                                                                    : url.find("?" + name + "=") + 1;
    if (at == 0) return {};
    const auto value = at + name.size() + 1;
    return url.substr(value, url.find('&', value) - value);
  }
  static std::uint64_t number(const std::string& text) { return text.empty() ? 0 : std::stoull(text); }

  [[nodiscard]] Answer answer(const std::string& url, bool table) {
    const std::lock_guard lock(mutex_);
    requests_.push_back(url.substr(url.find("/api")));
    const bool watching = !parameter(url, "watch").empty();
    auto& faults = watching ? watch_faults_ : list_faults_;
    if (!faults.empty()) {
      const Fault fault = faults.front();
      faults.pop_front();
      if (fault.status == 0) return {.fails = true};
      return {.status = fault.status, .body = status_text(fault.status, fault.reason)};
    }
    return watching ? answer_watch(url, table) : answer_list(url, table);
  }
  // A page's token is "revision-number of objects before it"; names are in order.
  [[nodiscard]] Answer answer_list(const std::string& url, bool table) {
    const std::string token = parameter(url, "continue");
    const auto dash = token.find('-');
    const std::uint64_t at = token.empty() ? revision_ : number(token.substr(0, dash));
    std::size_t skip = token.empty() ? 0 : number(token.substr(dash + 1));
    if (at < compacted_) return {.status = 410, .body = status_text(410, "Expired")};
    std::map<std::string, Object> objects;
    for (const auto& change : history_) {
      if (change.object.version > at) break;
      if (change.type == "DELETED") {
        objects.erase(change.name);
      } else {
        objects[change.name] = change.object;
      }
    }
    const std::uint64_t limit = number(parameter(url, "limit"));
    std::string items;
    std::size_t index = 0;
    std::string next;
    for (const auto& [name, object] : objects) {
      if (index >= skip && limit > 0 && index - skip >= limit) {
        next = std::to_string(at) + "-" + std::to_string(index);
        break;
      }
      if (index++ < skip) continue;
      items += (items.empty() ? "" : ",") + (table ? row_of(name, object) : text_of(name, object));
    }
    const std::string metadata =
        R"("metadata":{"resourceVersion":")" + std::to_string(at) + R"(","continue":")" + next + R"("})";
    if (!table)
      return {.body = R"({"kind":"ThingList","apiVersion":"v1",)" + metadata + R"(,"items":[)" + items + "]}"};
    return {.body = R"({"kind":"Table","apiVersion":"meta.k8s.io/v1",)" + metadata +
                    R"(,"columnDefinitions":[{"name":"Name"}],"rows":[)" + items + "]}"};
  }
  [[nodiscard]] Answer answer_watch(const std::string& url, bool table) {
    auto watch = std::make_shared<Watch>();
    watch->cursor = number(parameter(url, "resourceVersion"));
    watch->table = table;
    if (watch->cursor < compacted_ && gone_form_ == GoneForm::status) {
      return {.status = 410, .body = status_text(410, "Expired")};
    }
    watches_.push_back(watch);
    return {.body = {}, .watch = std::move(watch)};
  }

  // What a watch reads next; empty: nothing yet. A reader that was too slow for the compaction is told 410.
  [[nodiscard]] std::string take(Watch& watch, bool& at_end) {
    const std::lock_guard lock(mutex_);
    at_end = false;
    if (watch.ended) {
      at_end = true;
      return std::exchange(watch.torn, false) ? R"({"type":"ADDED","obj)" : "";
    }
    if (is_lost(watch)) {
      watch.ended = true;
      return event_text("ERROR", status_text(410, "Expired"));
    }
    watch.accepted = true;
    std::string text = std::exchange(watch.extra, {});
    for (const auto& change : history_) {
      if (change.object.version <= watch.cursor) continue;
      if (pace_ && watch.paced++ >= *pace_) return text;
      text += event_of(watch, change.type, change.name, change.object);
      watch.cursor = change.object.version;
    }
    watch.cursor = std::max(watch.cursor, revision_);
    for (; watch.bookmarks > 0; --watch.bookmarks) text += event_of(watch, "BOOKMARK", {}, {.version = watch.cursor});
    return text;
  }
  // A version older than the compaction, or a reader that was too slow for it.
  [[nodiscard]] bool is_lost(const Watch& watch) const {
    if (!watch.accepted) return watch.cursor < compacted_;
    return std::any_of(history_.begin(), history_.end(), [&](const Change& change) {
      return change.object.version > watch.cursor && change.object.version <= compacted_;
    });
  }
  static std::string event_of(Watch& watch, const std::string& type, const std::string& name, const Object& object) {
    if (!watch.table) return event_text(type, text_of(name, object));
    const bool columns = !std::exchange(watch.told_columns, true);
    const std::string row = type == "BOOKMARK" ? std::string() : row_of(name, object);
    return event_text(type, table_of(std::to_string(object.version), columns, row));
  }

  void add_waiter(const std::shared_ptr<Waiter>& waiter) {
    const std::lock_guard lock(mutex_);
    waiters_.push_back(waiter);
  }
  [[nodiscard]] bool held(bool watching) const {
    const std::lock_guard lock(mutex_);
    return watching ? held_watches_ : held_lists_;
  }
  [[nodiscard]] std::size_t read_size() const {
    const std::lock_guard lock(mutex_);
    return read_size_;
  }

  mutable std::mutex mutex_;
  std::map<std::string, Object> objects_;
  std::vector<Change> history_;  // all of it, in ascending revisions
  std::uint64_t revision_ = 0;
  std::uint64_t compacted_ = 0;
  int uids_ = 0;
  std::vector<std::weak_ptr<Watch>> watches_;
  std::vector<std::weak_ptr<Waiter>> waiters_;
  std::vector<std::string> requests_;
  std::deque<Fault> list_faults_;
  std::deque<Fault> watch_faults_;
  bool held_lists_ = false;
  bool held_watches_ = false;
  std::optional<std::size_t> pace_;
  GoneForm gone_form_ = GoneForm::event;
  std::size_t read_size_ = 256u << 10;
};

class ModelResponse : public net::HttpResponse {
 public:
  ModelResponse(ModelCluster& cluster, ModelCluster::Answer answer, std::shared_ptr<ModelCluster::Waiter> waiter)
      : cluster_(cluster), answer_(std::move(answer)), waiter_(std::move(waiter)) {}

  int status() const noexcept override { return answer_.status; }
  const net::Headers& headers() const noexcept override { return headers_; }
  awaitable<result<std::string>> read() override {
    bool at_end = !answer_.watch;
    while (answer_.body.empty()) {
      if (answer_.watch) answer_.body = cluster_.take(*answer_.watch, at_end);
      if (!answer_.body.empty() || at_end) break;
      auto waiting = waiter_->timer.wait();
      co_await std::move(waiting);
    }
    const auto size = answer_.watch ? cluster_.read_size() : answer_.body.size();
    std::string piece = answer_.body.substr(0, size);
    answer_.body.erase(0, size);
    co_return piece;
  }

 private:
  ModelCluster& cluster_;
  ModelCluster::Answer answer_;
  std::shared_ptr<ModelCluster::Waiter> waiter_;
  net::Headers headers_;
};

class ModelTransport : public net::HttpTransport {
 public:
  ModelTransport(const Executor& executor, Clock& clock, ModelCluster& cluster)
      : executor_(executor), clock_(clock), cluster_(cluster) {}

  awaitable<result<std::unique_ptr<net::HttpResponse>>> open(net::HttpRequest request) override {
    auto waiter = std::make_shared<ModelCluster::Waiter>(executor_, clock_);
    cluster_.add_waiter(waiter);
    auto turn = asio::post(executor_, asio::use_awaitable);  // no server answers within the call
    co_await std::move(turn);
    const bool watching = request.url.find("watch=1") != std::string::npos;
    while (cluster_.held(watching)) {
      auto waiting = waiter->timer.wait();
      co_await std::move(waiting);
    }
    auto answer = cluster_.answer(request.url, request.headers.get("accept").find("as=Table") != std::string::npos);
    if (answer.fails) co_return Error{Errc::connect_failed, "the model refuses connections"};
    std::unique_ptr<net::HttpResponse> response =
        std::make_unique<ModelResponse>(cluster_, std::move(answer), std::move(waiter));
    co_return response;
  }

 private:
  Executor executor_;
  Clock& clock_;
  ModelCluster& cluster_;
};

}  // namespace fresnel::hub::testing
