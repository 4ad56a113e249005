#include "runtime/kit/engine.hpp"

#include <sched.h>

#include <cmath>
#include <condition_variable>
#include <fstream>
#include <mutex>
#include <optional>
#include <thread>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/behavior.hpp>
#include <caf/local_actor.hpp>
#include <caf/policy/unprofiled.hpp>
#include <caf/scheduler/coordinator.hpp>
#include <caf/scheduler/test_coordinator.hpp>

#include "runtime/kit/inbox.hpp"
#include "runtime/kit/work_queue.hpp"

#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

namespace horizons::kit::detail {

namespace {

// CAF's library is not built for ThreadSanitizer, which therefore does not see that its reference counts order the
// last use of an actor before its end. These tell it so; nothing without the sanitizer.
inline void happens_before([[maybe_unused]] const void* what) {
#if defined(__SANITIZE_THREAD__)
  __tsan_release(const_cast<void*>(what));
#endif
}
inline void happens_after([[maybe_unused]] const void* what) {
#if defined(__SANITIZE_THREAD__)
  __tsan_acquire(const_cast<void*>(what));
#endif
}

/// How many threads of their own mailboxes have; the engine outlives them.
class thread_count {
public:
  void add() {
    std::lock_guard lock(mutex_);
    ++n_;
  }
  void remove() {
    std::lock_guard lock(mutex_);
    --n_;
    none_.notify_all();
  }
  void await_none() {
    std::unique_lock lock(mutex_);
    none_.wait(lock, [&] { return n_ == 0; });
  }

private:
  std::mutex mutex_;
  std::condition_variable none_;
  std::size_t n_ = 0;
};

/// What a mailbox with a thread of its own waits by.
class bell {
public:
  void ring() {
    std::lock_guard lock(mutex_);
    rung_ = true;
    heard_.notify_one();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    heard_.wait(lock, [&] { return rung_; });
    rung_ = false;
  }

private:
  std::mutex mutex_;
  std::condition_variable heard_;
  bool rung_ = false;
};

thread_local caf::execution_unit* current_unit = nullptr;  // of the turn this thread is in

/// The CAF actor behind a mailbox. Not an event_based_actor: that brings a kilobyte of handlers, streams and timeouts
/// which the kit has in its own terms, and a mailbox that cannot end with its parcels accounted for.
class shell final : public caf::local_actor, public caf::resumable, public mailbox {
public:
  using behavior_type = caf::behavior;                  // untyped, for CAF
  static constexpr auto own_subtype = function_object;  // no other resumable says so

  shell(caf::actor_config& cfg, std::unique_ptr<consumer> reader, bool own_thread)
      : local_actor(cfg), reader_(std::move(reader)), bell_(own_thread ? std::make_unique<bell>() : nullptr) {
    happens_before(this);
  }
  ~shell() override {
    happens_after(this);
    inbox_.close(refuse_ended);
  }

  const char* name() const override { return "kit"; }
  subtype_t subtype() const override { return own_subtype; }
  /// No timeouts, monitors, links: CAF's cleanup would wake its clock's thread for nothing, at every actor's end.
  void on_destroy() override {}
  /// Runs when the first parcel comes. Not registered: CAF's destructor waits without limit for actors that are (T14);
  /// the kit keeps its own books.
  void launch(caf::execution_unit*, bool, bool) override {}
  void enqueue(caf::mailbox_element_ptr, caf::execution_unit*) override {}  // nobody outside the kit has its address

  void put(std::unique_ptr<parcel> p) override {
    switch (inbox_.push(p)) {
      case inbox::outcome::queued:
        return;
      case inbox::outcome::closed:
        return refuse_ended(std::move(p));
      case inbox::outcome::wake:
        if (bell_) return bell_->ring();
        caf::intrusive_ptr_add_ref(ctrl());  // the scheduler's, until this turn's end
        if (current_unit && &current_unit->system() == &home_system())
          current_unit->exec_later(this);
        else
          home_system().scheduler().enqueue(this);
    }
  }

  resume_result resume(caf::execution_unit* unit, std::size_t max_throughput) override {
    auto* before = std::exchange(current_unit, unit);
    const auto hold = reader_->begin_turn();
    const auto r = hold ? turn(max_throughput) : end();
    // From here on another thread may already run this actor's next turn: touch nothing of it.
    current_unit = before;
    return r;
  }

  /// On a thread of its own: turn after turn until the mailbox ends.
  void run(std::size_t max_throughput) {
    for (auto r = awaiting_message; r != done; r = abandoned_ ? end() : resume(nullptr, max_throughput))
      if (r == awaiting_message) bell_->wait();
  }
  /// The mailbox's owner lets go; a thread of its own ends then.
  void release() noexcept override {
    if (bell_) {
      abandoned_ = true;
      bell_->ring();
    }
    happens_before(this);
    caf::intrusive_ptr_release(ctrl());
  }

