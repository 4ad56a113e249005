// job::snapshot and its inverse: a folded job as JSON, for the job table.
#include "actors/jobs/job.hpp"
#include "messages/codec/json.hpp"
#include "messages/codec/json_writer.hpp"
#include "messages/codec/write.hpp"

namespace horizons::jobs {

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

}  // namespace horizons::jobs
