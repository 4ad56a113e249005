#include "gateways/rabbitmq/options.hpp"

namespace horizons::rabbitmq {

result<options> options_from(const rabbitmq_section& section, std::string node) {
  options o;
  for (const auto& url : section.urls) {
    auto host = parse_url(url);
    if (!host) return failure(std::move(host.error()));
    o.hosts.push_back(std::move(*host));
  }
  if (o.hosts.empty())
    return failure(error_code::invalid_argument,
                   "rabbitmq.urls is empty; expected addresses like \"amqp://user@host\"");
  o.connection.heartbeat_s = static_cast<int>(section.heartbeat_s);
  o.connection.name = "horizons/" + node;
  o.reconnect = std::chrono::milliseconds(section.reconnect_ms);
  o.prefetch = static_cast<std::uint16_t>(section.prefetch);
  o.dlq_enabled = section.dlq_enabled;
  o.durable_queues = section.durable_queues;
  o.durable_exchanges = section.durable_exchanges;
  if (section.queue_type == "quorum" && !section.durable_queues)
    return failure(error_code::invalid_argument,
                   "rabbitmq.queue_type = \"quorum\" with rabbitmq.durable_queues = false: quorum queues are durable; "
                   "choose one of them");
  o.kind = section.queue_type == "classic"  ? queue_kind::classic
           : section.queue_type == "quorum" ? queue_kind::quorum
                                            : queue_kind::automatic;
  o.format = section.format == "msgpack" ? message_format::msgpack : message_format::json;
  o.node = std::move(node);
  return o;
}

}  // namespace horizons::rabbitmq
