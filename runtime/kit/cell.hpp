// A cell is what a handle points to: a logical address with its limits, its books and the present incarnation's
// mailbox. It outlives every restart. Internal to the kit.
#pragma once

#include <time.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "runtime/kit/actor_metrics.hpp"
#include "runtime/kit/clock.hpp"
#include "runtime/kit/engine.hpp"
#include "runtime/kit/path_index.hpp"
#include "runtime/kit/system.hpp"
#include "runtime/kit/timer_wheel.hpp"

namespace horizons::kit::detail {

class runner;
class incarnation;
struct core;

enum class phase : std::uint8_t { starting, running, stopping, down, ended };  // down: may come back
inline bool takes_messages(phase p) { return p <= phase::stopping; }

/// How much is queued in a data lane. One word, for senders and reader meet here: 2^24 messages, 2^40 bytes.
class lane_load {
public:
  struct reading {
    std::size_t messages, bytes;
  };
  static constexpr std::size_t messages_max = std::size_t{1} << 23, bytes_max = std::size_t{1} << 39;  // half: no carry
  static constexpr std::uint64_t packed(std::size_t messages, std::size_t bytes) {
    return std::uint64_t{messages} << 40 | std::min(bytes, bytes_max);
  }
  static constexpr reading unpacked(std::uint64_t v) {
    return {static_cast<std::size_t>(v >> 40), static_cast<std::size_t>(v & ((std::uint64_t{1} << 40) - 1))};
  }
  /// One more of `bytes`; what was there before.
  reading add(std::size_t bytes) { return unpacked(word_.fetch_add(packed(1, bytes))); }
  void remove(std::uint64_t sum_of_packed) { word_.fetch_sub(sum_of_packed, std::memory_order_relaxed); }
  void set(std::size_t messages, std::size_t bytes) { word_.store(packed(messages, bytes), std::memory_order_relaxed); }
  reading now() const { return unpacked(word_.load()); }

private:
  std::atomic<std::uint64_t> word_{0};
};

/// What is counted about one address. Shared with the mailbox, which may outlive the cell by a moment.
/// What senders write is kept a cache line away from what the reader writes.
struct account {
  account(std::string p, std::shared_ptr<metrics_registry> r, actor_metrics& m)
      : path(std::move(p)), registry(std::move(r)), metrics(m) {}
  lane_load load;
  std::atomic<std::int64_t> oldest_ns{0};  // when the next message to be read was sent, about
  const std::string path;
  const std::shared_ptr<metrics_registry> registry;  // keeps `metrics` alive
  actor_metrics& metrics;
  std::atomic<const message_type*> handling{nullptr};  // present handler, for the watchdog
  std::atomic<std::int64_t> handling_since_ns{0};      // 0: idle
  std::atomic<std::uint64_t> handled{0};               // messages; counted at the end of a turn
};

inline constexpr std::uint32_t sample_weight = 8;  // one message of so many is timed: a clock costs 20 ns

/// Something the runner does in the actor's turn.
struct task : parcel {
  task();
  virtual void run(runner&) = 0;
};
template <class F>
struct task_of final : task {
  explicit task_of(F fn) : f(std::move(fn)) {}
  void run(runner& r) override { f(r); }
  F f;
};
inline constexpr std::uint32_t any_generation = 0xffffffff;

/// The data lane of actors that drop or conflate: outside of CAF's mailbox, where nothing can be taken back.
/// The mailbox then carries one token per message.
class side_lane {
public:
  struct outcome {
    bool token = false;                            // put one into the mailbox
    std::vector<std::unique_ptr<parcel>> dropped;  // the oldest
    std::unique_ptr<parcel> replaced;              // by the new one
  };
  explicit side_lane(account& book) : book_(book) {}
  outcome push(std::unique_ptr<parcel> p, const lane_limits& limits);
  std::unique_ptr<parcel> pop();

private:
  using key = std::pair<const message_type*, std::uint64_t>;
  struct hash {
    std::size_t operator()(const key& k) const {
      return std::hash<const void*>{}(k.first) ^ (k.second * 0x9e3779b97f4a7c15);
    }
  };
  std::unique_ptr<parcel> take_front();
  void note_size();

