// EntryIndex finds entries by a text, EntryOrder keeps them in an order of their own: what a list of objects is made
// of.
//
// The order refers to entries that never move; append and remove cost O(1) amortised and keep the others' order.
//
// Invariants: entries_[entry.place] == &entry for every entry that was appended and not removed. A removed entry leaves
// a hole. Holes never outnumber the entries (but for a few): closing them costs no more moves than there were removals.
// The entries before sorted_ are in the order of the last sort().
//
// Thread safety: one owner, that of the entries. An entry must be removed before it dies.
#pragma once

#include <algorithm>
#include <boost/unordered/unordered_flat_map.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fresnel::kube {

// A text is found without a std::string of it.
struct TextHash {
  using is_transparent = void;
  [[nodiscard]] std::size_t operator()(std::string_view text) const noexcept {
    return std::hash<std::string_view>()(text);
  }
};

// A flat table beside entries of their own: in a large list each step to other memory costs more than all the computing
// of an update, and std::unordered_map takes two more of them.
template <class Entry>
using EntryIndex = boost::unordered_flat_map<std::string, std::unique_ptr<Entry>, TextHash, std::equal_to<>>;

// Entry has a member `std::size_t place`, which belongs to this class.
template <class Entry>
class EntryOrder {
 public:
  EntryOrder() = default;
  // Two orders cannot share entries.
  EntryOrder(const EntryOrder&) = delete;
  EntryOrder& operator=(const EntryOrder&) = delete;
  EntryOrder(EntryOrder&&) noexcept = default;
  EntryOrder& operator=(EntryOrder&&) noexcept = default;
  ~EntryOrder() = default;

  void append(Entry& entry) {
    entry.place = entries_.size();
    entries_.push_back(&entry);
  }

  void remove(const Entry& entry) {
    entries_[entry.place] = nullptr;
    ++holes_;
    if (holes_ > kFewHoles && holes_ * 2 > entries_.size()) {
      close_holes();
      renumber();
    }
  }

  // Sorts what was appended since the last sort into what is sorted already: O(d log n) comparisons for d new entries.
  template <class Less>
  void sort(Less less) {
    if (sorted_ == entries_.size()) return;
    close_holes();
    const std::vector<Entry*> fresh = sorted_tail(less);
    auto unmerged = entries_.begin() + static_cast<std::ptrdiff_t>(sorted_);
    auto out = entries_.end();
    for (auto entry = fresh.rbegin(); entry != fresh.rend(); ++entry) {
      const auto above = std::upper_bound(entries_.begin(), unmerged, *entry,
                                          [&less](const Entry* a, const Entry* b) { return less(*a, *b); });
      out = std::move_backward(above, unmerged, out);
      *--out = *entry;
      unmerged = above;
    }
    sorted_ = entries_.size();
    renumber();
  }

  template <class Function>
  void for_each(Function function) const {
    for (const Entry* entry : entries_) {
      if (entry != nullptr) function(*entry);
    }
  }

  [[nodiscard]] std::size_t size() const noexcept { return entries_.size() - holes_; }
  // Entries and holes.
  [[nodiscard]] std::size_t places() const noexcept { return entries_.size(); }
  // How often an entry got another number: what removals and sorts have cost so far.
  [[nodiscard]] std::uint64_t moves() const noexcept { return moves_; }

 private:
  static constexpr std::size_t kFewHoles = 16;

  void close_holes() {
    if (holes_ == 0) return;
    const auto tail = entries_.begin() + static_cast<std::ptrdiff_t>(sorted_);
    sorted_ -= static_cast<std::size_t>(std::count(entries_.begin(), tail, nullptr));
    std::erase(entries_, nullptr);
    holes_ = 0;
  }

  template <class Less>
  std::vector<Entry*> sorted_tail(Less less) const {
    std::vector<Entry*> tail(entries_.begin() + static_cast<std::ptrdiff_t>(sorted_), entries_.end());
    std::sort(tail.begin(), tail.end(), [&less](const Entry* a, const Entry* b) { return less(*a, *b); });
    return tail;
  }

  void renumber() {
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      if (entries_[i]->place == i) continue;
      entries_[i]->place = i;
      ++moves_;
    }
  }

  std::vector<Entry*> entries_;
  std::size_t holes_ = 0;
  std::size_t sorted_ = 0;
  std::uint64_t moves_ = 0;
};

}  // namespace fresnel::kube
