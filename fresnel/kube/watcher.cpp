#include "fresnel/kube/watcher.hpp"

#include <algorithm>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <utility>

#include "fresnel/base/log.hpp"
#include "fresnel/kube/streaming_list.hpp"
#include "fresnel/kube/watch_decoder.hpp"
#include "fresnel/kube/watch_state.hpp"

namespace fresnel::kube {
namespace {

constexpr Duration kStreamingPause = seconds(10);  // without a byte, inside a streaming list

std::string joined(std::string_view selectors, std::string_view parameters) {
  std::string query(selectors);
  if (!query.empty()) query.push_back('&');
  return query.append(parameters);
}

}  // namespace

class Watcher::Driver : public std::enable_shared_from_this<Driver> {
 public:
  Driver(const Executor& executor, Clock& clock, Random& random, std::shared_ptr<ApiClient> client, WatchTarget target,
         WatcherHandlers handlers, WatcherOptions options)
      : executor_(executor),
        clock_(clock),
        random_(random),
        client_(std::move(client)),
        target_(std::move(target)),
        handlers_(std::move(handlers)),
        options_(options),
        backoff_(options.backoff),
        pause_(executor, clock),
        inquiry_backoff_(options.backoff),
        inquiry_pause_(executor, clock) {}

  void start() {
    asio::co_spawn(
        executor_, run(shared_from_this()),
        asio::bind_cancellation_slot(
            cancel_.slot(), [self = shared_from_this()](std::exception_ptr failure) { self->ended(failure); }));
  }

  // The coroutine may be below us on the stack, and Asio may be on its way to hand it a completion: so it is cancelled
  // from the event loop, and looks at stopped_ before it calls a handler.
  void stop() {
    stopped_ = true;
    asio::post(executor_, [self = shared_from_this()] {
      self->cancel_.emit(asio::cancellation_type::terminal);
      self->inquiry_cancel_.emit(asio::cancellation_type::terminal);
    });
  }

  void inquire(std::function<void(std::uint64_t)> answer) {
    asio::co_spawn(executor_, inquire(shared_from_this(), std::move(answer)),
                   asio::bind_cancellation_slot(inquiry_cancel_.slot(), asio::detached));
  }

  void renew() {
    renewed_ = true;
    pause_.cancel();
  }

  ObjectIndex index_;
  std::string version_;
  std::uint64_t relists_ = 0;

 private:
  static awaitable<void> run(std::shared_ptr<Driver> self) {
    self->report({WatchStatus::Phase::connecting, {}});
    WatchInput input = Start{};
    while (!self->stopped_) {
      Transition step = next(std::move(self->state_), std::move(input));
      self->state_ = std::move(step.state);
      self->announce(step);
      if (self->stopped_) break;
      auto performing = self->perform(std::move(step.effect));
      input = co_await std::move(performing);
    }
  }

  void ended(std::exception_ptr failure) {
    response_.reset();
    if (!failure || stopped_) return;
    try {
      std::rethrow_exception(failure);
    } catch (const std::exception& error) {
      // Only a fault of this program ends a watch; subscribers must not believe that it is live.
      log::error("watch of {} on {} ended: {}", target_.path, client_->context().name, error.what());
      report({WatchStatus::Phase::failing, Error{Errc::internal, error.what()}});
    }
  }

  void announce(const Transition& step) {
    if (step.reset_backoff) backoff_.reset();
    if (step.start_lost && handlers_.on_start_lost) handlers_.on_start_lost();
    if (step.connected) report({WatchStatus::Phase::connected, {}});
    if (step.report) {
      log::debug("watch of {} on {}: {}", target_.path, client_->context().name, step.report->message);
      report({WatchStatus::Phase::failing, *step.report});
    }
    if (std::holds_alternative<Relisting>(state_)) report({WatchStatus::Phase::connecting, {}});
  }

  void report(const WatchStatus& status) {
    if (!stopped_ && handlers_.on_status) handlers_.on_status(status);
  }

  awaitable<WatchInput> perform(WatchEffect effect) {
    if (std::holds_alternative<DoList>(effect)) {
      auto listing = list();
      co_return co_await std::move(listing);
    }
    if (auto* watch = std::get_if<DoWatch>(&effect)) {
      auto opening = watch->after_failure ? check_and_open_watch(std::move(watch->version))
                                          : open_watch(std::move(watch->version));
      co_return co_await std::move(opening);
    }
    if (std::holds_alternative<DoRead>(effect)) {
      auto reading = read_until_end_or_watchdog();
      co_return co_await std::move(reading);
    }
    if (auto* sleep = std::get_if<DoSleep>(&effect)) {
      const Duration delay = sleep->fixed ? *sleep->fixed : backoff_.next(random_);
      if (!std::exchange(renewed_, false)) (void)co_await pause_.wait_for(delay);
      co_return TimerFired{};
    }
    stopped_ = true;
    co_return Stop{};
  }

