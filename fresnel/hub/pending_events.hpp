// What a subscriber that reads too slowly still has to be told: the newest state of each object, in stream order.
//
//   waiting   then      becomes
//   -         any       that
//   ADDED     MODIFIED  ADDED, the newest state
//   ADDED     DELETED   nothing: the subscriber never knew the object
//   MODIFIED  MODIFIED  MODIFIED, the newest state
//   MODIFIED  DELETED   DELETED
//   DELETED   ADDED     MODIFIED, the newest state (an object that left a selector and came back)
//
// An object's entry stands where its newest event stood in the stream. So whoever has been given the entries up to a
// version, and comes back with that version, misses nothing: what still waited was newer.
//
// A 410 makes everything told before worthless, the whole state follows it: of what waits only the deletions stay.
// From then on an ADDED may be of an object that the subscriber knows, so its deletion is told. Of bookmarks and of
// each kind of mark the newest stays.
//
// Bounds: an entry for each object that the subscriber knows or could know by now, however long it waits.
//
// Thread safety: one owner.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <unordered_map>

#include "fresnel/hub/published_event.hpp"

namespace fresnel::hub {

class PendingEvents {
 public:
  // What a session tells beside events, in its place among them.
  enum class Mark : std::uint8_t { complete, status };

  struct Item {
    EventPtr event;  // null: a mark
    Mark mark = Mark::complete;
  };

  // The number of events that will never be sent because of it.
  std::size_t push(EventPtr event);
  void push(Mark mark);
  // The next to be told; only when not empty.
  [[nodiscard]] Item pop();

  // A 410 has been told without waiting here.
  void told_gone() noexcept { may_be_known_ = true; }

  [[nodiscard]] bool empty() const noexcept { return order_.empty(); }
  [[nodiscard]] std::size_t size() const noexcept { return order_.size(); }
  void clear();

 private:
  using Type = kube::WatchEvent::Type;

  struct Entry {
    EventPtr event;  // null: a mark
    Type type;       // to be told as
    Mark mark;
    std::string identity;  // of the object; empty for what is about none
  };
  using Order = std::list<Entry>;

  std::size_t push_change(EventPtr event);
  std::size_t push_error(EventPtr event);
  std::size_t push_bookmark(EventPtr event);

  Order order_;
  std::unordered_map<std::string, Order::iterator> objects_;
  std::optional<Order::iterator> bookmark_;
  std::array<std::optional<Order::iterator>, 2> marks_;
  bool may_be_known_ = false;  // there has been a 410
};

}  // namespace fresnel::hub
