// What whoever asked with reply-to is told: the job, or why not. Pure.
#pragma once

#include <string>

#include "gateways/rabbitmq/message.hpp"
#include "messages/events.hpp"
#include "messages/result.hpp"

namespace horizons::rabbitmq {

/// To the queue that `asked` names, over the default exchange, with its correlation_id: the job as HTTP shows it.
message accepted(const properties& asked, const json& job);

/// The same for a refusal: problem details as HTTP's, with `reason` as in the dead letters.
message refused(const properties& asked, const std::string& reason, const error& why);

}  // namespace horizons::rabbitmq
