// A compute device as an actor: takes units of work, runs each on a worker thread of its own, stays responsive, and
// tells how each ended. It knows nothing about jobs: what a unit does is the sender's.
//
// "A device never computes in its handler": the actor's handlers only move units between its list and the worker.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "gpu/progress.hpp"
#include "runtime/kit/kit.hpp"

namespace horizons::gpu {

enum class device_kind : std::uint8_t { cpu, cuda };

struct device_info {
  std::string id;  // "cpu/0"
  device_kind kind = device_kind::cpu;
  std::string name;  // "AMD EPYC …, 2 cores"
  std::size_t threads = 1;
  std::size_t memory_bytes = 0;
};

/// How a unit ended at the device. `abandoned`: it ignored its stop token for longer than the limit and its thread was
/// given up; the device goes on with a fresh thread. `lost`: the device's actor ended under it, or would not take it.
enum class unit_end : std::uint8_t { done, abandoned, lost };

/// One piece of work. `work` runs once on the worker's thread, polls the token at least every 100 ms and keeps its
/// outcome for itself. `on_end` is called exactly once, from any thread, after the device is free again.
struct run_unit {
  static constexpr auto lane = kit::lane::control;  // bounded by the scheduler: one unit per free device
  std::string id;                                   // unique while it runs: "<tenant>/<job>/<attempt>"
  std::function<void(std::stop_token)> work;
  std::function<void(unit_end)> on_end;
};

/// Asks a unit to stop. Unknown ids are ignored: the unit has ended.
struct stop_unit {
  static constexpr auto lane = kit::lane::control;
  std::string id;
};

/// Whether a unit of that id runs or waits here.
struct has_unit {
  static constexpr auto lane = kit::lane::control;
  using reply = bool;
  std::string id;
};

struct device_status {
  static constexpr auto lane = kit::lane::control;
  struct reply {
    device_info info;
    std::vector<std::string> units;  // the first one runs
    double busy_seconds = 0;         // since start
    std::uint64_t units_done = 0, units_abandoned = 0;
    std::size_t units_max = 0;  // the credit it grants
  };
};

using device_api = kit::accepts<run_unit, stop_unit, has_unit, device_status>;

struct device_limits {
  std::size_t units_max = 64;  // the credit it grants: waiting and running; more is a defect of the sender: `lost`
  std::chrono::milliseconds stop_grace{10'000};  // between stop and giving the thread up
};

/// The body of a device actor; the supervisor starts it afresh after a defect.
kit::actor_body device_actor(device_info info, device_limits limits = {});

/// What this machine's processors offer.
device_info cpu_device();

}  // namespace horizons::gpu
