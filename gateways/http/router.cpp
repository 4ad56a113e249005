#include "gateways/http/router.hpp"

#include <sstream>

namespace horizons::http {
namespace {

bool is_parameter(const std::string& segment) { return segment.size() > 2 && segment.front() == '{'; }

bool fits(const std::vector<std::string>& pattern, const std::vector<std::string>& path) {
  if (pattern.size() != path.size()) return false;
  for (std::size_t i = 0; i < path.size(); ++i)
    if (is_parameter(pattern[i]) ? path[i].empty() : pattern[i] != path[i]) return false;
  return true;
}

}  // namespace

void router::add(route r) {
  std::vector<std::string> segments;
  std::stringstream parts(r.pattern.substr(1));
  for (std::string part; std::getline(parts, part, '/');) segments.push_back(part);
  patterns_.push_back(std::move(segments));
  routes_.push_back(std::move(r));
}

router::match router::find(request& r) const {
  const std::string& method = r.method == "HEAD" ? std::string("GET") : r.method;
  match m;
  for (std::size_t i = 0; i < routes_.size(); ++i) {
    if (!fits(patterns_[i], r.segments)) continue;
    if (routes_[i].method != method) {
      m.allowed += (m.allowed.empty() ? "" : ", ") + routes_[i].method + (routes_[i].method == "GET" ? ", HEAD" : "");
      continue;
    }
    for (std::size_t j = 0; j < r.segments.size(); ++j)
      if (const auto& name = patterns_[i][j]; is_parameter(name))
        r.parameters[name.substr(1, name.size() - 2)] = r.segments[j];
    m.found = &routes_[i];
    return m;
  }
  return m;
}

}  // namespace horizons::http
