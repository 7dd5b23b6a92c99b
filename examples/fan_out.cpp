// A back end that tells browsers what happens: each line of its standard input goes to all who have subscribed to a
// channel of a gateway, by HTTP. Any language can; with curl it is
//
//   curl -H "Authorization: Bearer $FRESNEL_API_TOKEN" -d '{"channel":"news","data":"Hello"}' $GATEWAY/api/broadcast
//
// usage: FRESNEL_API_TOKEN=... example_fan_out GATEWAY CHANNEL
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>

#include "fresnel/net/curl_client.hpp"

namespace net = fresnel::net;

namespace {

// What the gateway answers: how many subscribers have been sent it, or what is wrong.
fresnel::awaitable<std::string> broadcast(net::HttpTransport& client, net::HttpRequest request) {
  auto opened = co_await client.open(std::move(request));
  if (!opened) co_return opened.error().message + "\n";
  const auto response = *std::move(opened);
  auto answer = co_await net::read_all(*response, 64u << 10);
  co_return answer ? *std::move(answer) : answer.error().message + "\n";
}

fresnel::awaitable<void> broadcast_lines(net::HttpTransport& client, std::string gateway, std::string channel) {
  const char* token = std::getenv("FRESNEL_API_TOKEN");
  std::string line;
  while (std::getline(std::cin, line)) {
    net::HttpRequest request;
    request.method = "POST";
    request.url = gateway + "/api/broadcast";
    request.headers.add("authorization", std::string("Bearer ") + (token != nullptr ? token : ""));
    request.headers.add("content-type", "application/json");
    request.body = boost::json::serialize(boost::json::object{{"channel", channel}, {"data", line}});
    auto sending = broadcast(client, std::move(request));
    const auto answer = co_await std::move(sending);
    std::fputs(answer.c_str(), stdout);
    std::fflush(stdout);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: FRESNEL_API_TOKEN=... %s GATEWAY CHANNEL\n", argv[0]);
    return 2;
  }
  boost::asio::io_context io;
  net::CurlClient client(io.get_executor());
  auto all = broadcast_lines(client, argv[1], argv[2]);
  boost::asio::co_spawn(io, std::move(all), [](const std::exception_ptr& failure) {
    if (failure) std::rethrow_exception(failure);
  });
  io.run();
}
