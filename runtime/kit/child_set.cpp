#include "runtime/kit/child_set.hpp"

#include <algorithm>

#include "runtime/kit/incarnation.hpp"

namespace horizons::kit::detail {

using supervision::restart_effect;

child_set::child_set(context& parent, const cell_ptr& self, supervision::strategy how,
                     const supervision::restart_limits& limits, bool ordered)
    : parent_(parent),
      self_(self),
      generation_(self->generation()),
      how_(how),
      policy_(how, limits, std::hash<std::string>{}(self->path()) + generation_),
      ordered_(ordered) {}

child_set::place child_set::find(const detail::cell* who) {
  auto at = index_.find(who);
  return at == index_.end() ? children_.end() : at->second;
}

child_set::place child_set::find(const std::string& name) {
  auto c = parent_.self().cell()->home().find(parent_.path() + "/" + name);
  return c ? find(c.get()) : children_.end();
}

// As it was given: it may hold slashes ("device/0").
std::string child_set::name_of(const child& c) const { return c.cell->path().substr(parent_.path().size() + 1); }

cell_ptr child_set::add(actor_options options, actor_body body, child_options child_opts, bool blocking) {
  auto self = self_.lock();
  if (options.name.empty())
    options.name = (options.type.empty() ? "child" : options.type) + "-" + std::to_string(children_.size());
  auto path = self->path() + "/" + options.name;
  // A name that is ours but down makes way for the new child.
  if (auto known = self->home().find(path))
    if (auto at = find(known.get()); at != children_.end() && at->now == state::down) forget(at);
  auto c = self->home().claim(path, options, blocking);
  if (closing_ || self->home().closing) return c;  // ended: messages to it are dead letters
  // Temporary children under one_for_one need no decision when they end; there may be very many.
  bool ruled =
      how_ != supervision::strategy::one_for_one || child_opts.restart != restart::temporary || child_opts.significant;
  if (ruled) policy_.add(options.name, child_opts.restart, child_opts.significant);
  children_.push_back({c, std::move(body), child_opts});
  auto at = std::prev(children_.end());
  at->ruled = ruled;
  index_[c.get()] = at;
  c->set_temporary(child_opts.restart == restart::temporary);
  c->open(self, generation_);
  c->book().metrics.spawned.fetch_add(1, std::memory_order_relaxed);
  if (ordered_) {
    plan_.push_back({.start = true, .who = c.get(), .due = {}});
    go_on();
  } else {
    start(*at);
  }
  return c;
}

void child_set::start(child& c) {
  c.now = state::starting;
  if (c.options.restart == restart::temporary)
    c.cell->begin(std::exchange(c.body, nullptr), ordered_);
  else
    c.cell->begin(c.body, ordered_);
}

void child_set::started(const cell_ptr& who) {
  auto at = find(who.get());
  if (at == children_.end() || at->now != state::starting) return;
  at->now = state::running;
  go_on();
}

void child_set::forget(place at) {
  at->restart.cancel();
  std::erase_if(plan_, [&](auto& s) { return s.who == at->cell.get(); });
  if (at->ruled) policy_.remove(name_of(*at));
  at->cell->retire();
  index_.erase(at->cell.get());
  children_.erase(at);
}

void child_set::ended(const cell_ptr& who, const exit_cause& cause) {
  auto at = find(who.get());
  if (at == children_.end()) return;
  auto before = std::exchange(at->now, state::down);
  if (closing_) {
    forget(at);
    close_next();
    return;
  }
  auto name = name_of(*at);
  bool temporary = at->options.restart == restart::temporary;
  if (at->doomed) {
    forget(at);
    return go_on();
  }
  auto effects = at->ruled ? policy_.step({name, cause}, parent_.now()) : std::vector<restart_effect>{};
  // The step of the plan that waited for this child is over: its stop has happened, or its start has failed.
  if (!plan_.empty() && plan_.front().who == who.get() && (plan_.front().asked || before == state::stopping))
    plan_.pop_front();
  if (temporary) forget(at);
  apply(effects);
  go_on();
}

void child_set::apply(const std::vector<supervision::restart_effect>& effects) {
  // A start that follows stops waits for them in the plan; one alone need not wait behind the plan of others.
  const bool planned = how_ != supervision::strategy::one_for_one ||
                       std::any_of(effects.begin(), effects.end(),
                                   [](auto& e) { return std::holds_alternative<supervision::stop_child>(e); });
  for (auto& effect : effects) {
    if (auto* e = std::get_if<supervision::escalate>(&effect)) return parent_.fail(e->reason);
    if (auto* e = std::get_if<supervision::finish>(&effect))
      return parent_.quit({exit_cause::kind::shutdown, e->reason});
    if (auto* e = std::get_if<supervision::stop_child>(&effect)) {
      if (auto at = find(e->child); at != children_.end()) {
        // What still waited to be started need not be stopped; the start follows anew below.
        std::erase_if(plan_, [&](auto& s) { return s.start && !s.asked && s.who == at->cell.get(); });
        if (at->now == state::waiting || at->now == state::down)
          policy_.step({e->child, {}}, parent_.now());  // its exit
        else
          plan_.push_back({.start = false, .who = at->cell.get(), .due = {}});
      }
    }
    if (auto* e = std::get_if<supervision::start_child>(&effect)) {
      auto at = find(e->child);
      if (at == children_.end()) continue;
      if (!planned) {
        auto again = [this, who = at->cell.get()] {
          auto child = find(who);
          if (child == children_.end() || child->now != state::down || closing_) return;
          child->cell->open(self_, generation_);
          child->cell->count_restart();
          child->cell->book().metrics.restarted.fetch_add(1, std::memory_order_relaxed);
          start(*child);
        };
        if (e->delay.count() > 0)
          at->restart = parent_.after(e->delay, again);
        else
          again();
      } else {
        plan_.push_back({.start = true, .who = at->cell.get(), .due = parent_.now() + e->delay});
      }
    }
  }
}

void child_set::go_on() {
  while (!plan_.empty() && !closing_) {
    auto& next = plan_.front();
    auto at = find(next.who);
    if (at == children_.end()) {
      plan_.pop_front();
      continue;
    }
    if (!next.start) {
      if (at->now == state::down || at->now == state::waiting) {
        plan_.pop_front();
        continue;
      }
      if (std::exchange(next.asked, true)) return;
      at->now = state::stopping;
      at->cell->request_stop(at->options.grace);
      return;
    }
    if (next.asked) {
      if (at->now == state::starting) return;
      plan_.pop_front();
      continue;
    }
    if (at->now != state::waiting && at->now != state::down) {
      plan_.pop_front();
      continue;
    }
    if (next.due > parent_.now()) {
      plan_timer_.cancel();
      plan_timer_ = parent_.after(std::chrono::ceil<milliseconds>(next.due - parent_.now()), [this] { go_on(); });
      return;
    }
    if (at->now == state::down) {
      at->cell->open(self_, generation_);
      at->cell->count_restart();
      at->cell->book().metrics.restarted.fetch_add(1, std::memory_order_relaxed);
    }
    next.asked = true;
    start(*at);
    if (!ordered_) plan_.pop_front();
  }
}

bool child_set::stop(const cell_ptr& who) {
  auto at = find(who.get());
  if (at == children_.end()) return false;
  if (at->now == state::down) {
    forget(at);
    go_on();
    return true;
  }
  at->doomed = true;
  if (at->now != state::stopping) {
    at->now = state::stopping;
    at->cell->request_stop(at->options.grace);
  }
  return true;
}

bool child_set::renew(const cell_ptr& who) {
  auto at = find(who.get());
  if (closing_ || at == children_.end() || at->doomed || !at->ruled) return false;
  auto effects = policy_.renew(name_of(*at));
  if (effects.empty()) return false;
  at->restart.cancel();  // it waited for its backoff: the operator does not
  apply(effects);
  go_on();
  return true;
}

void child_set::close(bool kill) {
  if (closing_ && (killing_ || !kill)) return;
  closing_ = true;
  killing_ = kill;
  plan_.clear();
  plan_timer_.cancel();
  if (kill)
    for (auto& c : children_)
      if (c.now != state::down) c.cell->request_stop(milliseconds{0});
  close_next();
}

void child_set::close_next() {
  while (!children_.empty()) {
    auto last = std::prev(children_.end());
    if (last->now == state::down) {
      forget(last);
      continue;
    }
    if (!killing_ && last->now != state::stopping) {
      last->now = state::stopping;
      last->cell->request_stop(last->options.grace);
      if (!takes_messages(last->cell->now())) continue;  // ended meanwhile; its notice is on the way
    }
    return;
  }
}

std::vector<child_state> child_set::list() const {
  std::vector<child_state> r;
  for (auto& c : children_) {
    auto e = c.cell->entry();
    r.push_back({name_of(c), e.path, e.state, e.last_error, e.restarts});
  }
  return r;
}

}  // namespace horizons::kit::detail
