// A client's subscription that can go on at another SharedStream, when the client has become somebody else or its
// cluster is reached in another way: without a gap, and without repeating what it has been told.
//
// The new stream is joined at the position that the old one had reached. What the old one still sends is not for the
// subscription any more: after a move a new Seat, not the subscription itself, sits at the stream.
//
// Thread safety: the connection's thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "fresnel/session/session_services.hpp"

namespace fresnel::session {

class MovableSubscription : public hub::StreamSubscriber {
 public:
  // Joins, or moves to, the stream of `source`. A move goes on from the position reached; where the server is another
  // one, versions mean nothing there, and the subscription is told 410. `self` is this subscription's owner.
  void join(const SessionServices& services, hub::StreamSource source, hub::JoinOptions options,
            std::shared_ptr<MovableSubscription> self);
  // Whether the subscription's stream is the one of this cluster and identity.
  [[nodiscard]] bool is_at(std::size_t hash) const noexcept { return at_ == hash; }
  // Of a cluster's name and identity.
  [[nodiscard]] static std::size_t hash_of(const kube::ClusterContext& context);
  void leave() { lease_.release(); }

  void on_events(std::span<const hub::EventPtr> events, std::uint64_t position) final;
  void on_complete() final;
  void on_status(const kube::WatchStatus& status) final;
  void on_failed(const Error& error) final;

 protected:
  virtual void take_events(std::span<const hub::EventPtr> events) = 0;
  // Once, and once more after each 410.
  virtual void take_complete() = 0;
  virtual void take_status(const kube::WatchStatus& status) = 0;
  virtual void take_failure(const Error& error) = 0;

 private:
  class Seat;

  void forward_events(std::span<const hub::EventPtr> events, std::uint64_t position);
  void forward_complete();

  hub::StreamLease lease_;
  std::shared_ptr<Seat> seat_;  // null: never moved
  std::size_t at_ = 0;
  std::size_t server_ = 0;  // a hash of its URL
  std::uint64_t position_ = 0;
  bool completed_ = false;
};

}  // namespace fresnel::session
