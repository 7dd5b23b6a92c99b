#include "fresnel/broker/nats_connection.hpp"

#include <nats/nats.h>

#include <boost/asio/post.hpp>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <stdexcept>
#include <thread>
#include <variant>

#include "fresnel/base/log.hpp"
#include "fresnel/broker/nats_options.hpp"

namespace fresnel::broker {
namespace {

constexpr NatsConnection::SubscriptionId kReplies = 0;
// Between a connection that libnats has given up (it does that when it was refused twice) and the next.
constexpr auto kReopenWait = std::chrono::seconds(2);
constexpr auto kCloseWait = std::chrono::seconds(5);

std::int64_t ms(Duration duration) { return std::chrono::duration_cast<milliseconds>(duration).count(); }

Error away() { return {Errc::closed, "there is no connection to NATS"}; }

NatsMessage converted(natsMsg* from) {
  NatsMessage to;
  to.subject = natsMsg_GetSubject(from);
  if (const char* reply = natsMsg_GetReply(from)) to.reply = reply;
  to.payload.assign(natsMsg_GetData(from), static_cast<std::size_t>(natsMsg_GetDataLength(from)));
  to.nobody_there = natsMsg_IsNoResponders(from);
  const char** keys = nullptr;
  int count = 0;
  if (natsMsgHeader_Keys(from, &keys, &count) != NATS_OK) return to;
  for (int i = 0; i < count; ++i) {
    const char* value = nullptr;
    if (natsMsgHeader_Get(from, keys[i], &value) == NATS_OK && value != nullptr)
      to.headers.emplace_back(keys[i], value);
  }
  std::free(keys);  // the array is the caller's, the names are the message's
  return to;
}

struct MessageEnd {
  void operator()(natsMsg* message) const noexcept { natsMsg_Destroy(message); }
};
using MessagePtr = std::unique_ptr<natsMsg, MessageEnd>;

}  // namespace

std::string random_id() {
  std::random_device random;
  std::string id;
  for (int i = 0; i < 4; ++i) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    for (auto [bits, left] = std::pair(random(), 8); left > 0; --left, bits >>= 4) id += kDigits[bits & 15];
  }
  return id;
}

std::string_view NatsMessage::header(std::string_view name) const noexcept {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return {};
}

// What belongs to the home executor.
struct NatsConnection::Desk {
  struct Waiter {
    Waiter(const Executor& home, Clock& clock) : timer(home, clock) {}
    Timer timer;
    std::optional<NatsMessage> reply;
    bool gone = false;
  };

  Desk(const Executor& executor, Clock& of_time) : home(executor), clock(of_time) {}
  void handle_status(bool now_connected, std::size_t payload_limit);
  void handle_reply(NatsMessage message);
  void give_up_waiting() {
    for (auto& [token, waiter] : waiters) {
      waiter->gone = true;
      waiter->timer.cancel();
    }
  }

  Executor home;
  Clock& clock;
  const std::string inbox = "_INBOX." + random_id() + ".";
  std::uint64_t tokens = 0;
  SubscriptionId subscriptions_made = kReplies;
  std::set<SubscriptionId> subscriptions;
  std::map<std::string, std::shared_ptr<Waiter>> waiters;
  std::map<std::string, std::function<void(NatsMessage)>> takers;
  std::function<void(bool)> on_status;
  std::function<void(SubscriptionId)> on_lost;
  bool connected = false;
  std::size_t max_payload = 0;
  TimePoint last_heard;
  std::shared_ptr<Link> link;  // null after stop()
};

void NatsConnection::Desk::handle_status(bool now_connected, std::size_t payload_limit) {
  const bool changed = connected != now_connected;
  if (!changed && !now_connected) return;
  connected = now_connected;
  if (connected) max_payload = payload_limit;
  if (!connected) give_up_waiting();
  if (on_status) on_status(connected);
}

void NatsConnection::Desk::handle_reply(NatsMessage message) {
  const auto token = message.subject.substr(std::min(inbox.size(), message.subject.size()));
  if (const auto found = waiters.find(token); found != waiters.end()) {
    if (!found->second->reply) found->second->reply = std::move(message);
    found->second->timer.cancel();
    return;
  }
  const auto taker = takers.find(token);
  if (taker == takers.end()) return;
  const auto take = taker->second;  // it may call forget()
  take(std::move(message));
}

