// A mailbox's queue: any thread pushes, one reader at a time pops. Urgent parcels overtake the others; within each of
// the two lanes, what one sender sent stays in order. One atomic word also tells whether the reader waits and whether
// the mailbox has ended, so no parcel is ever lost between "empty" and "asleep". Internal to the kit.
#pragma once

#include <atomic>
#include <memory>
#include <utility>

#include "runtime/kit/kit.hpp"

namespace horizons::kit::detail {

class inbox {
public:
  enum class outcome : std::uint8_t { queued, wake, closed };  // wake: the reader waited, and the pusher must start it

  inbox() = default;
  inbox(const inbox&) = delete;
  ~inbox() {
    close([](std::unique_ptr<parcel>) {});
  }

  /// Takes the parcel, unless the answer is `closed`.
  outcome push(std::unique_ptr<parcel>& p) {
    auto* head = head_.load(std::memory_order_relaxed);
    do {
      if (head == closed()) return outcome::closed;
      p->next = head == waiting() ? nullptr : head;
    } while (!head_.compare_exchange_weak(head, p.get(), std::memory_order_acq_rel, std::memory_order_relaxed));
    (void)p.release();  // the list owns it now
    return head == waiting() ? outcome::wake : outcome::queued;
  }

  // --- the reader's ---
  /// The next parcel, or null when there is none now. It is the caller's from then on.
  parcel* pop() {
    // Looked for often enough that an urgent parcel waits for some messages at most, not for a whole backlog.
    if (++pops_ % look_every == 0 || at_end()) fetch();
    // A flood of urgent ones (an actor that posts to itself) leaves the others a share.
    const bool urgent = urgent_.first && (urgent_in_a_row_ < urgent_in_a_row_max || !data_.first);
    urgent_in_a_row_ = urgent ? urgent_in_a_row_ + 1 : 0;
    return (urgent ? urgent_ : data_).take();
  }
  /// Nothing more is at hand: the next pop has to look for what has come meanwhile.
  bool at_end() const { return !urgent_.first && !data_.first; }
  /// Starts at an empty inbox, which the next push must wake; false when there is something to read.
  bool wait() {
    if (!at_end()) return false;
    parcel* nothing = nullptr;
    return head_.compare_exchange_strong(nothing, waiting(), std::memory_order_acq_rel);
  }
  /// For good; hands out what was not read.
  template <class F>
  void close(F refused) {
    gather(head_.exchange(closed(), std::memory_order_acq_rel));
    for (auto* lane : {&urgent_, &data_})
      while (auto* p = lane->take()) refused(std::unique_ptr<parcel>(p));
  }

private:
  static constexpr std::uint32_t look_every = 8, urgent_in_a_row_max = 16;
  static parcel* waiting() { return reinterpret_cast<parcel*>(std::uintptr_t{1}); }
  static parcel* closed() { return reinterpret_cast<parcel*>(std::uintptr_t{2}); }

  struct lane {
    parcel *first = nullptr, *last = nullptr;
    parcel* take() {
      auto* p = first;
      if (p) first = p->next;
      return p;
    }
    /// `newest` to `oldest` are linked by `next` from the oldest on.
    void append(parcel* oldest, parcel* newest) {
      (first ? last->next : first) = oldest;
      last = newest;
    }
  };

  void fetch() {
    if (head_.load(std::memory_order_relaxed)) gather(head_.exchange(nullptr, std::memory_order_acquire));
  }
  /// A stack, newest first, into the two lanes, oldest first.
  void gather(parcel* p) {
    if (p == waiting() || p == closed()) return;
    lane urgent, data;
    while (p) {
      auto* older = p->next;
      auto& to = p->urgent ? urgent : data;
      p->next = to.first;
      to.first = p;
      if (!to.last) to.last = p;
      p = older;
    }
    if (urgent.first) urgent_.append(urgent.first, urgent.last);
    if (data.first) data_.append(data.first, data.last);
  }

  std::atomic<parcel*> head_{waiting()};
  std::byte apart_[56];  // what senders write is not in the reader's cache line
  lane urgent_, data_;
  std::uint32_t pops_ = 0, urgent_in_a_row_ = 0;
};

}  // namespace horizons::kit::detail
