// How a simulation drives a system that was made with system_options::simulated: it is the scheduler and the clock.
// One thread. For tests and runtime/simulation only.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "runtime/kit/clock.hpp"
#include "runtime/kit/system.hpp"

namespace horizons::kit::simulated {

std::size_t runnable(system& s);       // actors that have something to do
void run(system& s, std::size_t n);    // one message of the n-th, n < runnable()
instant next_timer(system& s);         // never later than the truth; instant::max(): none
void advance(system& s, instant now);  // moves the clock and fires what is due
void observe(system& s, std::function<void(const std::string& path, std::string_view message)> f);
void crash(system& s);  // ends all actors; no handler, timer or on_stop runs any more

}  // namespace horizons::kit::simulated
