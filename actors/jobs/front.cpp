#include "actors/jobs/front.hpp"

#include "actors/agents/agent.hpp"
#include "actors/agents/sha256.hpp"
#include "actors/jobs/attempt.hpp"
#include "messages/ulid.hpp"

namespace horizons::jobs {

namespace {

/// What makes two submissions the same: everything but the identifiers that tie messages together.
std::string digest_of(const command& c) {
  json content = {{"agent", c.agent},
                  {"dataset", c.dataset},
                  {"params", c.params},
                  {"user_id", c.user_id},
                  {"tenant", c.tenant},
                  {"priority", c.priority},
                  {"gpus", c.wants.gpus},
                  {"cpus", c.wants.cpus},
                  {"walltime_s", c.wants.walltime_s},
                  {"memory_gb", c.wants.memory_gb ? json(*c.wants.memory_gb) : json(nullptr)}};
  return agents::sha256_of_text(content.dump());
}

result<void> check_agent(const command& c) {
  auto* agent = agents::find_agent(c.agent);
  if (!agent) {
    std::string names;
    for (auto& a : agents::all_agents()) names += (names.empty() ? "" : ", ") + std::string(a->name());
    return failure(error_code::invalid_argument, "agent: \"" + c.agent + "\" is unknown; expected one of " + names);
  }
  return agent->check(c.params);
}

result<void> check_resources(const resources& r, const front_limits& node) {
  auto short_of = [](std::string what, std::string wanted, std::string there) {
    return failure(error_code::invalid_argument,
                   "resources." + what + ": " + wanted + " wanted, " + there + " on the largest node");
  };
  if (r.gpus > node.gpus_available)
    return short_of("gpus", std::to_string(r.gpus), std::to_string(node.gpus_available));
  if (r.cpus > node.cpus_available)
    return short_of("cpus", std::to_string(r.cpus), std::to_string(node.cpus_available));
  if (r.memory_gb && node.memory_gb_available > 0 && *r.memory_gb > node.memory_gb_available)
    return short_of("memory_gb", std::to_string(*r.memory_gb), std::to_string(node.memory_gb_available));
  return {};
}

}  // namespace

front::front(kit::system& system, std::shared_ptr<const shard_map> shards, kit::handle<scheduler_api> scheduler,
             kit::handle<job_table_api> table, waiting_count waiting, std::vector<std::string> dataset_allow,
             front_limits limits)
    : system_(system),
      shards_(std::move(shards)),
      scheduler_(std::move(scheduler)),
      table_(std::move(table)),
      waiting_(std::move(waiting)),
      dataset_allow_(std::move(dataset_allow)),
      limits_(limits) {}

void front::submit(command c, answer<accepted> then) const {
  auto refuse = [&](error e) { then(failure(std::move(e))); };
  if (auto ok = validate(c); !ok) return refuse(ok.error());
  if (auto ok = check_agent(c); !ok) return refuse(ok.error());
  if (auto ok = check_resources(c.wants, limits_); !ok) return refuse(ok.error());
  if (auto path = local_dataset(c.dataset, dataset_allow_); !path) return refuse(path.error());
  if (auto waiting = waiting_->load(std::memory_order_relaxed); waiting >= limits_.queued_max)
    return refuse({error_code::limit_exceeded, std::to_string(waiting) + " jobs wait; the limit is jobs.queued_max = " +
                                                   std::to_string(limits_.queued_max)});
  if (c.job_id.empty()) c.job_id = make_ulid(system_.utc());
  auto digest = digest_of(c);
  auto& shard = shards_->of({c.tenant, c.job_id});
  auto tenant = c.tenant;
  jobs::submit message{std::move(c), std::move(digest)};
  system_.ask(shard, std::move(message), limits_.answer_timeout,
              [self = *this, tenant, then = std::move(then)](result<jobs::submit::reply> r) {
                if (!r) return then(failure(std::move(r.error())));
                if (r->is_new) return then(accepted{true, std::move(r->view)});
                self.get({tenant, r->job_id}, [then](result<json> job) {
                  if (!job) return then(failure(std::move(job.error())));
                  then(accepted{false, std::move(*job)});
                });
              });
}

void front::give_order(job_key job, std::string_view what, std::string by, std::string reason,
                       answer<json> then) const {
  job_input input = retry_due{};
  if (what == "cancel")
    input = cancel_job{std::move(by), std::move(reason)};
  else if (what == "pause")
    input = pause_job{std::move(by), std::move(reason)};
  else if (what == "resume")
    input = resume_job{std::move(by), std::move(reason)};
  else if (what == "retry")
    input = retry_job{std::move(by), std::move(reason)};
  else
    return then(
        failure(error_code::invalid_argument,
                "command: \"" + std::string(what) + "\" is unknown; expected submit, cancel, pause, resume or retry"));
  auto& shard = shards_->of(job);
  system_.ask(shard, order{std::move(job), std::move(input)}, limits_.answer_timeout, std::move(then));
}

void front::fold(job_key job, answer<jobs::job> then) const {
  auto& shard = shards_->of(job);
  system_.ask(shard, get_job{std::move(job)}, limits_.answer_timeout, std::move(then));
}

void front::get(job_key job, answer<json> then) const {
  fold(std::move(job), [self = *this, then = std::move(then)](result<jobs::job> j) {
    if (!j) return then(failure(std::move(j.error())));
    self.with_waiting(std::move(*j), then);
  });
}

void front::with_waiting(jobs::job j, answer<json> then) const {
  if (j.status != job_status::queued) return then(j.view());
  job_key key{j.tenant, j.job_id};
  system_.ask(scheduler_, why_waiting{std::move(key)}, limits_.answer_timeout,
              [j = std::move(j), then = std::move(then)](result<std::string> why) { then(j.view(why.value_or(""))); });
}

void front::list(job_query query, answer<job_page> then) const {
  system_.ask(table_, list_jobs{std::move(query)}, limits_.answer_timeout, std::move(then));
}

json list_agents() {
  json list = json::array();
  for (auto& a : agents::all_agents())
    list.push_back({{"name", a->name()}, {"summary", a->summary()}, {"parameters", a->parameter_schema()}});
  return {{"agents", std::move(list)}};
}

}  // namespace horizons::jobs
