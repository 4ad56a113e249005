// How fast jobs go through a node: submitted, queued, running, completed, each an event that is durable before anything
// follows from it, with an agent that does nothing. Beside Celery and BullMQ with the same number of jobs in the same
// run, their queues made as durable as they can be (see jobs_peers.hpp; neither keeps a history of events).
//   bench-jobs [--json FILE] [--folder DIR] [--jobs N] [--queued N] [--journal URL]... [--no-peers]
// --queued: so many jobs that wait, what one costs, and how long a restart takes; 0: left out. --journal replaces the
// journals that are measured: SQLite, memory, and PostgreSQL where HORIZONS_JOURNAL_URL says so.
#include <sys/resource.h>

#include <cmath>
#include <cstring>
#include <iostream>

#include "bench/actors/jobs_peers.hpp"
#include "bench/actors/jobs_subject.hpp"
#include "bench/report.hpp"
#include "messages/ulid.hpp"

namespace {

using namespace horizons;
using namespace horizons::bench;
using steady = std::chrono::steady_clock;

struct options {
  std::string json_file, folder = std::filesystem::temp_directory_path().string();
  std::size_t jobs = 50'000, queued = 1'000'000;
  std::vector<std::string> journals;
  bool peers = true;
};

[[noreturn]] void stop(const std::string& why) {
  std::cerr << "bench-jobs: " << why << "\n";
  std::exit(1);
}

constexpr std::ptrdiff_t unanswered_max = 2'000;  // submissions under way: the doors' sessions together

/// Lets so many submissions be under way. Who waits is woken when a quarter is free again, not for each answer: doors
/// have many sessions, not one that sleeps.
class doorway {
public:
  void enter() {
    if (free_ == 0) await(unanswered_max / 4);
    --free_;
  }
  void leave() {
    std::lock_guard lock(mutex_);
    if (++left_ == wanted_) changed_.notify_one();
  }
  /// Until all that entered have left.
  void await_empty() { await(unanswered_max - free_); }

private:
  void await(std::ptrdiff_t count) {
    std::unique_lock lock(mutex_);
    wanted_ = count;
    changed_.wait(lock, [&] { return left_ >= count; });
    free_ += std::exchange(left_, 0);
  }

