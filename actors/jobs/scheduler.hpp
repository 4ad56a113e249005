// The actor around scheduler_core: hands free devices to waiting jobs.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "actors/jobs/protocol.hpp"

namespace horizons::jobs {

/// How many jobs wait: written by the scheduler, read by the doors to refuse what is over jobs.queued_max.
using waiting_count = std::shared_ptr<std::atomic<std::size_t>>;

/// `offer` brings an offer_device to the shard of its job. `devices`: name and number of jobs at a time.
kit::actor_body scheduler_actor(std::vector<std::pair<std::string, std::size_t>> devices,
                                std::function<void(offer_device)> offer, waiting_count waiting, scheduler_limits limits = {});

}  // namespace horizons::jobs
