// Items of one partition by their offsets: they come in the order of their offsets, with few gaps, go in any order, and
// most go soon. A ring of places, 16 bytes each: an item's memory goes with it, its place when everything before it has
// gone. Whoever uses it limits the distance (partition_tracker: window_max, 10,000: 256 KiB of places), and a ring that
// was needed for a peak is given back when the window is empty. Pure.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace horizons::kafka {

template <class T>
class offset_window {
public:
  /// A new item above all others; the reference is good until it goes.
  T& push(std::uint64_t offset) {
    if (count_ == ring_.size()) grow();
    auto& s = slot_at(count_++);
    s.offset = offset;
    s.item = std::make_unique<T>();
    return *s.item;
  }
  /// Takes back the last push.
  void pop() {
    slot_at(--count_).item.reset();
    rest();
  }

  /// Null: it is not here (any more).
  T* find(std::uint64_t offset) {
    const auto i = index_of(offset);
    return i == count_ ? nullptr : slot_at(i).item.get();
  }
  T& at(std::uint64_t offset) { return *find(offset); }

  void erase(std::uint64_t offset) {
    const auto i = index_of(offset);
    if (i == count_) return;
    slot_at(i).item.reset();
    while (count_ > 0 && !slot_at(0).item) {
      first_ = (first_ + 1) & (ring_.size() - 1);
      --count_;
    }
    rest();
  }
  void clear() {
    for (std::size_t i = 0; i < count_; ++i) slot_at(i).item.reset();
    count_ = 0;
    rest();
  }
  bool empty() const { return count_ == 0; }
  std::size_t span() const { return count_; }            // places in use, of gone items too
  std::size_t capacity() const { return ring_.size(); }  // places that memory is held for
  static constexpr std::size_t capacity_at_rest = 1'024;

private:
  struct slot {
    std::uint64_t offset = 0;
    std::unique_ptr<T> item;
  };
  slot& slot_at(std::size_t i) { return ring_[(first_ + i) & (ring_.size() - 1)]; }
  std::size_t index_of(std::uint64_t offset) {
    if (count_ == 0 || offset < slot_at(0).offset) return count_;
    const auto guess = offset - slot_at(0).offset;  // right when there is no gap, else too far
    if (guess < count_ && slot_at(guess).offset == offset) return guess;
    std::size_t low = 0, high = std::min<std::size_t>(count_, guess);
    while (low < high) {
      const auto middle = (low + high) / 2;
      (slot_at(middle).offset < offset ? low : high) = slot_at(middle).offset < offset ? middle + 1 : middle;
    }
    return low < count_ && slot_at(low).offset == offset ? low : count_;
  }
  void rest() {
    if (count_ == 0 && ring_.size() > capacity_at_rest) ring_ = std::vector<slot>();
  }
  void grow() {
    std::vector<slot> larger(std::max<std::size_t>(64, ring_.size() * 2));  // a power of two
    for (std::size_t i = 0; i < count_; ++i) larger[i] = std::move(slot_at(i));
    ring_ = std::move(larger);
    first_ = 0;
  }

  std::vector<slot> ring_;
  std::size_t first_ = 0, count_ = 0;
};

}  // namespace horizons::kafka
