// Behind the sockets: takes a whole request, checks who asks, finds the route and passes its answer on. Knows no
// socket, so that every rule can be tried with plain values.
#pragma once

#include <functional>
#include <optional>

#include "gateways/http/access.hpp"
#include "gateways/http/metrics.hpp"
#include "gateways/http/request.hpp"
#include "gateways/http/router.hpp"

namespace horizons::http {

/// The routes of the contract, by subject. `s` outlives the router.
void add_job_routes(router& to, const services& s);
void add_result_routes(router& to, const services& s);
void add_event_routes(router& to, const services& s, http_metrics& metrics);
void add_bridge_routes(router& to, const services& s);
void add_admin_routes(router& to, const services& s);
void add_house_routes(router& to, const services& s, const http_metrics& metrics);
void add_page_routes(router& to);

/// The OpenAPI 3.1 description of `routes`.
json openapi(const std::vector<route>& routes, const std::string& version);

class door {
public:
  door(services s, access_rules rules);

  /// Answers once, on any thread.
  void handle(request r, const std::function<std::optional<uid_t>()>& peer_uid, reply answer);

  http_metrics& metrics() { return metrics_; }

private:
  services services_;
  access_rules rules_;
  http_metrics metrics_;
  router router_;
  std::string openapi_;
};

}  // namespace horizons::http
