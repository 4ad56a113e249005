// What may happen to a job next: accept, reject and decide.
#include <algorithm>

#include "actors/jobs/job.hpp"
#include "actors/jobs/job_reasons.hpp"

namespace horizons::jobs {

namespace {

std::string name(job_status s) { return std::string(to_string(s)); }

template <class Change>
Change change(const job& j, job_status to, std::string reason, int attempt, const std::string& node,
              std::string device = {}) {
  Change c;
  c.old_status = name(j.status);
  c.new_status = name(to);
  c.reason = std::move(reason);
  c.attempt = attempt;
  c.node = node;
  c.device = std::move(device);
  return c;
}

tl::unexpected<error> impossible(const job& j, std::string_view order, std::string_view right) {
  return failure(error_code::conflict, "job " + j.job_id + " is " + name(j.status) + " and cannot be " +
                                           std::string(order) + "; that is possible while it is " + std::string(right));
}

milliseconds backoff(const job& j, int failures, const retry_limits& limits) {
  auto delay = limits.backoff_first * (std::int64_t{1} << std::min(failures - 1, 20));
  delay = std::min<milliseconds>(delay, limits.backoff_max);
  // Jitter of up to a quarter, taken from the job's name: jobs that failed together do not come back together, and
  // a simulation comes out the same again.
  auto spread = std::hash<std::string>{}(j.job_id + std::to_string(failures)) % 1024;
  return delay + delay * spread / 4096;
}

/// The decisions, one function for each thing that can happen.
struct decider {
  const job& j;
  const retry_limits& limits;
  const std::string& node;

  bool runs(int attempt) const { return j.status == job_status::running && j.attempt == attempt; }

  job_failed failed(problem why, error_class cls, double duration_s) const {
    job_failed f;
    f.old_status = name(j.status);
    f.new_status = name(job_status::failed);
    f.error = std::move(why);
    f.error_class = to_string(cls);
    f.attempt = j.attempt;
    f.execution_duration_s = duration_s;
    return f;
  }

  result<decision> operator()(const start_attempt& s) const {
    // The scheduler offered a device; the job may have been cancelled or paused meanwhile.
    if (j.status != job_status::queued) return decision{{}, {free_device{}}};
    int attempt = j.attempt + 1;
    return decision{{change<job_running>(j, job_status::running, "", attempt, s.node, s.device)},
                    {begin_attempt{attempt}}};
  }

  result<decision> operator()(const report_progress& p) const {
    if (!runs(p.attempt)) return decision{};
    job_progress e;
    e.progress = std::clamp(p.progress, 0.0, 1.0);
    e.stage = p.stage;
    e.eta_s = p.eta_s;
    return decision{{e}, {}};
  }

  result<decision> operator()(const finish_attempt& f) const {
    if (!runs(f.attempt)) {
      // Cancelled, paused or given to a later attempt: its outcome no longer counts. What lies published may be the
      // later attempt's: that one cleans up when it begins.
      if (j.status == job_status::completed || j.status == job_status::running) return decision{};
      return decision{{}, {discard_results{f.attempt}}};
    }
    job_completed c;
    c.old_status = name(j.status);
    c.execution_duration_s = f.duration_s;
    c.results = f.results;
    c.metrics = f.metrics;
    if (const auto& most = j.request.estimated_cost_usd; most && j.request.wants.walltime_s > 0)
      c.cost_usd = *most * f.duration_s / static_cast<double>(j.request.wants.walltime_s);
    return decision{{c}, {}};
  }

  result<decision> operator()(const fail_attempt& f) const {
    if (!runs(f.attempt)) return decision{};
    auto cls = f.cls;
    bool again = cls != error_class::invalid && j.failures + 1 < limits.attempts_max;
    if (again) {
      auto text = std::string(to_string(cls)) + ": " + f.why.text;
      return decision{{change<job_retrying>(j, job_status::retrying, text, j.attempt, node)},
                      {wait_to_retry{backoff(j, j.failures + 1, limits)}}};
    }
    problem why{std::string(horizons::to_string(f.why.code)),
                cls == error_class::invalid ? "the job cannot be run"
                                            : "the job failed " + std::to_string(j.failures + 1) + " times",
                f.why.text};
    return decision{{failed(std::move(why), cls, f.duration_s)}, {}};
  }

  result<decision> operator()(const lose_attempt& l) const {
    if (j.status != job_status::running || (l.attempt != 0 && l.attempt != j.attempt)) return decision{};
    if (l.crashed && j.crashes + 1 >= limits.crashes_max)
      return decision{{failed({"crashed", "crashed the node",
                               "attempt " + std::to_string(j.attempt) + " ended the process: " + l.why +
                                   "; the job is not tried again, so that the node stays up"},
                              error_class::crashed, 0)},
                      {}};
    if (!l.crashed && j.interruptions + 1 > limits.interruptions_max)
      return decision{
          {failed({"interrupted", "interrupted too often",
                   std::to_string(j.interruptions + 1) + " starts were lost to stops of the node; the limit is " +
                       std::to_string(limits.interruptions_max)},
                  error_class::transient, 0)},
          {}};
    auto reason = std::string(l.crashed ? crashed : interrupted) + ": " + l.why;
    return decision{{change<job_queued>(j, job_status::queued, reason, j.attempt, node)}, {enqueue_job{}}};
  }

