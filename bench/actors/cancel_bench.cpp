// How long a cancelled imaging job keeps its device: from stop_unit until the device is idle, in every stage of the
// image-reconstruction agent, at random moments of it, on an observation large enough that each stage lasts.
//   bench-cancel [--json FILE] [--folder DIR] [--size PIXELS] [--integrations N] [--channels N] [--tries N]
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <map>
#include <mutex>
#include <random>
#include <thread>

#include "actors/agents/agent.hpp"
#include "actors/observations/simulate.hpp"
#include "bench/report.hpp"
#include "gpu/device.hpp"
#include "runtime/kit/system.hpp"

namespace {

using namespace horizons;
using namespace std::chrono_literals;
namespace fs = std::filesystem;
using steady = std::chrono::steady_clock;

struct options {
  std::string json_file;
  fs::path folder = fs::temp_directory_path();
  int size = 2'048, tries = 8;
  int integrations = 100, channels = 8;
};

[[noreturn]] void stop(const std::string& why) {
  std::cerr << "bench-cancel: " << why << "\n";
  std::exit(1);
}

/// "clean 2 of 5" is the stage "clean".
std::string stage_name(std::string_view said) { return std::string(said.substr(0, said.find(' '))); }

/// Runs the agent on a device as a job does, and watches through which stages it goes.
class subject {
public:
  subject(fs::path dataset, fs::path out, int size) : dataset_(std::move(dataset)), out_(std::move(out)), size_(size) {
    device_ = system_.spawn<gpu::device_api>({.name = "device"}, gpu::device_actor(gpu::cpu_device()));
  }

  /// How long each stage takes.
  std::map<std::string, double> undisturbed() {
    run(nullptr);
    return seconds_;
  }

  /// Seconds from the order to stop, `delay` after the stage began, to the idle device; nothing when it had ended.
  std::optional<double> cancelled_in(const std::string& stage, double delay) {
    bool ordered = false;
    auto idle_after = run([&] {
      if (!wait_for(stage)) return;
      std::this_thread::sleep_for(std::chrono::duration<double>(delay));
      std::lock_guard lock(mutex_);
      if (ended_) return;
      ordered = true;
      ordered_at_ = steady::now();
      device_.send(gpu::stop_unit{"job"});
    });
    if (!ordered) return {};
    return idle_after;
  }

private:
  double run(std::function<void()> meanwhile) {
    fs::remove_all(out_);
    fs::create_directories(out_);
    {
      std::lock_guard lock(mutex_);
      ended_ = false;
      stage_.clear();
      seconds_.clear();
      since_ = steady::now();
    }
    gpu::run_unit unit;
    unit.id = "job";
    unit.work = [this](std::stop_token token) {
      const auto* agent = agents::find_agent("image-reconstruction");
      json params{{"size", size_}, {"niter", 2'000}};
      auto done = agent->run({"job", dataset_, dataset_.string(), params, out_}, token,
                             [this](double, std::string_view said) { enter(stage_name(said)); });
      if (!done && done.error().code != error_code::cancelled) stop(done.error().text);
    };
    unit.on_end = [this](gpu::unit_end how) {
      if (how != gpu::unit_end::done) stop("the device gave the job up");
      enter("");
      std::lock_guard lock(mutex_);
      ended_ = true;
      idle_at_ = steady::now();
      changed_.notify_all();
    };
    device_.send(std::move(unit));
    if (meanwhile) meanwhile();
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return ended_; });
    return std::chrono::duration<double>(idle_at_ - ordered_at_).count();
  }

  void enter(const std::string& stage) {
    std::lock_guard lock(mutex_);
    if (stage == stage_) return;
    const auto now = steady::now();
    if (!stage_.empty()) seconds_[stage_] += std::chrono::duration<double>(now - since_).count();
    stage_ = stage;
    since_ = now;
    changed_.notify_all();
  }

  bool wait_for(const std::string& stage) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return ended_ || stage_ == stage; });
    return !ended_;
  }

  fs::path dataset_, out_;
  int size_;
  kit::system system_;
  kit::handle<gpu::device_api> device_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool ended_ = false;
  std::string stage_;
  std::map<std::string, double> seconds_;
  steady::time_point since_, ordered_at_, idle_at_;
};

options read_options(int argc, char** argv) {
  options o;
  for (int i = 1; i < argc; i += 2) {
    if (i + 1 == argc) stop(std::string("the value of ") + argv[i] + " is missing");
    const std::string name = argv[i], value = argv[i + 1];
    if (name == "--json")
      o.json_file = value;
    else if (name == "--folder")
      o.folder = value;
    else if (name == "--size")
      o.size = std::stoi(value);
    else if (name == "--tries")
      o.tries = std::stoi(value);
    else if (name == "--integrations")
      o.integrations = std::stoi(value);
    else if (name == "--channels")
      o.channels = std::stoi(value);
    else
      stop("unknown option " + name);
  }
  return o;
}

}  // namespace

int main(int argc, char** argv) {
  const auto o = read_options(argc, argv);
  const auto folder = o.folder / ("cancel-bench-" + std::to_string(::getpid()));
  fs::create_directories(folder);
  observations::simulation_options sky;
  sky.integrations = o.integrations;
  sky.channels = o.channels;
  const auto dataset = folder / "observation.uvfits";
  if (auto made = observations::simulate(sky, dataset); !made) stop(made.error().text);

  subject s(dataset, folder / "results", o.size);
  const auto stages = s.undisturbed();
  std::vector<bench::row> rows;
  std::mt19937_64 random(1);
  for (const auto& [stage, seconds] : stages) {
    std::vector<double> times;
    for (int tries = 0; static_cast<int>(times.size()) < o.tries && tries < 2 * o.tries; ++tries) {
      const double share = std::uniform_real_distribution<double>(0, 0.95)(random);
      if (auto t = s.cancelled_in(stage, share * seconds)) times.push_back(*t);
    }
    if (times.empty()) continue;  // over before anybody could cancel it
    std::sort(times.begin(), times.end());
    const auto at = static_cast<std::size_t>(0.99 * static_cast<double>(times.size() - 1) + 0.5);
    char what[96];
    std::snprintf(what, sizeof what, "cancel to idle, p99, stage %s (%.2g s)", stage.c_str(), seconds);
    rows.push_back(bench::compare(what, "ms", bench::better::lower, 1e3 * times[at], "", {}, 500));
  }
  fs::remove_all(folder);
  bench::print(rows);
  const nlohmann::json conditions{{"cores", std::thread::hardware_concurrency()},
                                  {"image", std::to_string(o.size) + " x " + std::to_string(o.size)},
                                  {"integrations", o.integrations},
                                  {"channels", o.channels},
                                  {"moments", std::to_string(o.tries) + " of each stage, at random"}};
  return bench::write_json(o.json_file, conditions, rows) ? 0 : 1;
}
