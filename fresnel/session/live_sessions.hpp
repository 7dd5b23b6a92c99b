// The sessions of one thread, for what happens to clients while they are connected: a newer token, another kubeconfig.
//
// Thread safety: one thread.
#pragma once

#include <string_view>
#include <unordered_set>
#include <vector>

namespace fresnel::session {

// Asks anew for the subscriptions on a cluster (empty: on all) as whom their client may watch: those for whom the
// answer is another one move to another stream, those for whom there is none any more fail.
class LiveSession {
 public:
  virtual void refresh(std::string_view cluster) = 0;

 protected:
  ~LiveSession() = default;
};

class LiveSessions {
 public:
  void add(LiveSession& session) { sessions_.insert(&session); }
  void remove(LiveSession& session) { sessions_.erase(&session); }
  void refresh(std::string_view cluster = {}) const {
    const std::vector<LiveSession*> now(sessions_.begin(), sessions_.end());
    for (auto* session : now) {
      if (sessions_.contains(session)) session->refresh(cluster);
    }
  }

 private:
  std::unordered_set<LiveSession*> sessions_;
};

}  // namespace fresnel::session
