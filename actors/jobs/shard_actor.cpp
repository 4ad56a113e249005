#include <deque>
#include <unordered_map>

#include "actors/jobs/durable_append.hpp"
#include "actors/jobs/job_actor.hpp"
#include "actors/jobs/open_jobs.hpp"

namespace horizons::jobs {

namespace {

constexpr milliseconds revival_delay{200};  // a job whose actor fails again and again must not keep the node busy
constexpr std::size_t newborn_max = 256;    // of a shard: their first events, some 1.5 KiB, so that no start reads them

/// Makes jobs durable, and starts a job's actor when there is something for it to do: a million that only wait for
/// their turn are rows and a place in the scheduler's line.
class shard {
public:
  shard(kit::context& self, std::shared_ptr<const job_environment> env, std::uint32_t number)
      : self_(self), env_(std::move(env)), number_(number) {}

  /// Also when the job is known already: the claim in the journal tells whether it is the same submission.
  void create(submit& s, kit::promise<submit::reply> answer) {
    auto& c = s.what;
    job_key key{c.tenant, c.job_id};
    auto b = std::make_shared<journal::batch>();
    b->shard = number_;
    b->epoch = env_->epoch;
    b->claims.push_back({key.tenant, c.user_id, key.job_id, std::move(c.idempotency_key), std::move(s.digest)});
    const bool refused = s.refused.has_value();
    const std::string user = std::move(c.user_id), correlation = std::move(c.correlation_id);
    add_events(*b, {key.tenant, user, key.job_id, correlation, {}, s.traceparent}, 0, self_.utc(),
               refused ? reject(*s.refused) : accept(std::move(c), env_->node_id, env_->prices));
    if (s.mark) b->marks.push_back(std::move(*s.mark));
    ++entries_[key].creating;
    append_until_known(
        self_, *env_, b, /*give_up=*/true,
        [this, b, key = std::move(key), answer = std::move(answer), refused](result<journal::append_outcome> r) {
          const bool is_new = r && !r->conflict;
          if (is_new) {
            if (!refused) env_->scheduler.send(waits(b->events.front()));
            answer.deliver({true, key.job_id, b, !b->marks.empty()});
          } else {
            answer.set(existing(std::move(r), b->claims.front()));
          }
          created(key, is_new && !refused ? b : nullptr);
        });
  }

  void route(const job_key& key, job_message m) {
    auto& e = entries_[key];
    if (e.ending || e.creating > 0) return e.stash.push_back(std::move(m));
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
    int creating = 0;  // submissions of it on their way to the journal
    bool ending = false;
    std::shared_ptr<const journal::batch> born;  // of a new job whose actor was not needed yet
    std::vector<job_message> stash;  // what came while it was created or ended: milliseconds, or the revival delay
  };

  static result<submit::reply> existing(result<journal::append_outcome> r, const journal::identity_claim& mine) {
    if (!r) return failure(std::move(r.error()));
    auto& owner = *r->conflict;
    if (owner.digest == mine.digest) return submit::reply{false, owner.job_id, nullptr, false};
    return failure(error_code::conflict,
                   owner.job_id == mine.job_id
                       ? "job_id " + mine.job_id + " exists with other content; use another job_id"
                       : "idempotency_key belongs to job " + owner.job_id + ", submitted with other content");
  }

  void created(const job_key& key, std::shared_ptr<const journal::batch> born) {
    auto at = entries_.find(key);
    if (at == entries_.end()) return;
    auto& e = at->second;
    if (born && !e.actor) {
      e.born = std::move(born);
      newborn_.push_back(key);
      while (newborn_.size() > newborn_max) {
        forget_newborn(newborn_.front());
        newborn_.pop_front();
      }
    }
    if (--e.creating > 0 || e.ending) return;
    for (auto& m : std::exchange(e.stash, {})) route(key, std::move(m));
    if (!e.actor && !e.born) entries_.erase(at);
  }

  /// From then on its actor reads the journal.
  void forget_newborn(const job_key& key) {
    auto at = entries_.find(key);
    if (at == entries_.end()) return;
    at->second.born = nullptr;
    if (!at->second.actor && at->second.creating == 0 && !at->second.ending) entries_.erase(at);
  }

  void start(const job_key& key, entry& e) {
    auto name = "job/" + (key.tenant == "default" ? key.job_id : key.tenant + "/" + key.job_id);
    e.actor = self_.spawn<job_api>({.name = name, .type = "job"},
                                   job_actor(env_, self_.self_as<shard_api>(), number_, key, std::move(e.born)),
                                   {.restart = kit::restart::temporary});
    e.born = nullptr;
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
    if (const int creating = at->second.creating; creating > 0) {
      at->second = {};
      at->second.creating = creating;
    } else {
      entries_.erase(at);
    }
    if (failed) route(key, {job_message::recovery{}});
    for (auto& m : stash) route(key, std::move(m));
  }

  kit::context& self_;
  std::shared_ptr<const job_environment> env_;
  std::uint32_t number_;
  std::unordered_map<job_key, entry, job_key_hash> entries_;
  std::deque<job_key> newborn_;  // whose first events may still be held, in order of birth
};

}  // namespace

kit::actor_body shard_actor(std::shared_ptr<const job_environment> env, std::uint32_t number) {
  return [env, number, starts = std::make_shared<int>(0)](kit::context& self) {
    auto s = std::make_shared<shard>(self, env, number);
    if ((*starts)++ > 0 || env->told->load()) s->recover();  // at the first start the node tells who was not done
    return kit::behavior{}
        .on<submit>([s](submit& m, kit::promise<submit::reply> answer) { s->create(m, std::move(answer)); })
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
