// How an event looks on RabbitMQ: exchange, routing key, properties, CloudEvents headers. Pure.
#pragma once

#include <optional>

#include "gateways/rabbitmq/message.hpp"
#include "messages/codec/cloudevents.hpp"
#include "messages/events.hpp"

namespace horizons::rabbitmq {

/// job.* to the fanout exchange job.events, its type as routing key (a fanout does not look at it, but what is bound
/// behind it may); notification.* to the direct exchange notifications, routing key user_id. Nullopt: not for RabbitMQ.
std::optional<message> to_message(const event& e, const cloudevents_origin& origin, message_format format);

/// 1 (highest) … 5 as AMQP's 9 … 1, and back (0 and 1 are 5; above 9 counts as 9).
std::uint8_t to_amqp_priority(int priority);
int from_amqp_priority(std::uint8_t priority);

}  // namespace horizons::rabbitmq
