#include "fresnel/kube/exec_plugin.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <chrono>
#include <exception>
#include <string_view>

#include "fresnel/base/child_process.hpp"
#include "fresnel/base/log.hpp"
#include "fresnel/json/utf8.hpp"
#include "fresnel/net/digest.hpp"

namespace fresnel::kube {
namespace {

constexpr Duration kSettled = seconds(1);
// How much later than its limit a run must be before it counts as lost with its executor.
constexpr Duration kGrace = seconds(2);
constexpr std::size_t kMaxPrinted = 1024;
constexpr std::string_view kExecInfo = "KUBERNETES_EXEC_INFO";

std::string identity_of(const ExecConfig& config) {
  namespace json = boost::json;
  json::array env;
  for (const auto& [name, value] : config.env) env.push_back(json::array{name, value});
  const ExecCluster cluster = config.provide_cluster_info ? config.cluster : ExecCluster{};
  const json::array all{config.api_version,
                        config.command,
                        json::array(config.args.begin(), config.args.end()),
                        std::move(env),
                        config.provide_cluster_info,
                        static_cast<int>(config.interactive_mode),
                        cluster.server,
                        cluster.tls_server_name,
                        cluster.insecure_skip_tls_verify,
                        cluster.certificate_authority_pem,
                        cluster.proxy_url};
  return net::sha256_hex("exec" + json::serialize(all));
}

// One line of text for a message: control characters are spaces, and of much only the end, where an error is, is kept.
std::string one_line(std::string_view printed) {
  std::string line;
  for (const char c : printed) {
    const bool space = static_cast<unsigned char>(c) <= 0x20 || c == 0x7f;
    if (!space) line += c;
    if (space && !line.empty() && line.back() != ' ') line += ' ';
  }
  if (line.ends_with(' ')) line.pop_back();
  if (line.size() > kMaxPrinted) line.replace(0, line.size() - kMaxPrinted + 3, "...");
  if (json::is_valid_utf8(line)) return line;
  std::replace_if(
      line.begin(), line.end(), [](char c) { return static_cast<unsigned char>(c) >= 0x80; }, '?');
  return line;
}

bool is_private(std::string_view entry) { return entry.starts_with("FRESNEL_") || entry.starts_with("HEADLAMP_"); }

Error bad_config(const ExecConfig& config, std::string_view problem) {
  return {Errc::invalid_argument, fmt::format("{}: exec: {}", config.working_place, problem)};
}

result<void> check(const ExecConfig& config) {
  if (auto fits = check_exec_api_version(config.api_version); !fits) return bad_config(config, fits.error().message);
  if (config.command.empty()) return bad_config(config, "command: is missing: expected a program");
  if (config.interactive_mode == ExecConfig::InteractiveMode::always) {
    return bad_config(config,
                      "interactiveMode: Always needs a terminal, which is not given to plugins: expected Never or "
                      "IfAvailable");
  }
  for (const auto& [name, value] : config.env) {
    if (name.empty() || name.find('=') != std::string::npos) {
      return bad_config(config, "env: expected names that are not empty and have no \"=\"");
    }
  }
  return {};
}

}  // namespace

// Somebody in get(). Lives as long as its executor at most; touched there only, but for the outcome, which the plugin's
// mutex guards.
class ExecPlugin::Waiter {
 public:
  Waiter(const Executor& executor, std::shared_ptr<Clock> clock)
      : executor_(executor), clock_(std::move(clock)), timer_(executor, *clock_) {}

  [[nodiscard]] const Executor& executor() const noexcept { return executor_; }
  // Until woken, cancelled or `deadline`; false when it was cancelled.
  awaitable<bool> wait_until(TimePoint deadline) {
    if (woken_) co_return true;
    auto waiting = timer_.wait_until(deadline);
    const bool due = co_await std::move(waiting);
    co_return due || woken_;
  }
  void wake() {
    woken_ = true;
    timer_.cancel();
  }

  std::optional<Outcome> outcome;

