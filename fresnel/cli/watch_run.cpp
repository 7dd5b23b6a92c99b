#include "fresnel/cli/watch_run.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <exception>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "fresnel/cli/commands.hpp"
#include "fresnel/cli/error_text.hpp"
#include "fresnel/cli/event_printer.hpp"
#include "fresnel/cli/event_source.hpp"
#include "fresnel/cli/live_table.hpp"
#include "fresnel/cli/output.hpp"
#include "fresnel/cli/targets.hpp"
#include "fresnel/kube/api_client.hpp"
#include "fresnel/net/websocket_client.hpp"

namespace fresnel::cli {
namespace {

constexpr Duration kRetry = seconds(3);  // of a cluster that could not be reached at the start
constexpr Duration kReaderCheck = seconds(1);

void rethrow(std::exception_ptr failure) {
  if (failure) std::rethrow_exception(failure);
}

class WatchRun {
 public:
  WatchRun(asio::io_context& io, Clock& clock, Random& random, net::HttpTransport& transport, const ResourceArgs& args,
           const std::vector<kube::ClusterContext>& clusters, Output output, Output errors)
      : io_(io),
        clock_(clock),
        random_(random),
        transport_(transport),
        args_(args),
        clusters_(clusters),
        output_(output),
        errors_(errors),
        as_table_(args.output == OutputFormat::table || args.output == OutputFormat::wide),
        live_(as_table_ && output_.is_terminal()),
        printer_({args.output, clusters.size() > 1, args.all_namespaces}) {}

  int run() {
    SourceHandlers handlers;
    if (live_) {
      make_table();
      handlers = table_->handlers();
    } else {
      handlers = pipe_handlers();
    }
    report_ = handlers.on_state;
    handlers.on_state = [this](const std::string& cluster, LinkState state, const Error& error) {
      report_(cluster, state, error);
      // Once a cluster was followed, rights may come back.
      if (state == LinkState::failed && is_final(error) && !synced_.contains(cluster)) give_up(cluster, error);
    };
    handlers.on_synced = [this, show = handlers.on_synced](const std::string& cluster) {
      synced_.insert(cluster);
      show(cluster);
    };
    if (args_.gateway.empty()) {
      source_ = std::make_unique<DirectSource>(io_.get_executor(), clock_, random_, transport_, std::move(handlers));
    } else {
      source_ = std::make_unique<GatewaySource>(io_.get_executor(), clock_, Random(random_()),
                                                std::make_shared<net::WebSocketDialer>(io_.get_executor()),
                                                args_.gateway, std::move(handlers));
    }
    for (const auto& cluster : clusters_) spawn(start(cluster));
    live_ ? spawn(show_table()) : spawn(watch_reader());
    io_.restart();
    io_.run();
    wind_up();
    return exit_code_;
  }

 private:
  void make_table() {
    LiveTableOptions options;
    options.title = args_.resource + (args_.all_namespaces ? " in all namespaces" : "");
    for (const auto& cluster : clusters_) options.clusters.push_back(cluster.name);
    options.show_cluster = clusters_.size() > 1;
    options.show_namespace = args_.all_namespaces;
    options.wide = args_.output == OutputFormat::wide;
    options.colour = wants_colour(output_);
    table_ = std::make_unique<LiveTable>(io_.get_executor(), clock_, std::move(options));
  }

  SourceHandlers pipe_handlers() {
    SourceHandlers handlers;
    handlers.on_event = [this](const std::string& cluster, const kube::WatchEvent& event) {
      print(printer_.event(cluster, event, wall_now()));
    };
    handlers.on_synced = [this](const std::string& cluster) { print(printer_.synced(cluster)); };
    handlers.on_state = [this](const std::string& cluster, LinkState state, const Error& error) {
      if (state == LinkState::live) last_said_[cluster].clear();
      const bool troubled = state == LinkState::reconnecting || state == LinkState::failed;
      if (troubled && !error.message.empty()) complain(cluster, error);
    };
    return handlers;
  }

  void print(const std::string& text) {
    if (!text.empty() && !finished_ && !output_.write(text)) finish(kExitOk);  // the reader has seen enough
  }

  // Says an error on standard error, once until something else happens.
  void complain(const std::string& cluster, const Error& error) {
    const std::string text = error_text(error);
    auto& last = last_said_[cluster];
    if (text == last) return;
    last = text;
    (void)errors_.write((clusters_.size() > 1 ? cluster + ": " : "") + text + "\n");
  }

