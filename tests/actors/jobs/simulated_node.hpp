// An embedded node's job system under virtual time: the tree of horizons.cpp over a journal in memory, with a device
// that runs units when the clock says so, and a power switch. Not the node itself: no doors, no files, one shard actor
// for each shard that the given jobs live on.
#pragma once

#include <deque>
#include <map>
#include <set>

#include "actors/jobs/front.hpp"
#include "runtime/journal/memory_store.hpp"
#include "runtime/simulation/simulation.hpp"
#include "runtime/supervision/supervisor.hpp"

namespace horizons::jobs::simulated {

using namespace std::chrono_literals;

/// What the device does with a unit.
struct unit_plan {
  milliseconds takes{100};
  bool ignores_stop = false;  // it is given up after the device's patience
};

/// gpu::device_api in virtual time: a unit's work runs in one go when its time has come or it was told to stop.
class device {
public:
  device(kit::context& self, std::string name, std::function<unit_plan(const std::string& unit)> plan)
      : self_(self), name_(std::move(name)), plan_(std::move(plan)) {}

  ~device() {
    for (auto& u : units_) {
      u->stop.request_stop();
      u->on_end(gpu::unit_end::lost);
    }
    for (auto& u : units_)
      if (u->begun) u->work(u->stop.get_token());  // its thread goes on to its end
  }

  void accept(gpu::run_unit& r) {
    auto u = std::make_shared<unit>();
    u->id = std::move(r.id);
    u->work = std::move(r.work);
    u->on_end = std::move(r.on_end);
    units_.push_back(std::move(u));
    if (units_.size() == 1) start_next();
  }

  void stop(const gpu::stop_unit& s) {
    for (auto& u : units_)
      if (u->id == s.id && !u->stop.stop_requested()) {
        u->stop.request_stop();
        if (u != units_.front()) continue;
        auto plan = plan_(u->id);
        self_.after(plan.ignores_stop ? 10'000ms : 50ms, [this, u, plan] { end(u, plan.ignores_stop); });
      }
  }

  bool has(const gpu::has_unit& h) const {
    return std::any_of(units_.begin(), units_.end(), [&](auto& u) { return u->id == h.id; });
  }

  gpu::device_status::reply status() const {
    gpu::device_status::reply r;
    r.units_max = gpu::device_limits{}.units_max;
    r.info.id = name_;
    for (auto& u : units_) r.units.push_back(u->id);
    return r;
  }

private:
  struct unit {
    std::string id;
    std::function<void(std::stop_token)> work;
    std::function<void(gpu::unit_end)> on_end;
    std::stop_source stop;
    bool begun = false;
  };

  void start_next() {
    auto u = units_.front();
    u->begun = true;
    self_.after(u->stop.stop_requested() ? 1ms : plan_(u->id).takes, [this, u] {
      if (!u->stop.stop_requested() || !plan_(u->id).ignores_stop) end(u, false);
    });
  }

  void end(const std::shared_ptr<unit>& u, bool abandoned) {
    if (units_.empty() || units_.front() != u) return;
    if (!abandoned) u->work(u->stop.get_token());
    units_.pop_front();
    u->on_end(abandoned ? gpu::unit_end::abandoned : gpu::unit_end::done);
    if (!units_.empty()) start_next();
  }

  kit::context& self_;
  std::string name_;
  std::function<unit_plan(const std::string&)> plan_;
  std::deque<std::shared_ptr<unit>> units_;
};

inline kit::actor_body device_actor(std::string name, std::function<unit_plan(const std::string&)> plan) {
  return [name, plan](kit::context& self) {
    auto d = std::make_shared<device>(self, name, plan);
    return kit::behavior{}
        .on<gpu::run_unit>([d](gpu::run_unit& r) { d->accept(r); })
        .on<gpu::stop_unit>([d](const gpu::stop_unit& s) { d->stop(s); })
        .on<gpu::has_unit>([d](const gpu::has_unit& h) -> result<bool> { return d->has(h); })
        .on<gpu::device_status>(
            [d](const gpu::device_status&) -> result<gpu::device_status::reply> { return d->status(); });
  };
}

/// What the world outside decides: how long units take and how attempts end.
struct surroundings {
  std::function<unit_plan(const std::string& unit)> plan;
  std::function<result<attempt_outcome>(const attempt_request&, std::stop_token, const gpu::progress_sink&)> run;
  scheduler_limits limits{.preempt_wait = 2s, .preempt_run = 3s};  // a run is not long enough for the defaults
};

class node {
public:
  /// `jobs`: every job id of tenant "default" that will be used.
  node(simulation::simulation& sim, surroundings world, const std::vector<std::string>& jobs)
      : sim_(sim), world_(std::move(world)), journal_name_(fresh_name()), journal_(journal_name_) {
    for (auto& id : jobs) shard_numbers_.insert(journal::shard_of("default", id));
  }

