// The children of one actor: starts them, carries out what restart_policy decides, stops them in reverse order.
// Internal to the kit; runs in the parent's turn.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "runtime/kit/cell.hpp"
#include "runtime/supervision/restart_policy.hpp"

namespace horizons::kit::detail {

class child_set {
public:
  /// `ordered`: a child is started when the one before has run its body.
  child_set(context& parent, const cell_ptr& self, supervision::strategy how, const supervision::restart_limits& limits,
            bool ordered);

  cell_ptr add(actor_options options, actor_body body, child_options child, bool blocking);
  void started(const cell_ptr& who);
  void ended(const cell_ptr& who, const exit_cause& cause);
  bool stop(const cell_ptr& who);  // one child, for good; false when it is none of ours
  /// An operator's restart: an orderly stop, then a start, with those that the strategy ties to it. False when it is
  /// none of ours, ends already, or is temporary (its body is gone).
  bool renew(const cell_ptr& who);
  /// Stops all, in reverse order; with `kill` at once. `done()` tells when none is left.
  void close(bool kill);
  bool done() const { return closing_ && count_ == 0; }
  bool closing() const { return closing_; }
  std::vector<child_state> list() const;

private:
  enum class state : std::uint8_t { waiting, starting, running, stopping, down };
  static constexpr std::uint32_t none = 0xffffffff;
  struct child {
    cell_ptr cell;
    actor_body body;
    child_options options;
    state now = state::waiting;
    bool doomed = false;  // stopped for good: forgotten when it has ended
    bool ruled = false;   // known to the policy
    timer restart;
    std::uint32_t before = none, after = none;  // in start order
  };
  struct step {
    bool start;
    const detail::cell* who;
    instant due;
    bool asked = false;
  };

  void apply(const std::vector<supervision::restart_effect>& effects);
  void go_on();
  void start(child& c);
  void forget(child& c);
  std::string name_of(const child& c) const;
  child& append(child c);
  child* find(const detail::cell* who);  // null: none of ours
  child* find(const std::string& name);
  void close_next();

  context& parent_;
  const std::weak_ptr<detail::cell> self_;
  const std::uint32_t generation_;
  const supervision::strategy how_;
  supervision::restart_policy policy_;
  const bool ordered_;
  bool closing_ = false, killing_ = false;
  std::deque<child> slots_;  // a child's cell knows its slot
  std::vector<std::uint32_t> free_;
  std::uint32_t first_ = none, last_ = none;  // in start order
  std::size_t count_ = 0;
  std::deque<step> plan_;  // at most two steps per child
  timer plan_timer_;
};

}  // namespace horizons::kit::detail
