// What can be observed of a journal writer. Written by its thread alone, read by any. journal_collector.hpp shows it.
#pragma once

#include <atomic>
#include <cstdint>

#include "runtime/kit/actor_metrics.hpp"

namespace horizons::journal {

struct journal_metrics {
  std::atomic<std::uint64_t> commits{0}, commits_failed{0};
  std::atomic<std::uint64_t> batches{0}, events{0};                // committed
  std::atomic<std::uint64_t> repeats{0};                           // events that were stored already
  std::atomic<std::uint64_t> fenced{0}, conflicts{0}, refused{0};  // batches left out of their commit
  kit::duration_histogram commit_times;                            // of every commit, failed ones too
  std::atomic<std::uint64_t> commit_us_last{0};
  std::atomic<std::uint64_t> last_position{0};
  std::atomic<std::uint64_t> size_bytes{0};     // once a minute at most; 0: in memory, or not known yet
  std::atomic<std::uint64_t> archived_to{0};    // 0: nothing since the node started
  std::atomic<std::uint64_t> rows_archived{0};  // that left the table of events
  std::atomic<std::uint64_t> subscribers{0};
  std::atomic<std::uint64_t> subscribers_fell_behind{0};  // a full lane sent a subscriber back to reading the store
};

}  // namespace horizons::journal