  /// As the node's start: takes the journal, builds the tree, recovers. False: it could not, the journal's power is
  /// off.
  bool start() {
    auto store = journal::open_memory_store(journal_name_, {"n", "host", {}});
    if (!store) return false;
    std::vector<std::uint32_t> all(shard_numbers_.begin(), shard_numbers_.end());
    auto epoch = (*store)->raise_epochs(all);
    if (!epoch) return false;
    auto& system = sim_.boot("n");
    root_ = system.spawn<supervision::supervisor_api>(
        {.name = "node", .type = "supervisor"}, supervision::supervisor(supervision::strategy::one_for_one, {}, {}));
    return start_journal(std::move(*store)) && start_jobs(*epoch) && recover();
  }

  /// kill -9, or power off: what was not synced is gone.
  void crash() {
    front_.reset();
    sim_.crash("n");
    journal_.crash();
  }

  bool alive() const { return sim_.alive("n") && front_ && sim_.node("n").find("/node"); }
  const jobs::front& door() const { return *front_; }
  journal::memory_journal& journal() { return journal_; }
  const kit::handle<job_table_api>& table() const { return table_; }
  void kill(const std::string& path) {
    auto& system = sim_.node("n");
    system.kill(system.find(path));
  }
  static std::string shard_path(const std::string& job_id) {
    return "/node/shard/" + std::to_string(journal::shard_of("default", job_id));
  }
  static std::string job_path(const std::string& job_id) { return shard_path(job_id) + "/job/" + job_id; }

