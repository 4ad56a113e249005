// A house in memory behind the door: jobs are maps, events a list; tests move them on by hand.
#pragma once

#include <atomic>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <thread>

#include <unistd.h>

#include "gateways/http/services.hpp"
#include "messages/make_event.hpp"
#include "messages/ulid.hpp"

namespace horizons::http {

class fake_house {
public:
  std::mutex mutex;
  std::map<std::string, json> jobs;
  std::vector<event> events;
  std::map<int, std::function<void(const event&)>> watchers;
  int next_watcher = 0;
  std::size_t queued_max = 100'000;
  bool is_ready = true;
  std::atomic<int> reads{0};
  std::vector<callback<json>> unanswered;  // of job ids that begin with "mute"
  std::filesystem::path directory =
      std::filesystem::temp_directory_path() /
      ("horizons-house-" + make_ulid(timestamp{std::chrono::duration_cast<std::chrono::milliseconds>(
                               std::chrono::system_clock::now().time_since_epoch())}));

  fake_house() { std::filesystem::create_directories(directory); }
  ~fake_house() { std::filesystem::remove_all(directory); }

  /// Commits an event of `job` and tells the watchers, as the journal does: in position order.
  void happen(const std::string& job, event_data data) {
    const std::scoped_lock lock(mutex);
    commit(job, std::move(data));
  }

  services doors() {
    services s;
    s.submit = [this](const identity& who, command c, const std::string&, const callback<submission>& then) {
      std::unique_lock lock(mutex);
      if (c.agent == "nonsense")
        return then(
            failure(error_code::invalid_argument, "agent: \"nonsense\" is not known; expected image-reconstruction"));
      if (c.job_id.empty()) c.job_id = make_ulid(now());
      if (const auto found = jobs.find(c.job_id); found != jobs.end()) {
        if (found->second["dataset"] != c.dataset)
          return then(failure(error_code::conflict, "job " + c.job_id + " exists with other content"));
        return then(submission{false, found->second});
      }
      if (jobs.size() >= queued_max) return then(failure(error_code::limit_exceeded, "the queue is full"));
      json job = {{"job_id", c.job_id},        {"user_id", c.user_id},
                  {"tenant", c.tenant},        {"agent", c.agent},
                  {"dataset", c.dataset},      {"params", c.params},
                  {"priority", c.priority},    {"status", "QUEUED"},
                  {"progress", 0.0},           {"attempt", 0},
                  {"results", json::array()},  {"submitted_at", to_string(now())},
                  {"proven_user", who.user_id}};
      jobs[c.job_id] = job;
      commit(c.job_id, job_submitted{.agent = c.agent, .dataset = c.dataset});
      lock.unlock();
      then(submission{true, job});
    };
    s.order = [this](const identity&, const std::string& order, const std::string& id, const std::string& reason,
                     const callback<json>& then) {
      const std::scoped_lock lock(mutex);
      const auto found = jobs.find(id);
      if (found == jobs.end()) return then(failure(error_code::not_found, "job " + id + " does not exist"));
      if (order == "cancel" && found->second["status"] == "COMPLETED")
        return then(failure(error_code::conflict,
                            "job " + id + " is COMPLETED; only a job that has not ended can be cancelled"));
      found->second["status"] = order == "cancel" ? "CANCELLED" : order == "pause" ? "PAUSED" : "QUEUED";
      found->second["reason"] = reason;
      then(found->second);
    };
    s.get_job = [this](const identity&, const std::string& id, const callback<json>& then) {
      std::unique_lock lock(mutex);
      if (id.starts_with("mute")) return unanswered.push_back(then);
      const auto found = jobs.find(id);
      const auto job = found == jobs.end() ? json() : found->second;
      lock.unlock();  // the caller may ask for more from within
      if (job.is_null()) return then(failure(error_code::not_found, "job " + id + " does not exist"));
      then(job);
    };
    s.list_jobs = [this](const identity&, const job_query& q, const callback<job_page>& then) {
      const std::scoped_lock lock(mutex);
      job_page page;
      for (auto at = jobs.upper_bound(q.page_token); at != jobs.end(); ++at) {
        if (!q.status.empty() && at->second["status"] != q.status) continue;
        if (page.jobs.size() == q.page_size) {
          page.next_page_token = page.jobs.back()["job_id"];
          break;
        }
        page.jobs.push_back(at->second);
      }
      then(std::move(page));
    };
    s.read_events = [this](const event_query& q, const callback<std::vector<event>>& then) {
      ++reads;
      std::vector<event> found;
      {
        const std::scoped_lock lock(mutex);
        for (const auto& e : events) {
          if (e.position <= q.after_position || (!q.job_id.empty() && e.job_id != q.job_id) ||
              (!q.type.empty() && type_of(e.data) != q.type))
            continue;
          if ((q.start && e.time < *q.start) || (q.end && e.time >= *q.end)) continue;
          found.push_back(e);
          if (found.size() == q.limit) break;
        }
      }
      then(std::move(found));
    };
    s.find_result = [this](const identity&, const std::string& id, const std::string& name,
                           const callback<result_location>& then) {
      const auto path = directory / name;
      std::error_code code;
      const auto size = std::filesystem::file_size(path, code);
      if (code) return then(failure(error_code::not_found, "job " + id + " has no result " + name));
      then(result_location{path, std::string(64, 'a'), static_cast<std::int64_t>(size)});
    };
    s.agents = [] {
      return json{{"agents", json::array({{{"name", "image-reconstruction"}, {"parameters", {{"type", "object"}}}}})}};
    };
    s.tree = [] {
      return json{{"name", "horizons"},
                  {"state", "running"},
                  {"children", json::array({{{"name", "jobs"}, {"state", "running"}, {"children", json::array()}}})}};
    };
    s.cluster = [] { return json{{"nodes", json::array({{{"id", "n1"}}})}}; };
    s.metrics_text = [] { return std::string("house_up 1\n"); };
    s.ready = [this](const callback<readiness>& then) {
      then(readiness{is_ready, {{"journal", is_ready ? "up" : "down: disk full"}, {"device", "up"}}});
    };
    s.watch = [this](std::function<void(const event&)> on_event) -> std::function<void()> {
      const std::scoped_lock lock(mutex);
      const int number = next_watcher++;
      watchers[number] = std::move(on_event);
      return [this, number] {
        const std::scoped_lock inner(mutex);
        watchers.erase(number);
      };
    };
    s.version = "0.1.0";
    s.node_id = "n1";
    return s;
  }

  std::size_t watching() {
    const std::scoped_lock lock(mutex);
    return watchers.size();
  }

  static timestamp now() {
    return std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
  }

private:
  void commit(const std::string& job, event_data data) {
    event_context context{.now = now(), .user_id = "me", .job_id = job};
    context.sequence = sequences_[job];
    auto e = make_event(context, std::move(data)).value();
    e.position = events.size() + 1;
    sequences_[job] = context.sequence;
    events.push_back(e);
    for (const auto& [number, tell] : watchers) tell(e);
  }

  std::map<std::string, std::uint64_t> sequences_;
};

}  // namespace horizons::http