  std::ptrdiff_t free_ = unanswered_max;  // the submitter's own
  std::ptrdiff_t left_ = 0, wanted_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
};

command job_number(std::size_t n) {
  command c;
  c.user_id = "user-" + std::to_string(n % 10);
  c.agent = "image-reconstruction";
  c.dataset = "file:///data/observation-" + std::to_string(n % 1'000) + ".uvfits";
  c.params = {{"niter", 0}};
  c.priority = 1 + static_cast<int>(n % 5);
  return c;
}

std::string kind_of(const std::string& url) { return url.substr(0, url.find(':')); }

/// Jobs at a time on each of two devices: enough to fill the commits of a disk.
std::size_t slots_of(const std::string& kind) { return kind == "memory" ? 256 : 1'024; }

/// A fresh journal of that kind in the folder, and a fresh job table, in a file where the node would have one.
node_options fresh(const std::string& url, const options& o) {
  const auto journal = o.folder + "/jobs-bench.db", table = o.folder + "/jobs-bench-views.db";
  for (const auto& file : {journal, table})
    for (const char* end : {"", "-wal", "-shm", ".lock"}) std::filesystem::remove(file + end);
  const auto kind = kind_of(url);
  return {.journal_url = kind == "sqlite" ? "sqlite:" + journal : url,
          .table_path = kind == "memory" ? ":memory:" : table,
          .slots = slots_of(kind)};
}

std::unique_ptr<job_node> start_node(const node_options& node, event_watcher watcher) {
  auto started = job_node::start(node, std::move(watcher));
  if (!started) stop(started.error().text);
  return std::move(*started);
}

/// Of this process, in user and system mode: submitters and watchers included, a database server not.
double cpu_seconds() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

/// Jobs per second, from the first submission to the last completion. `pause` between submissions: open loop.
double throughput(job_node& node, job_counts& counts, std::size_t jobs) {
  const auto before = counts.done();
  doorway room;
  const double seconds = seconds_of([&] {
    for (std::size_t i = 0; i < jobs; ++i) {
      room.enter();
      node.door().submit(job_number(i), "", [&](const result<jobs::front::accepted>& r) {
        if (!r) counts.refused(r.error());
        room.leave();
      });
    }
    if (!counts.wait_for(before + jobs, 600s)) stop("not all jobs completed: " + counts.first_refusal());
    room.await_empty();
  });
  return static_cast<double>(jobs) / seconds;
}

/// The 99th percentile of the time from a submission to its job.running, milliseconds, at so many jobs per second.
class latency_probe {
public:
  void submitted(const std::string& id) {
    std::lock_guard lock(mutex_);
    since_[id] = steady::now();
  }
  void running(const std::string& id) {
    std::lock_guard lock(mutex_);
    auto at = since_.find(id);
    if (at == since_.end()) return;
    times_ms_.push_back(std::chrono::duration<double, std::milli>(steady::now() - at->second).count());
    since_.erase(at);
  }
  double percentile(double p) {
    std::lock_guard lock(mutex_);
    if (times_ms_.empty()) return 0;
    std::sort(times_ms_.begin(), times_ms_.end());
    return times_ms_[static_cast<std::size_t>(p * static_cast<double>(times_ms_.size() - 1))];
  }

private:
  std::mutex mutex_;
  std::unordered_map<std::string, steady::time_point> since_;
  std::vector<double> times_ms_;
};

void submit_at_rate(job_node& node, job_counts& counts, latency_probe& probe, double per_second,
                    std::chrono::seconds duration) {
  const auto begin = steady::now();
  const auto before = counts.done();
  const auto jobs = static_cast<std::size_t>(per_second * static_cast<double>(duration.count()));
  for (std::size_t i = 0; i < jobs; ++i) {
    std::this_thread::sleep_until(begin + std::chrono::duration_cast<steady::duration>(
                                              std::chrono::duration<double>(static_cast<double>(i) / per_second)));
    auto c = job_number(i);
    c.job_id = make_ulid(std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now()));
    probe.submitted(c.job_id);
    node.door().submit(std::move(c), "", [&](const result<jobs::front::accepted>& r) {
      if (!r) counts.refused(r.error());
    });
  }
  if (!counts.wait_for(before + jobs, 600s)) stop("not all jobs completed: " + counts.first_refusal());
}

/// One journal: throughput, and latency at half of it. Returns the throughput; `events_per_commit` is told.
double measure_flow(const std::string& url, const options& o, std::vector<row>& rows, double& events_per_commit) {
  job_counts counts;
  latency_probe probe;
  auto node = start_node(fresh(url, o), [&](const event& e) {
    if (std::holds_alternative<job_running>(e.data)) probe.running(e.job_id);
    if (std::holds_alternative<job_completed>(e.data)) counts.completed();
  });
  const auto kind = kind_of(url);
  throughput(*node, counts, o.jobs / 10);  // warm
  std::vector<double> rates;
  const double cpu_before = cpu_seconds();
  for (int i = 0; i < 3; ++i) rates.push_back(throughput(*node, counts, o.jobs));
  const double cpu_us = 1e6 * (cpu_seconds() - cpu_before) / static_cast<double>(3 * o.jobs);
  std::sort(rates.begin(), rates.end());
  events_per_commit = node->events_per_commit();
  const double rate = rates[1], spread = (rates[2] - rates[0]) / rates[1];
  rows.push_back(compare("submit to completed, " + kind, "jobs/s", better::higher, rate, "", {},
                         kind == "memory" ? 50'000 : 5'000, spread));
  rows.push_back(compare("processor time of a job, " + kind, "us", better::lower, cpu_us, "", {}, nullptr));
  submit_at_rate(*node, counts, probe, rate / 2, 5s);
  rows.push_back(
      compare("submit to running at half load, p99, " + kind, "ms", better::lower, probe.percentile(0.99), "", {}, 20));
  return rate;
}

/// So many jobs that wait for a device: whether the last ones cost what the first did, memory, and the restart.
void measure_queue(const options& o, std::vector<row>& rows) {
  auto node = fresh("sqlite:", o);
  node.runs_jobs = false;
  {
    auto n = start_node(node, [](const event&) {});
    const double before = resident_bytes();
    doorway room;
    job_counts counts;
    const std::size_t part = o.queued / 10;
    std::vector<double> seconds, cpu;
    for (std::size_t p = 0; p < 10; ++p) {
      const double cpu_before = cpu_seconds();
      seconds.push_back(seconds_of([&] {
        for (std::size_t i = 0; i < part; ++i) {
          room.enter();
          n->door().submit(job_number(p * part + i), "", [&](const result<jobs::front::accepted>& r) {
            if (!r) counts.refused(r.error());
            room.leave();
          });
        }
        room.await_empty();
      }));
      cpu.push_back(1e6 * (cpu_seconds() - cpu_before) / static_cast<double>(part));
    }
    if (auto why = counts.first_refusal(); !why.empty()) stop(why);
    const auto name = std::to_string(10 * part) + " queued jobs";
    rows.push_back(compare("submission, last tenth of " + name, "jobs/s", better::higher,
                           static_cast<double>(part) / seconds.back(), "the first tenth",
                           static_cast<double>(part) / seconds.front(), "flat: 0.8"));
    rows.push_back(compare("processor time of a submission, last tenth", "us", better::lower, cpu.back(),
                           "the first tenth", cpu.front(), "flat: 0.8"));
    std::this_thread::sleep_for(10s);  // what is idle leaves memory
    rows.push_back(compare("resident memory, " + name, "B/job", better::lower,
                           (resident_bytes() - before) / static_cast<double>(10 * part), "", {}, 1'500));
  }
  auto begin = steady::now();
  auto n = start_node(node, [](const event&) {});
  const std::chrono::duration<double> took = steady::now() - begin;
  if (n->recovered() < o.queued / 10 * 10) stop("the restarted node knows fewer jobs than there were");
  rows.push_back(compare("restart to ready, " + std::to_string(n->recovered()) + " queued jobs", "s", better::lower,
                         took.count(), "", {}, 10));
}

options read_options(int argc, char** argv) {
  options o;
  for (int i = 1; i < argc; ++i) {
    auto is = [&](const char* name) { return std::strcmp(argv[i], name) == 0; };
    if (is("--no-peers")) {
      o.peers = false;
      continue;
    }
    if (i + 1 == argc) stop(std::string("unknown option ") + argv[i] + ", or its value is missing");
    std::string value = argv[i + 1];
    if (is("--json"))
      o.json_file = value;
    else if (is("--folder"))
      o.folder = value;
    else if (is("--jobs"))
      o.jobs = std::stoul(value);
    else if (is("--queued"))
      o.queued = std::stoul(value);
    else if (is("--journal"))
      o.journals.push_back(value);
    else
      stop(std::string("unknown option ") + argv[i]);
    ++i;
  }
  if (o.journals.empty()) {
    o.journals = {"sqlite:", "memory:"};
    if (auto* url = std::getenv("HORIZONS_JOURNAL_URL")) o.journals.push_back(url);
  }
  return o;
}

}  // namespace

int main(int argc, char** argv) {
  const auto o = read_options(argc, argv);
  std::vector<row> rows;
  nlohmann::json conditions{{"cores", std::thread::hardware_concurrency()},
                            {"jobs", o.jobs},
                            {"agent", "does nothing"},
                            {"events",
                             "submitted, queued, running, completed: 3 commits of each job, shared by all jobs "
                             "under way; every commit synced before anything follows from it"},
                            {"submissions under way", unanswered_max},
                            {"measured", "median of 3 runs"}};
  double durable = 0;
  for (auto& url : o.journals) {
    double events_per_commit = 0;
    auto rate = measure_flow(url, o, rows, events_per_commit);
    conditions["events per commit, " + kind_of(url)] = std::round(events_per_commit);
    conditions["jobs under way, " + kind_of(url)] = 2 * slots_of(kind_of(url));
    if (kind_of(url) == "sqlite") durable = rate;
  }
  if (o.peers && durable > 0)
    for (auto& peer : measure_peers(o.folder, std::min<std::size_t>(o.jobs, 20'000))) {
      conditions[peer.name] = peer.conditions;
      rows.push_back(compare("submit to completed, sqlite", "jobs/s", better::higher, durable, peer.name,
                             peer.jobs_per_second, peer.goal));
    }
  if (o.queued > 0) measure_queue(o, rows);
  print(rows);
  return write_json(o.json_file, conditions, rows) ? 0 : 1;
}
