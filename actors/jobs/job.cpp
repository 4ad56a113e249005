#include "actors/jobs/job.hpp"

#include <array>

#include "actors/jobs/job_reasons.hpp"

namespace horizons::jobs {

namespace {

constexpr std::array<std::string_view, 10> status_names = {"NONE",   "SUBMITTED", "QUEUED", "RUNNING",   "RETRYING",
                                                           "PAUSED", "COMPLETED", "FAILED", "CANCELLED", "REJECTED"};

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

}  // namespace horizons::jobs