  awaitable<WatchInput> list() {
    if (options_.streaming_lists && !streaming_refused_) {
      auto streaming = stream_list();
      auto done = co_await std::move(streaming);
      if (done) co_return *std::move(done);
    }
    auto paging = list_pages();
    co_return co_await std::move(paging);
  }

  // Nothing when the server cannot do this.
  awaitable<std::optional<WatchInput>> stream_list() {
    auto opening = open_stream("sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=");
    auto failure = co_await std::move(opening);
    StreamingList streamed;
    while (!failure && !stopped_ && !streamed.complete()) {
      auto reading = read_streamed(streamed);
      failure = co_await std::move(reading);
    }
    if (stopped_) co_return Stop{};
    if (failure) {
      response_.reset();
      if (renewed_) co_return std::nullopt;  // ended by us: this time by pages
      streaming_refused_ = failure->status == 400 || failure->status == 422 || failure->code == Errc::timeout;
      if (streaming_refused_) co_return std::nullopt;
      co_return ListFailed{*std::move(failure)};
    }
    early_ = streamed.take_rest();
    ListPage page = streamed.take_page();
    streamed_version_ = page.resource_version;
    co_return take_list(std::move(page));
  }

  // A server that does not know the parameters sends the state as any watch does, and then nothing that ends it.
  awaitable<std::optional<Error>> read_streamed(StreamingList& streamed) {
    using namespace asio::experimental::awaitable_operators;
    auto reading = response_->read();
    auto waiting = pause_.wait_for(kStreamingPause);
    auto both = std::move(reading) || std::move(waiting);
    auto first = co_await std::move(both);
    auto* bytes = std::get_if<0>(&first);
    if (bytes == nullptr) co_return Error{Errc::timeout, "the API server does not end its streaming list"};
    if (!*bytes) co_return bytes->error();
    if ((*bytes)->empty()) co_return Error{Errc::closed, "the API server broke its streaming list off"};
    std::vector<WatchEvent> events;
    const auto decoded = decoder_.decode(**bytes, events);
    const auto taken = streamed.take(std::move(events));
    if (!taken) co_return taken.error();
    if (!decoded) co_return decoded.error();
    co_return std::nullopt;
  }

  // The whole list, page by page. A page that expired under way starts over without pages, as kubectl does.
  awaitable<WatchInput> list_pages() {
    ListPage all;
    bool paged = true;
    for (;;) {
      std::string parameters = paged ? "limit=" + std::to_string(options_.page_size) : std::string();
      if (!all.continue_token.empty()) parameters += "&continue=" + percent_encode(all.continue_token);
      ApiRequest request{.path = target_.path, .query = joined(target_.query, parameters), .accept = target_.accept};
      request.max_body = options_.max_list;
      auto asking = client_->request(std::move(request));
      auto response = co_await std::move(asking);
      if (stopped_) co_return Stop{};
      if (!response) {
        if (!all.continue_token.empty() && is_gone(response.error())) {
          all = {};
          paged = false;
          continue;
        }
        co_return ListFailed{response.error()};
      }
      auto page = parse_list_page(std::move(response->body));
      if (!page) co_return ListFailed{page.error()};
      all.resource_version = page->resource_version;
      all.continue_token = page->continue_token;
      if (!page->columns.empty()) all.columns = page->columns;
      all.kind = page->kind;
      all.api_version = page->api_version;
      std::move(page->items.begin(), page->items.end(), std::back_inserter(all.items));
      if (all.continue_token.empty()) break;
    }
    if (!parse_resource_version(all.resource_version)) {
      co_return ListFailed{Error{Errc::protocol, "the list of " + target_.path + " has no resourceVersion"}};
    }
    co_return take_list(std::move(all));
  }

  ListDone take_list(ListPage all) {
    if (!all.columns.empty()) columns_ = all.columns;
    ListedInfo info{.resource_version = all.resource_version,
                    .kind = all.kind,
                    .api_version = all.api_version,
                    .columns = columns_.empty() ? nullptr : &columns_};
    list_version_ = parse_resource_version(all.resource_version).value_or(0);
    if (const auto* relisting = std::get_if<Relisting>(&state_)) {
      ++relists_;
      info.relist = true;
      auto changes = relist_difference(index_, relisting->last_version, all);
      for (const auto& change : changes) index_.apply(change);
      version_ = all.resource_version;
      if (handlers_.on_listed) handlers_.on_listed(info);
      if (!stopped_ && !changes.empty() && handlers_.on_events) handlers_.on_events(std::move(changes));
      return {std::move(info.resource_version), {}};
    }
    for (const auto& item : all.items) index_.apply(item);
    version_ = all.resource_version;
    if (handlers_.start_version) info.start_version = handlers_.start_version();
    const auto start = parse_resource_version(info.start_version);
    if (!start || *start >= list_version_) info.start_version.clear();
    if (handlers_.on_listed) handlers_.on_listed(info);
    return {std::move(info.resource_version), std::move(info.start_version)};
  }

