// The least that a server can do: the turn's bytes, framed once, in one send() a client. No protocol, no queue, no
// event loop; what another server needs beyond this is its own.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

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

// True when the kernel has taken all.
bool push(Client& client, std::string_view bytes) {
  while (client.sent < bytes.size()) {
    const auto size =
        send(client.socket, bytes.data() + client.sent, bytes.size() - client.sent, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (size < 0 && errno == EAGAIN) return false;
    if (size < 0) fail("send");
    client.sent += static_cast<std::size_t>(size);
  }
  return true;
}

void finish(std::vector<Client*>& waiting, std::string_view bytes) {
  std::vector<pollfd> polled;
  while (!waiting.empty()) {
    polled.clear();
    for (const auto* client : waiting) polled.push_back({client->socket, POLLOUT, 0});
    if (poll(polled.data(), polled.size(), -1) < 0) fail("poll");
    std::erase_if(waiting, [&](Client* client) { return push(*client, bytes); });
  }
}

int run(const FanOutArgs& args) {
  const int listener = open_listener();
  std::vector<Client> clients;
  while (clients.size() < args.clients) clients.push_back(accept_client(listener));
  std::string bytes;
  for (std::size_t i = 0; i < args.burst; ++i) {
    bytes += frame_header(args.size) + message_prefix() + message_body(args.size, i);
  }
  Publication publication(args);
  std::vector<Client*> waiting;
  while (publication.next_turn()) {
    for (auto& client : clients) {
      client.sent = 0;
      if (!push(client, bytes)) waiting.push_back(&client);
    }
    finish(waiting, bytes);
  }
  return 0;
}

}  // namespace
}  // namespace fresnel::bench

int main(int argc, char** argv) {
  return fresnel::bench::run(fresnel::bench::parse_fan_out_args(argc, argv, "The same bytes in one send() a client"));
}
