#include "actors/jobs/scheduler_core.hpp"

#include <algorithm>

namespace horizons::jobs {

void scheduler_core::enqueue(job_key job, int priority, std::uint64_t order, instant now, int attempt) {
  priority = std::clamp(priority, 1, priorities);
  auto [at, is_new] = where_.try_emplace(job, place{priority, order, attempt});
  at->second.attempt = attempt;
  if (!is_new) return;
  queues_[static_cast<std::size_t>(priority - 1)].emplace(order, entry{std::move(job), now});
}

void scheduler_core::dequeue(const job_key& job) {
  auto at = where_.find(job);
  if (at == where_.end()) return;
  queues_[static_cast<std::size_t>(at->second.priority - 1)].erase(at->second.order);
  where_.erase(at);
}

void scheduler_core::device_up(std::string device, std::size_t slots) { devices_[std::move(device)] = {slots, 0}; }

void scheduler_core::device_down(const std::string& device) { devices_.erase(device); }

void scheduler_core::occupy(const std::string& device) {
  if (auto d = devices_.find(device); d != devices_.end()) ++d->second.used;
}

void scheduler_core::release(const std::string& device) {
  if (auto d = devices_.find(device); d != devices_.end() && d->second.used > 0) --d->second.used;
}

double scheduler_core::rank(int priority, const entry& e, instant now) const {
  return priority - std::chrono::duration<double>(now - e.since) / limits_.ageing;
}

std::optional<int> scheduler_core::best(instant now) const {
  // Within a queue the first came first and has waited longest, so only the five heads compete.
  std::optional<int> winner;
  double winner_rank = 0;
  for (int p = 1; p <= priorities; ++p) {
    auto& q = queues_[static_cast<std::size_t>(p - 1)];
    if (q.empty()) continue;
    double r = rank(p, q.begin()->second, now);
    if (!winner || r < winner_rank) {
      winner = p;
      winner_rank = r;
    }
  }
  return winner;
}

std::vector<assignment> scheduler_core::assign(instant now) {
  std::vector<assignment> out;
  for (auto& [device, s] : devices_)
    while (s.used < s.all) {
      auto p = best(now);
      if (!p) return out;
      auto& q = queues_[static_cast<std::size_t>(*p - 1)];
      auto job = std::move(q.begin()->second.job);
      q.erase(q.begin());
      auto place = where_.find(job);
      int attempt = place->second.attempt;
      where_.erase(place);
      ++s.used;
      out.push_back({std::move(job), device, attempt});
    }
  return out;
}

std::size_t scheduler_core::free_slots() const {
  std::size_t n = 0;
  for (auto& [_, s] : devices_) n += s.all - std::min(s.all, s.used);
  return n;
}

std::optional<std::size_t> scheduler_core::ahead_of(const job_key& job, instant now) const {
  auto at = where_.find(job);
  if (at == where_.end()) return {};
  auto& own_queue = queues_[static_cast<std::size_t>(at->second.priority - 1)];
  auto own = own_queue.find(at->second.order);
  double own_rank = rank(at->second.priority, own->second, now);
  std::size_t n = static_cast<std::size_t>(std::distance(own_queue.begin(), own));
  for (int p = 1; p <= priorities; ++p) {
    if (p == at->second.priority) continue;
    for (auto& [order, e] : queues_[static_cast<std::size_t>(p - 1)]) {
      double r = rank(p, e, now);
      if (r > own_rank || (r == own_rank && p > at->second.priority)) break;  // ranks grow along a queue
      ++n;
    }
  }
  return n;
}

}  // namespace horizons::jobs