  account& book_;
  std::mutex mutex_;
  std::deque<std::unique_ptr<parcel>> queue_;
  std::unordered_map<key, std::unique_ptr<parcel>*, hash> by_key_;  // conflate: references into queue_ stay valid
  std::size_t bytes_ = 0, tokens_ = 0;
};

class cell final : public asker, public std::enable_shared_from_this<cell> {
public:
  cell(std::shared_ptr<core> c, std::string path, const actor_options& options, bool blocking, actor_metrics& metrics);
  ~cell() override;

  const std::string& path() const { return book_->path; }
  account& book() const { return *book_; }
  const std::shared_ptr<account>& shared_book() const { return book_; }
  detail::core& home() const { return *core_; }
  bool blocking() const { return blocking_; }
  bool same_shape(const actor_options& o, bool blocking) const;
  phase now() const { return static_cast<phase>(status_.load(std::memory_order_acquire) & 0xff); }
  std::uint32_t generation() const { return static_cast<std::uint32_t>(status_.load(std::memory_order_acquire) >> 8); }
  std::uint32_t epoch() const { return epoch_.load(std::memory_order_acquire); }

  delivery put(std::unique_ptr<parcel> p);
  /// Posts to the runner; with a generation: dropped (and false, where that is known) when it has passed.
  template <class F>
  bool post(F f, std::uint32_t generation = any_generation) {
    return post_task(std::make_unique<task_of<F>>(std::move(f)), generation, true);
  }
  /// The same behind what is queued in the data lane.
  template <class F>
  bool post_in_line(F f, std::uint32_t generation) {
    return post_task(std::make_unique<task_of<F>>(std::move(f)), generation, false);
  }
  void answered(std::uint32_t generation, std::unique_ptr<answer> a) override;
  std::unique_ptr<parcel> pop_lane() { return lane_ ? lane_->pop() : nullptr; }
  const lane_limits& limits() const { return limits_; }

  /// Runs once when the incarnation `now` behind the address ends, in an unspecified thread; at once when nobody is.
  void watch(std::function<void(const exit_cause&)> then);

  // --- life, by the parent (or the system, for roots) ---
  /// A new life for an ended address, or the first: it takes messages from now on.
  void open(std::weak_ptr<cell> parent, std::uint32_t parent_generation);
  void begin(actor_body body, bool tell_parent);
  /// Stop, after `grace` kill, and 500 ms later give the thread up as lost.
  void request_stop(milliseconds grace);
  void retire();  // no restart will follow
  /// The data lane takes nothing more in this life; what is queued is still handled. False when nobody runs.
  bool drain(std::function<void()> when_empty);
  bool draining() const { return draining_.load(std::memory_order_relaxed); }
  cell_ptr supervisor() const;
  /// As its supervisor treats it: never started again.
  void set_temporary(bool yes) { temporary_.store(yes, std::memory_order_relaxed); }
  bool temporary() const { return temporary_.load(std::memory_order_relaxed); }
  /// Where its supervisor keeps it; only a hint, for a former supervisor may have written it.
  void set_place(std::uint32_t n) { place_.store(n, std::memory_order_relaxed); }
  std::uint32_t place() const { return place_.load(std::memory_order_relaxed); }
  // --- life, by the runner ---
  void tell_parent_started();
  void enter(phase p);  // starting -> running -> stopping
  /// Ends generation `g`; false when somebody else did.
  bool end_generation(std::uint32_t g, const exit_cause& cause);
  void shed_mailboxes();

  tree_entry entry() const;
  void count_restart() { restarts_.fetch_add(1, std::memory_order_relaxed); }
  int restarts() const { return restarts_.load(std::memory_order_relaxed); }
  std::string last_error() const;
  void ladder_step(int stage, std::uint32_t g);

private:
  void need_mailbox();
  void climb(std::shared_ptr<timer::state> next, std::uint32_t generation, milliseconds wait);
  void refuse(std::unique_ptr<parcel> p, dead_letter why, std::string text);
  bool post_task(std::unique_ptr<task> t, std::uint32_t generation, bool urgent);
  void await_empty(std::function<void()> then, std::uint32_t generation);