  result<decision> operator()(const preempt_attempt& p) const {
    if (!runs(p.attempt)) return decision{};
    return decision{{change<job_queued>(j, job_status::queued, "preempted: " + p.why, j.attempt, node)},
                    {stop_attempt{j.attempt}, enqueue_job{}}};
  }

  result<decision> operator()(const retry_due&) const {
    if (j.status != job_status::retrying) return decision{};
    return decision{{change<job_queued>(j, job_status::queued, "retry", j.attempt, node)}, {enqueue_job{}}};
  }

  result<decision> operator()(const cancel_job& c) const {
    if (j.status == job_status::cancelled) return decision{};  // asked twice: the same answer
    if (is_final(j.status)) return impossible(j, "cancelled", "SUBMITTED, QUEUED, RUNNING, RETRYING or PAUSED");
    job_cancelled e;
    e.old_status = name(j.status);
    e.by = c.by;
    e.reason = c.reason;
    decision d{{e}, {}};
    if (j.status == job_status::running) d.effects = {stop_attempt{j.attempt}};
    if (j.status == job_status::queued || j.status == job_status::submitted) d.effects = {dequeue_job{}};
    return d;
  }

  result<decision> operator()(const pause_job& p) const {
    if (j.status == job_status::paused) return decision{};
    if (j.status != job_status::queued && j.status != job_status::running && j.status != job_status::retrying)
      return impossible(j, "paused", "QUEUED, RUNNING or RETRYING");
    decision d{{change<job_paused>(j, job_status::paused, with_reason("paused", p.by, p.reason), j.attempt, node)}, {}};
    if (j.status == job_status::running) d.effects = {stop_attempt{j.attempt}};
    if (j.status == job_status::queued) d.effects = {dequeue_job{}};
    return d;
  }

  result<decision> operator()(const resume_job& r) const {
    if (j.status == job_status::queued || j.status == job_status::running) return decision{};
    if (j.status != job_status::paused) return impossible(j, "resumed", "PAUSED");
    auto reason = with_reason("resumed", r.by, r.reason);
    if (j.resume_to == job_status::retrying)
      return decision{{change<job_resumed>(j, job_status::retrying, reason, j.attempt, node)},
                      {wait_to_retry{milliseconds{0}}}};
    return decision{{change<job_resumed>(j, job_status::queued, reason, j.attempt, node)}, {enqueue_job{}}};
  }

  result<decision> operator()(const retry_job& r) const {
    if (j.status != job_status::failed && j.status != job_status::cancelled)
      return impossible(j, "retried", "FAILED or CANCELLED");
    return decision{
        {change<job_queued>(j, job_status::queued, with_reason("retried", r.by, r.reason), j.attempt, node)},
        {enqueue_job{}}};
  }
};

}  // namespace

std::vector<event_data> accept(command&& c, const std::string& node, const hourly_prices& prices) {
  job_submitted s;
  s.agent = std::move(c.agent);
  s.dataset = std::move(c.dataset);
  s.params = std::move(c.params);
  s.priority = c.priority;
  s.wants = c.wants;
  if (prices.cpu_usd > 0 || prices.gpu_usd > 0)
    s.estimated_cost_usd = (c.wants.cpus * prices.cpu_usd + c.wants.gpus * prices.gpu_usd) *
                           static_cast<double>(c.wants.walltime_s) / 3'600;
  job_queued q;
  q.old_status = name(job_status::submitted);
  q.new_status = name(job_status::queued);
  q.node = node;
  std::vector<event_data> both;
  both.reserve(2);
  both.emplace_back(std::move(s));
  both.emplace_back(std::move(q));
  return both;
}

std::vector<event_data> reject(const error& why) {
  job_rejected r;
  r.new_status = name(job_status::rejected);
  r.error = {std::string(horizons::to_string(why.code)), "the submission was refused", why.text};
  r.error_class = to_string(error_class::invalid);
  return {r};
}

result<decision> decide(const job& j, const job_input& input, const retry_limits& limits, const std::string& node) {
  if (j.status == job_status::none) return failure(error_code::not_found, "job " + j.job_id + " does not exist");
  auto d = std::visit(decider{j, limits, node}, input);
  if (d && std::ranges::any_of(d->events, [](const event_data& e) {
        return std::holds_alternative<job_failed>(e) || std::holds_alternative<job_cancelled>(e);
      }))
    d->effects.emplace_back(discard_progress{});
  return d;
}

}  // namespace horizons::jobs
