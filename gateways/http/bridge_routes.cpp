// What an operator does with the bridges: dead letters, and taking partitions over from another journal.
#include "gateways/http/door.hpp"
#include "gateways/http/problem.hpp"
#include "gateways/http/query.hpp"
#include "messages/codec/json.hpp"
#include "messages/text.hpp"

namespace horizons::http {
namespace {

using bridges::dead_letter;
using bridges::dead_letter_filter;

const std::vector<parameter> filter_parameters = {{"bridge", "kafka or rabbitmq"},
                                                  {"job_id", "only this job's"},
                                                  {"type", "only this command or event type"},
                                                  {"reason", "only of this reason"},
                                                  {"state", "open, replayed or parked"},
                                                  {"start", "failed at or after: RFC 3339 or a date"},
                                                  {"end", "exclusive; a date means the end of that day"},
                                                  {"page_size", "1 to 10000, 100 by default"}};

/// Refuses when there is no bridge or the caller is no operator.
std::optional<response> refusal(const services& s, const request& r) {
  if (!r.who.is_operator) return problem(403, "Forbidden", "dead letters are for operators");
  if (!s.dead_letters)
    return problem(404, "Not found", "this node has no bridge: [kafka] and [rabbitmq] are not configured");
  return {};
}

result<dead_letter_filter> filter_of(const request& r) {
  dead_letter_filter f{.bridge = text_of(r, "bridge"),
                       .job_id = text_of(r, "job_id"),
                       .type = text_of(r, "type"),
                       .reason = text_of(r, "reason"),
                       .state = text_of(r, "state")};
  const auto start = time_of(r, "start", false), end = time_of(r, "end", true);
  if (!start) return failure(start.error());
  if (!end) return failure(end.error());
  const auto size = number_of(r, "page_size", f.limit, 1, 10'000);
  if (!size) return failure(size.error());
  f.start = *start;
  f.end = *end;
  f.limit = *size;
  return f;
}

/// {"dry_run": …, "rate_per_s": …, "replays_max": …}, all optional.
result<bridges::replay_options> options_of(const request& r) {
  const auto wrong = [](std::string text) { return failure(error_code::invalid_argument, std::move(text)); };
  bridges::replay_options o;
  o.by = r.who.user_id;
  if (r.body.empty()) return o;
  const auto body = parse_json(r.body);
  if (!body) return failure(body.error());
  if (!body->is_object()) return wrong("the body is no object; expected one like {\"dry_run\": true}");
  for (const auto& [name, value] : body->items()) {
    if (name == "dry_run" && value.is_boolean())
      o.dry_run = value.get<bool>();
    else if (name == "rate_per_s" && value.is_number() && value.get<double>() > 0 && value.get<double>() <= 1e6)
      o.rate_per_s = value.get<double>();
    else if (name == "replays_max" && value.is_number_integer() && value.get<std::int64_t>() >= 1 &&
             value.get<std::int64_t>() <= 1000)
      o.replays_max = value.get<int>();
    else
      return wrong(
          name + ": " + value.dump() +
          " cannot be used; expected dry_run (true or false), rate_per_s (0 to 1000000), replays_max (1 to 1000)");
  }
  return o;
}

json report_json(const bridges::replay_report& report, bool dry_run) {
  return {{"dry_run", dry_run},        {"matched", report.matched}, {"replayed", report.replayed},
          {"skipped", report.skipped}, {"ids", report.ids},         {"notes", report.notes}};
}

void replay(const services& s, const request& r, dead_letter_filter filter, const reply& answer) {
  const auto options = options_of(r);
  if (!options) return answer(problem(options.error()));
  s.dead_letters->replay(std::move(filter), *options,
                         [answer, dry = options->dry_run](result<bridges::replay_report> done) {
                           answer(done ? json_response(200, report_json(*done, dry)) : problem(done.error()));
                         });
}

void list(const services& s, const request& r, const reply& answer) {
  if (auto no = refusal(s, r)) return answer(std::move(*no));
  auto filter = filter_of(r);
  if (!filter) return answer(problem(filter.error()));
  s.dead_letters->list(std::move(*filter), [answer](result<std::vector<dead_letter>> letters) {
    if (!letters) return answer(problem(letters.error()));
    json list = json::array();
    for (const auto& letter : *letters) list.push_back(bridges::to_json(letter, false));
    answer(json_response(200, {{"dead_letters", std::move(list)}}));
  });
}

void show(const services& s, const request& r, const reply& answer) {
  if (auto no = refusal(s, r)) return answer(std::move(*no));
  const auto id = r.parameters.at("id");
  s.dead_letters->list({.id = id, .limit = 1}, [answer, id](result<std::vector<dead_letter>> letters) {
    if (!letters) return answer(problem(letters.error()));
    if (letters->empty()) return answer(problem(404, "Not found", "dead letter " + quote(id) + " does not exist"));
    answer(json_response(200, bridges::to_json(letters->front(), true)));
  });
}

void park(const services& s, const request& r, const reply& answer) {
  if (auto no = refusal(s, r)) return answer(std::move(*no));
  const auto id = r.parameters.at("id");
  s.dead_letters->park(id, r.who.user_id, [answer, id](result<bool> parked) {
    if (!parked) return answer(problem(parked.error()));
    answer(json_response(200, {{"id", id}, {"state", "parked"}}));
  });
}

void adopt(const services& s, const request& r, const reply& answer) {
  if (!r.who.is_operator) return answer(problem(403, "Forbidden", "taking partitions over is for operators"));
  if (!s.adopt) return answer(problem(404, "Not found", "this node has no Kafka bridge: [kafka] is not configured"));
  const auto body = parse_json(r.body.empty() ? "{}" : r.body);
  if (!body) return answer(problem(body.error()));
  const auto from = body->is_object() ? body->find("from") : body->end();
  if (!body->is_object() || from == body->end() || !from->is_string())
    return answer(problem(422, "Invalid value", "from: is missing; expected \"committed\", \"earliest\" or a time"));
  s.adopt(r.who, from->get<std::string>(),
          [answer](result<json> done) { answer(done ? json_response(200, *done) : problem(done.error())); });
}

}  // namespace

void add_bridge_routes(router& to, const services& s) {
  const auto add = [&](const char* method, const char* path, const char* doc, std::vector<parameter> query,
                       std::vector<int> statuses, void (*handle)(const services&, const request&, const reply&)) {
    to.add({method, path, doc, std::move(query), std::move(statuses),
            [&s, handle](const request& r, const reply& answer) { handle(s, r, answer); }});
  };
  add("GET", "/api/dlq", "Messages that could not be processed.", filter_parameters, {200, 400, 401, 403, 404}, list);
  add("GET", "/api/dlq/{id}", "One of them, with its bytes and headers.", {}, {200, 401, 403, 404}, show);
  add("POST", "/api/dlq/{id}/replay", "Send it back where it came from.", {}, {200, 401, 403, 404, 422},
      [](const services& s, const request& r, const reply& answer) {
        if (auto no = refusal(s, r)) return answer(std::move(*no));
        replay(s, r, {.id = r.parameters.at("id"), .limit = 1}, answer);
      });
  add("POST", "/api/dlq/{id}/park", "Keep it from any further replay.", {}, {200, 401, 403, 404}, park);
  add("POST", "/api/dlq/replay", "Send all that match back where they came from.", filter_parameters,
      {200, 400, 401, 403, 404, 422}, [](const services& s, const request& r, const reply& answer) {
        if (auto no = refusal(s, r)) return answer(std::move(*no));
        auto filter = filter_of(r);
        if (!filter) return answer(problem(filter.error()));
        replay(s, r, std::move(*filter), answer);
      });
  add("POST", "/api/bridges/kafka/adopt", "Take the partitions over that another journal has committed.", {},
      {200, 401, 403, 404, 422}, adopt);
}

}  // namespace horizons::http
