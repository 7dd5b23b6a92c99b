// The watch as a pure state machine: next(State, Input) -> Transition. No I/O, no clock, no random source; Watcher is
// its driver. Sources: Kubernetes API concepts, "Efficient detection of changes" and "410 Gone responses".
//
//   Empty --Start--> Listing --ListDone--> Watching --WatchEnded--> Watching        (the server's timeout, at once)
//                       |                     |------ error ------> Backoff --TimerFired--> Watching, same version
//                       |                     |------ 410 --------> Relisting --ListDone--> Watching
//                       '--- error --> Backoff --TimerFired--> Listing
//   every state --Stop--> Stopped
//
// A 410 while the watch replays what happened before the first list costs only the replay: Watching from the list on.
// A 410 right after a relist, before anything was seen: Backoff, then Relisting, so that a server which lists what it
// cannot watch is not asked in a loop.
//
// A server that knows only older versions than the one reached was restored from a backup: its history was rewound, and
// it would accept the watch and stay silent. So whoever resumes after a failure has the server's version checked first.
//
// A version to watch from is only ever taken from a list, an object or a BOOKMARK, never from an ERROR event.
#pragma once

#include <optional>
#include <string>
#include <variant>

#include "fresnel/base/clock.hpp"
#include "fresnel/base/error.hpp"

namespace fresnel::kube {

// Where a watch continues after a pause.
struct ResumeList {};  // nothing listed yet
struct ResumeRelist {  // what is known ends at this version, which is no longer available
  std::string last_version;
};
struct ResumeWatch {
  std::string version;
  std::string catch_up_to = {};
};
using Resume = std::variant<ResumeList, ResumeRelist, ResumeWatch>;

struct Empty {};

// The first list. Failure: Backoff, then here again.
struct Listing {};

// A list after a 410: its difference to what is known becomes events. Failure: Backoff, then here again.
struct Relisting {
  std::string last_version;
};

// Following changes from `version` on. Failure: Backoff, then here again at the version reached; a 410: Relisting.
struct Watching {
  std::string version;
  // Set while the watch replays what happened before the list (it started at an older version that a subscriber
  // asked for): the list's version. A 410 then costs only that replay: the watch starts again from here.
  std::string catch_up_to = {};
  bool opened = false;
  int events = 0;          // since the watch was opened
  int instant_closes = 0;  // in a row: clean ends without an event, within a second
  bool relisted = false;   // from a relist's version, and nothing has been seen since
};

// Waiting before the next attempt.
struct BackingOff {
  Resume resume;
  int instant_closes = 0;
};

struct Stopped {};

using WatchState = std::variant<Empty, Listing, Relisting, Watching, BackingOff, Stopped>;

// What happens to a watch.
struct Start {};
struct ListDone {
  std::string version;        // the list's
  std::string start_version;  // watch from here on although the list is newer; empty: from the list's
};
struct ListFailed {
  Error error;
};
struct WatchOpened {};
struct EventSeen {  // ADDED, MODIFIED, DELETED, BOOKMARK
  std::string_view version;
};
struct ErrorSeen {  // an ERROR event, as the Error that its Status stands for
  Error error;
};
struct WatchEnded {            // the response ended or could not be opened
  std::optional<Error> error;  // none: a clean end
  Duration lived;              // since it was opened
};
struct HistoryRewound {};  // the server's newest version is older than the one to watch from
struct TimerFired {};
struct Renewed {};  // the credential is another one: what was opened with the old one is opened again
struct Stop {};
using WatchInput = std::variant<Start, ListDone, ListFailed, WatchOpened, EventSeen, ErrorSeen, WatchEnded,
                                HistoryRewound, TimerFired, Renewed, Stop>;

// What the driver does next; exactly one of these.
struct DoList {};
struct DoWatch {
  std::string version;
  bool after_failure = false;  // check first that the server has come as far as this version
};
struct DoRead {};  // go on with the open watch
struct DoSleep {
  std::optional<Duration> fixed;  // none: the next step of the exponential backoff
};
struct DoFinish {};
using WatchEffect = std::variant<DoList, DoWatch, DoRead, DoSleep, DoFinish>;

struct Transition {
  WatchState state;
  WatchEffect effect;
  std::optional<Error> report = {};  // to tell subscribers: the watch is not live, and why
  bool connected = false;            // to tell subscribers: the watch is live
  bool start_lost = false;           // the older start version was gone: what is known begins at the list
  bool reset_backoff = false;        // the watch had been healthy for a minute
};

inline constexpr Duration kHealthyAfter = seconds(60);
inline constexpr Duration kInstantClose = seconds(1);
inline constexpr int kInstantClosesBeforeRelist = 3;
inline constexpr Duration kSlowRetry = seconds(30);  // after 401, 403, 404: only a change of rights or types helps

[[nodiscard]] Transition next(WatchState state, WatchInput input);

// 410 Gone as a status code, or Expired or Gone as the Status' reason.
[[nodiscard]] bool is_gone(const Error& error) noexcept;

// "Too large resource version": the server has not come as far as the version that it was asked for (504 with the cause
// ResourceVersionTooLarge). Only a list without a version, which reads etcd itself, tells whether it ever will.
[[nodiscard]] bool is_too_large(const Error& error) noexcept;

}  // namespace fresnel::kube
