#include "gateways/http/door.hpp"

#include "gateways/http/problem.hpp"
#include "messages/text.hpp"

namespace horizons::http {

door::door(services s, access_rules rules) : services_(std::move(s)), rules_(std::move(rules)) {
  add_job_routes(router_, services_);
  add_result_routes(router_, services_);
  add_event_routes(router_, services_, metrics_);
  add_bridge_routes(router_, services_);
  add_admin_routes(router_, services_);
  add_house_routes(router_, services_, metrics_);
  add_page_routes(router_);
  router_.add({"GET",
               "/openapi.json",
               "This description.",
               {},
               {200},
               [this](const request&, const reply& answer) { answer({.body = openapi_}); },
               true});
  openapi_ = openapi(router_.routes(), services_.version).dump(2);
}

void door::handle(request r, const std::function<std::optional<uid_t>()>& peer_uid, reply answer) {
  const auto began = std::chrono::steady_clock::now();
  std::string route_name = "none";
  const auto finish = [this, began](const std::string& route, const request& from, const reply& to, response done) {
    // The instance tells two refusals in one log apart; the path only, a query may hold what others should not see.
    if (done.content_type == "application/problem+json") {
      auto body = json::parse(done.body, nullptr, false);
      body["instance"] = from.target.substr(0, from.target.find('?'));
      done.body = body.dump(-1, ' ', false, json::error_handler_t::replace);
    }
    metrics_.request_done(route, done.status, std::chrono::steady_clock::now() - began);
    to(std::move(done));
  };
  if (const auto parsed = parse_target(r); !parsed)
    return finish(route_name, r, answer, problem(400, "Unreadable", parsed.error().text));
  const auto match = router_.find(r);
  if (match.found) route_name = match.found->method + " " + match.found->pattern;
  if (auto refusal = rules_.refuse(r, match.found && match.found->is_public, peer_uid))
    return finish(route_name, r, answer, std::move(*refusal));
  if (!match.found && !match.allowed.empty()) {
    auto refusal =
        problem(405, "Method not allowed", r.method + " is not possible here; the path takes " + match.allowed);
    refusal.headers.emplace_back("Allow", match.allowed);
    return finish(route_name, r, answer, std::move(refusal));
  }
  if (!match.found)
    return finish(route_name, r, answer,
                  problem(404, "Not found",
                          "there is nothing at " + quote(r.target.substr(0, r.target.find('?'))) +
                              "; /openapi.json lists what there is"));
  for (const auto& [name, value] : r.query) {
    std::string known;
    bool found = false;
    for (const auto& each : match.found->query) {
      found |= each.name == name;
      known += (known.empty() ? "" : ", ") + each.name;
    }
    if (!found)
      return finish(route_name, r, answer,
                    problem(400, "Invalid value",
                            "the query parameter " + quote(name) + " is not known here; " +
                                (known.empty() ? "none is" : "expected " + known)));
  }
  request about{.target = r.target};
  match.found->answer(std::move(r), [finish, route_name, about = std::move(about), answer = std::move(answer)](
                                        response done) { finish(route_name, about, answer, std::move(done)); });
}

}  // namespace horizons::http
