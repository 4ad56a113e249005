// A node's job system for measuring: the tree of horizons.cpp without doors, over any journal, with devices whose jobs
// end at once. Judges nothing.
#pragma once

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "actors/jobs/front.hpp"
#include "runtime/journal/journal_actor.hpp"
#include "runtime/kit/system.hpp"
#include "runtime/supervision/supervisor.hpp"

namespace horizons::bench {

using namespace std::chrono_literals;

/// Told of every committed event, in the order of the journal, by one actor.
using event_watcher = std::function<void(const event&)>;

struct node_options {
  std::string journal_url;  // "sqlite:…", "postgresql://…" or "memory:"
  std::string table_path = ":memory:";
  std::size_t slots = 256;  // jobs at a time, on each of two devices
  bool runs_jobs = true;    // false: no devices, everything stays queued
};

/// Resident memory of this process, bytes.
inline double resident_bytes() {
  std::ifstream file("/proc/self/statm");
  double all = 0, resident = 0;
  file >> all >> resident;
  return resident * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

class job_node {
public:
  /// Starts and recovers; the time from the call until it serves is what a restart takes.
  static result<std::unique_ptr<job_node>> start(const node_options& options, event_watcher watcher) {
    auto n = std::unique_ptr<job_node>(new job_node(options, std::move(watcher)));
    if (auto ok = n->open(); !ok) return failure(ok.error());
    if (auto ok = n->recover(); !ok) return failure(ok.error());
    return n;
  }

  ~job_node() {
    front_.reset();
    system_.shutdown(10s);
  }

  const jobs::front& door() const { return *front_; }
  std::size_t waiting() const { return waiting_->load(std::memory_order_relaxed); }
  std::size_t recovered() const { return recovered_; }
  /// Events that shared a commit, on average since the start.
  double events_per_commit() {
    auto status = system_.ask(writer_, journal::journal_status{}, 30s);
    return status && status->commits > 0 ? double(status->events) / double(status->commits) : 0;
  }

private:
  job_node(node_options options, event_watcher watcher) : options_(std::move(options)), watcher_(std::move(watcher)) {}

  result<void> open() {
    auto store = journal::open_store(options_.journal_url, {"bench", "bench", {}});
    if (!store) return failure(store.error());
    std::vector<std::uint32_t> all(journal::shard_count);
    for (std::uint32_t i = 0; i < journal::shard_count; ++i) all[i] = i;
    auto epoch = (*store)->raise_epochs(all);
    if (!epoch) return failure(epoch.error());
    epoch_ = *epoch;

    auto first = std::make_shared<std::unique_ptr<journal::store>>(std::move(*store));
    auto open_writer = [first, url = options_.journal_url]() -> result<std::unique_ptr<journal::store>> {
      if (*first) return std::move(*first);
      return journal::open_store(url, {"bench", "bench", {}});
    };
    writer_ = system_.spawn_blocking<journal::writer_api>({.name = "writer"}, journal::journal_writer(open_writer));
    reader_ = system_.spawn_blocking<journal::reader_api>(
        {.name = "reader"},
        journal::journal_reader([url = options_.journal_url] { return journal::open_reader(url); }));
    table_ = system_.spawn_blocking<jobs::job_table_api>({.name = "job_table"},
                                                         jobs::job_table_actor(options_.table_path, writer_));
    watch();
    start_jobs();
    return {};
  }

  void watch() {
    auto status = system_.ask(writer_, journal::journal_status{}, 30s);
    const auto from = status ? status->last_position : 0;
    using watch_api = kit::accepts<journal::committed>;
    system_.spawn<watch_api>({.name = "watcher", .limits = {.messages_max = 100'000}},
                             [writer = writer_, watcher = watcher_, from](kit::context& self) {
                               writer.send(journal::subscribe{self.self_as<watch_api>(), from});
                               return kit::behavior{}.on<journal::committed>([watcher](const journal::committed& c) {
                                 for (auto& e : *c.events) watcher(e);
                               });
                             });
  }

  void start_jobs() {
    jobs::scheduler_environment scheduling;
    auto env = std::make_shared<jobs::job_environment>();
    for (int i = 0; options_.runs_jobs && i < 2; ++i) {
      auto info = gpu::cpu_device();
      info.id = "cpu/" + std::to_string(i);
      auto device = system_.spawn<gpu::device_api>({.name = "device-" + std::to_string(i), .type = "device"},
                                                   gpu::device_actor(info, {.units_max = 2 * options_.slots}));
      env->devices[info.id] = device;
      scheduling.devices.push_back({info.id, options_.slots, device});
    }
    scheduling.offer = [shards = shards_](jobs::offer_device o) {
      auto& shard = shards->of(o.job);
      shard.send(std::move(o));
    };
    scheduling.waiting = waiting_;
    scheduling.told = told_;
    scheduling.open_jobs = {0, epoch_, writer_, table_};
    auto waiting_of = scheduling.waiting_of;
    scheduler_ = system_.spawn<jobs::scheduler_api>({.name = "scheduler"}, jobs::scheduler_actor(scheduling));

    env->node_id = "bench";
    env->epoch = epoch_;
    env->writer = writer_;
    env->stores_texts = journal::stores_texts(options_.journal_url);
    env->reader = reader_;
    env->scheduler = scheduler_;
    env->table = table_;
    env->told = told_;
    env->run = [](const jobs::attempt_request&, std::stop_token, const gpu::progress_sink&) {
      return result<jobs::attempt_outcome>(jobs::attempt_outcome{});
    };
    for (std::uint32_t i = 0; i < journal::shard_count; ++i)
      shards_->shards.push_back(system_.spawn<jobs::shard_api>({.name = "shard-" + std::to_string(i), .type = "shard"},
                                                               jobs::shard_actor(env, i)));
    jobs::front_limits limits;
    limits.queued_max = limits.queued_max_per_tenant = 100'000'000;
    limits.cpus_available = 64;
    front_ = std::make_unique<jobs::front>(system_, shards_, scheduler_, table_, waiting_, waiting_of,
                                           std::vector<std::string>{}, limits);
  }

  /// As the node's start: see horizons.cpp.
  result<void> recover() {
    auto status = system_.ask(writer_, journal::journal_status{}, 30s);
    if (!status) return failure(status.error());
    if (auto reached = system_.ask(table_, jobs::reach_position{status->last_position}, 600s); !reached)
      return failure(reached.error());
    for (std::uint64_t after = 0;;) {
      auto page = system_.ask(table_, jobs::list_open_jobs{after, 10'000}, 60s);
      if (!page) return failure(page.error());
      if (page->empty()) break;
      for (auto& open : *page) {
        after = open.position;
        ++recovered_;
        if (open.status == jobs::job_status::queued)
          scheduler_.send(jobs::waits(open));
        else if (open.status != jobs::job_status::paused)
          shards_->of(open.job).send(jobs::recover_job{open.job, ""});
      }
    }
    told_->store(true);
    // Behind all that was sent: the scheduler knows everybody.
    if (auto answered = system_.ask(scheduler_, jobs::why_waiting{{"default", "nobody"}}, 60s); !answered)
      return failure(answered.error());
    return {};
  }

  node_options options_;
  event_watcher watcher_;
  kit::system system_;
  std::uint64_t epoch_ = 0;
  std::size_t recovered_ = 0;
  kit::handle<journal::writer_api> writer_;
  kit::handle<journal::reader_api> reader_;
  kit::handle<jobs::job_table_api> table_;
  kit::handle<jobs::scheduler_api> scheduler_;
  jobs::waiting_count waiting_ = std::make_shared<std::atomic<std::size_t>>(0);
  jobs::told_at_start told_ = std::make_shared<std::atomic<bool>>(false);
  std::shared_ptr<jobs::shard_map> shards_ = std::make_shared<jobs::shard_map>();
  std::unique_ptr<jobs::front> front_;
};

/// Counts what happens to jobs, for whoever waits on it.
class job_counts {
public:
  void completed() { bump(completed_); }
  void refused(const error& why) {
    std::lock_guard lock(mutex_);
    if (refused_++ == 0) first_refusal_ = why.text;
    changed_.notify_all();
  }
  std::size_t done() const { return completed_.load(std::memory_order_relaxed); }

  /// False: not within the limit, or jobs were refused.
  bool wait_for(std::size_t jobs, std::chrono::seconds limit) {
    std::unique_lock lock(mutex_);
    target_ = jobs;
    return changed_.wait_for(lock, limit, [&] { return completed_ >= jobs || refused_ > 0; }) && refused_ == 0;
  }
  std::string first_refusal() const {
    std::lock_guard lock(mutex_);
    return first_refusal_;
  }

private:
  void bump(std::atomic<std::size_t>& n) {
    if (++n < target_.load(std::memory_order_relaxed)) return;
    std::lock_guard lock(mutex_);
    changed_.notify_all();
  }
  std::atomic<std::size_t> completed_{0}, target_{0};
  std::size_t refused_ = 0;
  std::string first_refusal_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
};

}  // namespace horizons::bench
