#include "actors/jobs/scheduler_devices.hpp"

#include <algorithm>

namespace horizons::jobs {

namespace {

constexpr std::size_t datasets_kept = 8;  // what a device's memory and the page cache may still hold of them

}  // namespace

bool device_board::device::had(std::uint64_t dataset) const {
  return dataset != 0 && std::find(lately.begin(), lately.end(), dataset) != lately.end();
}

void device_board::up(const std::string& name, std::size_t slots, bool is_accelerator) {
  auto& d = devices_[name];
  d.slots = slots;
  d.is_accelerator = is_accelerator;
  d.used = 0;
  for (auto& [_, r] : running_) d.used += static_cast<std::size_t>(std::ranges::count(r.devices, name));
  count_free();
}

void device_board::down(const std::string& name) {
  devices_.erase(name);
  count_free();
}

void device_board::count_free() {
  free_slots_ = 0;
  for (auto& [_, d] : devices_) free_slots_ += d.slots - std::min(d.slots, d.used);
}

running_job& device_board::start(running_job r) {
  for (auto& name : r.devices) {
    auto at = devices_.find(name);
    if (at == devices_.end()) continue;
    auto& d = at->second;
    if (d.used++ < d.slots) --free_slots_;
    if (r.job.dataset == 0) continue;
    std::erase(d.lately, r.job.dataset);
    d.lately.push_front(r.job.dataset);
    if (d.lately.size() > datasets_kept) d.lately.pop_back();
  }
  unit id{r.job.job, r.job.attempt};
  return running_.insert_or_assign(std::move(id), std::move(r)).first->second;
}

const running_job* device_board::find(const job_key& job, int attempt) const {
  auto at = running_.find({job, attempt});
  return at == running_.end() ? nullptr : &at->second;
}

running_job* device_board::find(const job_key& job, int attempt) {
  auto at = running_.find({job, attempt});
  return at == running_.end() ? nullptr : &at->second;
}

std::optional<running_job> device_board::end(const job_key& job, int attempt) {
  auto node = running_.extract({job, attempt});
  if (!node) return {};
  for (auto& name : node.mapped().devices)
    if (auto d = devices_.find(name); d != devices_.end() && d->second.used > 0 && --d->second.used < d->second.slots)
      ++free_slots_;
  return std::move(node.mapped());
}

std::size_t device_board::devices(bool accelerators) const {
  return static_cast<std::size_t>(
      std::ranges::count_if(devices_, [&](auto& d) { return d.second.is_accelerator || !accelerators; }));
}

std::size_t device_board::free_devices(bool accelerators) const {
  return static_cast<std::size_t>(std::ranges::count_if(
      devices_, [&](auto& d) { return d.second.is_free() && (d.second.is_accelerator || !accelerators); }));
}

bool device_board::is_taken(const std::string& name, bool accelerators) const {
  auto d = devices_.find(name);
  return d != devices_.end() && !d->second.is_free() && (d->second.is_accelerator || !accelerators);
}

bool device_board::is_at_hand(std::uint64_t dataset, bool accelerators) const {
  return std::ranges::any_of(devices_, [&](auto& d) {
    return d.second.is_free() && (d.second.is_accelerator || !accelerators) && d.second.had(dataset);
  });
}

std::vector<std::string> device_board::place(int gpus, std::uint32_t walltime_s, std::uint64_t dataset, instant now,
                                             const reservation* kept) const {
  struct choice {
    bool is_elsewhere, is_kept;  // false is better
    const std::string* name;
  };
  const bool ends_before = kept && now + std::chrono::seconds{walltime_s} <= kept->from;
  std::vector<choice> choices;
  for (auto& [name, d] : devices_) {
    if (!d.is_free() || (gpus > 0 && !d.is_accelerator)) continue;
    choices.push_back({!d.had(dataset), kept && !ends_before && (d.is_accelerator || !kept->accelerators), &name});
  }
  auto wanted = devices_for(gpus);
  if (choices.size() < wanted) return {};
  std::ranges::stable_sort(choices, {}, [](auto& c) { return std::pair{c.is_kept, c.is_elsewhere}; });
  choices.resize(wanted);
  if (kept && static_cast<std::size_t>(std::ranges::count_if(choices, &choice::is_kept)) > kept->spare) return {};
  std::vector<std::string> names;
  for (auto& c : choices) names.push_back(*c.name);
  return names;
}

reservation device_board::reserve(std::size_t wanted, bool accelerators, instant now) const {
  std::size_t free = 0;
  std::vector<instant> ends;  // when each of the others has a free slot
  for (auto& [name, d] : devices_) {
    if (accelerators && !d.is_accelerator) continue;
    if (d.is_free()) {
      ++free;
      continue;
    }
    instant first = instant::max();
    for (auto& [_, r] : running_)
      if (std::ranges::count(r.devices, name)) first = std::min(first, std::max(now, r.ends()));
    ends.push_back(first);
  }
  std::ranges::sort(ends);
  reservation kept{accelerators, now, 0};
  if (free < wanted) kept.from = ends[std::min(wanted - free, ends.size()) - 1];
  auto free_then = free + static_cast<std::size_t>(std::ranges::upper_bound(ends, kept.from) - ends.begin());
  kept.spare = free_then - std::min(free_then, wanted);
  return kept;
}

}  // namespace horizons::jobs
