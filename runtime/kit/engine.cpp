#include "runtime/kit/engine.hpp"

#include <sched.h>

#include <cmath>
#include <fstream>
#include <typeinfo>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/scheduler/test_coordinator.hpp>

#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

namespace horizons::kit::detail {

namespace {

// CAF's library is not built for ThreadSanitizer, which therefore does not see that its lock-free mailbox orders
// sender before receiver and turn before turn. These tell it so; nothing without the sanitizer.
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

/// CAF may ask for a message's content (it never reads ours): an empty tuple.
class no_content final : public caf::type_erased_tuple {
public:
  void* get_mutable(size_t) override { return nullptr; }
  caf::error load(size_t, caf::deserializer&) override { return {}; }
  size_t size() const noexcept override { return 0; }
  uint32_t type_token() const noexcept override { return caf::make_type_token(); }
  caf::rtti_pair type(size_t) const noexcept override { return {0, nullptr}; }
  const void* get(size_t) const noexcept override { return nullptr; }
  std::string stringify(size_t) const override { return {}; }
  caf::type_erased_value_ptr copy(size_t) const override { return nullptr; }
  caf::error save(size_t, caf::serializer&) const override { return {}; }
};
no_content nothing;

/// CAF's mailbox element, built inside the parcel it carries: one allocation per message.
class element final : public caf::mailbox_element {
public:
  element(parcel* p, bool urgent)
      : mailbox_element(nullptr,
                        caf::make_message_id(urgent ? caf::message_priority::high : caf::message_priority::normal), {}),
        parcel_(p) {}

  // The storage belongs to the parcel. CAF deletes an element after it was consumed or unread,
  // when the mailbox has ended.
  void request_deletion(bool) const noexcept override {
    auto* self = const_cast<element*>(this);
    happens_after(static_cast<const caf::mailbox_element*>(this));
    auto* p = self->parcel_;
    bool unread = !self->read;
    self->~element();
    if (unread)
      refuse_ended(std::unique_ptr<parcel>(p));
    else if (!p->kept)
      delete p;
  }

  caf::type_erased_tuple& content() override { return nothing; }
  const caf::type_erased_tuple& content() const override { return nothing; }
  caf::message move_content_to_message() override { return {}; }
  caf::message copy_content_to_message() const override { return {}; }

  parcel* parcel_;
  bool read = false;
};

static_assert(sizeof(element) <= sizeof(parcel::link) && alignof(element) <= 8);

thread_local caf::execution_unit* current_unit = nullptr;  // of the turn this thread is in

class shell final : public caf::event_based_actor {
public:
  shell(caf::actor_config& cfg, std::unique_ptr<consumer> reader) : event_based_actor(cfg), reader_(std::move(reader)) {
    happens_before(this);
  }

  ~shell() override { happens_after(this); }

  const char* name() const override { return "kit"; }

  caf::behavior make_behavior() override {
    // Keeps the actor alive; consume() below sees every message first. One for all: its copies share the handlers.
    static const caf::behavior idle{[](caf::unit_t) {}};
    return idle;
  }

  resume_result resume(caf::execution_unit* unit, size_t max_throughput) override {
    auto* before = std::exchange(current_unit, unit);
    happens_after(this);
    auto hold = reader_->begin_turn();
    if (!hold && !std::exchange(ended_, true)) quit();  // what is still queued goes back unread
    auto r = event_based_actor::resume(unit, max_throughput);
    // From here on another thread may already run this actor's next turn: touch nothing of it.
    current_unit = before;
    return r;
  }

  caf::invoke_message_result consume(caf::mailbox_element& x) override {
    happens_after(&x);
    if (typeid(x) != typeid(element)) return event_based_actor::consume(x);
    auto& e = static_cast<element&>(x);
    if (ended_) return caf::invoke_message_result::consumed;
    e.read = true;
    if (!reader_->consume(*e.parcel_)) {
      ended_ = true;
      quit();
    }
    happens_before(this);
    return caf::invoke_message_result::consumed;
  }

private:
  std::unique_ptr<consumer> reader_;
  bool ended_ = false;
};

class caf_mailbox final : public mailbox {
public:
  explicit caf_mailbox(caf::actor a) : actor_(std::move(a)), target_(caf::actor_cast<caf::abstract_actor*>(actor_)) {}
  ~caf_mailbox() override { happens_before(static_cast<shell*>(target_)); }
  void put(std::unique_ptr<parcel> p, bool urgent) override {
    auto* raw = p.release();
    auto* e = new (raw->link) element(raw, urgent);
    happens_before(static_cast<caf::mailbox_element*>(e));
    target_->enqueue(caf::mailbox_element_ptr{e}, current_unit);
  }

private:
  caf::actor actor_;
  caf::abstract_actor* target_;
};

}  // namespace

struct engine::caf_side {
  explicit caf_side(const settings& s) : simulated(s.simulated), system(configure(s)) {}

  caf::actor_system_config& configure(const settings& s) {
    // Not "stealing", CAF's default: a thief walks the victim's whole list under its lock, so a burst of runnable
    // actors (100 k jobs recovered, 20 k children spawned) costs its square: 90 µs a child against 9 µs, measured.
    config.set("scheduler.policy", s.simulated ? caf::atom("testing") : caf::atom("sharing"));
    config.set("scheduler.max-threads", s.threads);
    config.set("scheduler.max-throughput", s.max_throughput);  // T4
    return config;
  }
  caf::scheduler::test_coordinator& coordinator() {
    return static_cast<caf::scheduler::test_coordinator&>(system.scheduler());
  }

  bool simulated;
  caf::actor_system_config config;
  caf::actor_system system;
};

engine::engine(const settings& s) : caf_(std::make_unique<caf_side>(s)) {}
engine::~engine() = default;

std::unique_ptr<mailbox> engine::open(std::unique_ptr<consumer> reader, bool own_thread) {
  // Hidden: CAF's destructor waits without limit for actors that are not (T14); the kit keeps its own books.
  constexpr auto pooled = caf::hidden + caf::lazy_init;
  if (own_thread && !caf_->simulated)
    return std::make_unique<caf_mailbox>(caf_->system.spawn<shell, pooled + caf::detached>(std::move(reader)));
  return std::make_unique<caf_mailbox>(caf_->system.spawn<shell, pooled>(std::move(reader)));
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
