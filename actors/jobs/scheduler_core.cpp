#include "actors/jobs/scheduler_core.hpp"

#include <algorithm>
#include <cmath>
#include <set>

namespace horizons::jobs {

namespace {

using namespace std::chrono_literals;

constexpr auto settle_interval = 60s;  // between two looks at what running jobs have used and what is long ago

double seconds_of(kit::instant::duration d) { return std::chrono::duration<double>(d).count(); }

}  // namespace

// -- devices and what runs on them ----------------------------------------------------------------------------------

void scheduler_core::device_up(const std::string& name, std::size_t slots, bool is_accelerator) {
  board_.up(name, slots, is_accelerator);
}

void scheduler_core::found_running(const waiting_job& job, std::vector<std::string> devices, instant now) {
  if (board_.find(job.job, job.attempt)) return;
  auto& who = queue_.account(job.job.tenant, job.user);
  queue_.hold(who, job.gpus, job.cpus, +1);
  board_.start({job, &who, std::move(devices), now, false});
}

bool scheduler_core::release(const job_key& job, int attempt, instant now) {
  auto ended = board_.end(job, attempt);
  if (!ended) return false;
  auto& r = *ended;
  const double ran = seconds_of(now - r.since);
  queue_.hold(*r.who, r.job.gpus, r.job.cpus, -1);
  queue_.charge(*r.who, ran * static_cast<double>(r.devices.size()) - r.charged_s);
  if (r.is_known) waiting_queue::learn_length(*r.who, ran);
  return true;
}

/// Jobs that run longer than others of their user count as they go; usage of long ago is forgotten.
void scheduler_core::settle(instant now) {
  if (!settled_) settled_ = now;
  if (now - *settled_ < settle_interval) return;
  for (auto& [_, r] : board_.running()) {
    const double used = seconds_of(now - r.since) * static_cast<double>(r.devices.size());
    if (used <= r.charged_s) continue;
    queue_.charge(*r.who, used - r.charged_s);
    r.charged_s = used;
  }
  queue_.decay(std::exp2(-seconds_of(now - *settled_) / static_cast<double>(limits_.half_life.count())));
  settled_ = now;
}

// -- who starts -----------------------------------------------------------------------------------------------------

std::optional<waiting_queue::candidate> scheduler_core::first(instant now) {
  return queue_.best(now, [this](const bucket& b, const item&) { return can_ever(b.size.gpus); });
}

std::vector<std::string> scheduler_core::place(const bucket& b, const item& job, instant now,
                                               const reservation* kept) const {
  return board_.place(b.size.gpus, job.second.walltime_s, job.second.dataset, now, kept);
}

reservation scheduler_core::reserve_for(const waiting_queue::candidate& c, instant now) const {
  auto gpus = c.from->size.gpus;
  return board_.reserve(devices_for(gpus), gpus > 0, now);
}

assignment scheduler_core::start(const item& job, std::vector<std::string> devices, instant now) {
  auto s = queue_.take(job);
  assignment a{s.job.job, s.job.attempt, devices};
  board_.start({std::move(s.job), s.who, std::move(devices), now, true, s.charged_s});
  return a;
}

std::vector<assignment> scheduler_core::assign(instant now) {
  settle(now);
  std::vector<assignment> out;
  while (board_.free_slots() > 0) {
    auto next = first(now);
    if (!next) break;
    auto* job = next->job;
    auto gpus = next->from->size.gpus;
    auto devices = place(*next->from, *job, now);
    if (!devices.empty()) {
      job = queue_.prefer(*next, [&](std::uint64_t dataset) { return board_.is_at_hand(dataset, gpus > 0); });
      if (job != next->job) devices = place(*next->from, *job, now);
    } else {
      auto kept = reserve_for(*next, now);
      auto filler = queue_.best(now, [&](const bucket& b, const item& other) {
        return can_ever(b.size.gpus) && !place(b, other, now, &kept).empty();
      });
      if (!filler) break;
      job = filler->job;
      devices = place(*filler->from, *job, now, &kept);
    }
    out.push_back(start(*job, std::move(devices), now));
  }
  return out;
}

std::vector<preemption> scheduler_core::preempt(instant now) {
  auto next = first(now);
  if (!next || now - next->since() < limits_.preempt_wait || !place(*next->from, *next->job, now).empty()) return {};
  const auto gpus = next->from->size.gpus;
  const auto wanted = devices_for(gpus);

  std::vector<running_job*> victims;
  std::set<std::string> soon_free;  // of devices that are in use now
  auto frees = [&](const running_job& r) {
    bool helps = false;
    for (auto& d : r.devices)
      if (board_.is_taken(d, gpus > 0)) helps |= soon_free.insert(d).second;
    return helps;
  };
  for (auto& [_, r] : board_.running()) {
    if (r.gives_way)
      frees(r);
    else if (r.job.checkpointable && r.job.priority >= next->from->priority + limits_.preempt_priorities &&
             now - r.since >= limits_.preempt_run)
      victims.push_back(&r);
  }
  // Those that have lost least by it: the least urgent, the latest started.
  std::ranges::sort(victims, [](auto* a, auto* b) {
    return a->job.priority != b->job.priority ? a->job.priority > b->job.priority : a->since > b->since;
  });
  auto enough = [&] { return board_.free_devices(gpus > 0) + soon_free.size() >= wanted; };
  std::vector<running_job*> chosen;
  for (auto* v : victims) {
    if (enough()) break;
    if (frees(*v)) chosen.push_back(v);
  }
  if (!enough()) return {};
  std::vector<preemption> out;
  for (auto* v : chosen) {
    v->gives_way = true;
    out.push_back({v->job.job, v->job.attempt,
                   "gives way to job " + next->job->first + " of priority " + std::to_string(next->from->priority)});
  }
  return out;
}

// -- answers --------------------------------------------------------------------------------------------------------

std::optional<std::size_t> scheduler_core::ahead_of(const job_key& job, instant now) const {
  auto* waits = queue_.find(job);
  if (!waits) return {};
  return queue_.ahead_of(*waits, now);
}

std::string scheduler_core::why(const job_key& job, instant now) {
  auto* waits = queue_.find(job);
  if (!waits) return "";
  const auto gpus = waits->second.in->size.gpus;
  const auto wanted = devices_for(gpus);
  const std::string kind = gpus > 0 ? "accelerator" : "device";
  auto count = [&](std::size_t n) { return std::to_string(n) + " " + kind + (n == 1 ? "" : "s"); };
  std::string text;
  auto also = [&](const std::string& reason) {
    if (!reason.empty()) text += (text.empty() ? "" : ", ") + reason;
  };
  if (auto ahead = queue_.ahead_of(*waits, now); ahead > waiting_queue::counted_max)
    also("more than " + std::to_string(waiting_queue::counted_max) + " ahead");
  else if (ahead > 0)
    also(std::to_string(ahead) + " ahead");
  also(queue_.quota_of(*waits));
  if (auto there = board_.devices(gpus > 0); there < wanted)
    also(there == 0 ? "no " + kind + " is up"
                    : "wants " + count(wanted) + ", there " + (there == 1 ? "is 1" : "are " + std::to_string(there)));
  else if (wanted > 1)
    also("waits for " + count(wanted) + " together, " + std::to_string(board_.free_devices(gpus > 0)) + " free");
  if (!text.empty()) return text;
  if (board_.free_devices(gpus > 0) == 0) return "next in line";
  auto next = first(now);
  if (!next || next->job == waits) return "next in line";
  return "what is free is kept for job " + next->job->first + ", which wants " +
         std::to_string(devices_for(next->from->size.gpus)) + " together";
}

}  // namespace horizons::jobs
