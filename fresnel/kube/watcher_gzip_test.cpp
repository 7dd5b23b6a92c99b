// Responses that a proxy compresses and then cuts, through libcurl: what came whole counts, the rest is asked for
// again.
#include <gtest/gtest.h>
#include <zlib.h>

#include <boost/asio/io_context.hpp>

#include "fresnel/kube/watcher.hpp"
#include "fresnel/net/curl_client.hpp"
#include "fresnel/net/http_server.hpp"
#include "fresnel/net/testing.hpp"

namespace fresnel::kube {
namespace {

// gzip, so that each part can be read before the next has come (as proxies flush it); without the stream's end.
std::string gzip_parts(const std::vector<std::string>& parts) {
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string out;
  for (const auto& part : parts) {
    std::string bytes(part.size() + 100, '\0');
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(part.data()));
    stream.avail_in = static_cast<uInt>(part.size());
    stream.next_out = reinterpret_cast<Bytef*>(bytes.data());
    stream.avail_out = static_cast<uInt>(bytes.size());
    deflate(&stream, Z_SYNC_FLUSH);
    out += bytes.substr(0, bytes.size() - stream.avail_out);
  }
  deflateEnd(&stream);
  return out;
}

std::string pod(std::string_view name, int version) {
  return R"({"metadata":{"name":")" + std::string(name) + R"(","uid":")" + std::string(name) +
         R"(","resourceVersion":")" + std::to_string(version) + R"("}})";
}

std::string added(std::string_view name, int version) {
  return R"({"type":"ADDED","object":)" + pod(name, version) + "}\n";
}

std::string list(int version, const std::string& items) {
  return R"({"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":")" + std::to_string(version) +
         R"("},"items":[)" + items + "]}";
}

// Whether the cut stream is then ended properly, as by a proxy that lost its own upstream, or the connection is lost.
class WatcherGzipTest : public testing::TestWithParam<bool> {
 protected:
  awaitable<void> cut_gzip(net::HttpExchange& exchange, std::string bytes) {
    net::Headers headers;
    headers.add("content-encoding", "gzip");
    (void)co_await exchange.begin(200, std::move(headers));
    (void)co_await exchange.write(bytes);
    if (GetParam()) (void)co_await exchange.finish();
  }

  asio::io_context io;
  SteadyClock clock;
  Random random{3};
};
INSTANTIATE_TEST_SUITE_P(Ends, WatcherGzipTest, testing::Bool());

TEST_P(WatcherGzipTest, AStreamCutInTheMiddleOfAListAndOfAWatchLosesNothing) {
  std::vector<std::string> asked;
  net::testing::Gate released(io);
  net::HttpServer server(io.get_executor(), clock, {}, [&](net::HttpExchange& exchange) -> awaitable<void> {
    const std::string query(exchange.request().query());
    asked.push_back(query.substr(0, query.find("&allow")) + query.substr(std::min(query.rfind('&'), query.size())));
    const std::string whole = list(10, pod("a", 9));
    if (asked.size() == 1) {
      auto half = gzip_parts(std::vector<std::string>(1, whole.substr(0, whole.size() / 2)));
      auto cut = cut_gzip(exchange, std::move(half));
      co_await std::move(cut);
    } else if (!query.starts_with("watch")) {
      net::Headers headers;
      std::string body = query == "limit=1" ? list(12, "") : whole;
      co_await exchange.respond(200, std::move(headers), std::move(body));
    } else if (query.ends_with("=10")) {
      const std::string second = added("c", 12);
      std::vector<std::string> parts(1, added("b", 11));
      parts.push_back(second.substr(0, second.size() / 2));
      auto cut = cut_gzip(exchange, gzip_parts(parts));
      co_await std::move(cut);
    } else {
      net::Headers headers;
      (void)co_await exchange.begin(200, std::move(headers));
      const std::string rest = added("c", 12);
      (void)co_await exchange.write(rest);
      co_await released.wait();
    }
  });
  const auto bound = server.listen({}).value();
  net::CurlClient transport(io.get_executor());
  ClusterContext context{.name = "gzip", .server = "http://" + bound.to_string()};
  std::vector<std::string> told;
  WatcherHandlers handlers;
  handlers.on_events = [&](std::vector<WatchEvent> events) {
    for (const auto& event : events) told.emplace_back(event.name);
  };
  WatcherOptions options;
  options.backoff = {.first = milliseconds(5), .limit = milliseconds(5)};
  auto watcher =
      std::make_unique<Watcher>(io.get_executor(), clock, random, std::make_shared<ApiClient>(transport, context),
                                WatchTarget{.path = "/api/v1/pods"}, handlers, options);
  watcher->start();
  net::testing::run_until(io, [&] { return told.size() >= 2; });
  EXPECT_EQ(told, (std::vector<std::string>{"b", "c"}));
  EXPECT_EQ(watcher->index().size(), 3u);
  EXPECT_EQ(watcher->relists(), 0u);
  EXPECT_EQ(asked, (std::vector<std::string>{"limit=500", "limit=500", "watch=1&resourceVersion=10", "limit=1",
                                             "watch=1&resourceVersion=11"}));
  watcher.reset();
  released.open();
  server.stop();
  io.restart();
  io.poll();
}

}  // namespace
}  // namespace fresnel::kube
