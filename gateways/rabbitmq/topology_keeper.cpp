#include "gateways/rabbitmq/topology_keeper.hpp"

#include "runtime/telemetry/log.hpp"

namespace horizons::rabbitmq {

result<void> topology_keeper::up(connection& c) {
  if (auto open = c.open_channel(channel_); !open) return open;
  if (usable_ && options_.durable_queues && options_.durable_exchanges) return {};
  return declare(c);
}

result<void> topology_keeper::declare(connection& c) {
  auto done = rabbitmq::declare(c, channel_, options_);
  if (!done) return failure(std::move(done.error()));
  usable_ = done->usable;
  std::string all;
  for (const auto& each : done->refused) all += (all.empty() ? "" : "; ") + each;
  if (!all.empty() && all != fault_) log::warn("rabbitmq: " + all);
  fault_ = std::move(all);
  return {};
}

result<void> topology_keeper::look(connection& c) {
  bool missing = false;
  for (const auto& q : plan_topology(options_).queues) {
    auto state = c.queue_depth(channel_, q.name);
    if (state) {
      metrics_.set_depth(q.name, state->messages);
      continue;
    }
    if (ends_connection(state.error())) return failure(std::move(state.error()));
    missing |= state.error().code == error_code::not_found;
    if (auto open = c.open_channel(channel_); !open) return open;
  }
  return missing ? declare(c) : result<void>{};
}

}  // namespace horizons::rabbitmq
