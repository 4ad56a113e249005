// What is known of one partition's records while they are worked on: which may be handed out now, which wait for
// another of their lane or for their next try, and how far the partition is finished. Pure: it knows no broker, actor
// or clock, is told the time and holds no record, only offsets.
//
// A lane is the order that is kept: records of one lane (one job) are handed out one after the other, each when the one
// before is finished; lanes do not wait for each other. A record that fails holds its own lane only.
//
// Records come in the order of their offsets. Offsets that never come (markers of transactions, compaction) are gaps. A
// gap is believed only when it is seen twice: librdkafka 2.0.2 can skip what it has fetched when a partition is paused
// or resumed (K1 and its relatives), and whatever is skipped would count as finished.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>

#include "runtime/journal/source_progress.hpp"

namespace horizons::kafka {

using instant = std::chrono::steady_clock::time_point;
using std::chrono::milliseconds;

struct tracker_limits {
  /// Records between the lowest unfinished one and the newest, and those behind a gap that is still open in the
  /// journal, which stores at most so many out of order.
  std::size_t window_max = journal::source_progress::above_max;
  std::size_t bytes_max = std::size_t{32} << 20;  // of unfinished records
  int attempts_max = 8;                           // with the backoff below: about 30 s, more than a failover takes
  milliseconds backoff_first{250};                // doubles with every try
  milliseconds backoff_max{30'000};
  double jitter = 0.2;  // a part of the backoff, to either side: lanes that failed together do not come back together
};

class partition_tracker {
public:
  /// Reading begins at `stored.next`; what is finished above it is not handed out again.
  partition_tracker(const journal::source_progress& stored, tracker_limits limits, std::uint64_t seed);

  enum class verdict {
    taken,
    known,  // finished, or here already (K1): drop it
    gap,    // something is missing before it: drop it and read again from `expected()`
    full,   // the window is: the partition should be paused; to be read again from `expected()`
  };
  verdict receive(std::uint64_t offset, std::string_view lane, std::size_t bytes);

  /// The next record to work on; it is in flight until one of the four calls below. Nothing: none may go now.
  std::optional<std::uint64_t> next(instant now);

  /// It, its effects and the mark that says so are durable.
  void finish(std::uint64_t offset, const journal::source_mark& stored);
  /// It failed in a way that may pass: when it is tried again. Nothing: it was charged for the last time, give it up
  /// (it stays in flight). A failure that is not charged never leads there.
  std::optional<instant> fail(std::uint64_t offset, instant now, bool charged);
  /// Try again at `at`; nothing failed.
  void postpone(std::uint64_t offset, instant at);

  /// How the journal is told that this record is finished. At once with everything before when nothing below is open.
  journal::source_mark mark_for(std::uint64_t offset) const;
  /// A mark of its own for gaps that no record's mark has closed, when it is time: the journal would count everything
  /// behind a gap as out of order. Not given again until `closed` (durable or not).
  std::optional<journal::source_mark> gap_mark(bool idle);
  void closed(const journal::source_mark& m, bool durable);

  /// Lanes that wait for an operator: what the shell does with their records is its business.
  void park(std::string lane) { parked_.insert(std::move(lane)); }
  void release(std::string_view lane);
  bool parked(std::string_view lane) const { return parked_.contains(lane); }
  std::size_t parked_lanes() const { return parked_.size(); }

  /// Whether reading should stop or go on; told once per change, so that nothing is resumed that was not paused (K1).
  /// `hot`: it holds more than its share; it is paused at that, too.
  enum class flow { keep, pause, resume };
  bool full() const { return held() >= limits_.window_max || bytes_ >= limits_.bytes_max; }
  flow change_flow(bool hot = false);
  bool paused() const { return paused_; }

  std::uint64_t lowest_unfinished() const { return window_.empty() ? expected_ : window_.front().offset; }
  std::uint64_t expected() const { return expected_; }  // the offset to read next
  std::optional<instant> next_try() const;              // of a record that waits for it
  /// Records that get their turn by themselves: all but those whose lane waits for its next try.
  std::size_t runnable() const { return unfinished_ - blocked_; }
  int attempts(std::uint64_t offset) const;
  std::size_t held() const { return window_.size() + behind_gap_; }  // against window_max
  std::size_t unfinished() const { return unfinished_; }
  std::size_t in_flight() const { return in_flight_; }
  std::size_t waiting() const { return waiting_.size(); }
  std::size_t bytes() const { return bytes_; }

private:
  enum class state : std::uint8_t { behind, ready, in_flight, waiting, finished };
  struct lane_queue {
    std::uint64_t last = 0;  // ticket
    std::size_t count = 0;   // unfinished records
    bool waits = false;      // the first of them, for its next try
  };
  using lane_map = std::unordered_map<std::string, lane_queue>;
  struct slot {
    std::uint64_t offset = 0, next_in_lane = 0;  // ticket; 0: none
    lane_map::value_type* lane = nullptr;        // null: a lane of its own
    std::size_t bytes = 0;
    int attempts = 0;
    kafka::partition_tracker::state state = state::ready;
  };

  std::uint64_t ticket_of(std::uint64_t offset) const;  // of a record in the window
  slot& at(std::uint64_t ticket) { return window_[ticket - first_ticket_]; }
  const slot& at(std::uint64_t ticket) const { return window_[ticket - first_ticket_]; }
  void wait(std::uint64_t ticket, instant until);
  void wake(std::uint64_t ticket);
  void pass_finished();

  tracker_limits limits_;
  std::deque<slot> window_;  // from the lowest unfinished record on, by offset
  std::uint64_t first_ticket_ = 1;
  std::uint64_t expected_;
  std::set<std::uint64_t> finished_before_;  // of an earlier run, not yet read again
  lane_map lanes_;
  std::deque<std::uint64_t> ready_;                // tickets
  std::multimap<instant, std::uint64_t> waiting_;  // tickets
  std::set<std::string, std::less<>> parked_;
  std::size_t unfinished_ = 0, blocked_ = 0, in_flight_ = 0, bytes_ = 0;
  std::uint64_t suspected_ = 0;         // the offset behind a gap that was seen once
  std::uint64_t gap_end_ = 0;           // below it lies a gap that no mark has closed; 0: none
  std::size_t behind_gap_ = 0;          // records passed since that gap opened: the journal counts them as out of order
  std::optional<std::size_t> closing_;  // a gap_mark is on its way: behind_gap_ when it was made
  bool paused_ = false;
  std::mt19937_64 random_;
};

}  // namespace horizons::kafka
