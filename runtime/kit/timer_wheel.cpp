#include "runtime/kit/timer_wheel.hpp"

#include <bit>
#include <limits>

namespace horizons::kit {

void timer::cancel() {
  if (state_) state_->cancel();
}

void timer::state::cancel() {
  called_off();
  if (!take()) return;
  if (auto w = wheel_.lock()) w->unlink(*this);
  cancelled();
}

namespace detail {

using std::chrono::duration_cast;

namespace {
constexpr auto forever = std::numeric_limits<std::int64_t>::max();
}

timer_wheel::~timer_wheel() { stop(); }

void timer_wheel::link(timer::state& t) {
  auto ahead = std::max<std::int64_t>(t.due_ms_ - now_ms_, 0);
  auto level = 0;
  while (level < levels - 1 && ahead >= (std::int64_t{1} << (bits * (level + 1)))) ++level;
  // Beyond the last level: as far as it reaches; linked anew when that comes round.
  auto at = std::min(t.due_ms_, now_ms_ + (std::int64_t{1} << (bits * levels)) - 1);
  if (at < now_ms_) at = now_ms_;
  auto index = static_cast<std::size_t>((at >> (bits * level)) & (slots - 1));
  auto& head = slot_[static_cast<std::size_t>(level)][index];
  used_[static_cast<std::size_t>(level)] |= std::uint64_t{1} << index;
  t.next_ = head;
  t.from_ = &head;
  if (head) head->from_ = &t.next_;
  head = &t;
}

void timer_wheel::set(const std::shared_ptr<timer::state>& t, instant due) {
  auto ns = duration_cast<std::chrono::nanoseconds>(due - start_).count();
  std::lock_guard lock(mutex_);
  if (stop_) return;
  t->due_ms_ = std::max((ns + 999'999) / 1'000'000, now_ms_ + 1);
  t->wheel_ = weak_from_this();
  t->keep_ = t;
  link(*t);
  ++size_;
  if (t->due_ms_ < planned_ms_) {
    planned_ms_ = t->due_ms_;
    changed_.notify_one();
  }
}

void timer_wheel::unlink(timer::state& t) {
  std::shared_ptr<timer::state> keep;  // released after the lock
  std::lock_guard lock(mutex_);
  if (!t.from_) return;
  *t.from_ = t.next_;
  if (t.next_) t.next_->from_ = t.from_;
  t.from_ = nullptr;
  keep = std::move(t.keep_);
  --size_;
}

/// The next tick at which a slot comes due; a cascade counts, so this is never too late.
std::int64_t timer_wheel::next_tick() const {
  auto best = forever;
  for (int level = 0; level < levels; ++level) {
    auto used = used_[static_cast<std::size_t>(level)];
    if (!used) continue;
    auto shift = bits * level;
    auto here = now_ms_ >> shift;
    auto position = static_cast<int>(here & (slots - 1));
    // Slots after the present one, going round; the present slot itself comes last (a full turn away).
    auto turned = std::rotr(used, (position + 1) % slots);
    auto ahead = std::countr_zero(turned) + 1;
    best = std::min(best, (here + ahead) << shift);
  }
  return best;
}

std::size_t timer_wheel::advance(instant now) {
  auto target = duration_cast<milliseconds>(now - start_).count();
  std::vector<std::shared_ptr<timer::state>> due;
  {
    std::lock_guard lock(mutex_);
    while (now_ms_ < target) {
      auto tick = next_tick();
      if (tick > target) {
        now_ms_ = target;
        break;
      }
      now_ms_ = tick;
      for (int level = levels - 1; level >= 0; --level) {
        auto shift = bits * level;
        if (level > 0 && (now_ms_ & ((std::int64_t{1} << shift) - 1)) != 0) continue;
        auto index = static_cast<std::size_t>((now_ms_ >> shift) & (slots - 1));
        auto* t = std::exchange(slot_[static_cast<std::size_t>(level)][index], nullptr);
        used_[static_cast<std::size_t>(level)] &= ~(std::uint64_t{1} << index);
        while (t) {
          auto* next = t->next_;
          t->from_ = nullptr;
          if (t->due_ms_ <= now_ms_) {
            due.push_back(std::move(t->keep_));
            --size_;
          } else {
            link(*t);
          }
          t = next;
        }
      }
    }
  }
  // Slots are stacks: order by due time, then as set is not kept; equal ticks fire in reverse of the stack.
  std::stable_sort(due.rbegin(), due.rend(), [](auto& a, auto& b) { return a->due_ms_ < b->due_ms_; });
  std::size_t fired = 0;
  for (auto i = due.rbegin(); i != due.rend(); ++i)
    if ((*i)->take()) {
      (*i)->fire();
      ++fired;
    }
  return fired;
}

instant timer_wheel::next() const {
  std::lock_guard lock(mutex_);
  auto tick = next_tick();
  return tick == forever ? instant::max() : start_ + milliseconds{tick};
}

std::size_t timer_wheel::size() const {
  std::lock_guard lock(mutex_);
  return size_;
}

void timer_wheel::run_thread() {
  thread_ = std::thread([this] {
    std::unique_lock lock(mutex_);
    while (!stop_) {
      auto tick = next_tick();
      planned_ms_ = tick;
      if (tick == forever) {
        changed_.wait(lock);
      } else {
        auto due = start_ + milliseconds{tick};
        if (std::chrono::steady_clock::now() < due) changed_.wait_until(lock, due);
      }
      planned_ms_ = 0;  // awake: nobody needs to wake us
      lock.unlock();
      advance(std::chrono::steady_clock::now());
      lock.lock();
    }
  });
}

void timer_wheel::stop() {
  std::vector<std::shared_ptr<timer::state>> dropped;
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
    for (auto& level : slot_)
      for (auto& head : level)
        while (head) {
          auto* t = head;
          head = t->next_;
          if (head) head->from_ = &head;
          t->from_ = nullptr;
          dropped.push_back(std::move(t->keep_));
        }
    size_ = 0;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
  for (auto& t : dropped)
    if (t->take()) t->cancelled();
}

}  // namespace detail
}  // namespace horizons::kit
