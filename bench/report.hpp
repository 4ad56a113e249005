// What the measuring programs share: the median of repeated runs, the table that a person reads and the JSON that is
// kept. Measures nothing by itself and sets no goal.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace horizons::bench {

/// The median of some runs and (largest - smallest) / median.
struct timing {
  double seconds = 0, spread = 0;
};

/// `seconds` must not be empty.
inline timing median_of(std::vector<double> seconds) {
  std::sort(seconds.begin(), seconds.end());
  const double median = seconds[seconds.size() / 2];
  return {median, median > 0 ? (seconds.back() - seconds.front()) / median : 0};
}

/// CPU time of this machine so far, in ticks: all of it, and what a hypervisor gave to others meanwhile (proc(5)). A
/// run from which much was stolen measures the neighbours.
struct cpu_time {
  double all = 0, stolen = 0;
};

inline cpu_time machine_cpu_time() {
  std::ifstream file("/proc/stat");
  std::string cpu;
  file >> cpu;
  cpu_time t;
  double ticks = 0;
  for (int column = 0; column < 8 && file >> ticks; ++column) {  // the eighth is steal
    t.all += ticks;
    t.stolen = ticks;
  }
  return t;
}

inline double stolen_since(const cpu_time& before) {
  const auto now = machine_cpu_time();
  return now.all > before.all ? (now.stolen - before.stolen) / (now.all - before.all) : 0;
}

template <class Call>
double seconds_of(Call&& call) {
  const auto start = std::chrono::steady_clock::now();
  std::forward<Call>(call)();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

template <class Call>
timing median_seconds(int repeats, Call&& call) {
  std::vector<double> seconds;
  for (int i = 0; i < repeats; ++i) seconds.push_back(seconds_of(call));
  return median_of(std::move(seconds));
}

/// One figure, ours beside a peer's. `ratio` above 1: ours is better.
struct row {
  std::string what, unit;
  double ours = 0;
  std::string peer;
  std::optional<double> theirs, ratio;
  nlohmann::json goal;  // a ratio, a text, or null
  double spread = 0;    // of ours and theirs together, relative
};

enum class better { higher, lower };

inline row compare(std::string what, std::string unit, better which, double ours, std::string peer,
                   std::optional<double> theirs, nlohmann::json goal, double spread = 0) {
  std::optional<double> ratio;
  const double over = which == better::higher ? theirs.value_or(0) : ours;  // what is divided by
  if (theirs && over > 0) ratio = (which == better::higher ? ours : *theirs) / over;
  return {std::move(what), std::move(unit), ours, std::move(peer), theirs, ratio, std::move(goal), spread};
}

inline void print(const std::vector<row>& rows) {
  const auto number = [](const std::optional<double>& value) {
    char text[32] = "-";
    if (value) std::snprintf(text, sizeof text, "%.3g", *value);
    return std::string(text);
  };
  std::size_t width = 4;
  for (const auto& r : rows) width = std::max(width, r.what.size());
  const int w = static_cast<int>(width);
  std::printf("%-*s  %-9s %9s %9s %7s %6s %7s\n", w, "what", "unit", "ours", "theirs", "ratio", "goal", "spread");
  for (const auto& r : rows)
    std::printf("%-*s  %-9s %9s %9s %7s %6s %6.0f%%\n", w, r.what.c_str(), r.unit.c_str(), number(r.ours).c_str(),
                number(r.theirs).c_str(), number(r.ratio).c_str(),
                r.goal.is_number() ? number(r.goal.get<double>()).c_str() : "", 100 * r.spread);
}

/// {"conditions": …, "rows": […]} to `path`; nothing when it is empty. With `part`, of a run that measured a part only,
/// the other rows and conditions that are in the file stay. False, with a line on stderr, when it cannot be written.
inline bool write_json(const std::string& path, const nlohmann::json& conditions, const std::vector<row>& rows,
                       bool part = false) {
  if (path.empty()) return true;
  const auto or_null = [](const std::optional<double>& value) {
    return value ? nlohmann::json(*value) : nlohmann::json();
  };
  nlohmann::json list = nlohmann::json::array(), said = nlohmann::json::object();
  if (std::ifstream before(path); part && before)
    if (auto old = nlohmann::json::parse(before, nullptr, false); old.is_object() && old.contains("rows")) {
      list = std::move(old["rows"]);
      said = std::move(old["conditions"]);
    }
  said.update(conditions);
  for (const auto& r : rows) {
    nlohmann::json made{{"what", r.what},
                        {"unit", r.unit},
                        {"ours", r.ours},
                        {"peer", r.peer},
                        {"theirs", or_null(r.theirs)},
                        {"ratio", or_null(r.ratio)},
                        {"goal", r.goal},
                        {"spread", r.spread}};
    const auto same = std::find_if(list.begin(), list.end(), [&](const auto& old) {
      return old.value("what", "") == r.what && old.value("peer", "") == r.peer;
    });
    if (same == list.end())
      list.push_back(std::move(made));
    else
      *same = std::move(made);
  }
  std::ofstream file(path);
  file << nlohmann::json{{"conditions", said}, {"rows", list}}.dump(2) << "\n";
  if (file.flush()) return true;
  std::fprintf(stderr, "cannot write %s\n", path.c_str());
  return false;
}

}  // namespace horizons::bench
