// Carries out a shutdown_plan: runs each phase's work on a thread, watches the clock and the signals. Decides nothing.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "runtime/shutdown/shutdown_plan.hpp"
#include "runtime/shutdown/signals.hpp"

namespace horizons::shutdown {

/// Must return by `deadline`; one that does not is left behind and named in the report.
using phase_work = std::function<void(instant deadline)>;

struct report {
  bool in_order = false;
  std::string reason;
  struct line {
    phase what;
    milliseconds took{};
    bool in_time = false;
  };
  std::vector<line> phases;
};

/// Runs all phases, after a first signal was received; returns within the plan's total limit. Phases without work are
/// passed. When `in_order` is false threads may still run: leave the process with `_exit`.
report run_phases(std::map<phase, phase_work> work, signal_waiter& signals, time_boxes boxes = {});

}  // namespace horizons::shutdown
