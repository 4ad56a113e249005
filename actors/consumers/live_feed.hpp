// Hands committed events on to whoever watches live: browsers, the terminal. Keeps nothing: who missed something reads
// the journal from the position it knows.
#pragma once

#include <functional>
#include <memory>

#include "messages/events.hpp"
#include "runtime/journal/journal_actor.hpp"
#include "runtime/kit/kit.hpp"

namespace horizons::consumers {

/// Registers `on_event` for every event committed from now on; called on the feed's thread and must not block.
struct watch_events {
  static constexpr auto lane = kit::lane::control;
  using reply = std::uint64_t;  // what unwatch_events takes
  std::function<void(const event&)> on_event;
};

struct unwatch_events {
  static constexpr auto lane = kit::lane::control;
  std::uint64_t watcher = 0;
};

using live_feed_api = kit::accepts<journal::committed, watch_events, unwatch_events>;

kit::actor_body live_feed(kit::handle<journal::writer_api> writer);

}  // namespace horizons::consumers
