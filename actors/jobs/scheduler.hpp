// The actor around scheduler_core: hands free devices to waiting jobs. It keeps nothing: after a restart it learns from
// the devices what runs on them and from the job table who waits.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "actors/jobs/open_jobs.hpp"
#include "actors/jobs/protocol.hpp"

namespace horizons::jobs {

/// How many jobs wait: written by the scheduler, read by the doors to refuse what is over jobs.queued_max.
using waiting_count = std::shared_ptr<std::atomic<std::size_t>>;

/// The same of each tenant, for jobs.queued_max_per_tenant. Thread safe.
class waiting_by_tenant {
public:
  std::size_t of(const std::string& tenant) const {
    std::lock_guard lock(mutex_);
    auto at = counts_.find(tenant);
    return at == counts_.end() ? 0 : at->second;
  }
  void set(const std::string& tenant, std::size_t count) {
    std::lock_guard lock(mutex_);
    if (count == 0)
      counts_.erase(tenant);
    else
      counts_[tenant] = count;
  }
  void clear() {
    std::lock_guard lock(mutex_);
    counts_.clear();
  }

private:
  mutable std::mutex mutex_;
  std::unordered_map<std::string, std::size_t> counts_;
};

/// What a scheduler works with.
struct scheduler_environment {
  struct device {
    std::string name;
    std::size_t slots = 1;               // jobs at a time
    kit::handle<gpu::device_api> actor;  // empty: always there
    bool is_accelerator = false;         // counts for resources.gpus
  };
  std::vector<device> devices;
  std::function<void(offer_device)> offer;  // brings it to the shard of its job
  /// Asks a checkpointable attempt to give way to a more urgent job; empty: nobody is asked.
  std::function<void(preemption)> preempt;
  waiting_count waiting;
  std::shared_ptr<waiting_by_tenant> waiting_of = std::make_shared<waiting_by_tenant>();
  open_jobs_source open_jobs;  // table empty: who waits is told again by others
  told_at_start told = std::make_shared<std::atomic<bool>>(false);
  scheduler_limits limits;
  milliseconds offer_again{30'000};  // a device held that long: its job is asked whether it still needs it
};

/// The first start waits to be told who waits; every later one finds out by itself.
kit::actor_body scheduler_actor(scheduler_environment env);

}  // namespace horizons::jobs
