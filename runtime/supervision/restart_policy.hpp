// Decides what a supervisor does when a child ends. Knows no actor, clock or thread: the supervisor tells it the
// time and carries out the effects, in order. Semantics: Erlang/OTP, supervisor(3).
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "runtime/kit/kit.hpp"

namespace horizons::supervision {

using kit::instant;
using std::chrono::milliseconds;

enum class strategy : std::uint8_t { one_for_one, one_for_all, rest_for_one };

struct restart_limits {
  int restarts_max = 5;  // within the window; one more escalates
  milliseconds window{10'000};
  milliseconds backoff_first{50};
  milliseconds backoff_max{30'000};
  double jitter = 0.1;  // backoff is multiplied by 1 ± jitter, so that many children do not come back at once
};

struct child_exited {
  std::string child;
  kit::exit_cause cause;
};

struct stop_child {
  std::string child;
};
struct start_child {
  std::string child;
  milliseconds delay{0};
};
struct escalate {
  std::string reason;
};
struct finish {
  std::string reason;
};  // a significant child ended: the supervisor ends normally
using restart_effect = std::variant<stop_child, start_child, escalate, finish>;

/// "3 restarts in 10s (limit 2), last: batcher"; "stop probe"; "start batcher in 50ms". For logs and scenarios.
std::string to_string(const restart_effect& effect);

class restart_policy {
public:
  /// `jitter_seed` makes the backoff of one supervisor repeatable.
  restart_policy(strategy how, restart_limits limits, std::uint64_t jitter_seed = 0);
  restart_policy(const restart_policy&) = delete;
  restart_policy& operator=(const restart_policy&) = delete;

  /// In start order. A child that is already known is replaced in its place.
  void add(std::string child, kit::restart kind, bool significant = false);
  void remove(const std::string& child);

  /// What to do, in order. Empty: nothing, or the exit was the answer to an earlier stop_child.
  /// Temporary children are forgotten when they end; transient ones that ended normally come back only with a group.
  std::vector<restart_effect> step(const child_exited& event, instant now);

  /// An operator asks for a fresh `child`: stop it and what the strategy ties to it in reverse order, then start them,
  /// at once. Counts as no restart: nothing has failed. Empty: unknown or temporary.
  std::vector<restart_effect> renew(const std::string& child);

private:
  struct entry {
    std::string name;
    kit::restart kind = kit::restart::permanent;
    bool significant = false;
    bool alive = true;      // as far as told: running, or about to be started by an effect
    bool stopping = false;  // its next exit was asked for
  };
  using place = std::list<entry>::iterator;
  place place_of(const std::string& child);
  void erase(place at);
  std::vector<restart_effect> group_restart(place at, bool stop_it_too, milliseconds delay);
  milliseconds backoff();

  strategy how_;
  restart_limits limits_;
  std::list<entry> children_;                            // in start order
  std::unordered_map<std::string_view, place> by_name_;  // views into children_
  std::deque<instant> restarts_;                         // at most restarts_max + 1
  std::uint64_t random_;
};

}  // namespace horizons::supervision
