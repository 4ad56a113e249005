// Everything that can be set about who gets devices: one place, with units and reasons. Plain values.
#pragma once

#include <chrono>
#include <cstddef>
#include <limits>
#include <map>
#include <string>

namespace horizons::jobs {

inline constexpr int no_limit = std::numeric_limits<int>::max();

/// What one tenant, or one user of a tenant, may have at a time, and its share of what there is.
struct account_limits {
  double weight = 1;  // device time relative to the others of the same level; more than 0
  int running_max = no_limit;
  int gpus_max = no_limit;  // held by running jobs
  int cpus_max = no_limit;
};

struct scheduler_limits {
  /// Waiting this long is worth one priority, up to one above a fresh priority 1.
  std::chrono::seconds ageing{600};
  /// Device time beyond one's share that costs one priority: as long as `ageing`, so that both move alike.
  std::chrono::seconds share_unit{600};
  /// Device time that whoever used less than its share may catch up on: more would shut the others out for as long.
  std::chrono::seconds credit{3'600};
  /// Usage counts half after this time.
  std::chrono::seconds half_life{86'400};
  /// A job whose dataset was lately on a device may start before jobs of the same user, priority and size that came
  /// at most this much earlier; 0: never.
  std::chrono::seconds affinity_window{60};

  /// A running job gives way to one that is so many priorities more urgent, has waited `preempt_wait`, and finds no
  /// device; only after `preempt_run`, so that it does not spend its time on checkpoints.
  int preempt_priorities = 2;
  std::chrono::seconds preempt_wait{30};
  std::chrono::seconds preempt_run{300};

  account_limits tenant, user;                    // who is not named below
  std::map<std::string, account_limits> tenants;  // by name
  std::map<std::string, account_limits> users;    // by "<tenant>/<user>"
};

}  // namespace horizons::jobs
