// How the house is: agents, supervision tree, cluster, metrics, health.
#include "gateways/http/door.hpp"
#include "gateways/http/problem.hpp"

namespace horizons::http {

void add_house_routes(router& to, const services& s, const http_metrics& metrics) {
  const auto plain = [&to](const std::string& path, const std::string& summary, const std::function<json()>& read) {
    to.add({"GET", path, summary, {}, {200, 401, 403}, [&read](const request&, const reply& answer) {
              answer(json_response(200, read()));
            }});
  };
  plain("/api/agents", "The agents, with a JSON Schema of their parameters.", s.agents);
  plain("/api/tree", "The supervision tree.", s.tree);
  plain("/api/cluster", "The nodes.", s.cluster);
  to.add({"GET",
          "/metrics",
          "Measurements, Prometheus text format.",
          {},
          {200, 401, 403},
          [&s, &metrics](const request&, const reply& answer) {
            answer({.content_type = "text/plain; version=0.0.4; charset=utf-8",
                    .body = s.metrics_text() + metrics.text()});
          }});
  to.add({"GET",
          "/healthz",
          "Whether the process answers.",
          {},
          {200},
          [&s](const request&, const reply& answer) {
            answer(json_response(200, {{"status", "up"}, {"node", s.node_id}, {"version", s.version}}));
          },
          true});
  to.add({"GET",
          "/readyz",
          "Whether the node can do its work.",
          {},
          {200, 503},
          [&s](const request&, const reply& answer) {
            s.ready([answer](result<readiness> r) {
              if (!r) return answer(problem(503, "Not ready", r.error().text));
              json checks = json::object();
              std::string wrong;
              for (const auto& [component, state] : r->checks) {
                checks[component] = state;
                if (state != "up") wrong += (wrong.empty() ? "" : "; ") + component + " is " + state;
              }
              if (r->ready) return answer(json_response(200, {{"status", "ready"}, {"checks", checks}}));
              auto refusal = problem(503, "Not ready", wrong.empty() ? "the node is starting or stopping" : wrong);
              auto body = json::parse(refusal.body);
              body["checks"] = std::move(checks);
              refusal.body = body.dump();
              answer(std::move(refusal));
            });
          },
          true});
}

}  // namespace horizons::http
