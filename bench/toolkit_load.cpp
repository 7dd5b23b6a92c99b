// The clients of a toolkit server (bench/toolkit_server.cpp and .mjs): one thread on raw epoll. It serves them while it
// waits for a command:
//
//   connect SECONDS    connects all; answers when all are live, their subscriptions included
//   fence SECONDS      answers when what the server had sent has been counted; begins to count anew
//   churn COUNT RATE   opens COUNT connections, RATE a second (0: no pace); when all are in use, the oldest is closed
//                      for each new one; in the end all are closed. Before it, none may be open
//   close SECONDS      closes all, with the closing handshake
//
// usage: bench_toolkit_load PORT CONNECTIONS CHANNELS SUBSCRIPTIONS [spin]
//        SUBSCRIPTIONS: of each connection; spin: never sleep, so that no sender pays for waking it
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "bench/toolkit_client.hpp"
#include "bench/toolkit_process.hpp"
#include "fresnel/json/escape.hpp"

namespace fresnel::bench {
namespace {

using Clock = std::chrono::steady_clock;
using State = ToolkitClient::State;
using Seconds = std::chrono::duration<double>;

constexpr std::size_t kAtOnce = 256;  // connections on their way

class Load {
 public:
  Load(const ToolkitLoadOptions& options, bool spin)
      : options_(options),
        request_(load::handshake_request({.host = "127.0.0.1:" + std::to_string(options.port)})),
        spin_(spin),
        buffer_(256u << 10),
        epoll_(epoll_create1(EPOLL_CLOEXEC)) {
    for (std::size_t i = 0; i < options.connections; ++i) {
      clients_.push_back(std::make_unique<ToolkitClient>(options_, i));
      free_.push_back(clients_.back().get());
    }
    std::reverse(free_.begin(), free_.end());
    epoll_event event{.events = EPOLLIN, .data = {.ptr = nullptr}};
    (void)epoll_ctl(epoll_, EPOLL_CTL_ADD, STDIN_FILENO, &event);
  }

  void run() {
    std::string line;
    while (!is_over_) {
      turn(100);
      while (take_line(received_, line)) say(obey(line));
    }
  }

 private:
  std::string obey(const std::string& line) {
    std::istringstream words(line);
    std::string command;
    double number = 0;
    double rate = 0;
    words >> command >> number >> rate;
    const auto begin = Clock::now();
    const auto deadline = begin + std::chrono::duration_cast<Clock::duration>(Seconds(number));
    bool done = false;
    if (command == "connect") {
      done = connect(deadline);
    } else if (command == "fence") {
      done = fence(deadline);
    } else if (command == "close") {
      done = close(deadline);
    } else if (command == "churn") {
      done = churn(static_cast<std::size_t>(number), rate);
    } else {
      fault_ = "unknown command: " + line;
    }
    if (!done && fault_.empty()) fault_ = command + ": not done in time";
    return account(Seconds(Clock::now() - begin).count());
  }

  std::string account(double seconds) {
    std::uint64_t sum = 0;
    std::uint64_t most = 0;
    std::uint64_t least = ~std::uint64_t{0};
    for (const auto& client : clients_) {
      const auto messages = std::exchange(client->messages, 0);
      sum += messages;
      most = std::max(most, messages);
      least = std::min(least, messages);
    }
    std::string fault;
    json::append_quoted(fault, std::exchange(fault_, {}));
    return fmt::format(
        R"({{"seconds":{:.6f},"live":{},"messages":{},"least":{},"most":{},"opened":{},"closed":{},"fault":{}}})",
        seconds, live_, sum, least, most, opened_, closed_, fault);
  }

  // False at the deadline, and as soon as something went wrong.
  bool run_until(Clock::time_point deadline, const std::function<bool()>& done) {
    while (!done()) {
      if (!fault_.empty() || is_over_ || Clock::now() >= deadline) return false;
      turn(1);
    }
    return true;
  }

  bool connect(Clock::time_point deadline) {
    return run_until(deadline, [this] {
      while (may_open()) open_one();
      return live_ == clients_.size();
    });
  }

  bool fence(Clock::time_point deadline) {
    for (const auto& client : clients_) {
      if (client->state() != State::live) continue;
      client->ask_for_pong();
      serve(*client, false, true);
    }
    return run_until(deadline, [this] {
      return std::all_of(clients_.begin(), clients_.end(),
                         [](const auto& client) { return client->state() != State::live || client->has_pong(); });
    });
  }

  bool close(Clock::time_point deadline) {
    return run_until(deadline, [this] {
      while (live_ > 0 && close_oldest()) continue;
      return free_.size() == clients_.size();
    });
  }

  bool churn(std::size_t count, double rate) {
    opened_ = closed_ = 0;
    const auto begin = Clock::now();
    const auto paced = Seconds(rate > 0 ? static_cast<double>(count) / rate : 0);
    const auto deadline = begin + std::chrono::duration_cast<Clock::duration>(paced) + std::chrono::seconds(60);
    const bool opened = run_until(deadline, [&] {
      const auto due = rate > 0 ? static_cast<std::size_t>(Seconds(Clock::now() - begin).count() * rate) + 1 : count;
      while (opened_ < std::min(due, count) && make_room()) open_one();
      return opened_ == count;
    });
    return opened && close(deadline) && closed_ == count;
  }

