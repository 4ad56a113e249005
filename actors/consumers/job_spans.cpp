#include "actors/consumers/job_spans.hpp"

#include <algorithm>

#include "messages/fnv1a64.hpp"
#include "messages/trace.hpp"

namespace horizons::consumers {
namespace {

std::string hex(std::uint64_t id) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string text(16, '0');
  for (int i = 15; i >= 0; --i, id >>= 4) text[static_cast<std::size_t>(i)] = digits[id & 15];
  return text;
}

std::string key_of(std::string_view tenant, std::string_view job_id) {
  return std::string(tenant) + '\0' + std::string(job_id);
}

/// Nanoseconds end in 2262, events in 9999.
std::int64_t ns_of(timestamp t) {
  constexpr auto last = std::chrono::floor<timestamp::duration>(std::chrono::nanoseconds::max());
  return std::chrono::nanoseconds(std::min(t.time_since_epoch(), last)).count();
}

}  // namespace

std::string traceparent_of_job(std::string_view given, std::string_view tenant, std::string_view job_id) {
  if (is_traceparent(given)) return std::string(given);
  auto trace = new_trace();
  const auto id = fnv1a64(key_of(tenant, job_id));
  for (std::size_t i = 0; i < trace.parent_id.size(); ++i)
    trace.parent_id[i] = static_cast<std::uint8_t>(id >> 8 * (7 - i));
  return to_string(trace);
}

telemetry::span job_spans::span_of(const open_job& j, const event& e, std::string name, std::int64_t began_ns) const {
  telemetry::span s;
  s.context = {j.trace_id, hex(fnv1a64(key_of(e.tenant, e.job_id) + '\0' + name))};
  s.parent_span_id = j.span_id;
  s.name = std::move(name);
  s.start_unix_ns = began_ns;
  s.end_unix_ns = ns_of(e.time);
  s.attributes = {{"job.id", e.job_id}, {"job.tenant", e.tenant}};
  return s;
}

void job_spans::end_part(open_job& j, const event& e, const std::string& trouble, std::vector<telemetry::span>& ended) {
  if (j.waits_since_ns) ended.push_back(span_of(j, e, "waiting " + std::to_string(j.attempt + 1), j.waits_since_ns));
  if (j.runs_since_ns) {
    auto s = span_of(j, e, "attempt " + std::to_string(j.attempt), j.runs_since_ns);
    s.attributes.emplace_back("device", j.device);
    s.failed = !trouble.empty();
    s.message = trouble;
    ended.push_back(std::move(s));
  }
  j.waits_since_ns = j.runs_since_ns = 0;
}

std::vector<telemetry::span> job_spans::apply(const event& e) {
  std::vector<telemetry::span> ended;
  const auto key = key_of(e.tenant, e.job_id);
  if (const auto* s = std::get_if<job_submitted>(&e.data)) {
    const auto trace = parse_traceparent(e.traceparent);
    if (!trace || jobs_.contains(key)) return ended;
    const auto text = to_string(*trace);
    open_job j;
    j.trace_id = text.substr(3, 32);
    j.span_id = hex(fnv1a64(key));
    if (const auto parent = text.substr(36, 16); parent != j.span_id) j.parent_span_id = parent;
    j.agent = s->agent;
    j.submitted_ns = ns_of(e.time);
    order_.push_back(key);
    j.place = std::prev(order_.end());
    jobs_.emplace(key, std::move(j));
    if (jobs_.size() > jobs_max) {
      jobs_.erase(order_.front());
      order_.pop_front();
    }
    return ended;
  }
  const auto at = jobs_.find(key);
  if (at == jobs_.end()) return ended;
  auto& j = at->second;
  std::string trouble;
  bool final = true;
  std::visit(overloaded{[&](const job_queued&) {
                          final = false;
                          end_part(j, e, "", ended);
                          j.waits_since_ns = ns_of(e.time);
                        },
                        [&](const job_running& r) {
                          final = false;
                          end_part(j, e, "", ended);
                          j.attempt = r.attempt;
                          j.device = r.device;
                          j.runs_since_ns = ns_of(e.time);
                        },
                        [&](const job_retrying& r) {
                          final = false;
                          end_part(j, e, r.reason, ended);
                        },
                        [&](const job_paused&) {
                          final = false;
                          end_part(j, e, "", ended);
                        },
                        [&](const job_completed&) {}, [&](const job_failed& f) { trouble = f.error.detail; },
                        [&](const job_cancelled& c) { trouble = "cancelled by " + c.by; },
                        [&](const auto&) { final = false; }},
             e.data);
  if (!final) return ended;
  end_part(j, e, trouble, ended);
  telemetry::span whole;
  whole.context = {j.trace_id, j.span_id};
  whole.parent_span_id = j.parent_span_id;
  whole.name = "job " + j.agent;
  whole.start_unix_ns = j.submitted_ns;
  whole.end_unix_ns = ns_of(e.time);
  whole.failed = !trouble.empty();
  whole.message = trouble;
  whole.attributes = {{"job.id", e.job_id}, {"job.tenant", e.tenant}, {"user.id", e.user_id}};
  ended.push_back(std::move(whole));
  order_.erase(j.place);
  jobs_.erase(at);
  return ended;
}

}  // namespace horizons::consumers
