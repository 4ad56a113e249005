// Takes submissions from job-submissions: each is acknowledged after the journal has it, those of one job in order,
// different jobs in parallel. What cannot be used goes to job-dlq as it came.
#pragma once

#include <memory>

#include "gateways/bridges/services.hpp"
#include "gateways/rabbitmq/metrics.hpp"
#include "gateways/rabbitmq/options.hpp"
#include "gateways/rabbitmq/relay.hpp"
#include "runtime/kit/kit.hpp"

namespace horizons::rabbitmq {

using source_api = kit::accepts<health>;

/// Body for kit spawn_blocking.
kit::actor_body source(bridges::services services, options o, std::shared_ptr<metrics> m);

}  // namespace horizons::rabbitmq
