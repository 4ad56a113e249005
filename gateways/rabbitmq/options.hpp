// What the bridge is told: the configuration's section in usable form.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "gateways/rabbitmq/connection.hpp"
#include "gateways/rabbitmq/url.hpp"
#include "messages/codec/format.hpp"
#include "runtime/config/config.hpp"

namespace horizons::rabbitmq {

/// automatic: quorum queues when several urls are given (a cluster), else classic ones; a queue that exists already
/// keeps the type it has.
enum class queue_kind : std::uint8_t { automatic, classic, quorum };

struct options {
  std::vector<endpoint> hosts;  // at least one
  connection_options connection;
  std::chrono::milliseconds reconnect{1'000};
  std::uint16_t prefetch = 100;
  bool dlq_enabled = true, durable_queues = true, durable_exchanges = true;
  queue_kind kind = queue_kind::automatic;

  message_format format = message_format::json;   // of what the relay publishes: json or msgpack
  std::size_t window = 1'000;                     // unconfirmed publishes; more adds only latency
  std::chrono::milliseconds confirm_max{10'000};  // a broker that confirms nothing for so long is left for the next
  std::string node;                               // names the connections, and the source of CloudEvents

  bool quorum() const { return kind == queue_kind::quorum || (kind == queue_kind::automatic && hosts.size() > 1); }
};

/// Errors name the url's part that is wrong, never a password.
result<options> options_from(const rabbitmq_section& section, std::string node);

}  // namespace horizons::rabbitmq