// What libnats' threads, the worker and the home executor share. Messages and events go home through one queue, so
// that they keep their order.
struct NatsConnection::Link : std::enable_shared_from_this<Link> {
  struct Arrived {
    SubscriptionId id;
    std::size_t size;
    std::function<void()> handle;
    std::optional<NatsMessage> reply;
  };
  struct Status {
    bool connected;
    std::size_t max_payload;
  };
  struct Lost {
    SubscriptionId id;
  };
  using Item = std::variant<Arrived, Status, Lost>;

  Link(const Executor& executor, NatsConnectionOptions given) : home(executor), options(std::move(given)) {}

  void push(Item item);
  void drain();
  void arrive(SubscriptionId id, const Decode& decode, natsMsg* raw);
  void tell_status(natsConnection* nats, bool was_lost);
  void overflow(std::int64_t sid);  // libnats had no room for this subscription's messages

  Executor home;
  const NatsConnectionOptions options;
  std::mutex status_mutex;  // a status is looked up and queued in one step
  std::mutex mutex;         // what follows
  std::condition_variable changed;
  std::weak_ptr<Desk> desk;
  bool stopped = false;
  bool draining = false;
  std::deque<Item> items;
  std::size_t messages = 0;
  std::size_t bytes = 0;
  std::set<SubscriptionId> lossy;               // those that are told of the loss once it has room again
  std::size_t callbacks = 0;                    // that libnats may still make: of connections and subscriptions
  bool closed = false;                          // libnats has given the connection up
  std::map<std::int64_t, SubscriptionId> sids;  // by libnats' own number
  std::unique_ptr<Worker> worker;
};

void NatsConnection::Link::push(Item item) {
  const std::lock_guard lock(mutex);
  if (stopped) return;
  if (const auto* arrived = std::get_if<Arrived>(&item)) {
    if (messages >= options.max_incoming_messages || bytes + arrived->size > options.max_incoming_bytes) {
      if (lossy.insert(arrived->id).second) items.emplace_back(Lost{arrived->id});
      return;
    }
    ++messages;
    bytes += arrived->size;
  }
  items.push_back(std::move(item));
  if (std::exchange(draining, true)) return;
  asio::post(home, [self = shared_from_this()] { self->drain(); });
}

void NatsConnection::Link::drain() {
  std::deque<Item> taken;
  std::shared_ptr<Desk> at;
  {
    const std::lock_guard lock(mutex);
    taken.swap(items);
    messages = bytes = 0;
    lossy.clear();
    draining = false;
    if (stopped) return;
    at = desk.lock();
  }
  if (!at) return;
  for (auto& item : taken) {
    if (!at->link) return;  // stopped by what was handled
    if (auto* arrived = std::get_if<Arrived>(&item)) {
      at->last_heard = at->clock.now();
      if (arrived->reply) {
        at->handle_reply(*std::move(arrived->reply));
      } else if (arrived->handle && at->subscriptions.contains(arrived->id)) {
        arrived->handle();
      }
    } else if (const auto* status = std::get_if<Status>(&item)) {
      at->handle_status(status->connected, status->max_payload);
    } else if (at->on_lost) {
      at->on_lost(std::get<Lost>(item).id);
    }
  }
}

void NatsConnection::Link::arrive(SubscriptionId id, const Decode& decode, natsMsg* raw) {
  const MessagePtr owned(raw);
  auto message = converted(raw);
  const auto size = message.payload.size() + message.subject.size() + 256;
  if (id == kReplies) {
    push(Arrived{id, size, nullptr, std::move(message)});
  } else {
    push(Arrived{id, size, decode(std::move(message)), std::nullopt});
  }
}

void NatsConnection::Link::tell_status(natsConnection* nats, bool was_lost) {
  const std::lock_guard lock(status_mutex);
  if (was_lost) push(Status{false, 0});
  if (natsConnection_Status(nats) != NATS_CONN_STATUS_CONNECTED) return;
  push(Status{true, static_cast<std::size_t>(std::max<std::int64_t>(natsConnection_GetMaxPayload(nats), 0))});
}

void NatsConnection::Link::overflow(std::int64_t sid) {
  std::optional<SubscriptionId> id;
  {
    const std::lock_guard lock(mutex);
    if (const auto found = sids.find(sid); found != sids.end()) id = found->second;
  }
  if (id) push(Lost{*id});
}

class NatsConnection::Worker {
 public:
  explicit Worker(Link& link) : link_(link) { make_options(); }
  void start() {
    thread_ = std::thread([this] { run(); });
  }
  void join() {
    if (thread_.joinable()) thread_.join();
  }

