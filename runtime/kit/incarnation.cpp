#include "runtime/kit/incarnation.hpp"

#include <algorithm>
#include <exception>

#include "runtime/supervision/restart_policy.hpp"

namespace horizons::kit::detail {

// --- incarnation --------------------------------------------------------------------------------------------------

incarnation::incarnation(cell_ptr self, std::uint32_t generation, std::uint32_t epoch)
    : self_(std::move(self)), generation_(generation), epoch_(epoch) {}

incarnation::~incarnation() {
  // Cancelled timers must not keep what their callbacks hold until they are due.
  pending_.for_each([](auto& p) {
    if (p.timeout) p.timeout->cancel();
  });
  for (auto& w : timers_)
    if (auto t = w.lock()) {
      t->off = true;
      t->cancel();
    }
}

void incarnation::begin(const actor_body& body) {
  begun_ = true;
  behavior_ = body(*this);
}

void incarnation::handle(parcel& p) {
  if (auto* h = behavior_.find(*p.type)) return (*h)(p);
  self_->book().metrics.count(dead_letter::unhandled);
  if (auto* r = p.return_to())
    r->fail({error_code::invalid_argument, path() + " has no handler for " + std::string(p.type->name)});
}

void incarnation::answered(answer& a) {
  if (!pending_.find(a.request)) return;  // timed out before
  auto p = pending_.take(a.request);
  if (p.timeout) p.timeout->cancel();
  if (!quitting()) p.then(a);
}

void incarnation::request_any(const address& to, std::unique_ptr<parcel> p, milliseconds timeout, answer_handler then) {
  const auto id = pending_.add(std::move(then));
  *static_cast<return_address*>(p->return_to()) = return_address(self_, generation_, id);
  if (deliver(to.cell(), std::move(p)) != delivery::accepted) return;  // its error is on the way to us
  auto t = std::make_shared<actor_timer>(self_, generation_, nullptr);
  t->request = id;
  pending_.find(id)->timeout = t;
  self_->home().wheel->set(t, now() + std::max(timeout, milliseconds{0}));
}

timer incarnation::after(milliseconds delay, std::function<void()> f) {
  auto t = std::make_shared<actor_timer>(self_, generation_, std::move(f));
  if (timers_.size() >= prune_at_) {
    std::erase_if(timers_, [](auto& w) { return w.expired(); });
    prune_at_ = std::max<std::size_t>(16, 2 * timers_.size());
  }
  timers_.push_back(t);
  self_->home().wheel->set(t, now() + std::max(delay, milliseconds{0}));
  return timer(t);
}

std::function<bool(std::function<void()>)> incarnation::mailbox_executor() {
  return [to = self_, g = generation_](std::function<void()> f) {
    return to->post([f = std::move(f)](runner&) { f(); }, g);
  };
}

void incarnation::monitor(const address& who, std::function<void(const exit_cause&)> then) {
  auto tell = [to = std::weak_ptr<detail::cell>(self_), g = generation_,
               then = std::move(then)](const exit_cause& cause) mutable {
    if (auto c = to.lock()) c->post([then = std::move(then), cause](runner&) { then(cause); }, g);  // told once
  };
  if (who)
    who.cell()->watch(std::move(tell));
  else
    tell({exit_cause::kind::failed, "an empty address"});
}

child_set& incarnation::need_children() {
  if (!children_)
    children_ = std::make_unique<child_set>(*this, self_, supervision::strategy::one_for_one,
                                            supervision::restart_limits{}, false);
  return *children_;
}

void incarnation::supervise(supervision::strategy how, const supervision::restart_limits& limits) {
  children_ = std::make_unique<child_set>(*this, self_, how, limits, true);
}

address incarnation::spawn_any(actor_options options, actor_body body, child_options child, bool blocking) {
  return address(need_children().add(std::move(options), std::move(body), child, blocking));
}

std::vector<child_state> incarnation::children() const {
  return children_ ? children_->list() : std::vector<child_state>{};
}

void incarnation::quit(exit_cause cause) {
  if (!cause_ || cause.how == exit_cause::kind::killed) cause_ = std::move(cause);
}

void incarnation::stop_asked() {
  if (quitting()) return;
  if (self_->now() == phase::running) self_->enter(phase::stopping);
  if (on_stop_)
    std::exchange(on_stop_, nullptr)();
  else
    quit({exit_cause::kind::shutdown, "asked to stop"});
}

void incarnation::stop(const address& who) {
  if (!who) return;
  if (who.cell() == self_) return stop_asked();
  if (stop_child(who.cell())) return;
  system().stop(who, milliseconds{0});  // somebody below a child: its own parent stops it; nobody waits
}

bool incarnation::wind_down() {
  if (!closing_) {
    closing_ = true;
    if (self_->now() != phase::stopping) self_->enter(phase::stopping);
  }
  if (!children_) return true;
  children_->close(cause_->how == exit_cause::kind::killed);
  return children_->done();
}

// --- runner -------------------------------------------------------------------------------------------------------

runner::runner(const cell_ptr& c, std::uint32_t epoch)
    : weak_(c),
      book_(c->shared_book()),
      epoch_(epoch),
      // A sixty-fourth of the lane: a limit of ten means ten.
      batch_max_(static_cast<std::uint32_t>(std::clamp<std::size_t>(c->limits().messages_max / 64, 1, 32))) {}
runner::~runner() { settle(); }

std::shared_ptr<void> runner::begin_turn() {
  auto hold = weak_.lock();
  cell_ = hold.get();
  return hold;
}

void runner::begin(const actor_body& body, std::uint32_t generation, bool tell_parent) {
  if (now_) return;
  now_ = std::make_unique<incarnation>(cell_->shared_from_this(), generation, epoch_);
  guarded("start", [&] { now_->begin(body); });
  if (!now_->quitting() && cell_->now() == phase::starting) cell_->enter(phase::running);
  if (tell_parent && !now_->quitting()) cell_->tell_parent_started();
  auto waiting = std::move(early_);
  early_.clear();
  for (auto& p : waiting) message(std::move(p));
}

template <class F>
void runner::guarded(std::string_view what, F f) {
  try {
    f();
  } catch (const std::exception& e) {
    now_->quit({exit_cause::kind::failed, e.what()});  // T13
  } catch (...) {
    now_->quit({exit_cause::kind::failed, "an exception of unknown type in " + std::string(what)});
  }
}

bool runner::consume(std::unique_ptr<parcel> p, bool last) {
  last_ = last;
  using sort = parcel::sort;
  if (lost()) {  // this runner hung and was replaced; its life ends here
    now_.reset();
    std::lock_guard lock(cell_->home().mutex);
    cell_->home().lost.erase({cell_, epoch_});
    return false;
  }
  if (cell_->home().crashed && now_) now_->quit({exit_cause::kind::killed, "the node crashed"});
  switch (p->what) {
    case sort::task:
      settle();
      if (p->generation == any_generation || p->generation == cell_->generation()) {
        auto& t = static_cast<task&>(*p);
        if (now_)
          guarded("a task", [&] { t.run(*this); });
        else
          t.run(*this);
      }
      break;
    case sort::answer:
      if (now_ && p->generation == now_->generation())
        guarded("an answer", [&] { now_->answered(static_cast<answer&>(*p)); });
      break;
    case sort::token:
      if (auto q = cell_->pop_lane()) message(std::move(q));
      break;
    case sort::message:
      message(std::move(p));
      break;
  }
  follow_up();
  if (lost()) {
    now_.reset();
    std::lock_guard lock(cell_->home().mutex);
    cell_->home().lost.erase({cell_, epoch_});
    return false;
  }
  return !leaving_;
}

void runner::end_turn() {
  settle();
  batch_ = 1;
}

void runner::settle() {
  if (auto load = std::exchange(read_load_, 0)) book_->load.remove(load);
  read_ = 0;
  if (auto n = std::exchange(handled_, 0)) {
    book_->metrics.handled.fetch_add(n, std::memory_order_relaxed);
    book_->handled.fetch_add(n, std::memory_order_relaxed);
  }
}

void runner::message(std::unique_ptr<parcel> owned) {
  bool stale = owned->generation != cell_->generation();
  if (!stale && !now_) return early_.push_back(std::move(owned));
  auto& p = *owned;
  const bool counted = std::exchange(p.counted, false);
  if (counted) {
    read_load_ += lane_load::packed(1, p.bytes);
    ++read_;
  }
  // Large ones and requests at once: whoever has the answer may look at the mailbox.
  if (last_ || read_ >= batch_ || p.asks || lane_load::unpacked(read_load_).bytes * 64 > cell_->limits().bytes_max) {
    settle();
    batch_ = std::min(2 * batch_, batch_max_);
  }
  auto& metrics = book_->metrics;
  if (stale || now_->quitting()) {
    metrics.count(dead_letter::receiver_ended);
    if (auto* r = p.return_to()) r->fail({error_code::unavailable, book_->path + " ended before it read the request"});
    return;
  }
  if (cell_->home().observer) cell_->home().observer(book_->path, p.type->name);
  auto& home = cell_->home();
  auto sent = p.enqueued_ns;  // stamped on a sample of the messages
  auto start = sent ? home.now_ns() : 0;
  if (sent) {
    metrics.waited.add(start - sent, sample_weight);
    if (counted) book_->oldest_ns.store(sent, std::memory_order_relaxed);
  }
  book_->handling.store(p.type, std::memory_order_relaxed);
  book_->handling_since_ns.store(home.coarse_ns(), std::memory_order_relaxed);
  guarded(p.type->name, [&] { now_->handle(p); });
  book_->handling_since_ns.store(0, std::memory_order_relaxed);
  ++handled_;
  if (sent) {
    auto took = home.now_ns() - start;
    metrics.processed.add(took, sample_weight);
    if (took > metrics.longest_handler_ns.load(std::memory_order_relaxed))
      metrics.longest_handler_ns.store(took, std::memory_order_relaxed);
  }
  if (now_->quitting())
    if (auto* r = p.return_to(); r && *r)
      r->fail({error_code::unavailable,
               book_->path + " ended while handling " + std::string(p.type->name) + ": " + now_->cause().reason});
}

void runner::follow_up() {
  if (!now_ || !now_->quitting() || lost()) return;
  try {
    if (!now_->wind_down()) return;
  } catch (const std::exception&) {
    return;  // a child could not be stopped: the ladder above us goes on
  }
  auto life = std::move(now_);
  auto cause = life->cause();
  auto g = life->generation();
  life.reset();  // state goes before anybody is told
  cell_->end_generation(g, cause);
}

void runner::stop() {
  if (now_) return now_->stop_asked();
  early_refused();
  cell_->end_generation(cell_->generation(), {exit_cause::kind::shutdown, "stopped before it started"});
}

void runner::kill() {
  if (now_) return now_->quit({exit_cause::kind::killed, "killed"});
  early_refused();
  cell_->end_generation(cell_->generation(), {exit_cause::kind::killed, "killed before it started"});
}

void runner::early_refused() {
  for (auto& p : early_) refuse_ended(std::move(p));
  early_.clear();
}

void runner::child_started(const cell_ptr& child) {
  if (now_ && now_->offspring()) now_->offspring()->started(child);
}

void runner::child_ended(const cell_ptr& child, const exit_cause& cause) {
  if (now_ && now_->offspring())
    now_->offspring()->ended(child, cause);
  else
    child->retire();
}

void runner::stop_child(const cell_ptr& child) {
  if (now_) now_->stop_child(child);
}

bool runner::renew_child(const cell_ptr& child) { return now_ && now_->offspring() && now_->offspring()->renew(child); }

}  // namespace horizons::kit::detail
