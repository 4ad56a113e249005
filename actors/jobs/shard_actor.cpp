#include <unordered_map>

#include "actors/jobs/job_actor.hpp"

namespace horizons::jobs {

namespace {

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

private:
  struct entry {
    kit::handle<job_api> actor;
    std::uint64_t sent = 0;
    bool ending = false;
    std::vector<job_message> stash;  // what came while it ended: milliseconds
  };

  void start(const job_key& key, entry& e) {
    auto name = "job/" + (key.tenant == "default" ? key.job_id : key.tenant + "/" + key.job_id);
    e.actor = self_.spawn<job_api>({.name = name, .type = "job"},
                                   job_actor(env_, self_.self_as<shard_api>(), number_, key),
                                   {.restart = kit::restart::temporary});
    e.sent = 0;
    self_.monitor(e.actor, [this, key](const kit::exit_cause& cause) { ended(key, cause); });
  }

  void ended(const job_key& key, const kit::exit_cause& cause) {
    auto at = entries_.find(key);
    if (at == entries_.end()) return;
    auto stash = std::move(at->second.stash);
    entries_.erase(at);
    // A defect in the job's actor: its state is in the journal, a fresh one goes on from there.
    if (cause.abnormal()) route(key, {job_message::recovery{}});
    for (auto& m : stash) route(key, std::move(m));
  }

  kit::context& self_;
  std::shared_ptr<const job_environment> env_;
  std::uint32_t number_;
  std::unordered_map<job_key, entry, job_key_hash> entries_;
};

}  // namespace

kit::actor_body shard_actor(std::shared_ptr<const job_environment> env, std::uint32_t number) {
  return [env, number](kit::context& self) {
    auto s = std::make_shared<shard>(self, env, number);
    return kit::behavior{}
        .on<submit>([s](submit& m, kit::promise<submit::reply> answer) {
          job_key key{m.what.tenant, m.what.job_id};
          s->route(key, {job_message::submission{std::move(m), std::move(answer)}});
        })
        .on<order>([s](order& m, kit::promise<json> answer) {
          s->route(m.job, {job_message::instruction{std::move(m.what), std::move(answer)}});
        })
        .on<get_job>([s](const get_job& m, kit::promise<job> answer) { s->route(m.job, {job_message::question{std::move(answer)}}); })
        .on<offer_device>([s](const offer_device& m) { s->route(m.job, {job_message::offer{m.device}}); })
        .on<tell_job>([s](tell_job& m) { s->route(m.job, {std::move(m.what)}); })
        .on<recover_job>([s](const recover_job& m) { s->route(m.job, {job_message::recovery{m.crashed_by}}); })
        .on<job_idle>([s](const job_idle& m) { s->idle(m); });
  };
}

}  // namespace horizons::jobs