  // Coroutines end with the run: each has a signal that cancels it.
  void spawn(awaitable<void> work) {
    auto& signal = cancellations_.emplace_back();
    asio::co_spawn(io_, std::move(work), asio::bind_cancellation_slot(signal.slot(), rethrow));
  }

  awaitable<void> start(kube::ClusterContext cluster) {
    kube::ApiClient client(transport_, cluster);
    Timer pause(io_.get_executor(), clock_);
    for (;;) {
      auto target = co_await find_resource(args_, client);
      if (finished_) co_return;
      if (target) {
        follow(cluster, *target);
        co_return;
      }
      report_(cluster.name, LinkState::failed, target.error());
      if (!live_ || is_final(target.error())) {
        give_up(cluster.name, target.error());
        co_return;
      }
      const bool due = co_await pause.wait_for(kRetry);
      if (!due) co_return;
    }
  }

  void follow(const kube::ClusterContext& cluster, const ResourceTarget& target) {
    if (!target.resource.can("watch")) {
      const Error error{Errc::not_found, "the server cannot watch " + target.resource.qualified_name()};
      report_(cluster.name, LinkState::failed, error);
      give_up(cluster.name, error);
      return;
    }
    kube::WatchTarget watch;
    watch.path = target.resource.list_path(target.namespace_);
    watch.query = args_.selector_query(true);
    if (as_table_) watch.accept = kAcceptTable;
    source_->follow(cluster, watch);
  }

  void give_up(const std::string& cluster, const Error& error) {
    if (!given_up_.emplace(cluster, error).second) return;
    if (!live_) complain(cluster, error);
    if (given_up_.size() == clusters_.size()) finish(kExitError);
  }

  awaitable<void> show_table() {
    auto showing = table_->run();
    auto shown = co_await std::move(showing);
    if (!shown) {
      (void)errors_.write(error_text(shown.error()) + "\n");
      finish(kExitError);
    } else {
      finish(exit_code_);
    }
  }

  awaitable<void> watch_reader() {
    Timer pause(io_.get_executor(), clock_);
    while (!finished_) {
      const bool due = co_await pause.wait_for(kReaderCheck);
      if (!due) co_return;
      if (output_.reader_gone()) finish(kExitOk);
    }
  }

  void finish(int exit_code) {
    if (finished_) return;
    finished_ = true;
    exit_code_ = exit_code;
    io_.stop();
  }

  // Ends everything that still runs while what it uses is still there.
  void wind_up() {
    table_.reset();
    if (live_ && exit_code_ != kExitOk) {
      for (const auto& [cluster, error] : given_up_) complain(cluster, error);
    }
    // From inside the loop: Asio would otherwise hand the cancellation of a coroutine over to the loop, by a reference
    // that dangles when the coroutine ends first.
    asio::post(io_, [this] {
      source_.reset();
      for (auto& signal : cancellations_) signal.emit(asio::cancellation_type::terminal);
    });
    io_.restart();
    io_.poll();
  }

  asio::io_context& io_;
  Clock& clock_;
  Random& random_;
  net::HttpTransport& transport_;
  const ResourceArgs& args_;
  const std::vector<kube::ClusterContext>& clusters_;
  Output output_;
  Output errors_;
  bool as_table_;
  bool live_;
  EventPrinter printer_;
  std::function<void(const std::string&, LinkState, const Error&)> report_;
  std::unique_ptr<LiveTable> table_;
  std::unique_ptr<EventSource> source_;
  std::list<asio::cancellation_signal> cancellations_;
  std::map<std::string, Error> given_up_;
  std::set<std::string> synced_;
  std::map<std::string, std::string> last_said_;
  bool finished_ = false;
  int exit_code_ = kExitOk;
};

}  // namespace

bool is_final(const Error& error) noexcept {
  switch (error.code) {
    case Errc::invalid_argument:
    case Errc::not_found:
    case Errc::unauthorized:
    case Errc::forbidden: return true;
    default: return false;
  }
}

int run_watch(asio::io_context& io, Clock& clock, Random& random, net::HttpTransport& transport,
              const ResourceArgs& args, const std::vector<kube::ClusterContext>& clusters, Output output,
              Output errors) {
  return WatchRun(io, clock, random, transport, args, clusters, output, errors).run();
}

}  // namespace fresnel::cli
