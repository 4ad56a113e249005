// The catalogue of the topics, exchanges and queues through which messages leave and enter (contract: "Events").
// Names and figures only; creating them is the bridges' work.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "messages/events.hpp"

namespace horizons {

struct kafka_topic {
  std::string_view name;
  int partitions;
  std::string_view key;  // the field that orders records
  int retention_days;
  std::string_view content;  // prefixes of event types, separated by spaces; empty: commands
  std::string_view doc;
};

inline constexpr std::array kafka_topics{
    kafka_topic{"job-submissions", 10, "job_id", 30, "", "scientists write, the runtime reads"},
    kafka_topic{"job-lifecycle", 10, "job_id", 30, "job.", "the life cycle of jobs"},
    kafka_topic{"job-metrics", 10, "job_id", 30, "job.metrics", "what running jobs use"},
    kafka_topic{"notifications", 5, "user_id", 7, "notification.", "what users were told"},
    kafka_topic{"audit-trail", 5, "resource_id", 90, "audit. job.", "administrative acts and the life cycle of jobs"},
    kafka_topic{"system-health", 3, "node", 7, "system. alert.", "how components are, and alerts"},
};

inline constexpr int dead_letter_retention_days = 30;

/// "<topic>.dlq": as many partitions as its source, byte-identical records with error headers.
std::string dead_letter_topic(std::string_view topic);

/// The topic on which consumers look for an event of this kind first ("audit-trail" repeats the life cycle).
std::string_view topic_of(const event_data& data);

/// Whether `topic` carries events of `type` ("job-lifecycle" carries job.* except job.metrics).
bool carries(const kafka_topic& topic, std::string_view type);

/// The record key of an event on its own topic; `node` is the key of what no job, user or resource owns.
std::string partition_key(const event& e, std::string_view node);

struct rabbitmq_exchange {
  std::string_view name, type, doc;
};

inline constexpr std::array rabbitmq_exchanges{
    rabbitmq_exchange{"job.submissions", "direct", "scientists publish, the runtime consumes"},
    rabbitmq_exchange{"job.events", "fanout", "every job event"},
    rabbitmq_exchange{"notifications", "direct", "routing key user_id"},
    rabbitmq_exchange{"dlx", "direct", "what job-submissions refuses"},
};

struct rabbitmq_queue {
  std::string_view name;
  std::string_view exchange;
  std::string_view routing_key;
  bool bounded;  // 256 MiB, 1 h, x-overflow=drop-head: nobody has to drain it
  std::string_view doc;
};

inline constexpr std::array rabbitmq_queues{
    rabbitmq_queue{"job-submissions", "job.submissions", "job-submissions", false, "commands for the runtime"},
    rabbitmq_queue{"job-dlq", "dlx", "job-dlq", false, "refused submissions; its depth raises an alert"},
    rabbitmq_queue{"job-events-api", "job.events", "", true, "for services that answer users"},
    rabbitmq_queue{"job-events-audit", "job.events", "", true, "for auditors"},
    rabbitmq_queue{"websocket-broadcast", "job.events", "", true, "for web gateways"},
    rabbitmq_queue{"notifications-inbox", "notifications", "", true, "for services that deliver notifications"},
};

inline constexpr std::int64_t outside_queue_bytes_max = 256 << 20;
inline constexpr std::int64_t outside_queue_ttl_ms = 3'600'000;

}  // namespace horizons