  const std::shared_ptr<core> core_;
  const std::shared_ptr<account> book_;
  const lane_limits limits_;
  const bool blocking_;
  std::unique_ptr<side_lane> lane_;
  std::atomic<std::uint64_t> status_{static_cast<std::uint64_t>(phase::ended)};  // phase | generation << 8
  std::atomic<std::uint32_t> epoch_{0};                                          // of the mailbox
  std::atomic<mailbox*> mailbox_{nullptr};
  std::atomic<int> restarts_{0};
  std::atomic<bool> draining_{false}, temporary_{false};
  std::atomic<std::uint32_t> place_{0};

  mutable std::mutex mutex_;
  mailbox_ptr own_mailbox_;                  // what mailbox_ points to, or did
  std::vector<mailbox_ptr> lost_mailboxes_;  // to hung handlers
  std::weak_ptr<cell> parent_;
  std::uint32_t parent_generation_ = 0;
  std::vector<std::function<void(const exit_cause&)>> watchers_;
  std::shared_ptr<timer::state> ladder_;
  exit_cause last_cause_;
  std::string last_error_;
  std::int64_t started_unix_ms_ = 0;
};

/// What all cells of a system share. The engine inside goes first; late handles keep the rest.
struct core : std::enable_shared_from_this<core> {
  system_options options;
  kit::system* owner = nullptr;
  std::shared_ptr<virtual_clock> simulated;
  std::shared_ptr<timer_wheel> wheel;
  std::shared_ptr<metrics_registry> metrics = std::make_shared<metrics_registry>();
  std::unique_ptr<detail::engine> engine;
  std::atomic<bool> closing{false};
  bool crashed = false;  // simulation: no handler runs any more
  std::function<void(const std::string& path, std::string_view message)> observer;  // simulation: before each message

  mutable std::mutex mutex;
  path_index<cell> by_path;                   // a cell takes itself out
  actor_metrics* last_type = nullptr;         // of the last claim: children come in rows of one type
  std::vector<std::weak_ptr<cell>> replaced;  // ended ones whose path another shape of actor has taken
  std::vector<cell_ptr> roots;                // in start order
  std::map<std::pair<const void*, std::uint32_t>, std::string> lost;  // hanging runners (cell, epoch): their paths

  instant now() const { return simulated ? simulated->now() : std::chrono::steady_clock::now(); }
  std::int64_t now_ns() const {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(now().time_since_epoch()).count();
  }
  /// Good to a few milliseconds, at a fifth of the price: for ages, not for durations.
  std::int64_t coarse_ns() const {
    if (simulated) return now_ns();
    timespec t;
    ::clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    return t.tv_sec * 1'000'000'000 + t.tv_nsec;
  }
  timestamp utc() const {
    return simulated ? simulated->utc() : std::chrono::floor<milliseconds>(std::chrono::system_clock::now());
  }

  /// A cell for `path`, new or an ended one of the same shape. When somebody lives there: null and who it is in
  /// `taken`, or, without it, std::invalid_argument.
  cell_ptr claim(std::string path, const actor_options& options, bool blocking, cell_ptr* taken = nullptr);
  cell_ptr find(std::string_view path) const;
  std::vector<cell_ptr> everybody() const;                     // replaced ones as well
  std::vector<cell_ptr> below(const std::string& path) const;  // all live descendants
  void root_ended(const cell_ptr& c, const exit_cause& cause);
  mailbox_reading read_mailbox(const cell& c) const;
};

/// A timer that posts to an actor: its callback, or a request's time-out.
struct actor_timer final : timer::state {
  actor_timer(cell_ptr c, std::uint32_t g, std::function<void()> fn)
      : to(std::move(c)), generation(g), f(std::move(fn)) {}
  void fire() override;
  void cancelled() override { drop(); }
  void called_off() override { off = true; }
  void drop() {
    f = nullptr;
    to = nullptr;
  }
  cell_ptr to;
  std::uint32_t generation;
  std::function<void()> f;
  std::uint64_t request = 0;     // not 0: fails this request
  std::atomic<bool> off{false};  // cancelled between firing and running
};

}  // namespace horizons::kit::detail

namespace horizons::kit {
struct system::state {
  std::shared_ptr<detail::core> core = std::make_shared<detail::core>();
};
}  // namespace horizons::kit
