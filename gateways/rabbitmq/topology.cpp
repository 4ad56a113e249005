#include "gateways/rabbitmq/topology.hpp"

#include "messages/topics.hpp"

namespace horizons::rabbitmq {

namespace {

queue_plan plan(const options& o, const rabbitmq_queue& q, bool quorum) {
  queue_plan p{
      std::string(q.name), std::string(q.exchange), std::string(q.routing_key), quorum || o.durable_queues, {}};
  if (quorum) p.arguments.emplace_back("x-queue-type", field::text("quorum"));
  if (q.bounded) {
    p.arguments.emplace_back("x-max-length-bytes", field::number(outside_queue_bytes_max));
    p.arguments.emplace_back("x-message-ttl", field::number(outside_queue_ttl_ms));
    p.arguments.emplace_back("x-overflow", field::text("drop-head"));
  }
  if (q.name == submissions_queue && o.dlq_enabled) {
    p.arguments.emplace_back("x-dead-letter-exchange", field::text(std::string(dead_letter_exchange)));
    p.arguments.emplace_back("x-dead-letter-routing-key", field::text(std::string(dead_letter_queue)));
    p.arguments.emplace_back("x-overflow", field::text("reject-publish"));
    if (quorum) {  // classic queues know neither
      p.arguments.emplace_back("x-dead-letter-strategy", field::text("at-least-once"));
      p.arguments.emplace_back("x-delivery-limit", field::number(delivery_limit));
    }
  }
  return p;
}

bool wanted(const options& o, std::string_view name) {
  return o.dlq_enabled || (name != dead_letter_queue && name != dead_letter_exchange);
}

}  // namespace

queue_plan plan_queue(const options& o, std::string_view name, bool quorum) {
  for (const auto& q : rabbitmq_queues)
    if (q.name == name) return plan(o, q, quorum);
  return {};
}

topology_plan plan_topology(const options& o) {
  topology_plan all;
  for (const auto& e : rabbitmq_exchanges)
    if (wanted(o, e.name)) all.exchanges.push_back({std::string(e.name), std::string(e.type), o.durable_exchanges});
  for (const auto& q : rabbitmq_queues)
    if (wanted(o, q.name)) all.queues.push_back(plan(o, q, o.quorum() && o.durable_queues));
  return all;
}

result<declared> declare(connection& c, std::uint16_t channel, const options& o) {
  declared out;
  const auto refused = [&](error why, bool ours) -> result<void> {  // a refusal closed the channel
    if (ends_connection(why)) return failure(std::move(why));
    out.refused.push_back(std::move(why.text));
    out.usable &= !ours;
    return c.open_channel(channel);
  };
  const topology_plan all = plan_topology(o);
  for (const auto& e : all.exchanges)
    if (auto done = c.declare_exchange(channel, e.name, e.type, e.durable); !done)
      if (auto open = refused(std::move(done.error()), true); !open) return failure(std::move(open.error()));
  for (const auto& q : all.queues) {
    auto done = c.declare_queue(channel, q.name, q.durable, q.arguments);
    if (!done && done.error().code == error_code::conflict && o.kind == queue_kind::automatic && q.durable &&
        done.error().text.find("'x-queue-type'") != std::string::npos) {
      if (auto open = c.open_channel(channel); !open) return failure(std::move(open.error()));
      const auto other = plan_queue(o, q.name, !o.quorum());
      done = c.declare_queue(channel, other.name, other.durable, other.arguments);
    }
    const bool ours = q.name == submissions_queue;
    if (!done) {
      const bool exists = done.error().code == error_code::conflict;
      if (auto open = refused(std::move(done.error()), ours && !exists); !open) return failure(std::move(open.error()));
      if (!exists) continue;
    }
    if (auto bound = c.bind(channel, q.name, q.exchange, q.routing_key); !bound)
      if (auto open = refused(std::move(bound.error()), ours); !open) return failure(std::move(open.error()));
  }
  return out;
}

}  // namespace horizons::rabbitmq
