// The relay's order of business: events come in journal order, go out within a window, are confirmed in any order, and
// are done when all before them are done too. Knows no broker, clock or actor. Never skips an event; after a lost
// connection those without a confirmation are sent again.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "gateways/rabbitmq/confirm_ledger.hpp"
#include "runtime/journal/event_list.hpp"

namespace horizons::rabbitmq {

class relay_flow {
public:
  using instant = std::chrono::steady_clock::time_point;
  using milliseconds = std::chrono::milliseconds;
  using page = std::shared_ptr<const journal::event_list>;

  static constexpr std::size_t held_max = 5'000;  // events in memory
  /// The window of a channel on which nothing is stored yet: it may turn out that nothing ever will be.
  static constexpr std::size_t trial_window = 32;
  static constexpr milliseconds backoff_first{10}, backoff_max{1'000};

  /// `position`: everything up to it is done.
  relay_flow(std::uint64_t position, std::size_t window) : held_to_(position), done_to_(position), window_(window) {}

  enum class offered : std::uint8_t { taken, gap, full };
  /// Consecutive events after `after_position`. gap: they do not begin where the last ones ended, nothing is taken.
  offered offer(const page& events, std::uint64_t after_position);

  /// The next event to send, or null: nothing to do, window full, or waiting after a refusal. Answer with sent() or
  /// skipped() before asking again.
  const event* next(instant now);
  void sent(instant now);
  void skipped();  // not for this broker

  /// The broker's word on published messages. False: it makes no sense, the connection must be dropped.
  /// `confirmed(took)` is called for each that was stored.
  template <class F>
  bool settle(std::uint64_t tag, bool multiple, bool stored, instant now, F&& confirmed) {
    bool refused = false;
    const bool known = ledger_.settle(tag, multiple, [&](flight&& f) {
      if (stored) {
        slots_[f.slot - first_].state = slot::done;
        proven_ = true;
        confirmed(now - f.since);
      } else {
        refused = true;
        again(f.slot);
      }
    });
    if (refused) back_off(now);
    if (known && stored) backoff_ = backoff_first;
    drop_done();
    return known;
  }

  /// The channel is gone: what was not confirmed goes out again.
  void lost();

  std::uint64_t held_to() const { return held_to_; }  // position of the last event taken in
  std::uint64_t done_to() const { return done_to_; }  // everything up to here is confirmed
  std::size_t held() const { return slots_.size(); }
  std::size_t unconfirmed() const { return ledger_.outstanding(); }
  /// When next() may say more than it does now; nullopt: when something else happens.
  std::optional<instant> resume_at() const { return resume_at_; }

private:
  struct slot {
    enum what : std::uint8_t { waiting, in_flight, done } state = waiting;
    std::uint32_t index = 0;
    page events;
    const event& get() const { return (*events)[index]; }
  };
  struct flight {
    std::uint64_t slot;
    instant since;
  };
  void again(std::uint64_t slot);
  void back_off(instant now);
  void drop_done();
  std::size_t window() const { return proven_ ? window_ : std::min(window_, trial_window); }

  std::deque<slot> slots_;
  std::uint64_t first_ = 0;   // number of slots_.front()
  std::uint64_t cursor_ = 0;  // number of the slot that next() looks at
  confirm_ledger<flight> ledger_;
  std::uint64_t held_to_, done_to_;
  std::size_t window_;
  bool proven_ = false;               // something was stored on this channel
  std::optional<instant> resume_at_;  // after a refusal: nothing goes out until all in flight is settled and it is due
  milliseconds backoff_ = backoff_first;
};

}  // namespace horizons::rabbitmq
