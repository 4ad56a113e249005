// The exchanges, queues and bindings of the contract, declared again and again without harm. What they are is decided
// by a pure plan; declaring it is a walk over a connection.
#pragma once

#include <string>
#include <vector>

#include "gateways/rabbitmq/connection.hpp"
#include "gateways/rabbitmq/options.hpp"

namespace horizons::rabbitmq {

inline constexpr std::string_view submissions_queue = "job-submissions";
inline constexpr std::string_view submissions_exchange = "job.submissions";
inline constexpr std::string_view dead_letter_queue = "job-dlq";
inline constexpr std::string_view dead_letter_exchange = "dlx";
inline constexpr std::string_view events_exchange = "job.events";
inline constexpr std::string_view notifications_exchange = "notifications";

inline constexpr std::int64_t delivery_limit = 20;  // RabbitMQ before 4.0 has no default: a poison message loops

struct queue_plan {
  std::string name, exchange, routing_key;
  bool durable = true;
  field_table arguments;
};

struct exchange_plan {
  std::string name, type;
  bool durable = true;
};

struct topology_plan {
  std::vector<exchange_plan> exchanges;
  std::vector<queue_plan> queues;
};

/// Quorum queues are durable always: with durable_queues = false they are classic.
topology_plan plan_topology(const options& o);
/// One queue of it as the given type.
queue_plan plan_queue(const options& o, std::string_view name, bool quorum);

/// What the broker refused, one sentence each: what was wanted and what it has. Empty: everything is as the contract
/// says.
struct declared {
  std::vector<std::string> refused;
  bool usable = true;  // exchanges and job-submissions are there
};

/// Declares everything on `channel`, which is open afterwards. What exists with other properties is left as it is, and
/// told. The error: the connection is lost.
result<declared> declare(connection& c, std::uint16_t channel, const options& o);

}  // namespace horizons::rabbitmq
