// Sends every committed event on to RabbitMQ, in journal order, each at least once: job.* to job.events, notifications
// to their users. How far it has come is stored in the journal as source "relay/rabbitmq".
#pragma once

#include <memory>

#include "gateways/bridges/services.hpp"
#include "gateways/rabbitmq/metrics.hpp"
#include "gateways/rabbitmq/options.hpp"
#include "runtime/journal/journal_actor.hpp"
#include "runtime/kit/kit.hpp"

namespace horizons::rabbitmq {

/// How a bridge's actor is; asked of any of them.
struct health {
  static constexpr auto lane = kit::lane::control;
  using reply = bridges::bridge_health;
};

inline constexpr std::string_view relay_source = "relay/rabbitmq";

using relay_api = kit::accepts<health, journal::committed>;

/// Body for kit spawn_blocking; set the actor's lane to `relay_lane`.
kit::actor_body relay(bridges::services services, options o, std::shared_ptr<metrics> m);

/// A relay that falls behind reads the journal by itself: few pages need to wait for it.
inline constexpr kit::lane_limits relay_lane{.messages_max = 64};

}  // namespace horizons::rabbitmq
