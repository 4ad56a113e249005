#include "actors/jobs/front.hpp"

#include "actors/agents/agent.hpp"
#include "actors/consumers/job_spans.hpp"
#include "actors/jobs/attempt.hpp"
#include "actors/jobs/content_digest.hpp"
#include "messages/ulid.hpp"

namespace horizons::jobs {

namespace {

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

/// What even a rejected submission must have to be stored: names that are names.
result<void> check_names(const command& c) {
  command names;
  names.job_id = c.job_id;
  names.tenant = c.tenant;
  names.user_id = c.user_id;
  names.correlation_id = c.correlation_id;
  names.idempotency_key = c.idempotency_key;
  names.agent = "any";
  names.dataset = "file:///any";
  if (!is_job_id(c.job_id))
    return failure(error_code::invalid_argument,
                   "job_id: \"" + c.job_id + "\" is no job id; expected [A-Za-z0-9][A-Za-z0-9._-]{0,63}");
  return validate(names);
}

result<job_input> order_input(std::string_view what, std::string by, std::string reason) {
  if (what == "cancel") return cancel_job{std::move(by), std::move(reason)};
  if (what == "pause") return pause_job{std::move(by), std::move(reason)};
  if (what == "resume") return resume_job{std::move(by), std::move(reason)};
  if (what == "retry") return retry_job{std::move(by), std::move(reason)};
  return failure(error_code::invalid_argument,
                 "command: \"" + std::string(what) + "\" is unknown; expected submit, cancel, pause, resume or retry");
}

}  // namespace

json job_answer::view() const {
  if (!born_) return view_;
  job j;
  for (auto& e : born_->events) j.apply(e);
  return j.view();
}

front::front(kit::system& system, std::shared_ptr<const shard_map> shards, kit::handle<scheduler_api> scheduler,
             kit::handle<job_table_api> table, waiting_count waiting,
             std::shared_ptr<const waiting_by_tenant> waiting_of, std::vector<std::string> dataset_allow,
             front_limits limits)
    : system_(system),
      shards_(std::move(shards)),
      scheduler_(std::move(scheduler)),
      table_(std::move(table)),
      waiting_(std::move(waiting)),
      waiting_of_(std::move(waiting_of)),
      dataset_allow_(std::make_shared<const std::vector<std::string>>(std::move(dataset_allow))),
      limits_(limits) {}

result<void> front::check(const command& c) const {
  if (auto ok = validate(c); !ok) return ok;
  if (auto ok = check_agent(c); !ok) return ok;
  if (auto ok = check_resources(c.wants, limits_); !ok) return ok;
  return check_dataset(c.dataset, *dataset_allow_);
}

result<void> front::check_queue(const std::string& tenant) const {
  const auto full = [](std::size_t waiting, const std::string& whose, const char* key, std::size_t limit) {
    return failure(error_code::limit_exceeded, std::to_string(waiting) + " jobs" + whose + " wait; the limit is jobs." +
                                                   key + " = " + std::to_string(limit));
  };
  const auto all = waiting_->load(std::memory_order_relaxed);
  if (all >= limits_.queued_max) return full(all, "", "queued_max", limits_.queued_max);
  const auto own = waiting_of_->of(tenant);
  if (own >= limits_.queued_max_per_tenant)
    return full(own, " of tenant " + tenant, "queued_max_per_tenant", limits_.queued_max_per_tenant);
  return {};
}

void front::send(jobs::submit message, answer<taken> then) const {
  auto tenant = message.what.tenant;
  message.traceparent = consumers::traceparent_of_job(message.traceparent, tenant, message.what.job_id);
  auto& shard = shards_->of({tenant, message.what.job_id});
  bool rejected = message.refused.has_value();
  system_.ask(shard, std::move(message), limits_.answer_timeout,
              [self = *this, tenant, rejected, then = std::move(then)](result<jobs::submit::reply> r) {
                if (!r && r.error().code == error_code::limit_exceeded)  // of the journal: no queue is full
                  r.error().code = error_code::invalid_argument;
                if (!r) return then(failure(std::move(r.error())));
                if (r->is_new) return then(taken{true, rejected, r->marked, job_answer(std::move(r->born))});
                self.get({tenant, r->job_id}, [rejected, then](result<json> job) {
                  if (!job) return then(failure(std::move(job.error())));
                  then(taken{false, rejected, false, job_answer(std::move(*job))});
                });
              });
}

void front::submit(command c, std::string traceparent, answer<accepted> then) const {
  if (auto ok = check(c); !ok) return then(failure(ok.error()));
  if (auto ok = check_queue(c.tenant); !ok) return then(failure(ok.error()));
  if (c.job_id.empty()) c.job_id = make_ulid(system_.utc());
  auto digest = content_digest(c);
  send({std::move(c), std::move(digest), std::move(traceparent), {}, {}}, [then = std::move(then)](result<taken> r) {
    if (!r) return then(failure(std::move(r.error())));
    then(accepted{r->changed, std::move(r->job)});
  });
}

void front::take(command c, std::string traceparent, std::optional<journal::source_mark> mark,
                 answer<taken> then) const {
  if (auto ok = check_names(c); !ok) return then(failure(error_code::invalid_argument, ok.error().text));
  if (c.command_name != "submit") {
    if (auto ok = validate(c); !ok) return then(failure(error_code::invalid_argument, ok.error().text));
    auto input = order_input(c.command_name, c.user_id, "");
    if (!input) return then(failure(input.error()));
    job_key key{c.tenant, c.job_id};
    auto& shard = shards_->of(key);
    return system_.ask(shard, order{std::move(key), std::move(*input), std::move(mark)}, limits_.answer_timeout,
                       [then = std::move(then)](result<order::reply> r) {
                         if (!r) return then(failure(std::move(r.error())));
                         then(taken{true, false, r->marked, job_answer(std::move(r->view))});
                       });
  }
  std::optional<error> refused;
  if (auto ok = check(c); !ok) refused = ok.error();
  if (!refused)
    if (auto ok = check_queue(c.tenant); !ok) return then(failure(ok.error()));
  auto digest = content_digest(c);
  send({std::move(c), std::move(digest), std::move(traceparent), std::move(refused), std::move(mark)}, std::move(then));
}

void front::give_order(job_key job, std::string_view what, std::string by, std::string reason,
                       answer<json> then) const {
  auto input = order_input(what, std::move(by), std::move(reason));
  if (!input) return then(failure(input.error()));
  auto& shard = shards_->of(job);
  system_.ask(shard, order{std::move(job), std::move(*input), {}}, limits_.answer_timeout,
              [then = std::move(then)](result<order::reply> r) {
                if (!r) return then(failure(std::move(r.error())));
                then(std::move(r->view));
              });
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
