// A supervisor: an actor that starts children in order, watches them, and carries out what restart_policy decides.
// No decision is made here. Semantics: Erlang/OTP, supervisor(3).
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "runtime/kit/kit.hpp"
#include "runtime/supervision/restart_policy.hpp"

namespace horizons::supervision {

/// One child as its supervisor starts it. `body` is called again, with fresh state, at every restart.
struct child_spec {
  kit::actor_options options;
  kit::actor_body body;
  kit::child_options child{};
  bool blocking = false;
};

/// Asks a supervisor for another child at run time; the answer is its address.
struct start_child_request {
  static constexpr auto lane = kit::lane::control;
  using reply = kit::address;
  child_spec spec;
};

using kit::child_state;

struct which_children {
  static constexpr auto lane = kit::lane::control;
  using reply = std::vector<child_state>;
};

using supervisor_api = kit::accepts<start_child_request, which_children>;

/// The body of a supervisor over `children`, started in order, stopped in reverse.
kit::actor_body supervisor(strategy how, restart_limits limits, std::vector<child_spec> children);

}  // namespace horizons::supervision