  // The newest version that the server has. A list without a version asks etcd itself; one object, and no selectors,
  // make it cheap.
  awaitable<result<std::uint64_t>> server_version() {
    ApiRequest request{.path = target_.path, .query = "limit=1"};
    request.max_body = options_.max_list;
    auto asking = client_->request(std::move(request));
    auto response = co_await std::move(asking);
    if (!response) co_return response.error();
    auto page = parse_list_page(std::move(response->body));
    if (!page) co_return page.error();
    const auto version = parse_resource_version(page->resource_version);
    if (!version) co_return Error{Errc::protocol, "the list of " + target_.path + " has no resourceVersion"};
    co_return *version;
  }

  awaitable<WatchInput> check_and_open_watch(std::string version) {
    auto asking = server_version();
    const auto newest = co_await std::move(asking);
    if (stopped_) co_return Stop{};
    // Who may watch but no longer list has to do without.
    if (!newest && newest.error().code != Errc::forbidden) co_return WatchEnded{newest.error(), Duration::zero()};
    const std::uint64_t reached = std::max(parse_resource_version(version).value_or(0), list_version_);
    if (newest && *newest < reached) {
      log::warn("watch of {} on {}: the cluster's history was rewound, from version {} to {}", target_.path,
                client_->context().name, reached, *newest);
      co_return HistoryRewound{};
    }
    auto opening = open_watch(std::move(version));
    co_return co_await std::move(opening);
  }

  static awaitable<void> inquire(std::shared_ptr<Driver> self, std::function<void(std::uint64_t)> answer) {
    self->inquiry_backoff_.reset();
    while (!self->stopped_) {
      auto asking = self->server_version();
      const auto newest = co_await std::move(asking);
      if (self->stopped_) co_return;
      if (newest) {
        answer(*newest);
        co_return;
      }
      if (newest.error().code == Errc::forbidden) co_return;
      auto waiting = self->inquiry_pause_.wait_for(self->inquiry_backoff_.next(self->random_));
      (void)co_await std::move(waiting);
    }
  }

  awaitable<WatchInput> open_watch(std::string version) {
    const bool is_open = response_ != nullptr && streamed_version_ == version;  // behind a streaming list
    streamed_version_.clear();
    if (is_open) co_return WatchOpened{};
    auto opening = open_stream("resourceVersion=" + version);
    auto failure = co_await std::move(opening);
    if (failure) co_return WatchEnded{*std::move(failure), Duration::zero()};
    co_return WatchOpened{};
  }

  awaitable<std::optional<Error>> open_stream(std::string parameters) {
    std::uniform_int_distribution<long> factor(0, 1000);
    const auto base = std::chrono::duration_cast<seconds>(options_.watch_timeout);
    const seconds timeout = base + seconds(base.count() * factor(random_) / 1000);
    opened_at_ = clock_.now();
    deadline_ = opened_at_ + timeout + options_.watchdog;
    ApiRequest request{.path = target_.path, .accept = target_.accept};
    request.query =
        joined(target_.query,
               "watch=1&allowWatchBookmarks=true&timeoutSeconds=" + std::to_string(timeout.count()) + "&" + parameters);
    request.idle_timeout = Duration::zero();
    response_.reset();
    early_.clear();
    decoder_ = WatchDecoder();
    renewed_ = false;  // the client asks for the credential from here on
    auto opening = client_->open(std::move(request));
    auto response = co_await std::move(opening);
    if (!response) co_return response.error();
    response_ = std::move(*response);
    co_return std::nullopt;
  }

  awaitable<WatchInput> read_until_end_or_watchdog() {
    using namespace asio::experimental::awaitable_operators;
    auto reading = read_until_end();
    auto watching = wait_for_end_of_watch();
    auto both = std::move(reading) || std::move(watching);
    auto first = co_await std::move(both);
    response_.reset();
    if (auto* end = std::get_if<0>(&first)) co_return std::move(end->input);
    if (renewed_) co_return Renewed{};
    co_return WatchEnded{Error{Errc::timeout, "the API server left the watch open beyond its timeoutSeconds"}, lived()};
  }

  // Looks at renewed_ when it waits, not before: a timer that nobody waits for yet cannot be cancelled.
  awaitable<void> wait_for_end_of_watch() {
    if (!renewed_) (void)co_await pause_.wait_until(deadline_);
  }

