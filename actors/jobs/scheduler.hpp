// The actor around scheduler_core: hands free devices to waiting jobs. It keeps nothing: after a restart it learns from
// the devices what runs on them and from the job table who waits.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "actors/jobs/open_jobs.hpp"
#include "actors/jobs/protocol.hpp"

namespace horizons::jobs {

/// How many jobs wait: written by the scheduler, read by the doors to refuse what is over jobs.queued_max.
using waiting_count = std::shared_ptr<std::atomic<std::size_t>>;

/// What a scheduler works with.
struct scheduler_environment {
  struct device {
    std::string name;
    std::size_t slots = 1;               // jobs at a time
    kit::handle<gpu::device_api> actor;  // empty: always there
  };
  std::vector<device> devices;
  std::function<void(offer_device)> offer;  // brings it to the shard of its job
  waiting_count waiting;
  open_jobs_source open_jobs;  // table empty: who waits is told again by others
  told_at_start told = std::make_shared<std::atomic<bool>>(false);
  scheduler_limits limits;
  milliseconds offer_again{30'000};  // a device held that long: its job is asked whether it still needs it
};

/// The first start waits to be told who waits; every later one finds out by itself.
kit::actor_body scheduler_actor(scheduler_environment env);

}  // namespace horizons::jobs