  /// All events that are durable.
  std::vector<event> events() const {
    std::vector<event> out;
    auto reader = journal::open_memory_reader(journal_name_);
    for (std::uint64_t after = 0;;) {
      auto page = (*reader)->read({.after_position = after}, 10'000);
      if (!page || page->empty()) return out;
      after = page->back().position;
      std::move(page->begin(), page->end(), std::back_inserter(out));
    }
  }

private:
  static std::string fresh_name() {  // several may be alive in one process
    static int n = 0;
    return "life-cycle-" + std::to_string(++n);
  }
  bool add(supervision::child_spec spec) {
    return sim_.ask("n", root_, supervision::start_child_request{std::move(spec)}, 60s).has_value();
  }
  template <class Api>
  kit::handle<Api> at(const std::string& path) {
    sim_.run_until([&] { return static_cast<bool>(sim_.node("n").find(path)); }, 10s);
    return kit::handle<Api>(sim_.node("n").find(path).cell());
  }
  static supervision::child_spec part(std::string name, supervision::strategy how,
                                      std::vector<supervision::child_spec> children) {
    return {{.name = std::move(name), .type = "supervisor"}, supervision::supervisor(how, {}, std::move(children))};
  }

  bool start_journal(std::unique_ptr<journal::store> store) {
    auto first = std::make_shared<std::unique_ptr<journal::store>>(std::move(store));
    auto open_writer = [first, name = journal_name_]() -> result<std::unique_ptr<journal::store>> {
      if (*first) return std::move(*first);
      return journal::open_memory_store(name, {"n", "host", {}});
    };
    auto open_reader = [name = journal_name_] { return journal::open_memory_reader(name); };
    if (!add(part("journal", supervision::strategy::rest_for_one,
                  {{{.name = "writer"}, journal::journal_writer(open_writer, nullptr, {}), {}, true},
                   {{.name = "reader"}, journal::journal_reader(open_reader), {}, true}})))
      return false;
    writer_ = at<journal::writer_api>("/node/journal/writer");
    reader_ = at<journal::reader_api>("/node/journal/reader");
    return true;
  }

  bool start_jobs(std::uint64_t epoch) {
    using enum supervision::strategy;
    if (!add(part("gpu", rest_for_one,
                  {{{.name = "device/0", .type = "device"}, device_actor("cpu/0", world_.plan)},
                   {{.name = "device/1", .type = "device"}, device_actor("cpu/1", world_.plan)}})))
      return false;
    std::map<std::string, kit::handle<gpu::device_api>> devices{{"cpu/0", at<gpu::device_api>("/node/gpu/device/0")},
                                                                {"cpu/1", at<gpu::device_api>("/node/gpu/device/1")}};
    if (!add(part("consumers", one_for_one, {{{.name = "job_table"}, job_table_actor(":memory:", writer_), {}, true}})))
      return false;
    table_ = at<job_table_api>("/node/consumers/job_table");

    auto shards = std::make_shared<shard_map>();
    auto waiting = std::make_shared<std::atomic<std::size_t>>(0);
    scheduler_environment scheduling;
    for (auto& [name, actor] : devices) scheduling.devices.push_back({name, 1, actor});
    scheduling.waiting = waiting;
    scheduling.open_jobs = {*shard_numbers_.begin(), epoch, writer_, table_};
    told_ = scheduling.told;
    scheduling.limits = world_.limits;
    scheduling.preempt = [shards](preemption p) {
      auto& shard = shards->of(p.job);
      shard.send(tell_job{std::move(p.job), preempt_attempt{p.attempt, std::move(p.reason)}});
    };
    scheduling.offer = [shards](offer_device o) { shards->of(o.job).send(std::move(o)); };
    if (!add(part("jobs", one_for_one, {{{.name = "scheduler"}, scheduler_actor(scheduling)}}))) return false;
    scheduler_ = at<scheduler_api>("/node/jobs/scheduler");

    auto env = std::make_shared<job_environment>();
    env->stores_texts = false;  // as the node does with a journal in memory
    env->node_id = "n";
    env->epoch = epoch;
    env->writer = writer_;
    env->reader = reader_;
    env->scheduler = scheduler_;
    env->table = table_;
    env->told = told_;
    env->devices = devices;
    env->results_root = "/nonexistent/results";
    env->run = world_.run;
    std::vector<supervision::child_spec> specs;
    for (auto n : shard_numbers_) specs.push_back({{.name = std::to_string(n), .type = "shard"}, shard_actor(env, n)});
    if (!add(part("shard", one_for_one, std::move(specs)))) return false;
    shards->shards.resize(journal::shard_count);
    for (auto n : shard_numbers_) shards->shards[n] = at<shard_api>("/node/shard/" + std::to_string(n));
    shards_ = shards;

    front_limits limits;
    limits.cpus_available = 4;
    front_ = std::make_unique<jobs::front>(sim_.node("n"), shards, scheduler_, table_, waiting,
                                           std::make_shared<waiting_by_tenant>(), std::vector<std::string>{}, limits);
    return true;
  }

  bool recover() {
    auto status = sim_.ask("n", writer_, journal::journal_status{}, 30s);
    if (!status || !sim_.ask("n", table_, reach_position{status->last_position}, 600s)) return false;
    auto open = sim_.ask("n", table_, list_open_jobs{}, 60s);
    if (!open) return false;
    for (auto& o : *open) {
      if (o.status == job_status::queued) scheduler_.send(waits(o));
      if (o.status == job_status::running || o.status == job_status::retrying)
        shards_->of(o.job).send(recover_job{o.job, ""});
    }
    told_->store(true);
    return true;
  }

  simulation::simulation& sim_;
  surroundings world_;
  std::string journal_name_;
  journal::memory_journal journal_;
  std::set<std::uint32_t> shard_numbers_;
  kit::handle<supervision::supervisor_api> root_;
  kit::handle<journal::writer_api> writer_;
  kit::handle<journal::reader_api> reader_;
  kit::handle<scheduler_api> scheduler_;
  kit::handle<job_table_api> table_;
  std::shared_ptr<shard_map> shards_;
  told_at_start told_;
  std::unique_ptr<jobs::front> front_;
};

}  // namespace horizons::jobs::simulated
