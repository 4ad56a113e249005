#include "gateways/cli/top.hpp"

#include <algorithm>
#include <cstdio>
#include <map>
#include <sstream>

#include "gateways/cli/table.hpp"

namespace horizons::cli {
namespace {

double number(const json& object, const char* name) {
  const auto at = object.find(name);
  return at != object.end() && at->is_number() ? at->get<double>() : 0;
}

std::string text(const json& object, const char* name) {
  const auto at = object.find(name);
  return at != object.end() && at->is_string() ? at->get<std::string>() : "";
}

std::string duration(double ms) {
  if (ms <= 0) return "";
  char out[32];
  std::snprintf(out, sizeof out, ms < 1000 ? "%.0f ms" : "%.1f s", ms < 1000 ? ms : ms / 1000);
  return out;
}

std::string count(double n) { return n > 0 ? std::to_string(static_cast<std::uint64_t>(n + 0.5)) : ""; }

/// "horizons::jobs::offer_device" is handled as "offer_device".
std::string short_name(const std::string& type) {
  const auto colon = type.rfind(':');
  return colon == std::string::npos ? type : type.substr(colon + 1);
}

}  // namespace

json with_rates(const json& before, json now) {
  std::map<std::string, double> handled;
  for (const auto& a : before.value("actors", json::array()))
    if (a.is_object()) handled[text(a, "path")] = number(a, "handled");
  const double seconds = (number(now, "at_unix_ms") - number(before, "at_unix_ms")) / 1000;
  auto actors = now.value("actors", json::array());
  std::erase_if(actors.get_ref<json::array_t&>(), [](const json& a) { return !a.is_object(); });
  for (auto& a : actors) {
    const auto known = handled.find(text(a, "path"));
    const double more = known == handled.end() ? 0 : number(a, "handled") - known->second;
    a["rate_per_s"] = seconds > 0 ? std::max(0.0, more) / seconds : 0.0;
  }
  std::stable_sort(actors.begin(), actors.end(), [](const json& a, const json& b) {
    const auto busy = [](const json& x) {
      return std::tuple(number(x, "messages"), number(x, "rate_per_s"), number(x, "handling_ms"));
    };
    return busy(a) > busy(b);
  });
  now["actors"] = std::move(actors);
  return now;
}

std::string draw_top(const json& rated, std::size_t rows_max) {
  table rows({"PATH", "TYPE", "MAILBOX", "RATE/S", "OLDEST", "HANDLER"});
  const auto actors = rated.value("actors", json::array());
  for (const auto& a : actors) {
    if (rows.size() == rows_max) break;
    const auto handling = text(a, "handling");
    rows.add({text(a, "path"), text(a, "type"), count(number(a, "messages")), count(number(a, "rate_per_s")),
              duration(number(a, "oldest_ms")),
              handling.empty() ? "" : short_name(handling) + " " + duration(std::max(1.0, number(a, "handling_ms")))});
  }
  std::ostringstream out;
  rows.print(out);
  if (const auto total = static_cast<std::size_t>(number(rated, "total")); total > rows.size())
    out << total - rows.size() << " more, less busy\n";
  return out.str();
}

}  // namespace horizons::cli
