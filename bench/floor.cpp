// The least that a server can do: the turn's bytes in one system call a client. No protocol, no queue, no event loop;
// what another server needs beyond this is its own.
//
// Two floors. Gathered: each message is two pieces, its header with the client's prefix and the body that all share, as
// every server needs it whose clients have prefixes of their own. With --one-buffer the turn is one piece, prepared
// once: possible only when all clients get identical bytes.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>
#include <string_view>
#include <thread>

#include "bench/publication.hpp"

namespace fresnel::bench {
namespace {

struct Client {
  int socket;
  std::size_t sent = 0;  // of the turn's bytes
};

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

int open_listener() {
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (listener < 0 || bind(listener, generic, size) != 0 || listen(listener, 4096) != 0) fail("listen");
  if (getsockname(listener, generic, &size) != 0) fail("getsockname");
  print_port(ntohs(address.sin_port));
  return listener;
}

// Takes a client's handshake. The load generator does not compare Sec-WebSocket-Accept.
Client accept_client(int listener) {
  const int client = accept(listener, nullptr, nullptr);
  if (client < 0) fail("accept");
  const int on = 1;
  (void)setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  std::string request;
  char buffer[4096];
  while (!request.ends_with("\r\n\r\n")) {
    const auto size = recv(client, buffer, sizeof buffer, 0);
    if (size <= 0) fail("handshake");
    request.append(buffer, static_cast<std::size_t>(size));
  }
  constexpr std::string_view kAnswer =
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
  if (send(client, kAnswer.data(), kAnswer.size(), 0) < 0) fail("handshake");
  return {client};
}

// What one turn sends to each client.
class Turn {
 public:
  void add(const std::string& bytes) {
    if (bytes.empty()) return;
    pieces_.push_back({const_cast<char*>(bytes.data()), bytes.size()});
    ends_.push_back(size() + bytes.size());
  }
  [[nodiscard]] std::size_t size() const { return ends_.empty() ? 0 : ends_.back(); }
  // Sends what follows the first `from` bytes, as far as the kernel takes it in one call.
  [[nodiscard]] ssize_t send(int socket, std::size_t from) {
    const auto first = static_cast<std::size_t>(std::upper_bound(ends_.begin(), ends_.end(), from) - ends_.begin());
    const auto count = std::min<std::size_t>(pieces_.size() - first, IOV_MAX);
    const auto sent_of_first = from - (first == 0 ? 0 : ends_[first - 1]);
    const auto whole = pieces_[first];
    pieces_[first] = {static_cast<char*>(whole.iov_base) + sent_of_first, whole.iov_len - sent_of_first};
    msghdr message{};
    message.msg_iov = &pieces_[first];
    message.msg_iovlen = count;
    const auto size = sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    pieces_[first] = whole;
    return size;
  }

 private:
  std::vector<iovec> pieces_;
  std::vector<std::size_t> ends_;  // of the pieces, within the turn's bytes
};

// True when the kernel has taken all.
bool push(Client& client, Turn& turn) {
  while (client.sent < turn.size()) {
    const auto size = turn.send(client.socket, client.sent);
    if (size < 0 && errno == EAGAIN) return false;
    if (size < 0) fail("send");
    client.sent += static_cast<std::size_t>(size);
  }
  return true;
}

void finish(std::vector<Client*>& waiting, Turn& turn) {
  std::vector<pollfd> polled;
  while (!waiting.empty()) {
    polled.clear();
    for (const auto* client : waiting) polled.push_back({client->socket, POLLOUT, 0});
    if (poll(polled.data(), polled.size(), -1) < 0) fail("poll");
    std::erase_if(waiting, [&](Client* client) { return push(*client, turn); });
  }
}

// Waits for the next turn's time, and writes it into the bodies.
class Pace {
 public:
  Pace(double rate, std::vector<std::string>& bodies) : bodies_(bodies), place_(bodies.front().find(kNoTime)) {
    if (rate > 0) interval_ = std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(1 / rate));
  }
  void wait() {
    if (interval_ == Clock::duration::zero()) return;
    const auto now = Clock::now();
    while (due_ <= now) due_ += interval_;
    std::this_thread::sleep_until(due_);
    const auto since_1970 = std::chrono::system_clock::now().time_since_epoch();
    const auto digits = std::to_string(std::chrono::duration_cast<std::chrono::nanoseconds>(since_1970).count());
    for (auto& body : bodies_) body.replace(place_, kNoTime.size(), digits);
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::string_view kNoTime = "0000000000000000000";

  std::vector<std::string>& bodies_;
  std::size_t place_;  // of the time, in each body
  Clock::duration interval_{};
  Clock::time_point due_ = Clock::now();
};

int run(const FanOutArgs& args) {
  const int listener = open_listener();
  std::vector<Client> clients;
  while (clients.size() < args.clients) clients.push_back(accept_client(listener));
  const std::string prefix = frame_header(args.size) + message_prefix();
  std::vector<std::string> bodies;
  std::string all;
  for (std::size_t i = 0; i < args.burst; ++i) bodies.push_back(message_body(args.size, i));
  Turn turn;
  for (const auto& body : bodies) {
    if (args.one_buffer) {
      all.append(prefix).append(body);
    } else {
      turn.add(prefix);
      turn.add(body);
    }
  }
  turn.add(all);
  Publication publication(args);
  std::vector<Client*> waiting;
  Pace pace(args.rate, bodies);
  while (publication.next_turn()) {
    pace.wait();
    for (auto& client : clients) {
      client.sent = 0;
      if (!push(client, turn)) waiting.push_back(&client);
    }
    finish(waiting, turn);
  }
  return 0;
}

}  // namespace
}  // namespace fresnel::bench

int main(int argc, char** argv) {
  return fresnel::bench::run(
      fresnel::bench::parse_fan_out_args(argc, argv, "The same bytes in one system call a client"));
}
