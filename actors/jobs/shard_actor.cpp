#include <unordered_map>

#include "actors/jobs/job_actor.hpp"
#include "actors/jobs/open_jobs.hpp"

namespace horizons::jobs {

namespace {

constexpr milliseconds revival_delay{200};  // a job whose actor fails again and again must not keep the node busy

class shard {
public:
  shard(kit::context& self, std::shared_ptr<const job_environment> env, std::uint32_t number)
      : self_(self), env_(std::move(env)), number_(number) {}

  void route(const job_key& key, job_message m) {
    auto& e = entries_[key];
    if (e.ending) return e.stash.push_back(std::move(m));
    if (!e.actor) start(key, e);
    ++e.sent;
    e.actor.send(std::move(m));
  }

  /// Nothing is on its way to the job when it has seen all we sent: only then it may end.
  void idle(const job_idle& i) {
    auto at = entries_.find(i.job);
    if (at == entries_.end() || at->second.ending || at->second.sent != i.seen) return;
    at->second.ending = true;
    at->second.actor.send(passivate{});
  }

  /// The shard's actor was restarted, its jobs' actors ended with it: who was doing something goes on.
  void recover() {
    for_each_open_job(self_, {number_, env_->epoch, env_->writer, env_->table}, [this](const open_job& open) {
      if (journal::shard_of(open.job.tenant, open.job.job_id) == number_ && open.status != job_status::paused)
        route(open.job, {job_message::recovery{}});
    });
  }

private:
  struct entry {
    kit::handle<job_api> actor;
    std::uint64_t sent = 0;
    bool ending = false;
    std::vector<job_message> stash;  // what came while it ended: milliseconds, or the revival delay
  };

  void start(const job_key& key, entry& e) {
    auto name = "job/" + (key.tenant == "default" ? key.job_id : key.tenant + "/" + key.job_id);
    e.actor =
        self_.spawn<job_api>({.name = name, .type = "job"}, job_actor(env_, self_.self_as<shard_api>(), number_, key),
                             {.restart = kit::restart::temporary});
    e.sent = 0;
    self_.monitor(e.actor, [this, key](const kit::exit_cause& cause) { ended(key, cause); });
  }

  void ended(const job_key& key, const kit::exit_cause& cause) {
    auto at = entries_.find(key);
    if (at == entries_.end()) return;
    if (!cause.abnormal()) return begin_again(key, false);
    // A defect in the job's actor: its state is in the journal, a fresh one goes on from there.
    at->second.ending = true;
    self_.after(revival_delay, [this, key] { begin_again(key, true); });
  }

  void begin_again(const job_key& key, bool failed) {
    auto at = entries_.find(key);
    if (at == entries_.end()) return;
    auto stash = std::move(at->second.stash);
    entries_.erase(at);
    if (failed) route(key, {job_message::recovery{}});
    for (auto& m : stash) route(key, std::move(m));
  }

  kit::context& self_;
  std::shared_ptr<const job_environment> env_;
  std::uint32_t number_;
  std::unordered_map<job_key, entry, job_key_hash> entries_;
};

}  // namespace

kit::actor_body shard_actor(std::shared_ptr<const job_environment> env, std::uint32_t number) {
  return [env, number, starts = std::make_shared<int>(0)](kit::context& self) {
    auto s = std::make_shared<shard>(self, env, number);
    if ((*starts)++ > 0 || env->told->load()) s->recover();  // at the first start the node tells who was not done
    return kit::behavior{}
        .on<submit>([s](submit& m, kit::promise<submit::reply> answer) {
          job_key key{m.what.tenant, m.what.job_id};
          s->route(key, {job_message::submission{std::move(m), std::move(answer)}});
        })
        .on<order>([s](order& m, kit::promise<order::reply> answer) {
          auto job = m.job;
          s->route(job, {job_message::instruction{std::move(m), std::move(answer)}});
        })
        .on<get_job>([s](const get_job& m, kit::promise<job> answer) {
          s->route(m.job, {job_message::question{std::move(answer)}});
        })
        .on<offer_device>([s](const offer_device& m) {
          s->route(m.job, {job_message::offer{m.attempt, m.device}});
        })
        .on<tell_job>([s](tell_job& m) { s->route(m.job, {std::move(m.what)}); })
        .on<recover_job>([s](const recover_job& m) { s->route(m.job, {job_message::recovery{m.crashed_by}}); })
        .on<job_idle>([s](const job_idle& m) { s->idle(m); });
  };
}

}  // namespace horizons::jobs
