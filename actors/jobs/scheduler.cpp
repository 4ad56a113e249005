#include "actors/jobs/scheduler.hpp"

#include <algorithm>
#include <charconv>
#include <map>

#include "actors/jobs/attempt.hpp"

namespace horizons::jobs {

namespace {

using namespace std::chrono_literals;

constexpr auto preempt_interval = 5s;  // waiting alone may be what makes a job worth another's place

/// What outlives a restart of the scheduler's actor.
struct memory {
  int starts = 0;
  bool held = false;
  std::map<std::string, std::vector<std::string>> gangs;  // devices by unit: only the first one knows the unit
};

/// The inverse of unit_id; nothing for units that are not attempts of jobs.
std::optional<std::pair<job_key, int>> attempt_of(std::string_view unit) {
  auto first = unit.find('/'), last = unit.rfind('/');
  int attempt = 0;
  if (first == last) return {};
  if (std::from_chars(unit.data() + last + 1, unit.data() + unit.size(), attempt).ec != std::errc{}) return {};
  return {{{std::string(unit.substr(0, first)), std::string(unit.substr(first + 1, last - first - 1))}, attempt}};
}

class scheduler {
public:
  scheduler(kit::context& self, std::shared_ptr<const scheduler_environment> env, std::shared_ptr<memory> kept)
      : self_(self), env_(std::move(env)), kept_(std::move(kept)), core_(env_->limits) {
    const bool first = kept_->starts++ == 0 && !env_->told->load();
    env_->waiting->store(0, std::memory_order_relaxed);  // who waits is learned anew
    env_->waiting_of->clear();
    for (auto& d : env_->devices) {
      if (!first && d.actor) {
        find_device(d);
        continue;
      }
      core_.device_up(d.name, d.slots, d.is_accelerator);
      if (d.actor) watch_device(d);
    }
    if (!first && env_->open_jobs.table) learn_jobs();
    watch_offers();
    if (env_->preempt) watch_urgency();
  }

  void step(const job_waits& m) {
    if (auto* r = core_.running(m.job, m.attempt)) return offer(*r);  // it never heard of it
    core_.enqueue(m, self_.now());
    count(m.job.tenant);
    assign();
  }
  void step(const job_leaves& m) {
    core_.dequeue(m.job);
    count(m.job.tenant);
    assign();
  }
  void step(const device_free& m) {
    auto* r = core_.running(m.job, m.attempt);
    if (!r || r->devices.front() != m.device) return;
    if (r->devices.size() > 1) kept_->gangs.erase(unit_id(m.job, m.attempt));
    core_.release(m.job, m.attempt, self_.now());
    assign();
  }
  void step(const hold& m) {
    kept_->held = m.on;
    assign();
  }

  std::string why(const why_waiting& m) {
    auto reason = core_.why(m.job, self_.now());
    return !reason.empty() && kept_->held ? "the node is stopping or held" : reason;
  }

private:
  void assign() {
    if (kept_->held || learning_) return;
    for (auto& a : core_.assign(self_.now())) {
      if (a.devices.size() > 1) kept_->gangs[unit_id(a.job, a.attempt)] = a.devices;
      count(a.job.tenant);
      env_->offer({std::move(a.job), a.attempt, std::move(a.devices.front())});
    }
  }

  /// Tells the doors.
  void count(const std::string& tenant) {
    env_->waiting->store(core_.waiting(), std::memory_order_relaxed);
    env_->waiting_of->set(tenant, core_.waiting_of(tenant));
  }

  void offer(const running_job& r) { env_->offer({r.job.job, r.job.attempt, r.devices.front()}); }

  /// An offer may be lost with whoever held it.
  void watch_offers() {
    self_.after(env_->offer_again, [this] {
      if (!kept_->held)
        core_.for_each_running([this](const running_job& r) {
          if (self_.now() - r.since >= env_->offer_again) offer(r);
        });
      watch_offers();
    });
  }

  void watch_urgency() {
    self_.after(preempt_interval, [this] {
      if (!kept_->held && !learning_)
        for (auto& p : core_.preempt(self_.now())) env_->preempt(std::move(p));
      watch_urgency();
    });
  }

