// A folded job as two JSON texts, for the job table: what its submission fixed, and what changes since.
#include "actors/jobs/job.hpp"
#include "messages/codec/json.hpp"
#include "messages/codec/json_writer.hpp"
#include "messages/codec/write.hpp"

namespace horizons::jobs {

namespace {

/// Leaves out what has its default.
class snapshot_writer {
public:
  snapshot_writer() { w_.begin_map(0); }
  void text(const char* key, std::string_view value) {
    if (value.empty()) return;
    w_.key(key);
    w_.text(value);
  }
  void number(const char* key, auto value) {
    if (value != 0) put(key, value);
  }
  void time(const char* key, const std::optional<timestamp>& value) {
    if (value) number(key, std::int64_t{value->time_since_epoch().count()});
  }
  void put(const char* key, const auto& value) {
    w_.key(key);
    codec::write(w_, value);
  }
  std::string finish() {
    w_.end_map();
    return buffer_.text();
  }

private:
  codec::byte_buffer& buffer_ = codec::byte_buffer::of_thread();
  codec::json_writer w_{buffer_};
};

}  // namespace

std::string job::origin_snapshot() const {
  snapshot_writer w;
  w.text("tenant", tenant);
  w.text("user_id", user_id);
  w.text("job_id", job_id);
  w.text("correlation_id", correlation_id);
  w.text("traceparent", traceparent);
  w.put("request", request);
  w.time("submitted_ms", submitted_at);
  w.number("position", position);
  return w.finish();
}

std::string job::state_snapshot() const {
  snapshot_writer w;
  w.text("status", to_string(status));
  if (resume_to != job_status::none) w.text("resume_to", to_string(resume_to));
  w.text("reason", reason);
  w.number("attempt", attempt);
  w.number("failures", failures);
  w.number("crashes", crashes);
  w.number("interruptions", interruptions);
  w.number("progress", progress);
  w.text("stage", stage);
  w.text("device", device);
  w.time("started_ms", started_at);
  w.time("finished_ms", finished_at);
  if (error) w.put("error", *error);
  if (!results.empty()) w.put("results", results);
  if (!metrics.is_object() || !metrics.empty()) w.put("metrics", metrics);
  w.number("last_sequence", last_sequence);
  return w.finish();
}

result<job> job::from_snapshots(std::string_view origin, std::string_view state) {
  auto of_origin = parse_json(origin), of_state = parse_json(state);
  for (auto* parsed : {&of_origin, &of_state})
    if (!*parsed) return failure(error_code::unreadable, "snapshot of a job: " + parsed->error().text);
  try {
    const json &o = *of_origin, &s = *of_state;
    job j;
    auto read = [](const json& from, const char* key, auto& to) {
      if (auto at = from.find(key); at != from.end()) at->get_to(to);
    };
    auto time_at = [](const json& from, const char* key) -> std::optional<timestamp> {
      auto at = from.find(key);
      if (at == from.end()) return {};
      return timestamp(timestamp::duration(at->get<std::int64_t>()));
    };
    auto status_at = [&](const char* key) {
      auto at = s.find(key);
      return at == s.end() ? job_status::none
                           : parse_job_status(at->get_ref<const std::string&>()).value_or(job_status::none);
    };
    read(o, "tenant", j.tenant);
    read(o, "user_id", j.user_id);
    read(o, "job_id", j.job_id);
    read(o, "correlation_id", j.correlation_id);
    read(o, "traceparent", j.traceparent);
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
    read(o, "position", j.position);
    j.status = status_at("status");
    j.resume_to = status_at("resume_to");
    j.submitted_at = time_at(o, "submitted_ms");
    j.started_at = time_at(s, "started_ms");
    j.finished_at = time_at(s, "finished_ms");
    if (auto e = s.find("error"); e != s.end()) j.error = problem{e->at("type"), e->at("title"), e->at("detail")};
    if (auto list = s.find("results"); list != s.end())
      for (auto& r : *list) j.results.push_back({r.at("name"), r.at("size").get<std::int64_t>(), r.at("sha256")});
    auto& q = o.at("request");
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
