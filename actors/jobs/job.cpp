#include "actors/jobs/job.hpp"

#include <algorithm>
#include <array>

#include "messages/codec/json.hpp"
#include "messages/codec/json_writer.hpp"
#include "messages/codec/write.hpp"

namespace horizons::jobs {

namespace {

constexpr std::array<std::string_view, 10> status_names = {"NONE",   "SUBMITTED", "QUEUED", "RUNNING",   "RETRYING",
                                                           "PAUSED", "COMPLETED", "FAILED", "CANCELLED", "REJECTED"};

std::string name(job_status s) { return std::string(to_string(s)); }

// Reasons that the fold understands: they say what a job.queued after RUNNING counts as.
constexpr std::string_view interrupted = "interrupted";
constexpr std::string_view crashed = "crashed";

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

std::string with_reason(std::string_view what, const std::string& by, const std::string& reason) {
  std::string text = std::string(what) + (by.empty() ? "" : " by " + by);
  return reason.empty() ? text : text + ": " + reason;
}

milliseconds backoff(const job& j, int failures, const retry_limits& limits) {
  auto delay = limits.backoff_first * (std::int64_t{1} << std::min(failures - 1, 20));
  delay = std::min<milliseconds>(delay, limits.backoff_max);
  // Jitter of up to a quarter, taken from the job's name: jobs that failed together do not come back together, and
  // a simulation comes out the same again.
  auto spread = std::hash<std::string>{}(j.job_id + std::to_string(failures)) % 1024;
  return delay + delay * spread / 4096;
}

}  // namespace

std::string_view to_string(job_status s) { return status_names[static_cast<std::size_t>(s)]; }

result<job_status> parse_job_status(std::string_view text) {
  for (std::size_t i = 1; i < status_names.size(); ++i)
    if (status_names[i] == text) return static_cast<job_status>(i);
  return failure(error_code::invalid_argument, "status \"" + std::string(text) +
                                                   "\" is unknown; expected SUBMITTED, QUEUED, RUNNING, RETRYING, "
                                                   "PAUSED, COMPLETED, FAILED, CANCELLED or REJECTED");
}

bool is_final(job_status s) {
  return s == job_status::completed || s == job_status::failed || s == job_status::cancelled ||
         s == job_status::rejected;
}

std::string_view to_string(error_class c) {
  switch (c) {
    case error_class::invalid:
      return "invalid";
    case error_class::transient:
      return "transient";
    case error_class::timeout:
      return "timeout";
    case error_class::crashed:
      return "crashed";
    case error_class::internal:
      return "internal";
  }
  return "internal";
}

error_class classify(error_code code) {
  switch (code) {
    case error_code::invalid_argument:
    case error_code::not_found:
    case error_code::unreadable:
    case error_code::limit_exceeded:
    case error_code::conflict:
    case error_code::forbidden:
      return error_class::invalid;
    case error_code::unavailable:
    case error_code::io:
    case error_code::disk_full:
    case error_code::fenced:
    case error_code::cancelled:
      return error_class::transient;
    case error_code::timed_out:
      return error_class::timeout;
    case error_code::internal:
      return error_class::internal;
  }
  return error_class::internal;
}

// -- fold -------------------------------------------------------------------------------------------------------

void job::apply(const event& e) {
  if (!is_life_cycle(e.data)) return;
  if (status != job_status::none && (e.job_id != job_id || e.tenant != tenant)) return;
  if (e.sequence <= last_sequence) return;
  last_sequence = e.sequence;

  auto moved = [&](const status_change& c) {
    auto to = parse_job_status(c.new_status);
    status = to ? *to : status;  // a status of a later version is not final: keep what we know
    reason = c.reason;
    attempt = c.attempt;
  };
  std::visit(overloaded{
                 [&](const job_submitted& s) {
                   tenant = e.tenant;
                   user_id = e.user_id;
                   job_id = e.job_id;
                   correlation_id = e.correlation_id;
                   traceparent = e.traceparent;
                   request = s;
                   status = job_status::submitted;
                   submitted_at = e.time;
                   position = e.position;
                 },
                 [&](const job_queued& q) {
                   if (status == job_status::running && q.reason.starts_with(crashed)) ++crashes;
                   if (status == job_status::running && q.reason.starts_with(interrupted)) ++interruptions;
                   if (is_final(status)) {  // retried by hand: a new life with the old name
                     failures = crashes = interruptions = 0;
                     error.reset();
                     finished_at.reset();
                   }
                   moved(q);
                   device.clear();
                   progress = 0;
                   stage.clear();
                 },
                 [&](const job_running& r) {
                   moved(r);
                   device = r.device;
                   started_at = e.time;
                   progress = 0;
                   stage.clear();
                 },
                 [&](const job_retrying& r) {
                   moved(r);
                   ++failures;
                   device.clear();
                 },
                 [&](const job_paused& p) {
                   resume_to = status == job_status::retrying ? job_status::retrying : job_status::queued;
                   moved(p);
                   device.clear();
                 },
                 [&](const job_resumed& r) { moved(r); },
                 [&](const job_progress& p) {
                   progress = p.progress;
                   stage = p.stage;
                 },
                 [&](const job_completed& c) {
                   status = job_status::completed;
                   reason.clear();
                   progress = 1;
                   device.clear();
                   results = c.results;
                   metrics = c.metrics;
                   finished_at = e.time;
                 },
                 [&](const job_failed& f) {
                   status = job_status::failed;
                   error = f.error;
                   reason = f.error_class;
                   device.clear();
                   finished_at = e.time;
                 },
                 [&](const job_rejected& f) {
                   tenant = e.tenant;
                   user_id = e.user_id;
                   job_id = e.job_id;
                   correlation_id = e.correlation_id;
                   traceparent = e.traceparent;
                   status = job_status::rejected;
                   reason = f.error_class;
                   error = f.error;
                   submitted_at = finished_at = e.time;
                   position = e.position;
                 },
                 [&](const job_cancelled& c) {
                   status = job_status::cancelled;
                   reason = with_reason("cancelled", c.by, c.reason);
                   device.clear();
                   finished_at = e.time;
                 },
                 [](const auto&) {},
             },
             e.data);
}

json job::view(const std::string& waiting_for) const {
  auto time = [](const std::optional<timestamp>& t) { return t ? json(horizons::to_string(*t)) : json(nullptr); };
  json names = json::array();
  for (auto& r : results) names.push_back(r.name);
  json v = {{"job_id", job_id},
            {"user_id", user_id},
            {"tenant", tenant},
            {"agent", request.agent},
            {"dataset", request.dataset},
            {"params", request.params},
            {"priority", request.priority},
            {"status", to_string(status)},
            {"progress", progress},
            {"stage", stage},
            {"attempt", attempt},
            {"reason", reason},
            {"error", nullptr},
            {"waiting_for", waiting_for.empty() ? json(nullptr) : json(waiting_for)},
            {"submitted_at", time(submitted_at)},
            {"started_at", time(started_at)},
            {"finished_at", time(finished_at)},
            {"results", std::move(names)},
            {"metrics", metrics},
            {"device", device},
            {"correlation_id", correlation_id},
            {"last_sequence", last_sequence}};
  if (error) v["error"] = {{"type", error->type}, {"title", error->title}, {"detail", error->detail}};
  return v;
}

std::string job::snapshot() const {
  auto& buffer = codec::byte_buffer::of_thread();
  codec::json_writer w{buffer};
  auto text = [&](const char* key, std::string_view value) {
    if (value.empty()) return;
    w.key(key);
    w.text(value);
  };
  auto number = [&](const char* key, auto value) {
    if (value == 0) return;
    w.key(key);
    codec::write(w, value);
  };
  auto time = [&](const char* key, const std::optional<timestamp>& value) {
    if (value) number(key, std::int64_t{value->time_since_epoch().count()});
  };
  w.begin_map(0);
  text("tenant", tenant);
  text("user_id", user_id);
  text("job_id", job_id);
  text("correlation_id", correlation_id);
  text("traceparent", traceparent);
  w.key("request");
  codec::write(w, request);
  text("status", to_string(status));
  if (resume_to != job_status::none) text("resume_to", to_string(resume_to));
  text("reason", reason);
  number("attempt", attempt);
  number("failures", failures);
  number("crashes", crashes);
  number("interruptions", interruptions);
  number("progress", progress);
  text("stage", stage);
  text("device", device);
  time("submitted_ms", submitted_at);
  time("started_ms", started_at);
  time("finished_ms", finished_at);
  if (error) {
    w.key("error");
    codec::write(w, *error);
  }
  if (!results.empty()) {
    w.key("results");
    codec::write(w, results);
  }
  if (!metrics.is_object() || !metrics.empty()) {
    w.key("metrics");
    codec::write_json(w, metrics);
  }
  number("last_sequence", last_sequence);
  number("position", position);
  w.end_map();
  return buffer.text();
}

result<job> job::from_snapshot(std::string_view text) {
  auto parsed = parse_json(text);
  if (!parsed) return failure(error_code::unreadable, "snapshot of a job: " + parsed.error().text);
  try {
    const json& s = *parsed;
    job j;
    auto read = [](const json& from, const char* key, auto& to) {
      if (auto at = from.find(key); at != from.end()) at->get_to(to);
    };
    auto time_at = [&](const char* key) -> std::optional<timestamp> {
      auto at = s.find(key);
      if (at == s.end()) return {};
      return timestamp(timestamp::duration(at->get<std::int64_t>()));
    };
    auto status_at = [&](const char* key) {
      auto at = s.find(key);
      return at == s.end() ? job_status::none
                           : parse_job_status(at->get_ref<const std::string&>()).value_or(job_status::none);
    };
    read(s, "tenant", j.tenant);
    read(s, "user_id", j.user_id);
    read(s, "job_id", j.job_id);
    read(s, "correlation_id", j.correlation_id);
    read(s, "traceparent", j.traceparent);
    read(s, "reason", j.reason);
    read(s, "attempt", j.attempt);
    read(s, "failures", j.failures);
    read(s, "crashes", j.crashes);
    read(s, "interruptions", j.interruptions);
    read(s, "progress", j.progress);
    read(s, "stage", j.stage);
    read(s, "device", j.device);
    read(s, "metrics", j.metrics);
    read(s, "last_sequence", j.last_sequence);
    read(s, "position", j.position);
    j.status = status_at("status");
    j.resume_to = status_at("resume_to");
    j.submitted_at = time_at("submitted_ms");
    j.started_at = time_at("started_ms");
    j.finished_at = time_at("finished_ms");
    if (auto e = s.find("error"); e != s.end()) j.error = problem{e->at("type"), e->at("title"), e->at("detail")};
    if (auto list = s.find("results"); list != s.end())
      for (auto& r : *list) j.results.push_back({r.at("name"), r.at("size").get<std::int64_t>(), r.at("sha256")});
    auto& q = s.at("request");
    auto& w = q.at("resources");
    read(q, "agent", j.request.agent);
    read(q, "dataset", j.request.dataset);
    read(q, "params", j.request.params);
    read(q, "priority", j.request.priority);
    read(q, "executor", j.request.executor);
    if (auto c = q.find("estimated_cost_usd"); c != q.end()) j.request.estimated_cost_usd = c->get<double>();
    read(w, "gpus", j.request.wants.gpus);
    read(w, "cpus", j.request.wants.cpus);
    read(w, "walltime_s", j.request.wants.walltime_s);
    if (auto m = w.find("memory_gb"); m != w.end()) j.request.wants.memory_gb = m->get<double>();
    return j;
  } catch (const json::exception& e) {
    return failure(error_code::unreadable, std::string("snapshot of a job: ") + e.what());
  }
}

// -- decisions --------------------------------------------------------------------------------------------------

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

namespace {

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