  // -- devices come and go ----------------------------------------------------------------------------------------

  using device = scheduler_environment::device;

  /// A device that is being restarted gets no jobs: they would be lost one after the other.
  void watch_device(const device& d) {
    self_.monitor(d.actor, [this, &d](const kit::exit_cause&) {
      core_.device_down(d.name);
      find_device(d);
    });
  }

  void find_device(const device& d) {
    self_.request(d.actor, gpu::device_status{}, 5s, [this, &d](result<gpu::device_status::reply> r) {
      if (!r) {
        self_.after(200ms, [this, &d] { find_device(d); });
        return;
      }
      for (auto& unit : r->units)
        if (auto a = attempt_of(unit)) found(std::move(a->first), a->second, unit, d);
      core_.device_up(d.name, std::min(d.slots, r->units_max), d.is_accelerator);
      watch_device(d);
      assign();
    });
  }

  void found(job_key job, int attempt, const std::string& unit, const device& d) {
    auto gang = kept_->gangs.find(unit);
    auto devices = gang == kept_->gangs.end() ? std::vector{d.name} : gang->second;
    waiting_job runs{std::move(job)};
    runs.attempt = attempt;
    runs.gpus = d.is_accelerator ? static_cast<int>(devices.size()) : 0;
    core_.found_running(runs, std::move(devices), self_.now());
  }

  // -- after a restart --------------------------------------------------------------------------------------------

  void learn_jobs() {
    learning_ = true;
    for_each_open_job(
        self_, env_->open_jobs,
        [this](const open_job& open) {
          if (open.status == job_status::queued) step(waits(open));
        },
        [this] {
          learning_ = false;
          assign();
        });
  }

  kit::context& self_;
  std::shared_ptr<const scheduler_environment> env_;
  std::shared_ptr<memory> kept_;
  scheduler_core core_;
  bool learning_ = false;
};

}  // namespace

namespace {
job_waits waits(job_key key, const std::string& user, const job_submitted& request) {
  job_waits w;
  w.job = std::move(key);
  w.priority = request.priority;
  w.user = user;
  w.gpus = request.wants.gpus;
  w.cpus = request.wants.cpus;
  w.walltime_s = static_cast<std::uint32_t>(std::clamp<std::int64_t>(request.wants.walltime_s, 0, 1'000'000'000));
  w.dataset = std::hash<std::string>{}(request.dataset);
  w.checkpointable = keeps_checkpoints(request.agent);
  return w;
}
}  // namespace

job_waits waits(const job& j) {
  auto w = waits({j.tenant, j.job_id}, j.user_id, j.request);
  w.order = j.position;
  w.attempt = j.attempt + 1;
  return w;
}

job_waits waits(const event& submitted) {
  auto w = waits({submitted.tenant, submitted.job_id}, submitted.user_id, std::get<job_submitted>(submitted.data));
  w.order = submitted.position;
  return w;
}

job_waits waits(const open_job& j) {
  job_waits w;
  w.job = j.job;
  w.priority = j.priority;
  w.order = j.position;
  w.attempt = j.attempt + 1;
  w.user = j.user;
  w.gpus = j.gpus;
  w.cpus = j.cpus;
  w.walltime_s = static_cast<std::uint32_t>(std::clamp<std::int64_t>(j.walltime_s, 0, 1'000'000'000));
  w.dataset = j.dataset;
  w.checkpointable = keeps_checkpoints(j.agent);
  return w;
}

kit::actor_body scheduler_actor(scheduler_environment environment) {
  auto env = std::make_shared<const scheduler_environment>(std::move(environment));
  return [env, kept = std::make_shared<memory>()](kit::context& self) {
    auto s = std::make_shared<scheduler>(self, env, kept);
    return kit::behavior{}
        .on<job_waits>([s](const job_waits& m) { s->step(m); })
        .on<job_leaves>([s](const job_leaves& m) { s->step(m); })
        .on<device_free>([s](const device_free& m) { s->step(m); })
        .on<hold>([s](const hold& m) { s->step(m); })
        .on<why_waiting>([s](const why_waiting& m) -> result<std::string> { return s->why(m); });
  };
}

}  // namespace horizons::jobs
