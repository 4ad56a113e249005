#include "runtime/kit/cell.hpp"

#include <algorithm>
#include <stdexcept>

#include "runtime/kit/incarnation.hpp"

namespace horizons::kit::detail {

namespace {
inline constexpr message_type task_type{"kit task", kit::lane::control};
inline constexpr message_type token_type{"kit token", kit::lane::data};
constexpr milliseconds kill_wait{500};  // a killed actor that has not ended by then hangs in a handler
constexpr std::uint64_t status_of(phase p, std::uint32_t g) {
  return static_cast<std::uint64_t>(p) | static_cast<std::uint64_t>(g) << 8;
}
}  // namespace

void return_address::put(std::unique_ptr<answer> a) {
  if (auto to = std::exchange(to_, nullptr)) {
    a->request = request_;
    to->answered(generation_, std::move(a));
  }
}

void return_address::fail(error e) {
  if (to_) put(std::make_unique<answer>(std::move(e)));
}

delivery deliver(const cell_ptr& to, std::unique_ptr<parcel> p) {
  if (to) return to->put(std::move(p));
  if (auto* r = p->return_to()) r->fail({error_code::unavailable, "the request was sent to an empty address"});
  return delivery::dead;
}

const std::string& path_of(const cell_ptr& c) {
  static const std::string nowhere;
  return c ? c->path() : nowhere;
}

task::task() : parcel(task_type, sort::task) {}

void actor_timer::fire() {
  auto target = std::move(to);
  if (request) {
    auto a = std::make_unique<answer>(error{error_code::timed_out, "no answer in time"});
    a->request = request;
    target->answered(generation, std::move(a));
    return;
  }
  auto self = std::static_pointer_cast<actor_timer>(shared_from_this());
  target->post(
      [self](runner&) {
        if (!self->off && self->f) std::exchange(self->f, nullptr)();
      },
      generation);
}

// --- side lane ----------------------------------------------------------------------------------------------------

std::unique_ptr<parcel> side_lane::take_front() {
  auto p = std::move(queue_.front());
  bytes_ -= p->bytes;
  if (auto at = by_key_.find({p->type, p->conflate_key()}); at != by_key_.end() && at->second == &queue_.front())
    by_key_.erase(at);
  queue_.pop_front();
  return p;
}

side_lane::outcome side_lane::push(std::unique_ptr<parcel> p, const lane_limits& limits) {
  outcome r;
  std::lock_guard lock(mutex_);
  if (limits.on_overflow == overflow::conflate) {
    auto [at, fresh] = by_key_.try_emplace({p->type, p->conflate_key()}, nullptr);
    if (!fresh) {
      bytes_ += p->bytes - (*at->second)->bytes;
      r.replaced = std::exchange(*at->second, std::move(p));
      return r;
    }
    bytes_ += p->bytes;
    queue_.push_back(std::move(p));
    at->second = &queue_.back();
  } else {
    bytes_ += p->bytes;
    queue_.push_back(std::move(p));
  }
  while (queue_.size() > 1 && (queue_.size() > limits.messages_max || bytes_ > limits.bytes_max))
    r.dropped.push_back(take_front());
  note_size();
  if (tokens_ < queue_.size()) {
    ++tokens_;
    r.token = true;
  }
  return r;
}

std::unique_ptr<parcel> side_lane::pop() {
  std::lock_guard lock(mutex_);
  if (tokens_) --tokens_;
  if (queue_.empty()) return nullptr;
  auto p = take_front();
  note_size();
  return p;
}

void side_lane::note_size() { book_.load.set(queue_.size(), bytes_); }

// --- cell ---------------------------------------------------------------------------------------------------------

cell::cell(std::shared_ptr<core> c, std::string path, const actor_options& o, bool blocking, actor_metrics& m)
    : core_(std::move(c)),
      book_(std::make_shared<account>(std::move(path), core_->metrics, m)),
      limits_{.messages_max = std::min(o.limits.messages_max, lane_load::messages_max),
              .bytes_max = std::min(o.limits.bytes_max, lane_load::bytes_max),
              .on_overflow = o.limits.on_overflow},
      blocking_(blocking),
      lane_(o.limits.on_overflow == overflow::reject ? nullptr : std::make_unique<side_lane>(*book_)) {}

cell::~cell() {
  std::lock_guard lock(core_->mutex);
  core_->by_path.erase(this);
}

bool cell::same_shape(const actor_options& o, bool blocking) const {
  return blocking == blocking_ && o.limits.on_overflow == limits_.on_overflow &&
         std::min(o.limits.messages_max, lane_load::messages_max) == limits_.messages_max &&
         std::min(o.limits.bytes_max, lane_load::bytes_max) == limits_.bytes_max &&
         (o.type.empty() ? o.name : o.type) == book_->metrics.type;
}

void cell::refuse(std::unique_ptr<parcel> p, dead_letter why, std::string text) {
  book_->metrics.count(why);
  if (auto* r = p->return_to()) r->fail({error_code::unavailable, path() + " " + std::move(text)});
}

void refuse_ended(std::unique_ptr<parcel> p) noexcept {
  auto* book = p->to;
  if (!book) return;
  if (p->counted) book->load.remove(lane_load::packed(1, p->bytes));
  if (p->what == parcel::sort::message) book->metrics.count(dead_letter::receiver_ended);
  if (auto* r = p->return_to()) r->fail({error_code::unavailable, book->path + " has ended"});
}

delivery cell::put(std::unique_ptr<parcel> p) {
  auto s = status_.load(std::memory_order_acquire);
  auto* box = mailbox_.load(std::memory_order_acquire);
  if (!takes_messages(static_cast<phase>(s & 0xff)) || !box) {
    refuse(std::move(p), dead_letter::no_receiver, "is not running");
    return delivery::dead;
  }
  p->generation = static_cast<std::uint32_t>(s >> 8);
  p->to = book_.get();
  static thread_local std::uint32_t sample = 0;
  if (sample++ % sample_weight == 0) p->enqueued_ns = core_->now_ns();
  if (p->type->lane == lane::control) {
    p->urgent = true;
    box->put(std::move(p));
    return delivery::accepted;
  }
  if (draining_.load(std::memory_order_relaxed)) {
    refuse(std::move(p), dead_letter::draining, "is being drained by an operator and takes no more work");
    return delivery::dead;
  }
  if (lane_) {
    auto r = lane_->push(std::move(p), limits_);
    for (auto& d : r.dropped)
      refuse(std::move(d), dead_letter::dropped_oldest, "dropped the request: its mailbox is full");
    if (r.replaced) refuse(std::move(r.replaced), dead_letter::conflated, "got a newer request with the same key");
    if (r.token) {
      struct token final : parcel {
        token() : parcel(token_type, sort::token) {}
      };
      auto t = std::make_unique<token>();
      t->to = book_.get();
      t->generation = any_generation;
      box->put(std::move(t));
    }
    return delivery::accepted;
  }

  const auto before = book_->load.add(p->bytes);
  // One message always fits: a single large one must not be refused for ever.
  if (before.messages >= limits_.messages_max || (before.messages > 0 && before.bytes + p->bytes > limits_.bytes_max)) {
    book_->load.remove(lane_load::packed(1, p->bytes));
    refuse(std::move(p), dead_letter::rejected_full,
           "is full (" + std::to_string(before.messages) + " messages, " + std::to_string(before.bytes) + " bytes)");
    return delivery::rejected_full;
  }
  // Who drains looks at the load after it has said so, we look after we have counted: one of us sees the other, so that
  // what is accepted is not left to a life that ends.
  const auto after = status_.load();
  if (draining_.load() || after >> 8 != s >> 8 || !takes_messages(static_cast<phase>(after & 0xff))) {
    book_->load.remove(lane_load::packed(1, p->bytes));
    refuse(std::move(p), dead_letter::draining, "ends and takes no more work");
    return delivery::dead;
  }
  if (before.messages == 0) book_->oldest_ns.store(core_->coarse_ns(), std::memory_order_relaxed);
  p->counted = true;
  box->put(std::move(p));
  return delivery::accepted;
}

bool cell::post_task(std::unique_ptr<task> t, std::uint32_t g, bool urgent) {
  if (g != any_generation) {
    auto s = status_.load(std::memory_order_acquire);
    if (!takes_messages(static_cast<phase>(s & 0xff)) || static_cast<std::uint32_t>(s >> 8) != g) return false;
  }
  auto* box = mailbox_.load(std::memory_order_acquire);
  if (!box) return false;
  t->generation = g;
  t->to = book_.get();
  t->urgent = urgent;
  box->put(std::move(t));
  return true;
}

bool cell::drain(std::function<void()> when_empty) {
  std::uint32_t g;
  {
    std::lock_guard lock(mutex_);  // open() and the end of a life reset it
    if (!takes_messages(now())) return false;
    draining_.store(true);
    g = generation();
  }
  await_empty(std::move(when_empty), g);
  return true;
}

/// A task behind the last queued message; a sender that was under way when draining began may still follow it.
void cell::await_empty(std::function<void()> then, std::uint32_t g) {
  post_in_line(
      [this, then = std::move(then), g](runner&) mutable {
        if (!draining()) return;
        if (book_->load.now().messages > 0) return await_empty(std::move(then), g);
        then();
      },
      g);
}

cell_ptr cell::supervisor() const {
  std::lock_guard lock(mutex_);
  return parent_.lock();
}

void cell::answered(std::uint32_t g, std::unique_ptr<answer> a) {
  auto* box = mailbox_.load(std::memory_order_acquire);
  if (!box || generation() != g) return;  // the asker has ended: nobody waits
  a->generation = g;
  a->to = book_.get();
  a->urgent = true;
  box->put(std::move(a));
}

void cell::watch(std::function<void(const exit_cause&)> then) {
  exit_cause cause;
  {
    std::lock_guard lock(mutex_);
    if (takes_messages(now())) {
      watchers_.push_back(std::move(then));
      return;
    }
    cause = last_cause_;
  }
  then(cause);
}

void cell::need_mailbox() {  // under mutex_
  if (mailbox_.load(std::memory_order_relaxed)) return;
  if (!core_->engine) return;
  if (own_mailbox_) lost_mailboxes_.push_back(std::move(own_mailbox_));
  own_mailbox_ = core_->engine->open(std::make_unique<runner>(shared_from_this(), epoch()), blocking_);
  mailbox_.store(own_mailbox_.get(), std::memory_order_release);
}

void cell::open(std::weak_ptr<cell> parent, std::uint32_t parent_generation) {
  std::lock_guard lock(mutex_);
  parent_ = std::move(parent);
  parent_generation_ = parent_generation;
  draining_.store(false);
  need_mailbox();
  status_.store(status_of(phase::starting, generation()), std::memory_order_release);
}

void cell::begin(actor_body body, bool tell_parent) {
  auto g = generation();
  post([body = std::move(body), tell_parent, g](runner& r) { r.begin(body, g, tell_parent); }, g);
}

void cell::tell_parent_started() {
  std::shared_ptr<cell> parent;
  std::uint32_t g;
  {
    std::lock_guard lock(mutex_);
    parent = parent_.lock();
    g = parent_generation_;
  }
  if (parent) parent->post([self = shared_from_this()](runner& r) { r.child_started(self); }, g);
}

void cell::enter(phase p) {
  std::lock_guard lock(mutex_);
  status_.store(status_of(p, generation()), std::memory_order_release);
  if (p == phase::running) started_unix_ms_ = core_->utc().time_since_epoch().count();
}

bool cell::end_generation(std::uint32_t g, const exit_cause& cause) {
  std::vector<std::function<void(const exit_cause&)>> watchers;
  std::shared_ptr<timer::state> ladder;
  std::shared_ptr<cell> parent;
  std::uint32_t parent_generation;
  {
    std::lock_guard lock(mutex_);
    auto s = status_.load(std::memory_order_relaxed);
    if (static_cast<std::uint32_t>(s >> 8) != g || !takes_messages(static_cast<phase>(s & 0xff))) return false;
    auto next = g + 1 == any_generation ? 0 : g + 1;
    status_.store(status_of(phase::down, next), std::memory_order_release);
    watchers.swap(watchers_);
    ladder.swap(ladder_);
    last_cause_ = cause;
    if (cause.abnormal()) last_error_ = cause.reason;
    parent = parent_.lock();
    parent_generation = parent_generation_;
  }
  book_->metrics.stopped[static_cast<std::size_t>(cause.how)].fetch_add(1, std::memory_order_relaxed);
  if (ladder) ladder->cancel();
  auto self = shared_from_this();
  if (!parent)
    core_->root_ended(self, cause);
  else if (!parent->post([self, cause](runner& r) { r.child_ended(self, cause); }, parent_generation))
    retire();
  for (auto& w : watchers) w(cause);
  return true;
}

void cell::retire() {
  std::lock_guard lock(mutex_);
  auto s = status_.load(std::memory_order_relaxed);
  if (static_cast<phase>(s & 0xff) == phase::down)
    status_.store(status_of(phase::ended, static_cast<std::uint32_t>(s >> 8)), std::memory_order_release);
  if (blocking_ && mailbox_.load(std::memory_order_relaxed)) {  // gives its thread back
    auto* box = mailbox_.exchange(nullptr, std::memory_order_acq_rel);
    auto leave = [](runner& r) { r.leave(); };
    auto t = std::make_unique<task_of<decltype(leave)>>(leave);
    t->generation = any_generation;
    t->to = book_.get();
    t->urgent = true;
    box->put(std::move(t));
  }
}

namespace {
/// Stop has been asked for; climbs when nothing happens.
struct stop_ladder final : timer::state {
  stop_ladder(std::weak_ptr<cell> c, std::uint32_t g, int s) : who(std::move(c)), generation(g), stage(s) {}
  void fire() override {
    if (auto c = who.lock()) c->ladder_step(stage, generation);
  }
  std::weak_ptr<cell> who;
  std::uint32_t generation;
  int stage;
};
}  // namespace

void cell::request_stop(milliseconds grace) {
  auto g = generation();
  if (!takes_messages(now())) return;
  if (grace.count() <= 0) return ladder_step(0, g);
  post([](runner& r) { r.stop(); }, g);
  climb(std::make_shared<stop_ladder>(weak_from_this(), g, 0), g, grace);
}

void cell::climb(std::shared_ptr<timer::state> next, std::uint32_t g, milliseconds wait) {
  core_->wheel->set(next, core_->now() + wait);  // before anybody can find and cancel it
  {
    std::lock_guard lock(mutex_);
    if (generation() == g && takes_messages(now())) std::swap(ladder_, next);
  }
  if (next) next->cancel();  // the step before, or this one when the actor has ended meanwhile
}

void cell::ladder_step(int stage, std::uint32_t g) {
  if (stage == 0) {
    if (!post([](runner& r) { r.kill(); }, g)) return;
    climb(std::make_shared<stop_ladder>(weak_from_this(), g, 1), g, kill_wait);
    return;
  }
  // It hangs in a handler. Its mailbox and thread are given up; the address goes on without them.
  {
    std::lock_guard lock(mutex_);
    if (generation() != g || !takes_messages(now())) return;
    {
      std::lock_guard core_lock(core_->mutex);
      core_->lost[{this, epoch()}] = path();
    }
    epoch_.fetch_add(1, std::memory_order_acq_rel);
    mailbox_.store(nullptr, std::memory_order_release);
  }
  end_generation(
      g, {exit_cause::kind::killed, "did not end within " + std::to_string(kill_wait.count()) + " ms of being killed"});
  for (auto& c : core_->below(path())) c->request_stop(milliseconds{0});
}

void cell::shed_mailboxes() {
  std::lock_guard lock(mutex_);
  mailbox_.store(nullptr, std::memory_order_release);
  own_mailbox_.reset();
  lost_mailboxes_.clear();
}

std::string cell::last_error() const {
  std::lock_guard lock(mutex_);
  return last_error_;
}

tree_entry cell::entry() const {
  static constexpr std::string_view names[]{"starting", "running", "stopping", "backoff", "ended"};
  std::lock_guard lock(mutex_);
  const auto state = now();
  return {
      .path = path(),
      .type = book_->metrics.type,
      .state = std::string(state == phase::running && draining() ? "draining" : names[static_cast<std::size_t>(state)]),
      .restarts = restarts(),
      .last_error = last_error_,
      .mailbox = book_->load.now().messages,
      .started_unix_ms = started_unix_ms_};
}

// --- core ---------------------------------------------------------------------------------------------------------

cell_ptr core::claim(std::string path, const actor_options& o, bool blocking, cell_ptr* taken) {
  cell_ptr existing;  // released after the lock: the last reference may be this one
  std::lock_guard lock(mutex);
  if (auto* known = by_path.find(path)) existing = known->weak_from_this().lock();
  if (existing && existing->now() != phase::ended) {
    if (!taken) throw std::invalid_argument("an actor " + path + " already exists");
    *taken = std::move(existing);
    return nullptr;
  }
  if (existing && existing->same_shape(o, blocking)) return existing;
  const auto& type = o.type.empty() ? o.name : o.type;
  if (!last_type || last_type->type != type) last_type = &metrics->of(type);
  auto c = std::make_shared<cell>(shared_from_this(), std::move(path), o, blocking, *last_type);
  by_path.put(c.get());
  if (existing) {
    std::erase_if(replaced, [](auto& w) { return w.expired(); });
    replaced.push_back(existing);
  }
  return c;
}

cell_ptr core::find(std::string_view path) const {
  std::lock_guard lock(mutex);
  auto* who = by_path.find(path);
  return who ? who->weak_from_this().lock() : nullptr;
}

std::vector<cell_ptr> core::everybody() const {
  std::vector<cell_ptr> r;
  std::lock_guard lock(mutex);
  r.reserve(by_path.size());
  by_path.for_each([&](cell& c) {
    if (auto p = c.weak_from_this().lock()) r.push_back(std::move(p));
  });
  for (auto& w : replaced)
    if (auto p = w.lock()) r.push_back(std::move(p));
  return r;
}

std::vector<cell_ptr> core::below(const std::string& path) const {
  std::vector<cell_ptr> r;
  std::lock_guard lock(mutex);
  by_path.for_each([&](cell& who) {
    const auto& p = who.path();
    if (p.size() > path.size() && p.starts_with(path) && p[path.size()] == '/')
      if (auto c = who.weak_from_this().lock()) r.push_back(std::move(c));
  });
  return r;
}

mailbox_reading core::read_mailbox(const cell& c) const {
  auto& book = c.book();
  auto now = now_ns();
  auto age = [now](std::int64_t since) { return milliseconds{std::max<std::int64_t>(now - since, 0) / 1'000'000}; };
  const auto queued = book.load.now();
  mailbox_reading m{.path = c.path(),
                    .type = book.metrics.type,
                    .messages = queued.messages,
                    .bytes = queued.bytes,
                    .handled = book.handled.load(std::memory_order_relaxed)};
  auto oldest = book.oldest_ns.load(std::memory_order_relaxed);
  if (m.messages && oldest) m.oldest = age(oldest);
  if (auto since = book.handling_since_ns.load(std::memory_order_relaxed)) {
    if (auto* t = book.handling.load(std::memory_order_relaxed)) m.handling = t->name;
    m.handling_for = age(since);
  }
  return m;
}

void core::root_ended(const cell_ptr& c, const exit_cause& cause) {
  c->retire();
  {
    std::lock_guard lock(mutex);
    std::erase(roots, c);
  }
  if (cause.abnormal() && !closing && options.on_root_failure) options.on_root_failure(c->path(), cause);
}

}  // namespace horizons::kit::detail