  struct Subscribe {
    SubscriptionId id;
    std::string subject;
    Decode decode;
  };
  struct Unsubscribe {
    SubscriptionId id;
  };
  using Task = std::variant<NatsOutgoing, Subscribe, Unsubscribe>;
  void set_farewell(NatsOutgoing message) {
    const std::lock_guard lock(link_.mutex);
    farewell_ = std::move(message);
  }
  // False: there is no room for that much.
  [[nodiscard]] bool add(Task task);

 private:
  struct Subscription {
    std::string subject;
    Decode decode;
    natsSubscription* made = nullptr;
  };
  // What libnats gives back with each message, until the subscription is complete.
  struct Closure {
    std::shared_ptr<Link> link;
    SubscriptionId id;
    Decode decode;
  };

  void make_options();
  void run();
  [[nodiscard]] bool open();
  void close();
  void reopen();
  void subscribe(SubscriptionId id, Subscription& subscription);
  void end(Subscription& subscription);
  void perform_all();
  void perform(Task& task);
  void publish(const NatsOutgoing& message);
  static std::size_t size_of(const NatsOutgoing& message);

  Link& link_;
  NatsOptionsPtr options_;
  natsConnection* nats_ = nullptr;
  std::map<SubscriptionId, Subscription> subscriptions_;  // the worker's thread
  std::deque<Task> tasks_;                                // these by the link's mutex
  std::size_t waiting_bytes_ = 0;
  NatsOutgoing farewell_;
  std::thread thread_;
};

void NatsConnection::Worker::make_options() {
  options_ = make_nats_options(link_.options);
  auto* made = options_.get();
  bool is_good = true;
  const auto check = [&is_good](natsStatus status) { is_good = is_good && status == NATS_OK; };
  check(natsOptions_SetDisconnectedCB(
      made, [](natsConnection* nats, void* link) { static_cast<Link*>(link)->tell_status(nats, true); }, &link_));
  const auto connected = [](natsConnection* nats, void* link) { static_cast<Link*>(link)->tell_status(nats, false); };
  check(natsOptions_SetReconnectedCB(made, connected, &link_));
  check(natsOptions_SetRetryOnFailedConnect(made, true, connected, &link_));
  const auto closed = [](natsConnection*, void* of) {
    auto* link = static_cast<Link*>(of);
    link->push(Link::Status{false, 0});
    const std::lock_guard lock(link->mutex);
    link->closed = true;
    --link->callbacks;
    link->changed.notify_all();
  };
  check(natsOptions_SetClosedCB(made, closed, &link_));
  const auto failed = [](natsConnection*, natsSubscription* subscription, natsStatus status, void* link) {
    if (status != NATS_SLOW_CONSUMER || subscription == nullptr) return;
    static_cast<Link*>(link)->overflow(natsSubscription_GetID(subscription));
  };
  check(natsOptions_SetErrorHandler(made, failed, &link_));
  if (!is_good) throw std::runtime_error("NATS: callbacks cannot be set");
}

bool NatsConnection::Worker::add(Task task) {
  const std::lock_guard lock(link_.mutex);
  if (const auto* message = std::get_if<NatsOutgoing>(&task)) {
    const auto size = size_of(*message);
    if (waiting_bytes_ + size > link_.options.max_outgoing_bytes) return false;
    waiting_bytes_ += size;
  }
  tasks_.push_back(std::move(task));
  link_.changed.notify_all();
  return true;
}

std::size_t NatsConnection::Worker::size_of(const NatsOutgoing& message) {
  std::size_t size = message.subject.size() + message.reply.size() + message.payload.size() + 64;
  for (const auto& [name, value] : message.headers) size += name.size() + value.size() + 4;
  return size;
}

void NatsConnection::Worker::run() {
  if (!open()) reopen();
  std::unique_lock lock(link_.mutex);
  for (;;) {
    link_.changed.wait(lock, [&] { return link_.stopped || link_.closed || !tasks_.empty(); });
    if (link_.stopped) break;
    if (link_.closed) {
      lock.unlock();
      reopen();
      lock.lock();
      continue;
    }
    lock.unlock();
    perform_all();
    lock.lock();
  }
  lock.unlock();
  publish(farewell_);
  close();
  lock.lock();
  const bool quiet = link_.changed.wait_for(lock, kCloseWait, [&] { return link_.callbacks == 0; });
  // Rather lose the memory than have libnats call into what is gone.
  if (!quiet) new std::shared_ptr<Link>(link_.shared_from_this());
}

