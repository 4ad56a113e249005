#include "runtime/kit/system.hpp"

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <stdexcept>

#include "runtime/kit/incarnation.hpp"
#include "runtime/kit/simulated.hpp"

namespace horizons::kit {

using detail::cell_ptr;
using detail::phase;

namespace {

/// Counts down to zero; waiting has a deadline. Under simulation nobody may wait.
class latch {
public:
  explicit latch(std::size_t n) : left_(n) {}
  void count_down() {
    std::lock_guard lock(mutex_);
    --left_;
    zero_.notify_all();
  }
  bool wait_until(std::chrono::steady_clock::time_point t) {
    std::unique_lock lock(mutex_);
    return zero_.wait_until(lock, t, [&] { return left_ == 0; });
  }

private:
  std::mutex mutex_;
  std::condition_variable zero_;
  std::size_t left_;
};

std::shared_ptr<latch> watch_end(const std::vector<cell_ptr>& cells) {
  auto l = std::make_shared<latch>(cells.size());
  for (auto& c : cells) c->watch([l](const exit_cause&) { l->count_down(); });
  return l;
}

/// An asker outside of any actor.
struct outside_asker final : detail::asker, std::enable_shared_from_this<outside_asker> {
  struct deadline final : timer::state {
    void fire() override { end(error_code::timed_out, "no answer in time"); }
    void cancelled() override { end(error_code::unavailable, "the system is shutting down"); }
    void end(error_code code, const char* why) {  // mostly it was answered, and only the asker is let go
      if (auto a = std::exchange(asker, nullptr); a && !a->used.test())
        a->finish(std::make_unique<detail::answer>(error{code, why}));
    }
    std::shared_ptr<outside_asker> asker;
  };
  void answered(std::uint32_t, std::unique_ptr<detail::answer> a) override { finish(std::move(a)); }
  void finish(std::unique_ptr<detail::answer> a) {
    if (used.test_and_set()) return;
    then(*a);
    then = nullptr;
    if (auto t = limit.lock()) t->cancel();
  }
  detail::answer_handler then;
  std::atomic_flag used = ATOMIC_FLAG_INIT;
  std::weak_ptr<deadline> limit;
};

}  // namespace

system::system(system_options options) : state_(std::make_unique<state>()) {
  auto& c = *state_->core;
  c.owner = this;
  c.simulated = options.simulated;
  c.wheel = std::make_shared<detail::timer_wheel>(c.now());
  auto threads = options.threads ? options.threads : detail::usable_cpus();
  c.engine = std::make_unique<detail::engine>(
      detail::engine::settings{threads, options.max_throughput, options.simulated != nullptr});
  c.options = std::move(options);
  if (!c.simulated) c.wheel->run_thread();
}

system::~system() {
  auto survivors = shutdown(milliseconds{5'000});
  auto& c = *state_->core;
  c.wheel->stop();
  if (!survivors.empty()) {
    // CAF would wait for them for ever (T14). Their threads still use these objects: leak them, say so, go on.
    for (auto& path : survivors) std::fprintf(stderr, "actor %s did not end; its thread is abandoned\n", path.c_str());
    (void)state_.release();
    return;
  }
  auto cells = c.everybody();
  for (auto& cell : cells) cell->shed_mailboxes();  // late handles must not reach into a CAF system that is gone
  cells.clear();
  c.engine.reset();
}

address system::spawn_any(actor_options options, actor_body body, bool blocking) {
  auto& c = *state_->core;
  if (options.name.empty()) throw std::invalid_argument("a root actor needs a name");
  auto cell = c.claim("/" + options.name, options, blocking);
  if (c.closing) return address(cell);
  {
    std::lock_guard lock(c.mutex);
    c.roots.push_back(cell);
  }
  cell->open({}, 0);
  cell->book().metrics.spawned.fetch_add(1, std::memory_order_relaxed);
  cell->begin(std::move(body), false);
  return address(cell);
}

void system::ask_any(const address& to, std::unique_ptr<detail::parcel> p, milliseconds timeout,
                     detail::answer_handler then) {
  auto a = std::make_shared<outside_asker>();
  a->then = std::move(then);
  auto limit = std::make_shared<outside_asker::deadline>();
  limit->asker = a;
  a->limit = limit;
  *p->return_to() = detail::return_address(a, 0, 0);
  state_->core->wheel->set(limit, now() + std::max(timeout, milliseconds{0}));
  detail::deliver(to.cell(), std::move(p));
}

address system::find(std::string_view path) const {
  auto c = state_->core->find(path);
  return c && c->now() != phase::ended ? address(c) : address();
}

std::vector<tree_entry> system::tree() const {
  std::vector<tree_entry> r;
  for (auto& cell : state_->core->everybody())
    if (cell->now() != phase::ended) r.push_back(cell->entry());
  std::sort(r.begin(), r.end(), [](auto& a, auto& b) {  // '/' before any other: a child follows its parent at once
    return std::lexicographical_compare(a.path.begin(), a.path.end(), b.path.begin(), b.path.end(),
                                        [](char x, char y) { return (x == '/' ? 0 : x + 1) < (y == '/' ? 0 : y + 1); });
  });
  return r;
}

std::vector<mailbox_reading> system::mailboxes() const {
  auto& c = *state_->core;
  std::vector<mailbox_reading> r;
  for (auto& cell : c.everybody())
    if (cell->now() != phase::ended) r.push_back(c.read_mailbox(*cell));
  return r;
}

std::shared_ptr<const metrics_registry> system::metrics() const { return state_->core->metrics; }

instant system::now() const { return state_->core->now(); }
timestamp system::utc() const { return state_->core->utc(); }

namespace {
/// Its parent (or the system, for a root) stops it, so that no restart follows.
void stop_for_good(detail::core& core, const cell_ptr& c, milliseconds grace) {
  auto slash = c->path().rfind('/');
  auto parent = slash ? core.find(std::string_view(c->path()).substr(0, slash)) : nullptr;
  if (!parent || !parent->post([c](detail::runner& r) { r.stop_child(c); }, parent->generation()))
    c->request_stop(grace);
}
}  // namespace

bool system::stop(const address& who, milliseconds grace) {
  if (!who || who.cell()->now() == phase::ended) return true;
  auto l = watch_end({who.cell()});
  stop_for_good(*state_->core, who.cell(), grace);
  if (state_->core->simulated || grace.count() <= 0) return false;
  auto deadline = std::chrono::steady_clock::now() + grace;
  return l->wait_until(deadline);
}

void system::kill(const address& who) {
  if (who) who.cell()->request_stop(milliseconds{0});
}

std::vector<std::string> system::shutdown(milliseconds limit) {
  auto& c = *state_->core;
  using clock = std::chrono::steady_clock;
  auto deadline = clock::now() + limit, patience = clock::now() + limit * 3 / 5;
  std::vector<cell_ptr> live;
  {
    std::lock_guard lock(c.mutex);
    live = c.roots;
  }
  c.closing = true;
  auto turn = [&](const std::function<bool()>& done, clock::time_point until) {  // simulation: we are the scheduler
    while (!done() && clock::now() < until) {
      if (c.engine->runnable()) {
        c.engine->run(0);
      } else {
        auto next = c.wheel->next();
        if (next == instant::max()) break;
        c.simulated->advance_to(next);
        c.wheel->advance(next);
      }
    }
  };
  for (auto i = live.rbegin(); i != live.rend(); ++i) {
    auto left = std::chrono::ceil<milliseconds>(patience - clock::now());
    auto l = watch_end({*i});
    (*i)->request_stop(std::max(left, milliseconds{1}));
    if (c.simulated)
      turn([&] { return !detail::takes_messages((*i)->now()); }, patience);
    else if (!l->wait_until(patience))
      break;
  }
  std::erase_if(live, [](auto& r) { return !detail::takes_messages(r->now()); });
  if (!live.empty()) {
    std::vector<cell_ptr> all = live;
    for (auto& r : live)
      for (auto& d : c.below(r->path()))
        if (detail::takes_messages(d->now())) all.push_back(std::move(d));
    auto l = watch_end(all);
    for (auto& a : all) a->request_stop(milliseconds{0});
    if (c.simulated)
      turn(
          [&] {
            return std::none_of(all.begin(), all.end(), [](auto& a) { return detail::takes_messages(a->now()); });
          },
          deadline);
    else
      l->wait_until(deadline);
  }
  std::vector<std::string> survivors;
  std::lock_guard lock(c.mutex);
  for (auto& [key, path] : c.lost) survivors.push_back(path);
  for (auto& r : c.roots)
    if (detail::takes_messages(r->now())) survivors.push_back(r->path());
  std::sort(survivors.begin(), survivors.end());
  survivors.erase(std::unique(survivors.begin(), survivors.end()), survivors.end());
  return survivors;
}

// --- simulation ---------------------------------------------------------------------------------------------------

namespace simulated {

std::size_t runnable(system& s) { return s.internals().core->engine->runnable(); }
void run(system& s, std::size_t n) { s.internals().core->engine->run(n); }
instant next_timer(system& s) { return s.internals().core->wheel->next(); }
void advance(system& s, instant now) {
  auto& c = *s.internals().core;
  c.simulated->advance_to(now);
  c.wheel->advance(now);
}
void observe(system& s, std::function<void(const std::string&, std::string_view)> f) {
  s.internals().core->observer = std::move(f);
}
void crash(system& s) {
  auto& c = *s.internals().core;
  c.observer = nullptr;
  c.crashed = true;
  c.closing = true;
  for (auto& cell : c.below("")) cell->request_stop(milliseconds{0});
  while (c.engine->runnable()) c.engine->run(0);
}

}  // namespace simulated

}  // namespace horizons::kit
