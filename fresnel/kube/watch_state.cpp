#include "fresnel/kube/watch_state.hpp"

#include <utility>

#include "fresnel/kube/watch_event.hpp"

namespace fresnel::kube {
namespace {

bool is_refused(const Error& error) noexcept {
  return error.code == Errc::unauthorized || error.code == Errc::forbidden || error.code == Errc::not_found ||
         error.code == Errc::invalid_argument;
}

std::optional<Duration> pause_after(const Error& error) noexcept {
  if (error.retry_after_ms > 0) return milliseconds(error.retry_after_ms);
  if (is_refused(error)) return kSlowRetry;
  return std::nullopt;
}

Transition back_off(Resume resume, const Error& error) {
  return {.state = BackingOff{std::move(resume)}, .effect = DoSleep{pause_after(error)}, .report = error};
}

Transition ignored(WatchState state) { return {.state = std::move(state), .effect = DoFinish{}}; }

Transition relist(std::string last_version) {
  return {.state = Relisting{std::move(last_version)}, .effect = DoList{}};
}

// One function an alternative: what each state does with the inputs that concern it.
struct Next {
  WatchInput& input;

  Transition operator()(Empty&) const {
    if (std::holds_alternative<Start>(input)) return {.state = Listing{}, .effect = DoList{}};
    return ignored(Empty{});
  }

  Transition operator()(Listing&) const {
    if (auto* done = std::get_if<ListDone>(&input)) return watch_after_list(*done);
    if (auto* failed = std::get_if<ListFailed>(&input)) {
      return back_off(ResumeList{}, failed->error);
    }
    return ignored(Listing{});
  }

  Transition operator()(Relisting& state) const {
    if (auto* done = std::get_if<ListDone>(&input)) {
      // Everybody who has joined is served by the difference: no older start.
      return {.state = Watching{.version = done->version, .relisted = true}, .effect = DoWatch{done->version}};
    }
    if (auto* failed = std::get_if<ListFailed>(&input)) {
      return back_off(ResumeRelist{std::move(state.last_version)}, failed->error);
    }
    return ignored(state);
  }

  Transition operator()(Watching& state) const {
    if (std::holds_alternative<WatchOpened>(input)) {
      state.opened = true;
      return {.state = std::move(state), .effect = DoRead{}, .connected = true};
    }
    if (auto* seen = std::get_if<EventSeen>(&input)) {
      ++state.events;
      state.relisted = false;
      if (parse_resource_version(seen->version)) state.version = seen->version;
      const auto target = parse_resource_version(state.catch_up_to);
      if (target && parse_resource_version(state.version) >= target) state.catch_up_to.clear();
      return {.state = std::move(state), .effect = DoRead{}};
    }
    if (auto* seen = std::get_if<ErrorSeen>(&input)) return watch_failed(state, seen->error);
    if (std::holds_alternative<Renewed>(input)) return watch_again(state);
    if (std::holds_alternative<HistoryRewound>(input)) return start_over(state);
    if (auto* ended = std::get_if<WatchEnded>(&input)) {
      Transition result = ended->error ? watch_failed(state, *ended->error) : watch_closed(state, ended->lived);
      result.reset_backoff = state.opened && ended->lived >= kHealthyAfter;
      return result;
    }
    return ignored(state);
  }

  Transition operator()(BackingOff& state) const {
    if (!std::holds_alternative<TimerFired>(input) && !std::holds_alternative<Renewed>(input)) return ignored(state);
    if (auto* watch = std::get_if<ResumeWatch>(&state.resume)) {
      Watching watching{.version = watch->version, .catch_up_to = std::move(watch->catch_up_to)};
      watching.instant_closes = state.instant_closes;
      return {.state = std::move(watching), .effect = DoWatch{std::move(watch->version), true}};
    }
    if (auto* again = std::get_if<ResumeRelist>(&state.resume)) return relist(std::move(again->last_version));
    return {.state = Listing{}, .effect = DoList{}};
  }

  Transition operator()(Stopped&) const { return ignored(Stopped{}); }

 private:
  static Transition watch_after_list(ListDone& done) {
    const auto start = parse_resource_version(done.start_version);
    if (start && start < parse_resource_version(done.version)) {
      return {.state = Watching{.version = done.start_version, .catch_up_to = done.version},
              .effect = DoWatch{done.start_version}};
    }
    return {.state = Watching{.version = done.version}, .effect = DoWatch{done.version}};
  }

  static Transition watch_failed(Watching& state, const Error& error) {
    if (!is_gone(error) && !is_too_large(error)) return back_off(resume_of(state), error);
    if (!state.catch_up_to.empty()) return give_up_replay(state);
    if (state.relisted) return back_off(ResumeRelist{std::move(state.version)}, error);
    return relist(std::move(state.version));
  }

  // What is known is the list's state, not that of the version reached: only from the list on can it be followed.
  static Transition give_up_replay(Watching& state) {
    Transition result{.state = Watching{.version = state.catch_up_to}, .effect = DoWatch{state.catch_up_to}};
    result.start_lost = true;
    return result;
  }

  static Transition watch_again(Watching& state) {
    Watching again{.version = state.version, .catch_up_to = state.catch_up_to};
    return {.state = std::move(again), .effect = DoWatch{state.version}};
  }

  // Who waits for a replay will never get it.
  static Transition start_over(Watching& state) {
    const bool replaying = !state.catch_up_to.empty();
    Transition result = relist(replaying ? std::move(state.catch_up_to) : std::move(state.version));
    result.start_lost = replaying;
    return result;
  }

  static Transition watch_closed(Watching& state, Duration lived) {
    const bool instant = state.events == 0 && lived < kInstantClose;
    if (!instant) return watch_again(state);
    const int closes = state.instant_closes + 1;
    if (closes >= kInstantClosesBeforeRelist) {
      return state.catch_up_to.empty() ? relist(std::move(state.version)) : give_up_replay(state);
    }
    const Error error{Errc::closed, "the API server ended the watch at once"};
    Transition result = back_off(resume_of(state), error);
    std::get<BackingOff>(result.state).instant_closes = closes;
    return result;
  }

  // An interrupted replay goes on from the version reached and is still a replay: a 410 must not hide what it owed.
  static Resume resume_of(Watching& state) {
    return ResumeWatch{std::move(state.version), std::move(state.catch_up_to)};
  }
};

}  // namespace

bool is_gone(const Error& error) noexcept {
  return error.code == Errc::gone || error.status == 410 || error.reason == "Expired" || error.reason == "Gone";
}

bool is_too_large(const Error& error) noexcept { return error.reason == "ResourceVersionTooLarge"; }

Transition next(WatchState state, WatchInput input) {
  if (std::holds_alternative<Stop>(input)) return {.state = Stopped{}, .effect = DoFinish{}};
  return std::visit(Next{input}, state);
}

}  // namespace fresnel::kube
