// Puts one submission on a broker as a scientist's own client would: `horizons submit --via kafka|rabbitmq`.
#pragma once

#include <string>

#include "messages/result.hpp"
#include "runtime/config/config.hpp"

namespace horizons::bridges {

/// via: "kafka" or "rabbitmq", which the configuration must name. Waits until the broker has it (20 s at most).
/// Errors: invalid_argument (not configured), unavailable, timed_out.
result<void> publish_submission(const configuration& config, const std::string& via, const std::string& job_id,
                                const std::string& submission);

}  // namespace horizons::bridges
