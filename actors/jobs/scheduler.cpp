#include "actors/jobs/scheduler.hpp"

#include <charconv>
#include <unordered_map>

namespace horizons::jobs {

namespace {

using namespace std::chrono_literals;

/// What outlives a restart of the scheduler's actor.
struct memory {
  int starts = 0;
  bool held = false;
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
    for (auto& d : env_->devices) {
      if (!first && d.actor) {
        find_device(d);
        continue;
      }
      core_.device_up(d.name, d.slots);
      if (d.actor) watch_device(d);
    }
    if (!first && env_->open_jobs.table) learn_jobs();
    watch_offers();
  }

  void step(const job_waits& m) {
    if (auto at = given_.find(unit_id(m.job, m.attempt)); at != given_.end())
      return offer(at->second);  // it never heard of it
    core_.enqueue(m.job, m.priority, m.order, self_.now(), m.attempt);
    assign();
  }
  void step(const job_leaves& m) {
    core_.dequeue(m.job);
    assign();
  }
  void step(const device_free& m) {
    auto at = given_.find(unit_id(m.job, m.attempt));
    if (at == given_.end() || at->second.device != m.device) return;
    given_.erase(at);
    core_.release(m.device);
    assign();
  }
  void step(const hold& m) {
    kept_->held = m.on;
    assign();
  }

  std::string why(const why_waiting& m) const {
    auto ahead = core_.ahead_of(m.job, self_.now());
    if (!ahead) return "";
    if (kept_->held) return "the node is stopping or held";
    return *ahead == 0 ? "next in line" : std::to_string(*ahead) + " ahead";
  }

private:
  struct given {
    job_key job;
    int attempt;
    std::string device;
    kit::instant since;
  };

  void assign() {
    if (!kept_->held && !learning_)
      for (auto& a : core_.assign(self_.now())) {
        auto unit = unit_id(a.job, a.attempt);
        offer(given_[unit] = {std::move(a.job), a.attempt, std::move(a.device), self_.now()});
      }
    env_->waiting->store(core_.waiting(), std::memory_order_relaxed);
  }

  void offer(const given& g) { env_->offer({g.job, g.attempt, g.device}); }

  /// An offer may be lost with whoever held it.
  void watch_offers() {
    self_.after(env_->offer_again, [this] {
      if (!kept_->held)
        for (auto& [_, g] : given_)
          if (self_.now() - g.since >= env_->offer_again) offer(g);
      watch_offers();
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
        if (auto a = attempt_of(unit)) given_.try_emplace(unit, given{a->first, a->second, d.name, self_.now()});
      core_.device_up(d.name, d.slots);
      for (auto& [_, g] : given_)
        if (g.device == d.name) core_.occupy(d.name);
      watch_device(d);
      assign();
    });
  }

  // -- after a restart --------------------------------------------------------------------------------------------

  void learn_jobs() {
    learning_ = true;
    for_each_open_job(
        self_, env_->open_jobs,
        [this](const open_job& open) {
          if (open.status == job_status::queued)
            step(job_waits{open.job, open.priority, open.position, open.attempt + 1});
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
  std::unordered_map<std::string, given> given_;  // by unit: at most one per slot, and some that stop
  bool learning_ = false;
};

}  // namespace

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
