#include "gateways/rabbitmq/relay_message.hpp"

#include <algorithm>

#include "gateways/rabbitmq/topology.hpp"

namespace horizons::rabbitmq {

namespace {

constexpr std::size_t short_text_max = 255;  // AMQP: routing keys and properties; longer ones cannot be said

}  // namespace

std::optional<message> to_message(const event& e, const cloudevents_origin& origin, message_format format) {
  const std::string_view type = type_of(e.data);
  message m;
  if (type.starts_with("job.")) {
    m.exchange = events_exchange;
    m.routing_key = type;
  } else if (type.starts_with("notification.") && e.user_id.size() <= short_text_max) {
    m.exchange = notifications_exchange;
    m.routing_key = e.user_id;
  } else {
    return std::nullopt;
  }
  wire_message wire = to_cloudevents(e, origin, cloudevents_binding::amqp, format);
  m.body = std::move(wire.body);
  auto& p = m.properties;
  p.content_type = std::move(wire.content_type);
  p.headers.reserve(wire.headers.size());
  for (auto& [name, value] : wire.headers) p.headers.emplace_back(std::move(name), field::text(std::move(value)));
  p.message_id = e.event_id;
  p.correlation_id = e.correlation_id.size() <= short_text_max ? e.correlation_id : "";  // the header has it all
  p.type = type;
  p.timestamp_s = static_cast<std::uint64_t>(e.time.time_since_epoch().count() / 1'000);
  p.delivery_mode = 2;
  if (const auto* submitted = std::get_if<job_submitted>(&e.data)) p.priority = to_amqp_priority(submitted->priority);
  return m;
}

std::uint8_t to_amqp_priority(int priority) {
  return static_cast<std::uint8_t>(9 - 2 * (std::clamp(priority, 1, 5) - 1));
}

int from_amqp_priority(std::uint8_t priority) { return 5 - std::min<int>(priority, 9) / 2; }

}  // namespace horizons::rabbitmq
