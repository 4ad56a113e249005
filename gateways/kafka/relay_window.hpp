// Which events of the journal are under way to the brokers, and up to where all are acknowledged. And how often a relay
// may ask brokers for something. Pure values: no clock, thread or library.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <list>
#include <string>
#include <unordered_map>
#include <utility>

#include "messages/codec/cloudevents.hpp"
#include "messages/timestamp.hpp"
#include "runtime/kit/kit.hpp"

namespace horizons::kafka {

class relay_window {
public:
  struct entry {
    std::uint64_t position = 0;
    int records = 0;  // not acknowledged yet
    timestamp time{};
    bool audit = false;  // an audit.recorded: what becomes of it is not audited again
  };

  /// Everything up to `position` is done with.
  explicit relay_window(std::uint64_t position = 0) : acknowledged_(position) {}

  /// The next event goes out as so many records; returns its token, never 0.
  std::uint64_t add(entry e) {
    entries_.push_back(e);
    return first_ + entries_.size() - 1;
  }
  const entry* find(std::uint64_t token) const {
    return token >= first_ && token - first_ < entries_.size() ? &entries_[token - first_] : nullptr;
  }
  /// One record of it is acknowledged (or given up); true when it was the event's last.
  bool done(std::uint64_t token) {
    if (token < first_ || token - first_ >= entries_.size()) return false;
    auto& e = entries_[token - first_];
    const bool last = --e.records == 0;
    while (!entries_.empty() && entries_.front().records <= 0) {
      acknowledged_ = entries_.front().position;
      ++completed_;
      ++first_;
      entries_.pop_front();
    }
    return last;
  }
  std::size_t open() const { return entries_.size(); }
  std::uint64_t acknowledged() const { return acknowledged_; }  // a position; everything up to it
  std::uint64_t completed() const { return completed_; }        // events, since the start

private:
  std::deque<entry> entries_;
  std::uint64_t first_ = 1;  // token of the front
  std::uint64_t acknowledged_, completed_ = 0;
};

/// librdkafka 2.0.2 sends one request per partition, and with three replicas each costs the brokers about 1 ms of CPU:
/// requests, not bytes, are the limit while events are few. Bursts are therefore spaced by the partitions they touch:
/// one hot partition waits 2 ms, an even spread over all of them 25 ms, and a backlog goes out in full windows.
class request_pacing {
public:
  explicit request_pacing(double requests_per_s) : per_request_(std::chrono::duration<double>(1 / requests_per_s)) {}

  kit::instant next() const { return next_; }
  void sent(kit::instant now, std::size_t partitions) {
    next_ = std::max(now, next_) +
            std::chrono::duration_cast<kit::instant::duration>(per_request_ * static_cast<double>(partitions));
  }

private:
  std::chrono::duration<double> per_request_;
  kit::instant next_{};
};

/// Agent, dataset and devices of the jobs seen submitted lately, for the headers of their later events.
class job_origins {
public:
  explicit job_origins(std::size_t jobs_max) : jobs_max_(jobs_max) {}

  /// What to say of `e` beside itself; notes what a submission says, forgets a job that ended.
  cloudevents_origin of(const event& e, const std::string& node) {
    const std::string key = e.tenant + '\0' + e.job_id;
    if (const auto* s = std::get_if<job_submitted>(&e.data)) {
      if (auto old = known_.find(key); old != known_.end()) forget(old);
      order_.push_back(key);
      known_.emplace(key, known{{node, s->agent, s->dataset, s->wants.gpus}, std::prev(order_.end())});
      if (known_.size() > jobs_max_) forget(known_.find(order_.front()));
    }
    const auto at = known_.find(key);
    if (at == known_.end()) return {.node = node};
    auto origin = at->second.origin;
    if (std::holds_alternative<job_completed>(e.data) || std::holds_alternative<job_failed>(e.data) ||
        std::holds_alternative<job_cancelled>(e.data) || std::holds_alternative<job_rejected>(e.data))
      forget(at);
    return origin;
  }
  std::size_t size() const { return known_.size(); }

private:
  struct known {
    cloudevents_origin origin;
    std::list<std::string>::iterator place;
  };
  using table = std::unordered_map<std::string, known>;
  void forget(table::iterator at) {
    order_.erase(at->second.place);
    known_.erase(at);
  }

  std::size_t jobs_max_;
  table known_;
  std::list<std::string> order_;  // the oldest submission first
};

}  // namespace horizons::kafka