  [[nodiscard]] bool may_open() const { return fault_.empty() && !free_.empty() && on_their_way_ < kAtOnce; }

  // Whether one more can be opened now. Of those in use the oldest goes.
  bool make_room() {
    if (free_.empty() && closing_ == 0) (void)close_oldest();
    return may_open();
  }

  void open_one() {
    auto& client = *free_.back();
    free_.pop_back();
    if (auto fault = client.connect(request_); !fault.empty()) {
      free_.push_back(&client);
      fault_ = std::move(fault);
      return;
    }
    ++opened_;
    ++on_their_way_;
    oldest_.push_back(&client);
    watch(client, EPOLL_CTL_ADD);
  }

  // False when it is not live yet.
  bool close_oldest() {
    if (oldest_.empty() || oldest_.front()->state() != State::live) return false;
    auto& client = *oldest_.front();
    oldest_.pop_front();
    --live_;
    ++closing_;
    client.begin_to_close();
    serve(client, false, true);
    return true;
  }

  void watch(ToolkitClient& client, int operation) {
    epoll_event event{};
    event.data.ptr = &client;
    client.is_watched_for_room = client.wants_to_write();
    event.events = EPOLLIN | (client.is_watched_for_room ? static_cast<unsigned>(EPOLLOUT) : 0u);
    (void)epoll_ctl(epoll_, operation, client.socket(), &event);
  }

  void turn(int timeout_milliseconds) {
    std::array<epoll_event, 256> events{};
    const int count =
        epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), spin_ ? 0 : timeout_milliseconds);
    for (int i = 0; i < count; ++i) {
      const auto& event = events[static_cast<std::size_t>(i)];
      auto* client = static_cast<ToolkitClient*>(event.data.ptr);
      if (client == nullptr) {
        read_input();
      } else if (client->socket() >= 0) {
        serve(*client, (event.events & ~static_cast<unsigned>(EPOLLOUT)) != 0, (event.events & EPOLLOUT) != 0);
      }
    }
  }

  void serve(ToolkitClient& client, bool readable, bool writable) {
    const auto before = client.state();
    auto fault = client.on_event(readable, writable, buffer_);
    const auto after = client.state();
    if (after == State::down) {
      if (before == State::closing && fault.empty()) ++closed_;
      --(before == State::closing ? closing_ : before == State::live ? live_ : on_their_way_);
      if (before != State::closing) std::erase(oldest_, &client);
      free_.push_back(&client);
    } else if (after == State::live && before != State::live) {
      --on_their_way_;
      ++live_;
    }
    if (!fault.empty() && fault_.empty()) fault_ = std::move(fault);
    if (client.socket() >= 0 && client.wants_to_write() != client.is_watched_for_room) watch(client, EPOLL_CTL_MOD);
  }

  // Its end is that of who commands this process.
  void read_input() {
    std::array<char, 256> bytes{};
    const auto size = ::read(STDIN_FILENO, bytes.data(), bytes.size());
    is_over_ = size <= 0;
    if (size > 0) received_.append(bytes.data(), static_cast<std::size_t>(size));
  }

  const ToolkitLoadOptions options_;
  const std::string request_;
  const bool spin_;
  std::vector<char> buffer_;
  const int epoll_;
  std::vector<std::unique_ptr<ToolkitClient>> clients_;
  std::vector<ToolkitClient*> free_;   // down
  std::deque<ToolkitClient*> oldest_;  // the others but those closing, in the order of their coming
  std::size_t on_their_way_ = 0;       // not yet live
  std::size_t live_ = 0;
  std::size_t closing_ = 0;
  std::size_t opened_ = 0;
  std::size_t closed_ = 0;  // with the closing handshake
  std::string fault_;       // the first since the last answer
  std::string received_;
  bool is_over_ = false;
};

int run(int argc, char** argv) {
  if (argc != 5 && argc != 6) {
    throw std::runtime_error("usage: bench_toolkit_load PORT CONNECTIONS CHANNELS SUBSCRIPTIONS [spin]");
  }
  ToolkitLoadOptions options;
  options.port = static_cast<std::uint16_t>(std::stoul(argv[1]));
  options.connections = std::stoul(argv[2]);
  options.channels = std::stoul(argv[3]);
  options.subscriptions = std::stoul(argv[4]);
  allow_connections(options.connections);
  Load(options, argc == 6).run();
  return 0;
}

}  // namespace
}  // namespace fresnel::bench

int main(int argc, char** argv) {
  try {
    return fresnel::bench::run(argc, argv);
  } catch (const std::exception& failure) {
    fmt::print(stderr, "bench_toolkit_load: {}\n", failure.what());
    return 1;
  }
}
