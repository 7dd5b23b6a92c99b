#include "fresnel/cli/live_table.hpp"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <string_view>
#include <utility>

#include "fresnel/cli/key_reader.hpp"
#include "fresnel/cli/table_model.hpp"
#include "fresnel/cli/table_render.hpp"
#include "fresnel/cli/terminal.hpp"

namespace fresnel::cli {
namespace {

constexpr Duration kFrame = milliseconds(100);  // between two pictures at least
constexpr Duration kTick = milliseconds(500);   // without an event: for ages, rates and the end of highlights

}  // namespace

class LiveTable::Impl {
 public:
  Impl(const Executor& executor, Clock& clock, LiveTableOptions options)
      : clock_(clock),
        model_(options.clusters, {.wide = options.wide}),
        timer_(executor, clock),
        keys_(executor),
        signals_(executor) {
    view_.title = std::move(options.title);
    view_.hints = std::move(options.hints);
    view_.show_cluster = options.show_cluster;
    view_.show_namespace = options.show_namespace;
    view_.colour = options.colour;
  }

  void on_event(const std::string& cluster, const kube::WatchEvent& event) {
    model_.apply(cluster, event, clock_.now(), wall_now());
    wake();
  }

  void on_synced(const std::string& cluster) {
    model_.synced(cluster);
    wake();
  }

  void on_state(const std::string& cluster, LinkState state, const Error& error) {
    model_.set_state(cluster, state, error);
    wake();
  }

  static awaitable<result<void>> run(std::shared_ptr<Impl> self) {
    auto entered = self->terminal_.enter();
    if (!entered) co_return entered.error();
    const Executor executor = self->keys_.get_executor();
    self->keys_.assign(::dup(self->terminal_.keys()));
    for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGWINCH, SIGTSTP}) self->signals_.add(number);
    asio::co_spawn(executor, read_keys(self), asio::detached);
    asio::co_spawn(executor, handle_signals(self), asio::detached);
    auto drawing = self->draw_until_stopped();
    co_await std::move(drawing);
    self->stop();
    co_return result<void>();
  }

  void stop() noexcept {
    stopped_ = true;
    boost::system::error_code ignored;
    keys_.close(ignored);
    signals_.cancel(ignored);
    timer_.cancel();
    terminal_.leave();
  }

 private:
  void wake() noexcept {
    dirty_ = true;
    if (idle_) timer_.cancel();
  }

  awaitable<void> draw_until_stopped() {
    while (!stopped_) {
      if (!draw()) break;
      auto pausing = timer_.wait_for(kFrame);
      (void)co_await std::move(pausing);
      if (dirty_ || stopped_) continue;
      idle_ = true;
      auto idling = timer_.wait_for(kTick - kFrame);
      (void)co_await std::move(idling);
      idle_ = false;
    }
  }

  // False when the terminal has gone.
  bool draw() {
    dirty_ = false;
    const auto size = terminal_.size();
    view_.columns = size.columns;
    view_.lines = size.lines;
    view_.now = clock_.now();
    view_.wall = wall_now();
    model_.expire(view_.now);
    auto frame = render(model_, view_);
    view_.first_row = frame.first_row;
    page_ = frame.page;
    if (frame.text == drawn_) return true;
    drawn_ = std::move(frame.text);
    return terminal_.write(drawn_);
  }

  void redraw_everything() {
    drawn_.clear();
    wake();
  }

  void press(Key key) {
    switch (key) {
      case Key::quit: stop(); return;
      case Key::up: view_.first_row -= std::min<std::size_t>(view_.first_row, 1); break;
      case Key::down: view_.first_row += 1; break;
      case Key::page_up: view_.first_row -= std::min(view_.first_row, page_); break;
      case Key::page_down: view_.first_row += page_; break;
      case Key::home: view_.first_row = 0; break;
      case Key::end: view_.first_row = model_.rows().size(); break;
    }
    wake();
  }

  static awaitable<void> read_keys(std::shared_ptr<Impl> self) {
    KeyReader reader;
    std::array<char, 256> bytes{};
    while (!self->stopped_) {
      const auto buffer = asio::buffer(bytes);
      const auto token = asio::as_tuple(asio::use_awaitable);
      const auto [error, size] = co_await self->keys_.async_read_some(buffer, token);
      if (error) co_return;
      for (const Key key : reader.feed(std::string_view(bytes.data(), size))) self->press(key);
    }
  }

  static awaitable<void> handle_signals(std::shared_ptr<Impl> self) {
    while (!self->stopped_) {
      const auto token = asio::as_tuple(asio::use_awaitable);
      const auto [error, number] = co_await self->signals_.async_wait(token);
      if (error) co_return;
      if (number == SIGWINCH) {
        self->redraw_everything();
      } else if (number == SIGTSTP) {
        self->suspend();
      } else {
        self->stop();
      }
    }
  }

  // Gives the terminal to the shell until it continues this program.
  void suspend() {
    terminal_.leave();
    ::raise(SIGSTOP);
    if (!terminal_.enter()) stop();
    redraw_everything();
  }

  Clock& clock_;
  TableModel model_;
  View view_;
  std::size_t page_ = 1;
  std::string drawn_;  // what is on the screen
  bool dirty_ = true;
  bool idle_ = false;
  bool stopped_ = false;
  Terminal terminal_;
  Timer timer_;
  asio::posix::stream_descriptor keys_;
  asio::signal_set signals_;
};

LiveTable::LiveTable(const Executor& executor, Clock& clock, LiveTableOptions options)
    : impl_(std::make_shared<Impl>(executor, clock, std::move(options))) {}

LiveTable::~LiveTable() { stop(); }

SourceHandlers LiveTable::handlers() {
  SourceHandlers handlers;
  handlers.on_event = [impl = impl_](const std::string& cluster, const kube::WatchEvent& event) {
    impl->on_event(cluster, event);
  };
  handlers.on_synced = [impl = impl_](const std::string& cluster) { impl->on_synced(cluster); };
  handlers.on_state = [impl = impl_](const std::string& cluster, LinkState state, const Error& error) {
    impl->on_state(cluster, state, error);
  };
  return handlers;
}

awaitable<result<void>> LiveTable::run() { return Impl::run(impl_); }

void LiveTable::stop() noexcept { impl_->stop(); }

}  // namespace fresnel::cli
