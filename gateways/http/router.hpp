// The table of routes: which function answers which method and path, and what the API's description says about it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "gateways/http/request.hpp"

namespace horizons::http {

struct parameter {
  std::string name;
  std::string doc;
};

struct route {
  std::string method;   // GET answers HEAD, too
  std::string pattern;  // "/api/jobs/{id}"
  std::string summary;
  std::vector<parameter> query;  // another one is refused
  std::vector<int> statuses;     // of its answers
  std::function<void(request, reply)> answer;
  bool is_public = false;        // without proof of identity: the page itself, health
  std::string request_schema{};  // component that describes the body; empty: none
};

class router {
public:
  void add(route r);

  struct match {
    const route* found = nullptr;
    std::string allowed;  // when the path exists with other methods: "GET, HEAD, POST"
  };
  /// Finds the route and fills in `r.parameters`. Literal segments win over {parameters} by the order of adding.
  match find(request& r) const;

  const std::vector<route>& routes() const { return routes_; }

private:
  std::vector<route> routes_;
  std::vector<std::vector<std::string>> patterns_;  // segments, beside routes_
};

}  // namespace horizons::http
