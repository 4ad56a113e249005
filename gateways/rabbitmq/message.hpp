// Messages as RabbitMQ carries them, and what a broker tells a connection: plain values.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "gateways/rabbitmq/field.hpp"
#include "messages/result.hpp"

namespace horizons::rabbitmq {

/// The properties of AMQP 0-9-1 basic; empty texts are absent.
struct properties {
  std::string content_type, content_encoding, correlation_id, reply_to, expiration, message_id, type, user_id, app_id;
  field_table headers;
  std::uint8_t delivery_mode = 0;  // 2: survives the broker; 0: absent
  std::optional<std::uint8_t> priority;
  std::optional<std::uint64_t> timestamp_s;

  friend bool operator==(const properties&, const properties&) = default;
};

/// Larger bodies are not kept (see message::fault): a submission has at most 1 MiB.
inline constexpr std::size_t body_bytes_max = std::size_t{2} << 20;

struct message {
  std::string exchange, routing_key;
  rabbitmq::properties properties;
  std::string body;
  std::string fault;  // why headers or body are not here: over our limits. Empty: all is here
};

struct delivery {
  std::uint16_t channel = 0;
  std::uint64_t tag = 0;
  bool redelivered = false;
  message what;
};

/// basic.ack or basic.nack from the broker: what became of published messages.
struct confirmed {
  std::uint16_t channel = 0;
  std::uint64_t tag = 0;
  bool multiple = false;  // all up to `tag`
  bool stored = true;     // false: nack
};

/// A mandatory message that no queue takes; its confirmation follows.
struct returned {
  std::uint16_t channel = 0;
  int code = 0;
  std::string text;
  message what;
};

/// The broker ended a consumer: its queue was deleted or lost its leader's node (R2).
struct cancelled {
  std::uint16_t channel = 0;
  std::string consumer;
};

/// The broker takes no more publishes: memory or disk alarm.
struct blocked {
  std::string reason;
};
struct unblocked {};

struct channel_closed {
  std::uint16_t channel = 0;
  int code = 0;
  std::string text;
};

/// Without the channel that the broker closed the connection is of no use to its owner.
inline error to_error(const channel_closed& c) {
  return {error_code::unavailable, "channel closed by the broker: " + c.text};
}

/// Those with a message in them are handed on by pointer: moving one is a dozen texts.
using delivery_ptr = std::unique_ptr<delivery>;
using returned_ptr = std::unique_ptr<returned>;

using broker_event = std::variant<delivery_ptr, confirmed, returned_ptr, cancelled, blocked, unblocked, channel_closed>;

}  // namespace horizons::rabbitmq