bool NatsConnection::Worker::open() {
  {
    const std::lock_guard lock(link_.mutex);
    ++link_.callbacks;
    link_.closed = false;
    link_.sids.clear();
  }
  perform_all();  // so that what is subscribed to at the start is, before the connection is said to be there
  const auto status = natsConnection_Connect(&nats_, options_.get());
  if (status != NATS_OK && status != NATS_NOT_YET_CONNECTED) {
    log::warn("NATS: {}", natsStatus_GetText(status));
    const std::lock_guard lock(link_.mutex);
    --link_.callbacks;
    nats_ = nullptr;
    return false;
  }
  for (auto& [id, subscription] : subscriptions_) subscribe(id, subscription);
  // It is there when the server has made the subscriptions: others may count on them from then on.
  if (status == NATS_OK) (void)natsConnection_FlushTimeout(nats_, ms(link_.options.connect_timeout));
  link_.tell_status(nats_, false);
  return true;
}

void NatsConnection::Worker::close() {
  for (auto& [id, subscription] : subscriptions_) end(subscription);
  if (nats_ != nullptr) natsConnection_Destroy(nats_);
  nats_ = nullptr;
}

// Until it has been opened, or stop().
void NatsConnection::Worker::reopen() {
  do {
    close();
    std::unique_lock lock(link_.mutex);
    if (link_.changed.wait_for(lock, kReopenWait, [&] { return link_.stopped; })) return;
  } while (!open());
}

void NatsConnection::Worker::subscribe(SubscriptionId id, Subscription& subscription) {
  auto* closure = new Closure{link_.shared_from_this(), id, subscription.decode};
  const auto arrived = [](natsConnection*, natsSubscription*, natsMsg* message, void* to) {
    const auto* at = static_cast<Closure*>(to);
    at->link->arrive(at->id, at->decode, message);
  };
  if (natsConnection_Subscribe(&subscription.made, nats_, subscription.subject.c_str(), arrived, closure) != NATS_OK) {
    subscription.made = nullptr;
    delete closure;
    return;
  }
  {
    const std::lock_guard lock(link_.mutex);
    ++link_.callbacks;
    link_.sids[natsSubscription_GetID(subscription.made)] = id;
  }
  const auto complete = [](void* of) {
    const std::unique_ptr<Closure> ended(static_cast<Closure*>(of));
    const std::lock_guard lock(ended->link->mutex);
    --ended->link->callbacks;
    ended->link->changed.notify_all();
  };
  (void)natsSubscription_SetOnCompleteCB(subscription.made, complete, closure);
  (void)natsSubscription_SetPendingLimits(subscription.made, static_cast<int>(link_.options.max_incoming_messages),
                                          static_cast<int>(link_.options.max_incoming_bytes));
}

void NatsConnection::Worker::end(Subscription& subscription) {
  if (subscription.made == nullptr) return;
  {
    const std::lock_guard lock(link_.mutex);
    link_.sids.erase(natsSubscription_GetID(subscription.made));
  }
  natsSubscription_Destroy(subscription.made);
  subscription.made = nullptr;
}

void NatsConnection::Worker::perform_all() {
  std::deque<Task> tasks;
  {
    const std::lock_guard lock(link_.mutex);
    tasks.swap(tasks_);
    waiting_bytes_ = 0;
  }
  for (auto& task : tasks) perform(task);
}

void NatsConnection::Worker::perform(Task& task) {
  if (const auto* message = std::get_if<NatsOutgoing>(&task)) {
    publish(*message);
  } else if (auto* wanted = std::get_if<Subscribe>(&task)) {
    auto& subscription = subscriptions_[wanted->id];
    subscription.subject = std::move(wanted->subject);
    subscription.decode = std::move(wanted->decode);
    if (nats_ != nullptr) subscribe(wanted->id, subscription);
  } else {
    const auto found = subscriptions_.find(std::get<Unsubscribe>(task).id);
    if (found == subscriptions_.end()) return;
    end(found->second);
    subscriptions_.erase(found);
  }
}

// What becomes of it when it cannot be sent its user learns from the connection's status.
void NatsConnection::Worker::publish(const NatsOutgoing& message) {
  if (nats_ == nullptr || natsConnection_Status(nats_) != NATS_CONN_STATUS_CONNECTED) return;
  natsMsg* made = nullptr;
  const auto payload = message.payload.view();
  if (natsMsg_Create(&made, message.subject.c_str(), message.reply.empty() ? nullptr : message.reply.c_str(),
                     payload.data(), static_cast<int>(payload.size())) != NATS_OK) {
    return;
  }
  const MessagePtr owned(made);
  for (const auto& [name, value] : message.headers) (void)natsMsgHeader_Set(made, name.c_str(), value.c_str());
  (void)natsConnection_PublishMsg(nats_, made);
}

