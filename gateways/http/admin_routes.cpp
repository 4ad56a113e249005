// What an operator sees of and does to single actors. Every order, and every refusal of one, is audited: the record is
// appended before the order is carried out. When the record cannot be written the order is carried out all the same
// and the answer says `"audited": false`, because a journal that hangs is one of the things that orders are for.
#include <algorithm>

#include "gateways/http/door.hpp"
#include "gateways/http/problem.hpp"
#include "gateways/http/query.hpp"
#include "messages/codec/json.hpp"
#include "messages/text.hpp"
#include "runtime/kit/actor_metrics.hpp"
#include "runtime/kit/administration.hpp"
#include "runtime/telemetry/log.hpp"

namespace horizons::http {
namespace {

constexpr std::uint64_t list_default = 1'000, list_max = 100'000;  // some 200 bytes each

json mailbox_json(const kit::mailbox_reading& m) {
  return {{"messages", m.messages}, {"bytes", m.bytes},       {"oldest_ms", m.oldest.count()},
          {"handled", m.handled},   {"handling", m.handling}, {"handling_ms", m.handling_for.count()}};
}

json metrics_json(const kit::actor_metrics& m) {
  const auto mean = [](const kit::duration_histogram& h) -> json {
    std::uint64_t n = 0;
    for (std::size_t i = 0; i < h.buckets; ++i) n += h.count(i);
    return n ? json(1000 * h.sum_seconds() / static_cast<double>(n)) : json();
  };
  json dead = json::object(), stopped = json::object();
  for (std::size_t i = 0; i < kit::dead_letter_names.size(); ++i)
    dead[std::string(kit::dead_letter_names[i])] = m.dead_letters[i].load();
  constexpr std::array causes{"normal", "shutdown", "failed", "killed"};  // exit_cause::kind
  for (std::size_t i = 0; i < causes.size(); ++i) stopped[causes[i]] = m.stopped[i].load();
  return {{"spawned", m.spawned.load()},
          {"restarted", m.restarted.load()},
          {"stopped", std::move(stopped)},
          {"dead_letters", std::move(dead)},
          {"handled", m.handled.load()},
          {"mean_wait_ms", mean(m.waited)},
          {"mean_processing_ms", mean(m.processed)},
          {"longest_handler_ms", 1e-6 * static_cast<double>(m.longest_handler_ns.load())},
          {"credit_outstanding", m.credit_outstanding.load()}};
}

json report_json(kit::system& actors, const kit::actor_report& r) {
  json out = {{"path", r.entry.path},
              {"type", r.entry.type},
              {"state", r.entry.state},
              {"supervisor", r.supervisor},
              {"restarts", r.entry.restarts},
              {"last_error", r.entry.last_error},
              {"started_at", r.entry.started_unix_ms
                                 ? json(to_string(timestamp{std::chrono::milliseconds{r.entry.started_unix_ms}}))
                                 : json()},
              {"draining", r.draining},
              {"blocking", r.blocking},
              {"temporary", r.temporary},
              {"mailbox", mailbox_json(r.mailbox)}};
  const auto registry = actors.metrics();
  for (const auto* m : registry->all())
    if (m->type == r.entry.type) out["of_type"] = metrics_json(*m);
  return out;
}

response list(kit::system& actors, const request& r) {
  const auto limit = number_of(r, "limit", list_default, 1, list_max);
  if (!limit) return problem(limit.error());
  auto all = actors.mailboxes();
  const auto type = text_of(r, "type"), below = text_of(r, "below");
  std::erase_if(all, [&](const kit::mailbox_reading& m) {
    return (!type.empty() && m.type != type) || (!below.empty() && m.path != below && !m.path.starts_with(below + "/"));
  });
  const auto total = all.size();
  const auto busier = [](const kit::mailbox_reading& a, const kit::mailbox_reading& b) {
    return std::tuple(a.messages, a.handling_for, a.handled) > std::tuple(b.messages, b.handling_for, b.handled);
  };
  if (total > *limit) {
    std::ranges::nth_element(all, all.begin() + static_cast<std::ptrdiff_t>(*limit), busier);
    all.resize(*limit);
  }
  std::ranges::sort(all, {}, &kit::mailbox_reading::path);
  json list = json::array();
  for (const auto& m : all) {
    auto one = mailbox_json(m);
    one["path"] = m.path;
    one["type"] = m.type;
    list.push_back(std::move(one));
  }
  return json_response(
      200, {{"at_unix_ms", actors.utc().time_since_epoch().count()}, {"total", total}, {"actors", std::move(list)}});
}

/// An actor's path as one segment of a URL: "%2Fnode%2Fjobs", the first slash may be left out.
std::string path_of(const request& r) {
  const auto& given = r.parameters.at("path");
  return given.starts_with('/') ? given : "/" + given;
}

/// {"then": "stay" | "restart"} of a drain, or nothing.
result<kit::after_drain> then_of(const request& r) {
  const auto wrong = [](std::string text) { return failure(error_code::invalid_argument, std::move(text)); };
  auto then = kit::after_drain::stay;
  if (r.body.empty()) return then;
  const auto body = parse_json(r.body);
  if (!body) return failure(body.error());
  if (!body->is_object()) return wrong("the body is no object; expected one like {\"then\": \"restart\"}");
  for (const auto& [name, value] : body->items()) {
    if (name != "then") return wrong(name + ": is not known; a drain takes \"then\" only");
    if (value == "restart")
      then = kit::after_drain::restart;
    else if (value != "stay")
      return wrong("then: " + value.dump() + " is not possible; expected \"stay\" or \"restart\"");
  }
  return then;
}

void take_order(const services& s, const request& r, const std::string& order, const reply& answer) {
  const auto path = path_of(r);
  const auto audit = [&s, action = "actor." + order, who = r.who.user_id, path](
                         const std::string& outcome, const std::function<void(bool written)>& then) {
    s.audit(action, who, "actor", path, outcome, [=](const result<std::uint64_t>& written) {
      if (!written)
        log::warn("an order could not be audited", {{"action", action},
                                                    {"actor", who},
                                                    {"resource_id", path},
                                                    {"outcome", outcome},
                                                    {"reason", written.error().text}});
      then(written.has_value());
    });
  };
  const auto refuse = [&](response why) { audit("refused", [answer, why = std::move(why)](bool) { answer(why); }); };
  if (!r.who.is_operator)
    return refuse(
        problem(403, "Forbidden", "orders to actors are for operators; " + quote(r.who.user_id) + " is none"));
  auto then = kit::after_drain::stay;
  if (order == "drain") {
    const auto asked = then_of(r);
    if (!asked) return answer(problem(asked.error()));
    then = *asked;
  }
  if (const auto there = kit::inspect(*s.actors, path); !there) return refuse(problem(there.error()));
  audit("done", [=, &s](bool written) {
    const auto done = order == "kill"      ? kit::kill_actor(*s.actors, path)
                      : order == "restart" ? kit::restart_actor(*s.actors, path)
                                           : kit::drain_actor(*s.actors, path, then);
    if (!done) return audit("failed", [answer, why = problem(done.error())](bool) { answer(why); });
    answer(json_response(202, {{"path", path}, {"order", order}, {"audited", written}}));
  });
}

}  // namespace

void add_admin_routes(router& to, const services& s) {
  if (!s.actors) return;
  const auto for_operators = [&s](const request& r, const reply& answer,
                                  const std::function<response(kit::system&)>& read) {
    answer(r.who.is_operator ? read(*s.actors)
                             : problem(403, "Forbidden", "the actors of a node are shown to operators only"));
  };
  to.add({"GET",
          "/api/actors",
          "What the actors do at this moment; the busiest when there are more than `limit`.",
          {{"limit", "1 to 100000, 1000 by default"},
           {"type", "only of this type"},
           {"below", "only this path and what is below it"}},
          {200, 400, 401, 403},
          [=](const request& r, const reply& answer) {
            for_operators(r, answer, [&r](kit::system& actors) { return list(actors, r); });
          }});
  to.add({"GET",
          "/api/actors/{path}",
          "One actor: its state, its mailbox, and what is counted about its type. The path is one segment: "
          "%2Fnode%2Fjobs.",
          {},
          {200, 401, 403, 404},
          [=](const request& r, const reply& answer) {
            for_operators(r, answer, [&r](kit::system& actors) {
              const auto report = kit::inspect(actors, path_of(r));
              return report ? json_response(200, report_json(actors, *report)) : problem(report.error());
            });
          }});
  const std::pair<std::string, std::string> orders[] = {
      {"kill", "End it as if it had crashed: its supervisor decides what follows."},
      {"restart", "Stop it in order; its supervisor starts it again, with what its strategy ties to it."},
      {"drain",
       "Take no more data, finish what is queued; then stay like that until a restart, or {\"then\": \"restart\"}."}};
  for (const auto& [order, summary] : orders)
    to.add({"POST",
            "/api/actors/{path}/" + order,
            summary,
            {},
            {202, 401, 403, 404, 409, 415, 422},
            [&s, order](const request& r, const reply& answer) { take_order(s, r, order, answer); }});
}

}  // namespace horizons::http
