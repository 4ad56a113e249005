// Decides which waiting job gets which free devices. Knows no actor or clock: it is told the time.
//
// Order (scheduler_queue.hpp): priority 1 before 5, rising with the wait; among users and tenants by their shares; else
// first come first served. The first in order that its quotas allow is next. When it wants more devices than are free,
// those that are become a reservation: others start meanwhile only on devices it does not need, or when they will have
// ended before it could start. So a gang starts whole and waits no longer than the longest walltime before it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "actors/jobs/scheduler_devices.hpp"
#include "actors/jobs/scheduler_queue.hpp"

namespace horizons::jobs {

/// "Give these devices to this job."
struct assignment {
  job_key job;
  int attempt = 1;
  std::vector<std::string> devices;  // at least one; the first runs it
};

/// "Ask this running attempt to write a checkpoint and give its devices back."
struct preemption {
  job_key job;
  int attempt = 1;
  std::string reason;  // "gives way to job x of priority 1"
};

class scheduler_core {
public:
  explicit scheduler_core(scheduler_limits limits = {}) : limits_(limits), queue_(std::move(limits)) {}

  /// A job waits. Waiting twice is once, for the attempt said last.
  void enqueue(const waiting_job& job, instant now) { queue_.enqueue(job, now); }
  /// It waits no longer (cancelled, paused). Unknown: nothing.
  void dequeue(const job_key& job) { queue_.dequeue(job); }

  /// A device is there; attempts that are known to hold it hold it still.
  void device_up(const std::string& name, std::size_t slots, bool is_accelerator = false);
  void device_down(const std::string& name) { board_.down(name); }
  /// An attempt is found on devices that this scheduler did not give it. Known already: nothing.
  void found_running(const waiting_job& job, std::vector<std::string> devices, instant now);
  /// The attempt needs its devices no longer. False: it holds none.
  bool release(const job_key& job, int attempt, instant now);

  /// Every start that is possible now; each takes its devices and leaves the queue.
  std::vector<assignment> assign(instant now);
  /// Who should give way to the first in order, all that it needs or nobody. Each is named once.
  std::vector<preemption> preempt(instant now);

  const running_job* running(const job_key& job, int attempt) const { return board_.find(job, attempt); }
  template <class Function>
  void for_each_running(Function f) const {
    for (auto& [_, r] : board_.running()) f(r);
  }
  std::size_t waiting() const { return queue_.waiting(); }
  std::size_t waiting_of(std::string_view tenant) const { return queue_.waiting_of(tenant); }
  std::size_t free_slots() const { return board_.free_slots(); }

  /// How many jobs would start before this one if nothing changed, counted up to 10,000; nothing when it does not wait.
  std::optional<std::size_t> ahead_of(const job_key& job, instant now) const;
  /// Why it waits: "2 ahead, quota gpus=1 of user x used"; empty when it does not wait.
  std::string why(const job_key& job, instant now);

private:
  using bucket = waiting_queue::bucket;
  using item = waiting_queue::item;

  bool can_ever(int gpus) const { return devices_for(gpus) <= board_.devices(gpus > 0); }
  std::optional<waiting_queue::candidate> first(instant now);
  std::vector<std::string> place(const bucket& b, const item& job, instant now, const reservation* kept = {}) const;
  reservation reserve_for(const waiting_queue::candidate& c, instant now) const;
  assignment start(const item& job, std::vector<std::string> devices, instant now);
  void settle(instant now);

  scheduler_limits limits_;
  waiting_queue queue_;
  device_board board_;
  std::optional<instant> settled_;
};

}  // namespace horizons::jobs
