// What the HTTP door needs from the house, as plain functions: horizons.cpp fills them in with actors behind. Every
// function returns at once and calls `then` exactly once, on any thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "gateways/bridges/dead_letters.hpp"
#include "messages/commands.hpp"
#include "messages/events.hpp"
#include "messages/result.hpp"

namespace horizons::kit {
class system;
}

namespace horizons::http {

template <class T>
using callback = std::function<void(result<T>)>;

/// Who asks, as the door has proven it.
struct identity {
  std::string user_id;
  std::string tenant = "default";
  bool is_operator = false;
};

struct submission {
  bool is_new = true;  // false: the same submission was here before
  json job;            // as GET /api/jobs/{id}
};

struct job_query {
  std::string status, user, agent, tenant;
  std::optional<timestamp> since;
  std::size_t page_size = 100;  // 1 … 1,000
  std::string page_token;
};

struct job_page {
  std::vector<json> jobs;
  std::string next_page_token;  // empty: the last page
};

struct event_query {
  std::string tenant, job_id, type;
  std::optional<timestamp> start, end;  // start inclusive, end exclusive
  std::uint64_t after_position = 0;
  std::size_t limit = 1000;  // 1 … 10,000
};

struct result_location {
  std::filesystem::path path;
  std::string sha256;
  std::int64_t size = 0;
};

struct readiness {
  bool ready = false;
  std::vector<std::pair<std::string, std::string>> checks;  // component, "up" or what is wrong
};

struct services {
  /// `traceparent`: of the request, empty when it has none.
  std::function<void(identity, command, std::string traceparent, callback<submission>)> submit;
  /// cancel, pause, resume, retry; answers with the job afterwards.
  std::function<void(identity, std::string order, std::string job_id, std::string reason, callback<json>)> order;
  std::function<void(identity, std::string job_id, callback<json>)> get_job;
  std::function<void(identity, job_query, callback<job_page>)> list_jobs;
  std::function<void(event_query, callback<std::vector<event>>)> read_events;
  /// Where a finished job's result lies; `name` must be one of its results.
  std::function<void(identity, std::string job_id, std::string name, callback<result_location>)> find_result;
  std::function<json()> agents;   // GET /api/agents
  std::function<json()> tree;     // GET /api/tree
  std::function<json()> cluster;  // GET /api/cluster
  std::function<std::string()> metrics_text;
  std::function<void(callback<readiness>)> ready;
  /// Calls `on_event` for every event committed from now on (any thread); the returned function ends it.
  std::function<std::function<void()>(std::function<void(const event&)> on_event)> watch;
  /// The dead letters of all bridges; null: the node has none.
  std::shared_ptr<bridges::dead_letter_box> dead_letters;
  /// Takes the partitions over that another journal has committed; from: "committed", "earliest" or a time. Empty:
  /// there is no Kafka bridge.
  std::function<void(identity, std::string from, callback<json>)> adopt;
  /// The node's actors, for operators: shown and ordered about under /api/actors. Outlives the door; null: not there.
  kit::system* actors = nullptr;
  /// Appends audit.recorded: an administrative act or its refusal. outcome: "done", "refused" or "failed". Must answer
  /// within seconds, also when the journal does not. Needed where `actors` is given.
  std::function<void(std::string action, std::string actor, std::string resource_type, std::string resource_id,
                     std::string outcome, callback<std::uint64_t> then)>
      audit;
  std::string version, node_id;
};

}  // namespace horizons::http
