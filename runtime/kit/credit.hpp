// Flow by credit: a sender may only send what the receiver has granted, in messages and in bytes, so that neither
// side's memory depends on the other's speed. And work pulling: one queue, many workers, each with a window.
// Pure: no actor or clock.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/kit/credit_gauge.hpp"

namespace horizons::kit {

struct credit {
  std::size_t messages = 0, bytes = 0;
  friend bool operator==(const credit&, const credit&) = default;
};

/// The sender's side: what it may still send.
class credit_balance {
public:
  /// `budget`: the receiver's bytes_max.
  explicit credit_balance(std::size_t budget = SIZE_MAX) : budget_(budget) {}

  void grant(credit c) {
    auto paid = std::min(owed_, c.bytes);  // a message larger than the budget is paid for first
    owed_ -= paid;
    left_.messages += c.messages;
    left_.bytes += c.bytes - paid;
  }
  /// A message larger than the whole budget passes alone, or it would wait for ever; its bytes are owed.
  bool may_send(std::size_t bytes) const {
    return left_.messages > 0 && (bytes <= left_.bytes || left_.bytes >= budget_);
  }
  void sent(std::size_t bytes) {
    left_.messages -= 1;
    if (bytes > left_.bytes) owed_ += bytes - left_.bytes;
    left_.bytes -= std::min(left_.bytes, bytes);
  }
  credit left() const { return left_; }

private:
  credit left_;
  std::size_t budget_, owed_ = 0;
};

/// The receiver's side: keeps a window of `limits` open, and grants in batches of a quarter so that grants cost little.
class credit_window {
public:
  explicit credit_window(credit limits, credit_gauge shown = {}) : limits_(limits), shown_(std::move(shown)) {}

  credit open() { return limits_; }  // the first grant
  void received() { shown_.set(++outstanding_); }
  /// One message of `bytes` was dealt with; a grant to send back, when it is time.
  std::optional<credit> done(std::size_t bytes) {
    if (outstanding_) shown_.set(--outstanding_);
    freed_.messages += 1;
    freed_.bytes += bytes;
    bool enough = freed_.messages * 4 >= limits_.messages || freed_.bytes * 4 >= limits_.bytes || outstanding_ == 0;
    if (!enough) return std::nullopt;
    return std::exchange(freed_, {});
  }
  std::size_t outstanding() const { return outstanding_; }

private:
  credit limits_, freed_;
  std::size_t outstanding_ = 0;
  credit_gauge shown_;
};

/// A flow whose messages are answered, kept by the asker: the receiver grants `limits` once, and every answer gives
/// back what its message took. The asker keeps the tickets and outlives them; one thread at a time.
class local_flow {
public:
  class ticket {
  public:
    ticket() = default;  // of nothing
    ticket(local_flow& of, std::size_t bytes) : of_(&of), bytes_(bytes) {}
    ticket(ticket&& o) noexcept : of_(std::exchange(o.of_, nullptr)), bytes_(o.bytes_) {}
    ticket& operator=(ticket&& o) noexcept {
      reset();
      of_ = std::exchange(o.of_, nullptr);
      bytes_ = o.bytes_;
      return *this;
    }
    ~ticket() { reset(); }
    void reset() {
      if (auto* of = std::exchange(of_, nullptr)) of->give_back(bytes_);
    }

  private:
    local_flow* of_ = nullptr;
    std::size_t bytes_ = 0;
  };

  explicit local_flow(credit limits, credit_gauge shown = {})
      : receiver_(limits, std::move(shown)), sender_(limits.bytes) {
    sender_.grant(receiver_.open());
  }
  local_flow(const local_flow&) = delete;

  bool open() const { return sender_.may_send(1); }
  ticket take(std::size_t bytes) {
    sender_.sent(bytes);
    receiver_.received();
    return {*this, bytes};
  }
  std::size_t outstanding() const { return receiver_.outstanding(); }

private:
  void give_back(std::size_t bytes) {
    if (const auto c = receiver_.done(bytes)) sender_.grant(*c);
  }
  credit_window receiver_;
  credit_balance sender_;
};

/// One bounded queue, many workers. A worker gets an item only while it has room in its window; when it ends, what it
/// had not finished goes back to the front in the old order.
template <class Item, class Worker = std::string>
class work_pulling {
public:
  explicit work_pulling(credit queue_limits, credit_gauge shown = {})
      : limits_(queue_limits), shown_(std::move(shown)) {}

  struct assignment {
    Worker worker;
    std::uint64_t ticket;
    Item item;
  };

  /// False: the queue is full.
  bool offer(Item item, std::size_t bytes) {
    if (queue_.size() >= limits_.messages || (!queue_.empty() && bytes_ + bytes > limits_.bytes)) return false;
    queue_.push_back({++last_, bytes, std::move(item)});
    bytes_ += bytes;
    return true;
  }
  /// A new worker, or another window for a known one.
  void join(const Worker& w, std::size_t window) { workers_[w].window = window; }

  /// Who gets what now: the front of the queue, to whoever has the least to do.
  std::vector<assignment> assign() {
    std::vector<assignment> r;
    while (!queue_.empty()) {
      auto best = workers_.end();
      for (auto at = workers_.begin(); at != workers_.end(); ++at)
        if (at->second.held.size() < at->second.window &&
            (best == workers_.end() || at->second.held.size() < best->second.held.size()))
          best = at;
      if (best == workers_.end()) break;
      auto e = std::move(queue_.front());
      queue_.pop_front();
      bytes_ -= e.bytes;
      r.push_back({best->first, e.ticket, e.item});
      best->second.held.emplace(e.ticket, std::move(e));
    }
    if (!r.empty()) shown_.set(outstanding());
    return r;
  }
  /// False: this worker does not hold the ticket (any more).
  bool done(const Worker& w, std::uint64_t ticket) {
    auto at = workers_.find(w);
    const bool held = at != workers_.end() && at->second.held.erase(ticket) > 0;
    if (held) shown_.set(outstanding());
    return held;
  }
  void ended(const Worker& w) {
    auto at = workers_.find(w);
    if (at == workers_.end()) return;
    auto& held = at->second.held;
    for (auto e = held.rbegin(); e != held.rend(); ++e) {
      bytes_ += e->second.bytes;
      queue_.push_front(std::move(e->second));
    }
    workers_.erase(at);
    shown_.set(outstanding());
    std::stable_sort(queue_.begin(), queue_.end(), [](auto& a, auto& b) { return a.ticket < b.ticket; });
  }
  std::size_t queued() const { return queue_.size(); }
  std::size_t outstanding() const {
    std::size_t n = 0;
    for (auto& [w, s] : workers_) n += s.held.size();
    return n;
  }

private:
  struct entry {
    std::uint64_t ticket;
    std::size_t bytes;
    Item item;
  };
  struct worker {
    std::size_t window = 0;
    std::map<std::uint64_t, entry> held;
  };
  credit limits_;
  std::deque<entry> queue_;
  std::size_t bytes_ = 0;
  std::uint64_t last_ = 0;
  std::map<Worker, worker> workers_;
  credit_gauge shown_;
};

}  // namespace horizons::kit
