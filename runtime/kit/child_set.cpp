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

child_set::child* child_set::find(const detail::cell* who) {
  const auto n = who->place();
  return n < slots_.size() && slots_[n].cell.get() == who ? &slots_[n] : nullptr;
}

child_set::child* child_set::find(const std::string& name) {
  auto c = parent_.self().cell()->home().find(parent_.path() + "/" + name);
  return c ? find(c.get()) : nullptr;
}

child_set::child& child_set::append(child c) {
  auto n = static_cast<std::uint32_t>(slots_.size());
  if (free_.empty()) {
    slots_.push_back(std::move(c));
  } else {
    n = free_.back();
    free_.pop_back();
    slots_[n] = std::move(c);
  }
  auto& added = slots_[n];
  added.cell->set_place(n);
  added.before = last_;
  (last_ == none ? first_ : slots_[last_].after) = n;
  last_ = n;
  ++count_;
  return added;
}

// As it was given: it may hold slashes ("device/0").
std::string child_set::name_of(const child& c) const { return c.cell->path().substr(parent_.path().size() + 1); }

cell_ptr child_set::add(actor_options options, actor_body body, child_options child_opts, bool blocking) {
  auto self = self_.lock();
  if (options.name.empty())
    options.name = (options.type.empty() ? "child" : options.type) + "-" + std::to_string(count_);
  std::string path;
  path.reserve(self->path().size() + 1 + options.name.size());
  path.append(self->path()).append("/").append(options.name);
  cell_ptr known;
  auto c = self->home().claim(path, options, blocking, &known);
  if (!c) {  // a name that is ours but down makes way for the new child
    if (auto* at = find(known.get()); at && at->now == state::down) forget(*at);
    c = self->home().claim(std::move(path), options, blocking);
  }
  if (closing_ || self->home().closing) return c;  // ended: messages to it are dead letters
  // Temporary children under one_for_one need no decision when they end; there may be very many.
  bool ruled =
      how_ != supervision::strategy::one_for_one || child_opts.restart != restart::temporary || child_opts.significant;
  if (ruled) policy_.add(options.name, child_opts.restart, child_opts.significant);
  auto& added = append({.cell = c, .body = std::move(body), .options = child_opts, .ruled = ruled});
  c->set_temporary(child_opts.restart == restart::temporary);
  c->open(self, generation_);
  c->book().metrics.spawned.fetch_add(1, std::memory_order_relaxed);
  if (ordered_) {
    plan_.push_back({.start = true, .who = c.get(), .due = {}});
    go_on();
  } else {
    start(added);
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
  if (!at || at->now != state::starting) return;
  at->now = state::running;
  go_on();
}

void child_set::forget(child& c) {
  c.restart.cancel();
  std::erase_if(plan_, [&](auto& s) { return s.who == c.cell.get(); });
  if (c.ruled) policy_.remove(name_of(c));
  c.cell->retire();
  const auto n = c.before == none ? first_ : slots_[c.before].after;
  (c.before == none ? first_ : slots_[c.before].after) = c.after;
  (c.after == none ? last_ : slots_[c.after].before) = c.before;
  --count_;
  free_.push_back(n);
  c = {};  // the cell may go with it
}

void child_set::ended(const cell_ptr& who, const exit_cause& cause) {
  auto at = find(who.get());
  if (!at) return;
  auto before = std::exchange(at->now, state::down);
  if (closing_) {
    forget(*at);
    close_next();
    return;
  }
  bool temporary = at->options.restart == restart::temporary;
  if (at->doomed) {
    forget(*at);
    return go_on();
  }
  auto effects = at->ruled ? policy_.step({name_of(*at), cause}, parent_.now()) : std::vector<restart_effect>{};
  // The step of the plan that waited for this child is over: its stop has happened, or its start has failed.
  if (!plan_.empty() && plan_.front().who == who.get() && (plan_.front().asked || before == state::stopping))
    plan_.pop_front();
  if (temporary) forget(*at);
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
      if (auto* at = find(e->child)) {
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
      if (!at) continue;
      if (!planned) {
        auto again = [this, who = at->cell] {
          auto child = find(who.get());
          if (!child || child->now != state::down || closing_) return;
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
    if (!at) {
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
  if (!at) return false;
  if (at->now == state::down) {
    forget(*at);
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
  if (closing_ || !at || at->doomed || !at->ruled) return false;
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
    for (auto n = first_; n != none; n = slots_[n].after)
      if (slots_[n].now != state::down) slots_[n].cell->request_stop(milliseconds{0});
  close_next();
}

void child_set::close_next() {
  while (last_ != none) {
    auto& last = slots_[last_];
    if (last.now == state::down) {
      forget(last);
      continue;
    }
    if (!killing_ && last.now != state::stopping) {
      last.now = state::stopping;
      last.cell->request_stop(last.options.grace);
      if (!takes_messages(last.cell->now())) continue;  // ended meanwhile; its notice is on the way
    }
    return;
  }
}

std::vector<child_state> child_set::list() const {
  std::vector<child_state> r;
  for (auto n = first_; n != none; n = slots_[n].after) {
    auto& c = slots_[n];
    auto e = c.cell->entry();
    r.push_back({name_of(c), e.path, e.state, e.last_error, e.restarts});
  }
  return r;
}

}  // namespace horizons::kit::detail