 private:
  Executor executor_;
  std::shared_ptr<Clock> clock_;
  Timer timer_;
  bool woken_ = false;
};

struct ExecPlugin::Run {
  TimePoint deadline;  // a run without an end by then is lost: nobody runs its executor
  std::vector<std::shared_ptr<Waiter>> waiters;
};

// A waiter's place in a run's list, given up when its coroutine ends, however it does.
class ExecPlugin::Place {
 public:
  Place(std::shared_ptr<ExecPlugin> plugin, std::shared_ptr<Run> run, std::shared_ptr<Waiter> waiter)
      : plugin_(std::move(plugin)), run_(std::move(run)), waiter_(std::move(waiter)) {}
  ~Place() {
    const std::lock_guard lock(plugin_->mutex_);
    std::erase(run_->waiters, waiter_);
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

 private:
  std::shared_ptr<ExecPlugin> plugin_;
  std::shared_ptr<Run> run_;
  std::shared_ptr<Waiter> waiter_;
};

// Ends a run with its coroutine: when that is destroyed with its executor, be it before it has begun, those who wait
// learn of it and go on.
class ExecPlugin::Ending {
 public:
  Ending(std::shared_ptr<ExecPlugin> plugin, std::shared_ptr<Run> run)
      : plugin_(std::move(plugin)), run_(std::move(run)) {}
  ~Ending() {
    const std::lock_guard lock(plugin_->mutex_);
    plugin_->end_run(*run_, outcome);
  }
  Ending(const Ending&) = delete;
  Ending& operator=(const Ending&) = delete;

  std::optional<Outcome> outcome;

