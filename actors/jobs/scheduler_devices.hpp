// The devices and what runs on them: which are free, which of them suit a job, and when enough of them will be free for
// a job that wants several. Knows nothing of who waits.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "actors/jobs/scheduler_queue.hpp"

namespace horizons::jobs {

/// An attempt that holds devices.
struct running_job {
  waiting_job job;
  waiting_queue::user* who = nullptr;
  std::vector<std::string> devices;
  instant since;
  bool is_known = true;    // false: found on a device after a restart; when it ends is not known
  double charged_s = 0;    // device seconds
  bool gives_way = false;  // it was asked to
  instant ends() const { return is_known ? since + std::chrono::seconds{job.walltime_s} : since; }
};

/// Devices kept for the first in order, which wants more than are free (EASY backfilling: Lifka 1995).
struct reservation {
  bool accelerators = false;  // only those are wanted
  instant from;               // when enough are free, by the walltimes of what runs
  std::size_t spare = 0;      // so many more than wanted are free then
};

class device_board {
public:
  void up(const std::string& name, std::size_t slots, bool is_accelerator);
  void down(const std::string& name);

  /// The attempt takes a slot of each of its devices.
  running_job& start(running_job r);
  const running_job* find(const job_key& job, int attempt) const;
  running_job* find(const job_key& job, int attempt);
  /// The attempt holds nothing any longer. Nothing: it was not known.
  std::optional<running_job> end(const job_key& job, int attempt);

  std::size_t free_slots() const { return free_slots_; }
  /// Devices, not slots: a job takes one slot of each.
  std::size_t devices(bool accelerators) const;
  std::size_t free_devices(bool accelerators) const;

  /// Whether it is one of that kind and has no free slot.
  bool is_taken(const std::string& name, bool accelerators) const;

  /// Devices for a job, as many as it wants, those first which lately had its dataset; empty: not now. What is kept is
  /// given only when the job ends before `kept->from` or to spare.
  std::vector<std::string> place(int gpus, std::uint32_t walltime_s, std::uint64_t dataset, instant now,
                                 const reservation* kept = nullptr) const;
  /// There are `wanted` devices, not all of them free.
  reservation reserve(std::size_t wanted, bool accelerators, instant now) const;

  /// Whether a free device lately had the dataset.
  bool is_at_hand(std::uint64_t dataset, bool accelerators) const;

  using unit = std::pair<job_key, int>;
  std::map<unit, running_job>& running() { return running_; }
  const std::map<unit, running_job>& running() const { return running_; }

private:
  struct device {
    std::size_t slots = 0, used = 0;
    bool is_accelerator = false;
    std::deque<std::uint64_t> lately;  // datasets, the newest first
    bool is_free() const { return used < slots; }
    bool had(std::uint64_t dataset) const;
  };
  void count_free();

  std::map<std::string, device> devices_;
  std::map<unit, running_job> running_;
  std::size_t free_slots_ = 0;
};

/// How many devices a job takes.
inline std::size_t devices_for(int gpus) { return gpus > 1 ? static_cast<std::size_t>(gpus) : 1; }

}  // namespace horizons::jobs