  // Boxed: Asio's operator|| would flatten a variant.
  struct End {
    WatchInput input;
  };

  awaitable<End> read_until_end() {
    auto refused = deliver(std::exchange(early_, {}));
    if (refused) co_return End{ErrorSeen{*std::move(refused)}};
    while (!stopped_) {
      auto reading = response_->read();
      auto bytes = co_await std::move(reading);
      if (stopped_) break;
      if (!bytes) co_return End{WatchEnded{bytes.error(), lived()}};
      if (bytes->empty()) {
        if (!decoder_.inside_a_line()) co_return End{WatchEnded{std::nullopt, lived()}};
        co_return End{WatchEnded{Error{Errc::protocol, "the watch ended inside an event"}, lived()}};
      }
      std::vector<WatchEvent> events;
      const auto decoded = decoder_.decode(*bytes, events);
      auto failure = deliver(std::move(events));
      if (failure) co_return End{ErrorSeen{*std::move(failure)}};
      if (!decoded) co_return End{WatchEnded{decoded.error(), lived()}};
    }
    co_return End{Stop{}};
  }

  // Hands out what came in one piece as one batch. An ERROR event ends the watch; what stands before it counts.
  std::optional<Error> deliver(std::vector<WatchEvent> events) {
    std::optional<Error> failure;
    std::vector<WatchEvent> batch;
    batch.reserve(events.size());
    for (auto& event : events) {
      if (event.type == WatchEvent::Type::error) {
        failure = error_of_status(event.object_view());
        break;
      }
      if (event.type == WatchEvent::Type::unknown) {
        log::warn("watch of {} on {}: an event of an unknown type was skipped", target_.path, client_->context().name);
        continue;
      }
      if (event.has_columns) event = without_columns(event);
      note(event);
      batch.push_back(std::move(event));
    }
    if (!batch.empty() && handlers_.on_events) handlers_.on_events(std::move(batch));
    return failure;
  }

  void note(WatchEvent& event) {
    const auto version = parse_resource_version(event.resource_version);
    event.keeps_version = event.type == WatchEvent::Type::deleted && is_known_version(event);
    const auto reached = event.keeps_version ? std::string_view() : event.resource_version;
    state_ = next(std::move(state_), EventSeen{reached}).state;
    // What happened before the list is already in the index.
    if (version && *version <= list_version_ && !event.keeps_version) return;
    index_.apply(event);
    if (version && !event.keeps_version) version_ = event.resource_version;
  }

  [[nodiscard]] bool is_known_version(const WatchEvent& event) const {
    std::string made;
    const WatchEvent* known = index_.find(object_identity(event, made));
    return known != nullptr && known->resource_version == event.resource_version;
  }

  [[nodiscard]] Duration lived() const { return clock_.now() - opened_at_; }

  Executor executor_;
  Clock& clock_;
  Random& random_;
  std::shared_ptr<ApiClient> client_;
  WatchTarget target_;
  WatcherHandlers handlers_;
  WatcherOptions options_;

  WatchState state_;
  Backoff backoff_;
  Timer pause_;  // the backoff's, and the open watch's deadline: never both
  asio::cancellation_signal cancel_;
  Backoff inquiry_backoff_;
  Timer inquiry_pause_;
  asio::cancellation_signal inquiry_cancel_;
  bool stopped_ = false;
  bool renewed_ = false;

  std::unique_ptr<net::HttpResponse> response_;
  bool streaming_refused_ = false;
  std::string streamed_version_;   // of the streaming list that the open response began with, until it is watched
  std::vector<WatchEvent> early_;  // what came with that list's end
  WatchDecoder decoder_;
  TimePoint opened_at_;
  TimePoint deadline_;
  std::uint64_t list_version_ = 0;
  std::string columns_;
};

Watcher::Watcher(const Executor& executor, Clock& clock, Random& random, std::shared_ptr<ApiClient> client,
                 WatchTarget target, WatcherHandlers handlers, WatcherOptions options)
    : driver_(std::make_shared<Driver>(executor, clock, random, std::move(client), std::move(target),
                                       std::move(handlers), options)) {}

Watcher::~Watcher() { driver_->stop(); }

void Watcher::start() { driver_->start(); }

void Watcher::renew() { driver_->renew(); }
void Watcher::ask_server_version(std::function<void(std::uint64_t)> answer) { driver_->inquire(std::move(answer)); }

const ObjectIndex& Watcher::index() const noexcept { return driver_->index_; }

const std::string& Watcher::version() const noexcept { return driver_->version_; }

std::uint64_t Watcher::relists() const noexcept { return driver_->relists_; }

}  // namespace fresnel::kube
