// What happened: one job's events, the replay of all, and the live stream.
#include <charconv>

#include "gateways/http/door.hpp"
#include "gateways/http/event_stream.hpp"
#include "gateways/http/problem.hpp"
#include "gateways/http/query.hpp"
#include "messages/codec/json.hpp"
#include "messages/text.hpp"

namespace horizons::http {
namespace {

std::string tenant_of(const request& r) { return r.who.is_operator ? "" : r.who.tenant; }  // an operator sees all

void list(const services& s, const request& r, const reply& answer) {
  const auto id = r.parameters.at("id");
  if (!is_job_id(id)) return answer(problem(404, "Not found", "job " + quote(id) + " does not exist"));
  const auto size = number_of(r, "page_size", 1000, 1, 1000);
  if (!size) return answer(problem(size.error()));
  const auto after = number_of(r, "page_token", 0, 0, UINT64_MAX);
  if (!after) return answer(problem(after.error()));
  event_query q{.tenant = tenant_of(r), .job_id = id, .after_position = *after, .limit = *size};
  s.get_job(r.who, id, [&s, q, answer](result<json> job) {  // an unknown job is 404, not an empty list
    if (!job) return answer(problem(job.error()));
    s.read_events(q, [answer, limit = q.limit](result<std::vector<event>> page) {
      if (!page) return answer(problem(page.error()));
      std::string body = "{\"events\":[";
      for (const auto& e : *page) body += (&e == page->data() ? "" : ",") + to_json(e);
      const bool more = page->size() == limit;
      body += "],\"next_page_token\":" + (more ? '"' + std::to_string(page->back().position) + '"' : "null") + "}";
      answer({.body = std::move(body)});
    });
  });
}

result<event_query> query_of(const request& r) {
  event_query q{.tenant = tenant_of(r), .job_id = text_of(r, "job_id")};
  auto type = event_type_of(r, "type");
  if (!type) return failure(type.error());
  q.type = std::move(*type);
  if (!q.job_id.empty() && !is_job_id(q.job_id))
    return failure(error_code::unreadable, "job_id: " + quote(q.job_id) + " is not a job id");
  const auto start = time_of(r, "start", false), end = time_of(r, "end", true);
  if (!start) return failure(start.error());
  if (!end) return failure(end.error());
  q.start = *start;
  q.end = *end;
  if (q.start && q.end && *q.end < *q.start)
    return failure(error_code::unreadable, "end: " + text_of(r, "end") + " lies before start, " + text_of(r, "start"));
  return q;
}

void follow(const services& s, const request& r, const reply& answer, http_metrics& metrics) {
  auto q = query_of(r);
  if (!q) return answer(problem(q.error()));
  const auto from_query = number_of(r, "after", 0, 0, UINT64_MAX);
  if (!from_query) return answer(problem(from_query.error()));
  q->after_position = *from_query;
  bool resumes = r.query.contains("after");
  if (const auto last = r.header("last-event-id"); !last.empty()) {
    const auto [end, code] = std::from_chars(last.data(), last.data() + last.size(), q->after_position);
    if (code != std::errc{} || end != last.data() + last.size())
      return answer(problem(400, "Invalid value", "Last-Event-ID " + quote(last) + " is not the position of an event"));
    resumes = true;
  }
  response stream{.content_type = "text/event-stream"};
  stream.headers.emplace_back("Cache-Control", "no-store");
  if (r.method != "HEAD") stream.stream = live_source(s, std::move(*q), resumes, metrics);
  answer(std::move(stream));
}

}  // namespace

void add_event_routes(router& to, const services& s, http_metrics& metrics) {
  to.add({"GET",
          "/api/jobs/{id}/events",
          "A job's events.",
          {{"page_size", "1 to 1000, the default"}, {"page_token", "next_page_token of the page before"}},
          {200, 400, 401, 403, 404},
          [&s](const request& r, const reply& answer) { list(s, r, answer); }});
  to.add({"GET",
          "/api/events/replay",
          "Events in position order as newline-delimited JSON.",
          {{"start", "inclusive: RFC 3339 or a date"},
           {"end", "exclusive; a date means the end of that day"},
           {"job_id", "only this job's"},
           {"type", "only this type"}},
          {200, 400, 401, 403},
          [&s](const request& r, const reply& answer) {
            auto q = query_of(r);
            if (!q) return answer(problem(q.error()));
            response lines{.content_type = "application/x-ndjson"};
            lines.headers.emplace_back("Cache-Control", "no-store");
            if (r.method != "HEAD") lines.stream = replay_source(s, std::move(*q));
            answer(std::move(lines));
          }});
  to.add({"GET",
          "/api/stream",
          "Events as they are committed (server-sent events). Last-Event-ID, or after, goes on from a position without "
          "gap.",
          {{"after", "a position"}, {"job_id", "only this job's"}, {"type", "only this type"}},
          {200, 400, 401, 403},
          [&s, &metrics](const request& r, const reply& answer) { follow(s, r, answer, metrics); }});
}

}  // namespace horizons::http