  void intrusive_ptr_add_ref_impl() override { caf::intrusive_ptr_add_ref(ctrl()); }
  void intrusive_ptr_release_impl() override {
    happens_before(this);
    caf::intrusive_ptr_release(ctrl());
  }

private:
  resume_result turn(std::size_t max_throughput) {
    for (std::size_t n = 0; n < max_throughput;) {
      if (auto* p = inbox_.pop()) {
        ++n;
        if (!reader_->consume(std::unique_ptr<parcel>(p), inbox_.at_end())) return end();
        continue;
      }
      reader_->end_turn();
      happens_before(this);
      if (inbox_.wait()) return awaiting_message;
    }
    reader_->end_turn();
    happens_before(this);
    return inbox_.wait() ? awaiting_message : resume_later;
  }
  resume_result end() {
    inbox_.close(refuse_ended);
    happens_before(this);
    return done;
  }

  inbox inbox_;
  const std::unique_ptr<consumer> reader_;
  const std::unique_ptr<bell> bell_;  // null: runs on the pool
  std::atomic<bool> abandoned_{false};
};

/// CAF's scheduling policy: see work_queue.hpp. Runs the kit's actors itself: CAF's worker casts twice through the
/// class tree at each turn, for its log, which costs as much as a small message.
class hand_off : public caf::policy::unprofiled {
public:
  using parent = caf::scheduler::abstract_coordinator;
  struct coordinator_data {
    explicit coordinator_data(parent*) {}
    std::optional<work_queue> queue;
  };
  struct worker_data {
    explicit worker_data(parent* p)  // once, when the coordinator starts and knows its workers
        : queue(static_cast<caf::scheduler::coordinator<hand_off>*>(p)->data().queue.emplace(p->num_workers())) {}
    work_queue& queue;
  };

  template <class Coordinator>
  void central_enqueue(Coordinator* self, caf::resumable* job) {
    self->data().queue->push(job);
  }
  template <class Worker>
  void external_enqueue(Worker* self, caf::resumable* job) {
    self->data().queue.push(job);
  }
  template <class Worker>
  void internal_enqueue(Worker* self, caf::resumable* job) {
    self->data().queue.hand(self->id(), job);
  }
  template <class Worker>
  void resume_job_later(Worker* self, caf::resumable* job) {
    self->data().queue.push(job);
  }
  template <class Worker>
  caf::resumable* dequeue(Worker* self) {
    for (auto& queue = self->data().queue;;) {
      auto* job = queue.take(self->id());
      if (job->subtype() != shell::own_subtype) return job;
      if (job->resume(self, self->max_throughput()) == caf::resumable::resume_later)
        queue.push(job);
      else
        job->intrusive_ptr_release_impl();
    }
  }
  template <class Worker, class F>
  void foreach_resumable(Worker*, F) {}
  template <class Coordinator, class F>
  void foreach_central_resumable(Coordinator* self, F f) {
    while (auto* job = self->data().queue->left()) f(job);
  }
};

}  // namespace

struct engine::caf_side {
  explicit caf_side(const settings& s)
      : simulated(s.simulated), max_throughput(s.max_throughput), system(configure(s)) {}
  ~caf_side() { threads.await_none(); }

  caf::actor_system_config& configure(const settings& s) {
    if (s.simulated)
      config.set("scheduler.policy", caf::atom("testing"));
    else
      config.load<caf::scheduler::coordinator<hand_off>>();
    config.set("scheduler.max-threads", s.threads);
    config.set("scheduler.max-throughput", s.max_throughput);  // T4
    return config;
  }
  caf::scheduler::test_coordinator& coordinator() {
    return static_cast<caf::scheduler::test_coordinator&>(system.scheduler());
  }

  bool simulated;
  std::size_t max_throughput;
  caf::actor_system_config config;
  caf::actor_system system;
  thread_count threads;
};

engine::engine(const settings& s) : caf_(std::make_unique<caf_side>(s)) {}
engine::~engine() = default;

mailbox_ptr engine::open(std::unique_ptr<consumer> reader, bool own_thread) {
  own_thread = own_thread && !caf_->simulated;
  auto actor = caf_->system.spawn<shell, caf::hidden + caf::lazy_init>(std::move(reader), own_thread);
  auto* self = static_cast<shell*>(caf::actor_cast<caf::abstract_actor*>(actor));
  caf::intrusive_ptr_add_ref(self->ctrl());  // the owner's
  if (own_thread) {
    caf_->threads.add();
    std::thread([self, actor = std::move(actor), side = caf_.get()]() mutable {
      self->run(side->max_throughput);
      actor = nullptr;
      side->threads.remove();
    }).detach();
  }
  return mailbox_ptr(self);
}

std::size_t engine::runnable() const { return caf_->coordinator().jobs.size(); }

void engine::run(std::size_t n) {
  auto& jobs = caf_->coordinator().jobs;
  auto at = jobs.begin() + static_cast<std::ptrdiff_t>(n);
  auto* job = *at;
  jobs.erase(at);
  jobs.push_front(job);
  caf_->coordinator().run_once();
}

std::size_t usable_cpus() {
  cpu_set_t set;
  std::size_t n = 2;
  if (sched_getaffinity(0, sizeof set, &set) == 0) n = static_cast<std::size_t>(CPU_COUNT(&set));
  std::string quota;
  double period = 0;
  if (std::ifstream v2("/sys/fs/cgroup/cpu.max"); v2 >> quota >> period && quota != "max" && period > 0)
    n = std::min(n, static_cast<std::size_t>(std::ceil(std::strtod(quota.c_str(), nullptr) / period)));
  return std::max<std::size_t>(n, 2);
}

}  // namespace horizons::kit::detail
