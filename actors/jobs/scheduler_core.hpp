// Decides which waiting job gets the next free device. Knows no actor or clock: it is told the time.
//
// Order: priority 1 before 5, within a priority first come first served by journal position. A job that waits rises
// one priority per `ageing`, so that nothing starves behind a stream of urgent work.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "runtime/kit/kit.hpp"

namespace horizons::jobs {

using kit::instant;

struct job_key {
  std::string tenant, job_id;
  friend auto operator<=>(const job_key&, const job_key&) = default;
};

struct job_key_hash {
  std::size_t operator()(const job_key& k) const {
    return std::hash<std::string>{}(k.tenant) * 31 + std::hash<std::string>{}(k.job_id);
  }
};

struct scheduler_limits {
  std::chrono::seconds ageing{600};  // waiting this long is worth one priority
};

/// "Give this device to this job."
struct assignment {
  job_key job;
  std::string device;
  int attempt = 1;
};

class scheduler_core {
public:
  explicit scheduler_core(scheduler_limits limits = {}) : limits_(limits) {}

  /// A job waits to start `attempt`. `order` is its journal position: smaller came first. Waiting twice is once, for
  /// the attempt said last.
  void enqueue(job_key job, int priority, std::uint64_t order, instant now, int attempt = 1);
  /// It waits no longer (cancelled, paused). Unknown: nothing.
  void dequeue(const job_key& job);

  void device_up(std::string device, std::size_t slots);
  void device_down(const std::string& device);
  /// A unit is found running there that this scheduler did not assign.
  void occupy(const std::string& device);
  /// One unit on `device` has ended, or an assignment was not wanted.
  void release(const std::string& device);

  /// Every assignment that is possible now; each takes a slot and leaves the queue.
  std::vector<assignment> assign(instant now);

  std::size_t waiting() const { return where_.size(); }
  std::size_t free_slots() const;
  /// How many jobs would start before this one if nothing changed; nothing when it does not wait.
  std::optional<std::size_t> ahead_of(const job_key& job, instant now) const;

private:
  static constexpr int priorities = 5;
  struct entry {
    job_key job;
    instant since;
  };
  struct place {
    int priority;
    std::uint64_t order;
    int attempt;
  };
  using queue = std::map<std::uint64_t, entry>;  // by order

  double rank(int priority, const entry& e, instant now) const;
  std::optional<int> best(instant now) const;

  scheduler_limits limits_;
  std::array<queue, priorities> queues_;
  std::unordered_map<job_key, place, job_key_hash> where_;
  struct slots {
    std::size_t all = 0, used = 0;
  };
  std::map<std::string, slots> devices_;
};

}  // namespace horizons::jobs
