// Asks a server many questions at once over a few connections, which are opened once and lent out.
//
// usage: example_pool_client URL [QUESTIONS] [CONNECTIONS]
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdio>
#include <cstdlib>

#include "fresnel/base/clock.hpp"
#include "fresnel/websocket/websocket_pool.hpp"

namespace ws = fresnel::websocket;

namespace {

fresnel::awaitable<void> ask(ws::WebSocketPool& pool, int number, int& answers) {
  auto lease = co_await pool.acquire();
  if (!lease) {
    std::fprintf(stderr, "question %d: %s\n", number, lease.error().message.c_str());
    co_return;
  }
  fresnel::net::Message question{"question " + std::to_string(number)};
  const auto written = co_await lease->write(std::move(question));
  if (!written) {
    std::fprintf(stderr, "question %d: %s\n", number, written.error().message.c_str());
    co_return;
  }
  const auto answer = co_await lease->read();
  if (!answer) {
    std::fprintf(stderr, "question %d: %s\n", number, answer.error().message.c_str());
    co_return;
  }
  ++answers;
}

fresnel::awaitable<void> ask_all(ws::WebSocketPool& pool, int questions) {
  int asked = 0;
  int answers = 0;
  const auto executor = co_await boost::asio::this_coro::executor;
  boost::asio::steady_timer over(executor, boost::asio::steady_timer::time_point::max());
  for (int number = 1; number <= questions; ++number) {
    boost::asio::co_spawn(executor, ask(pool, number, answers), [&](const std::exception_ptr&) {
      if (++asked == questions) over.cancel();
    });
  }
  if (asked < questions) co_await over.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
  const auto health = pool.get_health_status();
  std::printf("%d answers over %zu connections, %llu failures\n", answers, health.idle,
              static_cast<unsigned long long>(health.failures));
  co_await pool.close();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s URL [QUESTIONS] [CONNECTIONS]\n", argv[0]);
    return 2;
  }
  fresnel::SteadyClock clock;
  boost::asio::io_context io;
  ws::WebSocketPoolOptions options;
  options.max_connections = static_cast<std::size_t>(argc > 3 ? std::atoi(argv[3]) : 4);
  ws::WebSocketPool pool(io.get_executor(), clock, argv[1], options);
  boost::asio::co_spawn(io, ask_all(pool, argc > 2 ? std::atoi(argv[2]) : 100), boost::asio::detached);
  io.run();
}
