#include "runtime/supervision/restart_policy.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace horizons::supervision {

namespace {

std::uint64_t next_random(std::uint64_t& state) {  // splitmix64
  auto z = (state += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

std::string duration_text(milliseconds d) {
  if (d.count() % 1000 == 0) return std::to_string(d.count() / 1000) + "s";
  return std::to_string(d.count()) + "ms";
}

}  // namespace

std::string to_string(const restart_effect& effect) {
  struct {
    std::string operator()(const stop_child& e) const { return "stop " + e.child; }
    std::string operator()(const start_child& e) const {
      return "start " + e.child + (e.delay.count() ? " in " + std::to_string(e.delay.count()) + "ms" : "");
    }
    std::string operator()(const escalate& e) const { return "escalate \"" + e.reason + "\""; }
    std::string operator()(const finish& e) const { return "finish \"" + e.reason + "\""; }
  } text;
  return std::visit(text, effect);
}

restart_policy::restart_policy(strategy how, restart_limits limits, std::uint64_t jitter_seed)
    : how_(how), limits_(limits), random_(jitter_seed) {}

restart_policy::place restart_policy::place_of(const std::string& child) {
  auto at = by_name_.find(child);
  return at == by_name_.end() ? children_.end() : at->second;
}

void restart_policy::erase(place at) {
  by_name_.erase(at->name);
  children_.erase(at);
}

void restart_policy::add(std::string child, kit::restart kind, bool significant) {
  const auto known = place_of(child);
  const auto added = children_.insert(known, entry{std::move(child), kind, significant});
  if (known != children_.end()) erase(known);
  by_name_.emplace(added->name, added);
}

void restart_policy::remove(const std::string& child) {
  if (auto at = place_of(child); at != children_.end()) erase(at);
}

milliseconds restart_policy::backoff() {
  auto steps = std::min<std::size_t>(restarts_.size() - 1, 40);  // 2^40 times anything is past every maximum
  auto ms = std::ldexp(static_cast<double>(limits_.backoff_first.count()), static_cast<int>(steps));
  ms = std::min(ms, static_cast<double>(limits_.backoff_max.count()));
  auto unit = static_cast<double>(next_random(random_) >> 11) * 0x1p-53;  // [0, 1)
  return milliseconds{std::llround(ms * (1 + limits_.jitter * (2 * unit - 1)))};
}

std::vector<restart_effect> restart_policy::step(const child_exited& event, instant now) {
  auto at = place_of(event.child);
  if (at == children_.end()) return {};
  auto& child = *at;
  if (std::exchange(child.stopping, false)) return {};
  if (!child.alive) return {};

  using kit::restart;
  bool comes_back = child.kind == restart::permanent || (child.kind == restart::transient && event.cause.abnormal());
  if (!comes_back) {
    bool ends_all = child.significant;
    child.alive = false;
    if (child.kind == restart::temporary) erase(at);
    if (ends_all) return {finish{"significant child " + event.child + " ended"}};
    return {};
  }

  while (!restarts_.empty() && now - restarts_.front() >= limits_.window) restarts_.pop_front();
  restarts_.push_back(now);
  if (static_cast<int>(restarts_.size()) > limits_.restarts_max)
    return {escalate{std::to_string(restarts_.size()) + " restarts in " + duration_text(limits_.window) + " (limit " +
                     std::to_string(limits_.restarts_max) + "), last: " + event.child}};

  auto delay = backoff();
  if (how_ == strategy::one_for_one) return {start_child{event.child, delay}};

  return group_restart(at, false, delay);
}

std::vector<restart_effect> restart_policy::renew(const std::string& child) {
  auto at = place_of(child);
  if (at == children_.end() || at->kind == kit::restart::temporary) return {};
  return group_restart(at, true, milliseconds{0});
}

/// Stops those that go down with `at` in reverse order, then starts them in order.
std::vector<restart_effect> restart_policy::group_restart(place at, bool stop_it_too, milliseconds delay) {
  const auto first = how_ == strategy::one_for_all ? children_.begin() : at;
  const auto last = how_ == strategy::one_for_one ? std::next(at) : children_.end();
  std::vector<restart_effect> effects;
  for (auto i = last; i != first;) {
    auto& c = *--i;
    if ((i == at && !stop_it_too) || !c.alive) continue;
    if (!c.stopping) effects.push_back(stop_child{c.name});
    c.stopping = true;
  }
  for (auto i = first; i != last;) {
    const auto here = i++;
    if (here->kind == kit::restart::temporary) {
      if (here->stopping) erase(here);
      continue;
    }
    here->alive = true;
    effects.push_back(start_child{here->name, delay});
  }
  return effects;
}

}  // namespace horizons::supervision
