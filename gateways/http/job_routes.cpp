// Submitting jobs, looking at them, and orders about them.
#include "gateways/http/door.hpp"
#include "gateways/http/problem.hpp"
#include "gateways/http/query.hpp"
#include "messages/codec/json.hpp"
#include "messages/codec/msgpack.hpp"
#include "messages/text.hpp"

namespace horizons::http {
namespace {

constexpr std::string_view statuses[] = {"SUBMITTED", "QUEUED", "RUNNING",   "RETRYING", "PAUSED",
                                         "COMPLETED", "FAILED", "CANCELLED", "REJECTED"};

/// A readable body that cannot be meant (the error names a field) is 422; one that is no JSON or MessagePack is 400.
/// Limits inside the body (depth, lengths) are the sender's mistake as well, not a full queue.
response body_problem(error e) {
  const bool names_field = !field_of(e.text).empty();
  if (e.code == error_code::limit_exceeded || (e.code == error_code::unreadable && names_field))
    e.code = error_code::invalid_argument;
  return problem(e);
}

std::string url_of(const std::string& job_id) { return "/api/jobs/" + job_id; }

void take_order(const services& s, const identity& who, const std::string& order, const std::string& job_id,
                const std::string& reason, const reply& answer) {
  if (!is_job_id(job_id)) return answer(problem(404, "Not found", "job " + quote(job_id) + " does not exist"));
  s.order(who, order, job_id, reason,
          [answer](result<json> job) { answer(job ? json_response(200, *job) : problem(job.error())); });
}

void submit(const services& s, const request& r, const reply& answer) {
  if (r.body.empty())
    return answer(problem(400, "Unreadable",
                          "the body is empty; expected a submission like {\"agent\": \"image-reconstruction\", "
                          "\"dataset\": \"file:///data/x.uvfits\"}"));
  const bool packed = is_msgpack(r.header("content-type"));
  auto read = packed ? command_from_msgpack(r.body, unknown_fields::refused)
                     : command_from_json(r.body, unknown_fields::refused);
  if (!read) return answer(body_problem(read.error()));
  if (read->user_id.empty()) read->user_id = r.who.user_id;
  if (read->idempotency_key.empty()) read->idempotency_key = r.header("idempotency-key");
  if (read->correlation_id.empty()) read->correlation_id = r.header("x-correlation-id");
  if (const auto valid = validate(*read); !valid) return answer(body_problem(valid.error()));
  if (read->command_name != "submit") return take_order(s, r.who, read->command_name, read->job_id, "", answer);
  s.submit(r.who, std::move(*read), std::string(r.header("traceparent")), [answer](result<submission> done) {
    if (!done) return answer(problem(done.error()));
    auto accepted = json_response(done->is_new ? 202 : 200, done->job);
    accepted.headers.emplace_back("Location", url_of(done->job.value("job_id", "")));
    answer(std::move(accepted));
  });
}

void list(const services& s, const request& r, const reply& answer) {
  job_query q{.status = text_of(r, "status"),
              .user = text_of(r, "user"),
              .agent = text_of(r, "agent"),
              .page_token = text_of(r, "page_token")};
  q.tenant = r.who.is_operator ? "" : r.who.tenant;  // an operator sees all
  if (!q.status.empty() && std::ranges::find(statuses, q.status) == std::end(statuses)) {
    std::string all;
    for (const auto each : statuses) all += (all.empty() ? "" : ", ") + std::string(each);
    return answer(
        problem(400, "Invalid value", "status: " + quote(q.status) + " is not a status; expected one of " + all));
  }
  const auto size = number_of(r, "page_size", q.page_size, 1, 1000);
  if (!size) return answer(problem(size.error()));
  const auto since = time_of(r, "since", false);
  if (!since) return answer(problem(since.error()));
  q.page_size = *size;
  q.since = *since;
  s.list_jobs(r.who, std::move(q), [answer](result<job_page> page) {
    if (!page) return answer(problem(page.error()));
    json body = {{"jobs", std::move(page->jobs)}};
    body["next_page_token"] = page->next_page_token.empty() ? json() : json(page->next_page_token);
    answer(json_response(200, body));
  });
}

/// The optional {"reason": "…"} of an order.
result<std::string> reason_of(const request& r) {
  if (r.body.empty()) return std::string();
  const auto wrong = [](std::string text) { return failure(error_code::invalid_argument, std::move(text)); };
  if (is_msgpack(r.header("content-type")))
    return wrong("the body of an order is JSON, like {\"reason\": \"wrong field\"}, or left out");
  const auto body = parse_json(r.body);
  if (!body) return failure(body.error());
  if (!body->is_object()) return wrong("the body is no object; expected one like {\"reason\": \"wrong field\"}");
  std::string reason;
  for (const auto& [name, value] : body->items()) {
    if (name != "reason") return wrong(name + ": is not known; an order takes \"reason\" only");
    if (!value.is_string()) return wrong("reason: is no text");
    reason = value.get<std::string>();
    if (reason.size() > 1024) return wrong("reason: has " + std::to_string(reason.size()) + " bytes; at most 1024");
  }
  return reason;
}

}  // namespace

void add_job_routes(router& to, const services& s) {
  to.add({"POST",
          "/api/jobs",
          "Submit a job. The same submission again gives the same job.",
          {},
          {200, 202, 400, 401, 403, 409, 413, 415, 422, 429, 503},
          [&s](const request& r, const reply& answer) { submit(s, r, answer); },
          false,
          "submission"});
  to.add({"GET",
          "/api/jobs",
          "List jobs.",
          {{"status", "only with this status"},
           {"user", "only this user's"},
           {"agent", "only this agent's"},
           {"since", "submitted at or after: RFC 3339 or a date"},
           {"page_size", "1 to 1000, 100 by default"},
           {"page_token", "next_page_token of the page before"}},
          {200, 400, 401, 403},
          [&s](const request& r, const reply& answer) { list(s, r, answer); }});
  to.add({"GET", "/api/jobs/{id}", "One job.", {}, {200, 401, 403, 404}, [&s](const request& r, const reply& answer) {
            const auto& id = r.parameters.at("id");
            if (!is_job_id(id)) return answer(problem(404, "Not found", "job " + quote(id) + " does not exist"));
            s.get_job(r.who, id,
                      [answer](result<json> job) { answer(job ? json_response(200, *job) : problem(job.error())); });
          }});
  for (const std::string order : {"cancel", "pause", "resume", "retry"})
    to.add({"POST",
            "/api/jobs/{id}/" + order,
            order + " the job.",
            {},
            {200, 401, 403, 404, 409, 415, 422},
            [&s, order](const request& r, const reply& answer) {
              const auto reason = reason_of(r);
              if (!reason) return answer(body_problem(reason.error()));
              take_order(s, r.who, order, r.parameters.at("id"), *reason, answer);
            },
            false,
            "order"});
  to.add({"DELETE",
          "/api/jobs/{id}",
          "The same as cancel; nothing is erased.",
          {},
          {200, 401, 403, 404, 409},
          [&s](const request& r, const reply& answer) {
            take_order(s, r.who, "cancel", r.parameters.at("id"), "", answer);
          }});
}

}  // namespace horizons::http
