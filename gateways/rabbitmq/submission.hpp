// From a message of job-submissions to a command of the house, or to the reason why not. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "gateways/bridges/services.hpp"
#include "gateways/rabbitmq/message.hpp"

namespace horizons::rabbitmq {

struct submission {
  bridges::incoming what;
  std::uint64_t lane = 0;  // of its job; messages of one lane are worked on one after the other
};

/// What cannot be used.
struct refusal {
  std::string reason;  // poison, no-identity
  error why;
};

/// Reads JSON, MessagePack and CloudEvents of both modes; what is written there is for the house to judge. The job's
/// id, when the command has none, is derived from message_id (or the CloudEvent's source and id, or the idempotency
/// key): the same message gives the same job, each user's for itself. AMQP's priority counts when the command has none
/// (9 and 8 are 1, … 1 and 0 are 5), its correlation_id likewise; `user-id`, which the broker checks, is the proven
/// user. Fills `into`, which must be fresh, in place (it is a dozen texts); nullopt: it is a submission.
std::optional<refusal> read_submission(const message& m, submission& into);

/// Which job a message is about; empty: it cannot be read.
std::string job_of(const message& m);

/// The trace that a message names, or empty.
std::string traceparent_of(const message& m);

/// "amqp-" and 40 hexadecimal digits: a job id from whatever names a message.
std::string derived_job_id(const std::string& tenant, const std::string& user_id, const std::string& name);

}  // namespace horizons::rabbitmq
