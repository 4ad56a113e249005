#include "gateways/kafka/topics.hpp"

#include <algorithm>
#include <optional>
#include <sstream>

#include <nlohmann/json.hpp>

#include "gateways/kafka/patience.hpp"
#include "gateways/kafka/topic_admin.hpp"

namespace horizons::kafka {
namespace {

constexpr int replication_wanted = 3;
constexpr int in_sync_wanted = 2;
constexpr std::int64_t day_ms = 86'400'000;
constexpr milliseconds settling{300};
// A dead letter is the whole record and the error in headers: a record of the largest size must still fit.
constexpr std::int64_t dead_letter_bytes_max = 1'048'588 + 131'072;

topic_plan plan_of(std::string name, int partitions, int retention_days, int brokers) {
  topic_plan p{std::move(name), partitions, std::min(replication_wanted, std::max(1, brokers)), {}};
  p.settings["retention.ms"] = std::to_string(retention_days * day_ms);
  p.settings["min.insync.replicas"] = std::to_string(std::min(in_sync_wanted, p.replication));
  return p;
}

/// "2592000000" as "30 d" beside the figure.
std::string shown(const topic_difference& d, const std::string& value) {
  if (d.what != "retention.ms" || value.empty() || value.size() > 18 ||
      value.find_first_not_of("0123456789") != std::string::npos)
    return value;
  const auto ms = std::stoll(value);
  return ms % day_ms == 0 ? std::to_string(ms / day_ms) + " d" : value + " ms";
}

std::string word(const topic_difference& d) { return d.what == "retention.ms" ? "retention" : d.what; }

std::string joined(const topics_report::row& r) {
  std::string out;
  for (const auto& d : r.differences)
    out += (out.empty() ? "" : "; ") + word(d) + " " + shown(d, d.found) + ", expected " + shown(d, d.expected);
  if (!r.note.empty()) out += (out.empty() ? "" : "; ") + r.note;
  return out;
}

struct inspection {
  topic_admin admin;
  cluster_view cluster;
  std::vector<topic_plan> plans;
};

result<inspection> inspect(const kafka_options& options, milliseconds limit, topic_catalogue catalogue, bool settings) {
  auto admin = topic_admin::open(options, limit);
  if (!admin) return failure(admin.error());
  // A broker may not know a topic yet that another one has just made: what is missing stays missing for a moment.
  result<cluster_view> cluster;
  std::vector<topic_plan> plans;
  ask_until(settling, [&] {
    cluster = admin->view();
    if (!cluster) return true;
    std::map<std::string, int> present;
    for (const auto& [name, state] : cluster->topics) present[name] = state.partitions;
    plans = topic_plans(cluster->brokers, present, catalogue);
    return std::all_of(plans.begin(), plans.end(), [&](const topic_plan& p) {
      const auto at = cluster->topics.find(p.name);
      return at != cluster->topics.end() && at->second.partitions == p.partitions;
    });
  });
  if (!cluster) return failure(cluster.error());
  if (settings) {
    std::vector<std::string> names;
    for (const auto& p : plans)
      if (cluster->topics.contains(p.name)) names.push_back(p.name);
    using described = decltype(admin->describe(*cluster, names));
    std::optional<described> found;
    ask_until(settling, [&] {
      found.emplace(admin->describe(*cluster, names));
      return *found || found->error().code != error_code::not_found;
    });
    if (!*found) return failure(found->error());
  }
  return inspection{std::move(*admin), std::move(*cluster), std::move(plans)};
}

topics_report report_of(const inspection& found) {
  topics_report report;
  report.brokers = found.cluster.brokers;
  for (const auto& plan : found.plans) {
    const auto at = found.cluster.topics.find(plan.name);
    if (at == found.cluster.topics.end()) {
      report.rows.push_back({plan.name, "missing", {}, {}});
      continue;
    }
    auto differences = compare(plan, at->second);
    const bool same = differences.empty();
    report.rows.push_back({plan.name, same ? "ok" : "differs", std::move(differences), {}});
  }
  return report;
}

void apply_row(const topic_admin& admin, const topic_plan& plan, const topic_state& state, topics_report::row& row) {
  std::map<std::string, std::string> settings;
  std::vector<topic_difference> left;
  const auto note = [&](std::string text) { row.note += (row.note.empty() ? "" : "; ") + std::move(text); };
  for (const auto& d : row.differences) {
    if (d.what == "replication") {
      note("replication is changed with kafka-reassign-partitions");
      left.push_back(d);
    } else if (d.what == "partitions" && state.partitions > plan.partitions) {
      note("partitions cannot be taken away");
      left.push_back(d);
    } else if (d.what == "partitions") {
      if (auto added = admin.add_partitions(plan.name, plan.partitions); !added) {
        note(added.error().text);
        left.push_back(d);
      } else {
        note("keys have moved between partitions: order per key holds for new records only");
      }
    } else {
      settings[d.what] = d.expected;
    }
  }
  if (!settings.empty())
    if (auto set = admin.alter(plan.name, state, settings); !set) {
      note(set.error().text);
      std::copy_if(row.differences.begin(), row.differences.end(), std::back_inserter(left),
                   [&](const auto& d) { return settings.contains(d.what); });
    }
  row.state = left.empty() ? "altered" : "differs";
  row.differences = std::move(left);
}

}  // namespace

std::vector<topic_plan> topic_plans(int brokers, const std::map<std::string, int>& present, topic_catalogue catalogue) {
  std::vector<topic_plan> plans;
  for (const auto& topic : catalogue) {
    const std::string name(topic.name);
    plans.push_back(plan_of(name, topic.partitions, topic.retention_days, brokers));
    const auto at = present.find(name);
    const int partitions = at == present.end() ? topic.partitions : std::max(topic.partitions, at->second);
    plans.push_back(plan_of(dead_letter_topic(name), partitions, dead_letter_retention_days, brokers));
    plans.back().settings["max.message.bytes"] = std::to_string(dead_letter_bytes_max);
  }
  return plans;
}

std::vector<topic_difference> compare(const topic_plan& plan, const topic_state& state) {
  std::vector<topic_difference> differences;
  if (state.partitions != plan.partitions)
    differences.push_back({"partitions", std::to_string(plan.partitions), std::to_string(state.partitions)});
  if (state.replication != plan.replication)
    differences.push_back({"replication", std::to_string(plan.replication), std::to_string(state.replication)});
  for (const auto& [name, value] : plan.settings) {
    const auto at = state.settings.find(name);
    const std::string found = at == state.settings.end() ? "" : at->second;
    if (found != value) differences.push_back({name, value, found});
  }
  return differences;
}

bool topics_report::good() const {
  return std::all_of(rows.begin(), rows.end(), [](const row& r) {
    return r.differences.empty() && (r.state == "ok" || r.state == "created" || r.state == "altered");
  });
}

std::string topics_report::text() const {
  std::size_t width = 5;
  for (const auto& r : rows) width = std::max(width, r.topic.size());
  std::ostringstream out;
  const auto line = [&](const std::string& topic, const std::string& state, const std::string& rest) {
    std::string text = topic + std::string(width + 2 - topic.size(), ' ') + state;
    if (!rest.empty()) text += std::string(state.size() < 9 ? 9 - state.size() : 1, ' ') + rest;
    out << text << '\n';
  };
  line("TOPIC", "STATE", "DETAIL");
  std::size_t bad = 0;
  for (const auto& r : rows) {
    line(r.topic, r.state, joined(r));
    bad += r.state == "missing" || r.state == "failed" || !r.differences.empty();
  }
  out << rows.size() << " topics on " << brokers << (brokers == 1 ? " broker: " : " brokers: ")
      << (bad == 0 ? std::string("as the catalogue says") : std::to_string(bad) + " not as the catalogue says") << '\n';
  return std::move(out).str();
}

std::string topics_report::json_text() const {
  auto list = nlohmann::json::array();
  for (const auto& r : rows) {
    auto differences = nlohmann::json::array();
    for (const auto& d : r.differences)
      differences.push_back({{"what", d.what}, {"expected", d.expected}, {"found", d.found}});
    list.push_back({{"topic", r.topic}, {"state", r.state}, {"differences", differences}, {"note", r.note}});
  }
  return nlohmann::json{{"good", good()}, {"brokers", brokers}, {"topics", list}}.dump();
}

result<topics_report> topics_check(const kafka_options& options, milliseconds limit, topic_catalogue catalogue) {
  auto found = inspect(options, limit, catalogue, true);
  if (!found) return failure(found.error());
  return report_of(*found);
}

result<topics_report> topics_apply(const kafka_options& options, milliseconds limit, topic_catalogue catalogue) {
  auto found = inspect(options, limit, catalogue, true);
  if (!found) return failure(found.error());
  auto report = report_of(*found);
  for (std::size_t i = 0; i < report.rows.size(); ++i) {
    auto& row = report.rows[i];
    const auto& plan = found->plans[i];
    if (row.state == "differs") apply_row(found->admin, plan, found->cluster.topics[plan.name], row);
    if (row.state != "missing") continue;
    auto made = found->admin.create(plan);
    if (made || made.error().code == error_code::conflict)
      row.state = "created";
    else
      row.state = "failed", row.note = made.error().text;
  }
  return report;
}

result<std::vector<std::string>> create_missing_topics(const kafka_options& options, milliseconds limit,
                                                       topic_catalogue catalogue) {
  auto found = inspect(options, limit, catalogue, false);
  if (!found) return failure(found.error());
  std::vector<std::string> made;
  for (const auto& plan : found->plans) {
    if (found->cluster.topics.contains(plan.name)) continue;
    auto created = found->admin.create(plan);
    if (created)
      made.push_back(plan.name);
    else if (created.error().code != error_code::conflict)  // another node was faster
      return failure(created.error());
  }
  return made;
}

}  // namespace horizons::kafka
