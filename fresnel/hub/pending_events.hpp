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
// version, and comes back with that version, misses nothing: what still waited was newer. An object that changes more
// often than the subscriber catches up is told when it has caught up.
//
// Initial data, up to COMPLETE, may tell ADDED of objects that the subscriber knows: it came with an old version, or
// after a 410 it did not heed. So until COMPLETE, ADDED and then DELETED is DELETED. What changes after COMPLETE has
// entries of its own behind it: COMPLETE never overtakes what it completes.
//
// A 410 makes what was told before worthless, the whole state follows it: of what waits only deletions and the STATUS
// stay. Of bookmarks and of each kind of mark the newest stays, and the bookmark that ends the initial events. A
// Table's columns, which travel with one row, go over to the next row when that one is not sent.
//
// Bounds: three entries (before a 410, before COMPLETE, behind it) for each object that the subscriber knows or could
// know by now, however long it waits.
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

  // COMPLETE has been told without waiting here.
  void told_complete() noexcept { initial_ = false; }

  [[nodiscard]] bool empty() const noexcept { return order_.empty(); }
  [[nodiscard]] std::size_t size() const noexcept { return order_.size(); }

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
  void drop(const EventPtr& event);

  Order order_;
  std::unordered_map<std::string, Order::iterator> objects_;
  std::optional<Order::iterator> bookmark_;
  std::array<std::optional<Order::iterator>, 2> marks_;
  EventPtr columns_;     // a row that has a Table's columns and will not be sent
  bool initial_ = true;  // COMPLETE has not come yet
};

}  // namespace fresnel::hub
