// What an operator may see of and do to one actor of a running system. Nothing here waits: an order is accepted or
// refused at once, and `inspect` shows what has become of it. Thread safe. Not for actors: they use their context.
#pragma once

#include <string>
#include <string_view>

#include "runtime/kit/system.hpp"

namespace horizons::kit {

/// One actor as an operator sees it.
struct actor_report {
  tree_entry entry;
  mailbox_reading mailbox;
  std::string supervisor;  // path; empty: a root
  bool draining = false;   // takes no data; drained when the mailbox is empty as well
  bool blocking = false;   // has a thread of its own
  bool temporary = false;  // is not started again when it ends
};

/// Errors (`not_found`): nobody has this path, or its actor has ended for good.
result<actor_report> inspect(system& sys, std::string_view path);

/// An abnormal end, as if it had crashed: its supervisor decides what follows, and counts it. One that hangs in its
/// handler is abandoned half a second later. Errors: `not_found`; `conflict` for a root, which has no supervisor, and
/// for one that is not running.
result<void> kill_actor(system& sys, std::string_view path);

/// An orderly stop (on_stop, its grace, then a kill), then a start with fresh state by its supervisor, which treats
/// what its strategy ties to the actor alike (rest_for_one: what was started later). Counts as no failure, and does
/// not wait for a backoff. Errors: `not_found`; `conflict` for a root, and for a temporary child, which is never
/// started again.
result<void> restart_actor(system& sys, std::string_view path);

enum class after_drain : std::uint8_t { stay, restart };

/// From now on the actor's data lane takes nothing: messages are dead letters ("draining"), requests fail with
/// `unavailable`. What was queued is handled, control messages are taken as ever. Then, with `restart`, restart_actor;
/// with `stay`, it goes on like this until its present life ends: a restart, by whomever, opens the lane again.
/// Errors: as of restart_actor when `then` is restart; else `not_found`, and `conflict` when it is not running.
result<void> drain_actor(system& sys, std::string_view path, after_drain then);

}  // namespace horizons::kit
