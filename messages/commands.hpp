// What people and programs ask for, as it arrives at any door: HTTP, Kafka, RabbitMQ, the command line.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "messages/description.hpp"
#include "messages/events.hpp"
#include "messages/result.hpp"

namespace horizons {

/// One submission or an order about an existing job. Fields left out have the contract's defaults.
struct command {
  std::string command_name = "submit";  // submit, cancel, pause, resume
  std::string job_id;                   // absent on submission: it is made
  std::string user_id;
  std::string tenant = "default";
  std::string agent;
  std::string dataset;
  json params = json::object();
  int priority = 3;
  resources wants;
  std::string correlation_id;
  std::string idempotency_key;

  static constexpr auto description() {
    return describe<command>(
        "command", 1, "A submission, or an order about a job.",
        field<&command::command_name>{"command", 1, "submit (default), cancel, pause or resume"},
        field<&command::job_id>{"job_id", 1, "[A-Za-z0-9][A-Za-z0-9._-]{0,63}; made when absent"},
        field<&command::user_id>{"user_id", 1, "who asks"}, field<&command::tenant>{"tenant", 1, "on whose account"},
        field<&command::agent>{"agent", 1, "which agent runs it"},
        field<&command::dataset>{"dataset", 1, "URI of the observation"},
        field<&command::params>{"params", 1, "the agent's parameters"},
        field<&command::priority>{"priority", 1, "1 (highest) to 5"},
        field<&command::wants>{"resources", 1, "what the job asks of the machine"},
        field<&command::correlation_id>{"correlation_id", 1, "ties messages of one cause together"},
        field<&command::idempotency_key>{"idempotency_key", 1, "the same key gives the same job"});
  }
  friend bool operator==(const command&, const command&) = default;
};

/// Whether `text` matches [A-Za-z0-9][A-Za-z0-9._-]{0,63}.
bool is_job_id(std::string_view text);

/// Checks every field's bounds (lengths, grammar, ranges; what needs no knowledge of agents or nodes).
/// The error names field, value and what would be right.
result<void> validate(const command& c);

}  // namespace horizons