NatsConnection::NatsConnection(const Executor& home, Clock& clock, NatsConnectionOptions options)
    : link_(std::make_shared<Link>(home, std::move(options))), desk_(std::make_shared<Desk>(home, clock)) {
  link_->worker = std::make_unique<Worker>(*link_);
  link_->desk = desk_;
  desk_->link = link_;
}

NatsConnection::~NatsConnection() = default;

void NatsConnection::start(std::function<void(bool)> on_status, std::function<void(SubscriptionId)> on_lost) {
  desk_->on_status = std::move(on_status);
  desk_->on_lost = std::move(on_lost);
  Worker::Subscribe replies{kReplies, desk_->inbox + "*", nullptr};
  (void)link_->worker->add(std::move(replies));
  link_->worker->start();
}

void NatsConnection::stop(NatsOutgoing farewell) {
  link_->worker->set_farewell(std::move(farewell));
  {
    const std::lock_guard lock(link_->mutex);
    link_->stopped = true;
    link_->items.clear();
    link_->changed.notify_all();
  }
  link_->worker->join();
  asio::post(link_->home, [desk = desk_] {
    desk->connected = false;
    desk->link = nullptr;
    desk->on_status = nullptr;
    desk->on_lost = nullptr;
    desk->takers.clear();
    desk->give_up_waiting();
  });
}

bool NatsConnection::is_connected() const noexcept { return desk_->connected; }
TimePoint NatsConnection::last_heard() const noexcept { return desk_->last_heard; }
std::size_t NatsConnection::max_payload() const noexcept { return desk_->max_payload; }

result<void> NatsConnection::publish(NatsOutgoing message) {
  if (!desk_->connected) return away();
  std::size_t size = message.payload.size() + 12;  // "NATS/1.0", two line ends
  for (const auto& [name, value] : message.headers) size += name.size() + value.size() + 4;
  if (desk_->max_payload > 0 && size > desk_->max_payload) {
    return Error{Errc::too_large, "a message of " + std::to_string(size) +
                                      " bytes with its headers is more than NATS " +
                                      "takes (max_payload: " + std::to_string(desk_->max_payload) + ")"};
  }
  if (!link_->worker->add(std::move(message))) {
    return Error{Errc::throttled, "too much waits to be sent to NATS", 429};
  }
  return {};
}

NatsConnection::SubscriptionId NatsConnection::subscribe(std::string subject, Decode decode) {
  const auto id = ++desk_->subscriptions_made;
  desk_->subscriptions.insert(id);
  Worker::Subscribe wanted{id, std::move(subject), std::move(decode)};
  (void)link_->worker->add(std::move(wanted));
  return id;
}

void NatsConnection::unsubscribe(SubscriptionId id) {
  desk_->subscriptions.erase(id);
  (void)link_->worker->add(Worker::Unsubscribe{id});
}

awaitable<result<NatsMessage>> NatsConnection::request(NatsOutgoing message, Duration timeout) {
  const auto token = std::to_string(++desk_->tokens);
  message.reply = desk_->inbox + token;
  if (const auto sent = publish(message); !sent) {
    return [](Error error) -> awaitable<result<NatsMessage>> { co_return error; }(sent.error());
  }
  return ask(desk_, std::move(message), timeout);
}

awaitable<result<NatsMessage>> NatsConnection::ask(std::shared_ptr<Desk> desk, NatsOutgoing message, Duration timeout) {
  const auto token = message.reply.substr(desk->inbox.size());
  const auto waiter = std::make_shared<Desk::Waiter>(desk->home, desk->clock);
  desk->waiters.emplace(token, waiter);
  auto waiting = waiter->timer.wait_for(timeout);
  (void)co_await std::move(waiting);
  desk->waiters.erase(token);
  if (waiter->reply) co_return *std::move(waiter->reply);
  if (waiter->gone) co_return Error{Errc::closed, "the connection to NATS was lost before the answer came"};
  co_return Error{Errc::timeout, "NATS did not answer in time"};
}

std::string NatsConnection::expect(std::function<void(NatsMessage)> take) {
  const auto token = std::to_string(++desk_->tokens);
  desk_->takers.emplace(token, std::move(take));
  return desk_->inbox + token;
}

void NatsConnection::forget(const std::string& reply_subject) {
  desk_->takers.erase(reply_subject.substr(desk_->inbox.size()));
}

}  // namespace fresnel::broker