 private:
  std::shared_ptr<ExecPlugin> plugin_;
  std::shared_ptr<Run> run_;
};

ExecPlugin::ExecPlugin(ExecConfig config, ExecPluginOptions options)
    : config_(std::move(config)), options_(std::move(options)), identity_(identity_of(config_)) {}

ExecPlugin::~ExecPlugin() = default;

result<std::shared_ptr<ExecPlugin>> ExecPlugin::make(ExecConfig config, ExecPluginOptions options) {
  if (auto fits = check(config); !fits) return fits.error();
  return std::shared_ptr<ExecPlugin>(new ExecPlugin(std::move(config), std::move(options)));
}

awaitable<result<Credential>> ExecPlugin::get() { return ask(shared_from_this()); }

awaitable<result<Credential>> ExecPlugin::ask(std::shared_ptr<ExecPlugin> self) {
  const Executor executor = co_await asio::this_coro::executor;
  for (;;) {
    auto waiter = std::make_shared<Waiter>(executor, self->options_.clock);
    std::shared_ptr<Run> run;
    bool starts = false;
    {
      const std::lock_guard lock(self->mutex_);
      if (auto answer = self->known()) co_return *std::move(answer);
      const TimePoint now = self->options_.clock->now();
      starts = !self->run_ || now >= self->run_->deadline;
      if (starts) self->run_ = std::make_shared<Run>(Run{now + self->options_.limit + kGrace, {}});
      run = self->run_;
      run->waiters.push_back(waiter);
    }
    const Place place(self, run, waiter);
    if (starts) {
      auto driving = drive(self, std::make_unique<Ending>(self, run));
      asio::co_spawn(asio::make_strand(executor), std::move(driving), asio::detached);
    }
    auto waiting = waiter->wait_until(run->deadline);
    if (!co_await std::move(waiting)) co_return Error{Errc::cancelled, "cancelled while an exec plugin was running"};
    const std::lock_guard lock(self->mutex_);
    if (!waiter->outcome) continue;  // the run is lost
    if (!*waiter->outcome) co_return waiter->outcome->error();
    co_return (*waiter->outcome)->credential;
  }
}

awaitable<void> ExecPlugin::drive(std::shared_ptr<ExecPlugin> self, std::unique_ptr<Ending> ending) {
  try {
    auto running = self->run_program();
    ending->outcome = co_await std::move(running);
  } catch (const std::exception& e) {
    ending->outcome = self->failure(fmt::format("cannot run the plugin \"{}\": {}", self->config_.command, e.what()));
  }
}

awaitable<ExecPlugin::Outcome> ExecPlugin::run_program() {
  const std::string& name = config_.command;
  ChildOptions child;
  child.program = name;
  child.args = config_.args;
  child.environment = environment();
  child.limit = options_.limit;
  log::debug("runs the exec plugin \"{}\"", name);
  auto running = run_child(std::move(child), *options_.clock);
  const auto end = co_await std::move(running);
  if (!end) {
    if (end.error().code != Errc::not_found) co_return failure("the plugin cannot be run", end.error().message);
    co_return failure(fmt::format("the plugin {}", end.error().message), config_.install_hint);
  }
  switch (end->how) {
    case ChildEnd::How::timed_out: {
      const auto limit = std::chrono::duration<double>(options_.limit).count();
      co_return failure(fmt::format("the plugin \"{}\" took longer than {:g} s", name, limit), end->err);
    }
    case ChildEnd::How::output_too_large:
      co_return failure(fmt::format("the plugin \"{}\" printed more than an ExecCredential may be", name));
    case ChildEnd::How::signalled:
      co_return failure(fmt::format("the plugin \"{}\" was ended by signal {}", name, end->code), end->err);
    case ChildEnd::How::exited: break;
  }
  if (end->code != 0) {
    co_return failure(fmt::format("the plugin \"{}\" failed with exit status {}", name, end->code), end->err);
  }
  auto parsed = parse_exec_credential(config_.api_version, end->out);
  if (!parsed) {
    co_return failure(fmt::format("what the plugin \"{}\" printed cannot be used", name), parsed.error().message);
  }
  co_return *std::move(parsed);
}

std::vector<std::string> ExecPlugin::environment() const {
  std::vector<std::string> entries;
  const auto set = [&](std::string_view name, std::string_view value) {
    const std::string begin = fmt::format("{}=", name);
    std::erase_if(entries, [&](const std::string& entry) { return entry.starts_with(begin); });
    entries.push_back(begin + std::string(value));
  };
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    if (!is_private(*entry)) entries.emplace_back(*entry);
  }
  for (const auto& [name, value] : config_.env) set(name, value);
  set(kExecInfo, exec_info(config_.api_version, config_.provide_cluster_info ? &config_.cluster : nullptr));
  return entries;
}

// `printed` is the program's or the user's own words, which may be anything.
Error ExecPlugin::failure(std::string_view what, std::string_view printed) const {
  const std::string said = one_line(printed);
  return {Errc::unauthorized,
          fmt::format("{}: exec: {}{}{}", config_.working_place, what, said.empty() ? "" : ": ", said)};
}

std::optional<result<Credential>> ExecPlugin::known() const {
  if (!last_) return std::nullopt;
  const bool settled = options_.clock->now() < settled_until_;
  if (!*last_) return settled ? std::optional<result<Credential>>(last_->error()) : std::nullopt;
  const ExecCredential& credential = **last_;
  if (!settled && credential.expires && options_.clock->wall_now() >= *credential.expires) return std::nullopt;
  return credential.credential;
}

void ExecPlugin::remember(Outcome outcome) {
  bool settled = true;
  if (outcome) {
    const std::string identity = outcome->credential.identity();
    if (identity != last_identity_) ++generation_;
    last_identity_ = identity;
    const bool expired = outcome->expires && options_.clock->wall_now() >= *outcome->expires;
    settled = expired || outcome->credential == refused_;
  }
  settled_until_ = settled ? options_.clock->now() + kSettled : TimePoint::min();
  last_ = std::move(outcome);
}

void ExecPlugin::end_run(Run& run, const std::optional<Outcome>& outcome) {
  if (run_.get() == &run) {
    run_.reset();
    if (outcome) remember(*outcome);
  }
  // While the mutex is held no waiter gives up its place, and so none of their executors is gone yet.
  for (const auto& waiter : run.waiters) {
    waiter->outcome = outcome;
    asio::post(waiter->executor(), [waiter] { waiter->wake(); });
  }
}

void ExecPlugin::refused(const Credential& refused) {
  Credential given = refused;
  given.impersonate = {};  // the context's, not the source's (ClusterContext::current)
  const std::lock_guard lock(mutex_);
  if (!last_ || !*last_ || (*last_)->credential != given) return;
  // A run that has just brought it again would only do so once more.
  if (options_.clock->now() < settled_until_) return;
  refused_ = std::move(given);
  last_.reset();
}

std::uint64_t ExecPlugin::generation() {
  const std::lock_guard lock(mutex_);
  return generation_;
}

}  // namespace fresnel::kube
