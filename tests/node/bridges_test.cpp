// The node between real brokers, seen from outside with clients that know nothing of it: kcat and pika.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <fstream>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <sstream>
#include <thread>

#include "tests/node/servers.hpp"

namespace horizons::test {
namespace {

std::vector<json> lines_of(const std::string& text) {
  std::vector<json> all;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);)
    if (auto parsed = json::parse(line, nullptr, false); parsed.is_object()) all.push_back(std::move(parsed));
  return all;
}

template <class Condition>
bool eventually(std::chrono::seconds limit, Condition condition) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

std::string kcat_produce(const std::string& brokers, const std::string& topic, const fs::path& file) {
  return "kcat -P -b " + brokers + " -t " + topic + " -K '\t' -l " + file.string() +
         " -X partitioner=murmur2_random -X acks=all -X enable.idempotence=true -X linger.ms=20";
}

/// Everything on a topic, as JSON.
std::vector<json> consume(const std::string& brokers, const std::string& topic) {
  return lines_of(run_shell("kcat -C -e -q -o beginning -b " + brokers + " -t " + topic + " -f '%s\\n'", 300s).out);
}

json submission(const std::string& job_id) {
  auto job = small_job();
  job["job_id"] = job_id;
  return job;
}

void write_lines(const fs::path& path, const std::vector<std::pair<std::string, std::string>>& records) {
  std::ofstream out(path);
  for (const auto& [key, value] : records) out << key << '\t' << value << '\n';
}

TEST(bridges, a_job_submitted_with_kcat_is_run_and_its_life_is_on_kafka) {
  if (!with_servers()) GTEST_SKIP() << "needs real servers; run ./dev test";
  const own_servers servers({"kafka"});
  ASSERT_TRUE(servers.up()) << servers.problem();
  const auto brokers = servers["HORIZONS_KAFKA_BROKERS"];
  scratch_folder folder;
  const std::vector<std::string> config{"--set", "kafka.brokers=" + brokers};
  node_process node(folder / "data", config);
  ASSERT_TRUE(node.ready()) << node.log();
  const auto horizons = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--node", node.url(), "--set", "node.data_dir=" + (folder / "data").string()});
    arguments.insert(arguments.end(), config.begin(), config.end());
    return run_program(arguments);
  };

  write_lines(folder / "in",
              {{"k1", submission("from-kcat").dump()},
               {"k2", "this is no submission"},
               {"k3", R"({"job_id":"no-such-agent","agent":"astrology","dataset":"file:///x","user_id":"u"})"}});
  const auto sent = run_shell(kcat_produce(brokers, "job-submissions", folder / "in"));
  ASSERT_EQ(sent.status, 0) << sent.err;
  EXPECT_EQ(node.wait_for("from-kcat")["status"], "COMPLETED") << node.log();
  EXPECT_EQ(node.wait_for("no-such-agent")["status"], "REJECTED");

  std::vector<json> life;
  ASSERT_TRUE(eventually(60s, [&] {
    life = consume(brokers, "job-lifecycle");
    return std::ranges::any_of(life, [](const json& e) { return e["event_type"] == "job.completed"; });
  }));
  std::vector<std::string> types;
  std::uint64_t sequence = 0;
  for (const auto& e : life)
    if (e["job_id"] == "from-kcat") {
      types.push_back(e["event_type"]);
      EXPECT_EQ(e["sequence"].get<std::uint64_t>(), ++sequence);
    }
  ASSERT_GE(types.size(), 4u);
  EXPECT_EQ(types.front(), "job.submitted");
  EXPECT_EQ(types.back(), "job.completed");

  // What cannot be read is found, looked at and sent back; it comes back, and can be parked.
  json letters;
  ASSERT_TRUE(eventually(60s, [&] {
    letters = json::parse(horizons({"dlq", "list", "--json"}).out, nullptr, false);
    return letters.is_object() && letters["dead_letters"].size() == 1;
  })) << letters;
  const std::string id = letters["dead_letters"][0]["id"];
  const auto shown = json::parse(horizons({"dlq", "show", id, "--json"}).out, nullptr, false);
  EXPECT_EQ(shown["value"], "this is no submission") << shown;
  EXPECT_EQ(shown["key"], "k2");
  const auto replayed = horizons({"dlq", "replay", id, "--json"});
  EXPECT_EQ(json::parse(replayed.out, nullptr, false)["replayed"], 1) << replayed.out << replayed.err;
  ASSERT_TRUE(eventually(60s, [&] {
    letters = json::parse(horizons({"dlq", "list", "--json"}).out, nullptr, false);
    return letters.is_object() && letters["dead_letters"].size() == 2;
  })) << letters;
  EXPECT_EQ(horizons({"dlq", "park", id}).status, 0);
  EXPECT_EQ(json::parse(horizons({"dlq", "replay", id, "--json"}).out, nullptr, false)["skipped"], 1);
  EXPECT_FALSE(node.get("/api/events/replay?type=audit.recorded").body.empty()) << "replay and park are audited";

  // The command line goes the same way.
  const auto via = horizons({"submit", "--via", "kafka", "--wait", "--agent", "image-reconstruction", "--dataset",
                             small_observation().string(), "--param", "niter=20", "--param", "size=64"});
  EXPECT_EQ(via.status, 0) << via.out << via.err;
  EXPECT_EQ(horizons({"topics", "check"}).status, 0);

  // Replay to a topic, and a job's state rebuilt from its events.
  EXPECT_EQ(horizons({"replay", "--job", "from-kcat", "--to", "state"}).status, 0);
  const auto copied = horizons({"replay", "--job", "from-kcat", "--to", "job-metrics"});
  EXPECT_EQ(copied.status, 0) << copied.out << copied.err;
  EXPECT_EQ(consume(brokers, "job-metrics").size(), types.size());

  // A restart goes on where it was: nothing is read twice into an effect.
  node.signal(SIGTERM);
  EXPECT_EQ(node.wait(15s), 0);
  node_process again(folder / "data", config);
  ASSERT_TRUE(again.ready()) << again.log();
  EXPECT_TRUE(eventually(60s, [&] { return again.get("/readyz").status == 200; })) << again.get("/readyz").body;
  int submitted = 0;
  for (const auto& e : again.events("from-kcat")) submitted += e["event_type"] == "job.submitted";
  EXPECT_EQ(submitted, 1);

  // Another journal may not go on in the same group unasked.
  again.signal(SIGTERM);
  EXPECT_EQ(again.wait(15s), 0);
  node_process other(folder / "other", config);
  ASSERT_TRUE(other.ready()) << other.log();
  ASSERT_TRUE(eventually(60s, [&] { return other.get("/readyz").body.find("adopt") != std::string::npos; }))
      << other.get("/readyz").body;
  EXPECT_EQ(other.get("/readyz").status, 503);
  const auto adopted = run_program({"bridge", "adopt", "--from", "committed", "--node", other.url(), "--set",
                                    "node.data_dir=" + (folder / "other").string()});
  EXPECT_EQ(adopted.status, 0) << adopted.out << adopted.err;
  EXPECT_TRUE(eventually(60s, [&] { return other.get("/readyz").status == 200; })) << other.get("/readyz").body;
  EXPECT_EQ(other.get("/api/jobs/from-kcat").status, 404) << "it was before the committed offset";
}

TEST(bridges, a_job_submitted_with_pika_is_run_and_its_events_come_back) {
  if (!with_servers()) GTEST_SKIP() << "needs real servers; run ./dev test";
  const own_servers servers({"rabbitmq"});
  ASSERT_TRUE(servers.up()) << servers.problem();
  scratch_folder folder;
  const auto urls = servers["HORIZONS_RABBITMQ_URLS"];
  node_process node(folder / "data", {"--set", "rabbitmq.urls=" + urls});
  ASSERT_TRUE(node.ready()) << node.log();
  ASSERT_TRUE(eventually(60s, [&] { return node.get("/readyz").status == 200; })) << node.get("/readyz").body;
  std::ofstream(folder / "submit.py") << R"(
import json, pika, sys
channel = pika.BlockingConnection(pika.URLParameters(sys.argv[1])).channel()
channel.confirm_delivery()
answers = channel.queue_declare("", exclusive=True).method.queue
def ask(body, number):
    channel.basic_publish("job.submissions", "job-submissions", body,
                          pika.BasicProperties(content_type="application/json", message_id="m-" + number,
                                               reply_to=answers, correlation_id="c-" + number, delivery_mode=2),
                          mandatory=True)
    for method, properties, answer in channel.consume(answers, auto_ack=True, inactivity_timeout=60):
        assert method and properties.correlation_id == "c-" + number, properties
        print(json.dumps({"content_type": properties.content_type, "answer": json.loads(answer)}))
        break
ask(sys.argv[2], "1")
ask('{"agent":"astrology","dataset":"file:///x","user_id":"u"}', "2")
ask("this is no submission", "3")
channel.cancel()
for method, properties, body in channel.consume("job-events-api", auto_ack=True, inactivity_timeout=60):
    if method is None:
        break
    event = json.loads(body)
    print(json.dumps(event))
    if event["event_type"] == "job.completed":
        break
)";
  const auto job = small_job();
  const auto url = urls.substr(0, urls.find(','));
  const auto ran =
      run_shell("/usr/bin/python3 " + (folder / "submit.py").string() + " '" + url + "' '" + job.dump() + "'");
  ASSERT_EQ(ran.status, 0) << ran.err;
  const auto printed = lines_of(ran.out);
  ASSERT_GE(printed.size(), 7u) << ran.out;
  const std::string id = printed[0]["answer"]["job_id"];
  EXPECT_EQ(node.wait_for(id)["status"], "COMPLETED");
  // Who cannot be served hears why: a job that was refused, and what is no job at all.
  EXPECT_EQ(printed[1]["content_type"], "application/json");
  EXPECT_EQ(printed[1]["answer"]["status"], "REJECTED") << printed[1];
  EXPECT_NE(printed[1]["answer"].dump().find("astrology"), std::string::npos) << printed[1];
  EXPECT_EQ(node.wait_for(printed[1]["answer"]["job_id"])["status"], "REJECTED");
  EXPECT_EQ(printed[2]["content_type"], "application/problem+json");
  EXPECT_EQ(printed[2]["answer"]["reason"], "poison") << printed[2];
  EXPECT_EQ(printed[3]["event_type"], "job.submitted");
  EXPECT_EQ(printed.back()["event_type"], "job.completed");
  const auto via =
      run_program({"submit", "--via", "rabbitmq", "--wait", "--agent", "image-reconstruction", "--dataset",
                   small_observation().string(), "--param", "niter=20", "--param", "size=64", "--node", node.url(),
                   "--set", "node.data_dir=" + (folder / "data").string(), "--set", "rabbitmq.urls=" + urls});
  EXPECT_EQ(via.status, 0) << via.out << via.err;
}

/// What is looked at of an event; a million of them fit into memory.
struct told_event {
  std::string job, id, type;
  std::uint64_t sequence = 0;
};

std::vector<told_event> events_in(std::istream& lines) {
  std::vector<told_event> all;
  for (std::string line; std::getline(lines, line);)
    if (const auto e = json::parse(line, nullptr, false); e.is_object() && e.contains("event_id"))
      all.push_back({e.value("job_id", ""), e["event_id"], e["event_type"], e.value("sequence", std::uint64_t{0})});
  return all;
}

/// Every event on a topic, by way of a file.
std::vector<told_event> told(const std::string& brokers, const std::string& topic, const fs::path& file) {
  run_shell("kcat -C -e -q -o beginning -b " + brokers + " -t " + topic + " -f '%s\\n' > " + file.string(), 300s);
  std::ifstream lines(file);
  return events_in(lines);
}

/// How many records lie on a topic of the catalogue (10 partitions); what is not answered counts as none.
std::size_t records_of(const std::string& brokers, const std::string& topic) {
  std::string command = "kcat -Q -b " + brokers;
  for (int p = 0; p < 10; ++p) command += " -t " + topic + ":" + std::to_string(p) + ":-1";
  std::istringstream out(run_shell(command, 30s).out);
  std::size_t sum = 0;
  for (std::string line; std::getline(out, line);)  // "job-lifecycle [3] offset 123"
    if (const auto at = line.rfind(' '); at != std::string::npos)
      sum += static_cast<std::size_t>(std::max(0L, std::strtol(line.c_str() + at, nullptr, 10)));
  return sum;
}

// -- everything at once, while it is being killed -------------------------------------------------------------------

/// Kills one server or the node at a time, at random, until told to stop; leaves everything running.
class havoc {
public:
  /// `pace`: half of it to three times as much lies between two kills.
  havoc(const own_servers& servers, std::function<std::unique_ptr<node_process>()> start_node, unsigned seed,
        std::chrono::milliseconds pace)
      : servers_(servers), start_node_(std::move(start_node)), pace_(pace), random_(seed), node_(start_node_()) {
    thread_ = std::thread([this] {
      while (!stop_) one();
    });
  }
  ~havoc() { end(); }

  void end() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    stopping_.notify_all();
    if (thread_.joinable()) thread_.join();
  }
  /// Waits until so many kills have been survived.
  bool await(int kills_wanted) {
    return eventually(90s, [&] { return survived_ >= kills_wanted; });
  }
  /// After `end`.
  node_process& node() { return *node_; }
  std::map<std::string, int> kills;

private:
  void one() {
    const auto pause = pace_ / 2 + std::chrono::milliseconds(random_() % (pace_.count() * 5 / 2));
    {
      std::unique_lock lock(mutex_);
      if (stopping_.wait_for(lock, pause, [this] { return stop_.load(); })) return;
    }
    if (deck_.empty()) {  // every kind comes, in an order of chance
      deck_ = {0, 0, 1, 2};
      std::ranges::shuffle(deck_, random_);
    }
    const int kind = deck_.back();
    deck_.pop_back();
    switch (kind) {
      case 0:
        ++kills["node"];
        node_->signal(SIGKILL);
        node_->wait(10s);
        start();
        break;
      case 1: {
        const auto broker = "kafka-" + std::to_string(1 + random_() % 3);
        ++kills["broker"];
        servers_.signal(broker, SIGKILL);
        servers_.restart(broker);
        // One at a time: two missing replicas would be no failure to survive but one to wait for.
        eventually(60s, [&] {
          const auto listing = run_shell("kcat -L -b " + servers_["HORIZONS_KAFKA_BROKERS"] + " -t job-lifecycle").out;
          std::size_t full = 0;
          for (std::size_t at = 0; (at = listing.find("isrs: ", at)) != std::string::npos; ++at) {
            const auto line = listing.substr(at, listing.find('\n', at) - at);
            full += std::ranges::count(line, ',') == 2;
          }
          return full == 10;
        });
        break;
      }
      default:
        ++kills["postgres"];
        servers_.signal("postgres", SIGKILL);
        // What is left of it may hold its memory for a moment: then it does not start, and is started again.
        eventually(60s, [&] {
          servers_.restart("postgres");
          return eventually(5s, [&] { return accepts(servers_["HORIZONS_JOURNAL_URL"]); });
        });
    }
    ++survived_;
  }

  /// Again until it runs, as a service manager does: it refuses to start without its journal.
  void start() {
    eventually(60s, [&] {
      node_ = start_node_();
      return node_->ready();
    });
  }

  static bool accepts(const std::string& database) {
    return run_shell("/usr/lib/postgresql/15/bin/pg_isready -q -d " + database).status == 0;
  }

  const own_servers& servers_;
  std::function<std::unique_ptr<node_process>()> start_node_;
  std::chrono::milliseconds pace_;
  std::mt19937 random_;
  std::vector<int> deck_;
  std::atomic<int> survived_ = 0;
  std::unique_ptr<node_process> node_;
  std::mutex mutex_;
  std::condition_variable stopping_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

TEST(bridges, nothing_is_lost_or_doubled_while_node_brokers_and_database_are_killed) {
  if (!with_servers()) GTEST_SKIP() << "needs real servers; run ./dev test";
  const own_servers servers({"kafka", "postgres"});
  ASSERT_TRUE(servers.up()) << servers.problem();
  const auto brokers = servers["HORIZONS_KAFKA_BROKERS"];
  scratch_folder folder;
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));

  // Most submissions name an agent that does not exist: their whole life is one event. The others are cancelled at
  // once, with the same key: the order of the two decides what comes out.
  const std::size_t records_wanted = long_run() ? 1'000'000 : 50'000;
  std::vector<std::pair<std::string, std::string>> records;
  std::set<std::string> rejected, cancelled;
  for (std::size_t i = 0; records.size() < records_wanted; ++i) {
    const auto id = "job-" + std::to_string(i);
    if (i % 50 != 0) {
      records.emplace_back(id, R"({"job_id":")" + id + R"(","agent":"astrology","dataset":"file:///x","user_id":"u"})");
      rejected.insert(id);
    } else {
      records.emplace_back(id, submission(id).dump());
      records.emplace_back(id, R"({"command":"cancel","job_id":")" + id + R"(","user_id":"u"})");
      cancelled.insert(id);
    }
  }

  const auto start_node = [&] {
    return std::make_unique<node_process>(folder / "data",
                                          std::vector<std::string>{"--set", "kafka.brokers=" + brokers, "--set",
                                                                   "journal.url=" + servers["HORIZONS_JOURNAL_URL"]});
  };
  const auto began = std::chrono::steady_clock::now();
  // Kills come by the clock, records by the kills: a part after each, so that no kill finds the node idle.
  havoc killing(servers, start_node, seed, long_run() ? 10s : 1s);
  const std::size_t parts = long_run() ? 60 : 8, part = (records.size() + parts - 1) / parts;
  for (std::size_t i = 0; i < parts; ++i) {
    const auto from = records.begin() + static_cast<std::ptrdiff_t>(i * part);
    write_lines(folder / "in", {from, from + static_cast<std::ptrdiff_t>(std::min(part, records.size() - i * part))});
    const auto sent =
        run_shell(kcat_produce(brokers, "job-submissions", folder / "in") + " -X message.timeout.ms=600000", 1800s);
    ASSERT_EQ(sent.status, 0) << sent.err;
    EXPECT_TRUE(killing.await(static_cast<int>(i) + 1)) << "the servers do not come back";
  }

  // A first look at the topic says when everything has come through; a job that was run has three events at least.
  std::vector<told_event> life;
  const auto all_final = [&] {
    if (records_of(brokers, "job-lifecycle") < rejected.size() + 3 * cancelled.size()) return false;
    life = told(brokers, "job-lifecycle", folder / "life");
    std::set<std::string_view> ended;
    for (const auto& e : life)
      if (e.type == "job.rejected" || e.type == "job.cancelled" || e.type == "job.completed") ended.insert(e.job);
    return ended.size() >= rejected.size() + cancelled.size();
  };
  const auto limit = long_run() ? 3600s : 240s;
  const bool through = eventually(limit, all_final);
  killing.end();
  EXPECT_TRUE(through || eventually(120s, all_final)) << "not everything came out; " << killing.node().log();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;

  struct trail {
    std::map<std::uint64_t, std::string> ids;  // by sequence
    std::vector<std::string> types;
  };
  std::map<std::string, trail> jobs;
  std::size_t repeats = 0;
  for (const auto& e : life) {
    auto& t = jobs[e.job];
    if (const auto known = t.ids.find(e.sequence); known != t.ids.end()) {  // after a crash the relay may say it again
      ++repeats;
      EXPECT_EQ(known->second, e.id) << "two events at one place of " << e.job;
      continue;
    }
    EXPECT_EQ(e.sequence, t.ids.size() + 1) << e.job << ": a gap, or out of order";
    t.ids.emplace(e.sequence, e.id);
    t.types.push_back(e.type);
  }
  for (const auto& id : rejected) EXPECT_EQ(jobs[id].types, std::vector<std::string>{"job.rejected"}) << id;
  for (const auto& id : cancelled) {
    const auto& types = jobs[id].types;
    ASSERT_GE(types.size(), 3u) << id;
    EXPECT_EQ(types[0], "job.submitted") << id;
    EXPECT_TRUE(types.back() == "job.cancelled" || types.back() == "job.completed") << id << types.back();
  }
  EXPECT_EQ(jobs.size(), rejected.size() + cancelled.size());
  // Only a cancel may have come too late: its job had run to its end.
  for (const auto& letter : consume(brokers, "job-submissions.dlq"))
    EXPECT_EQ(letter.value("command", ""), "cancel") << letter;

  // What was published is what was stored.
  std::set<std::string> stored, published;
  {
    std::istringstream replayed(killing.node().get("/api/events/replay").body);
    for (const auto& e : events_in(replayed)) stored.insert(e.id);
  }
  for (const auto& [id, t] : jobs)
    for (const auto& [_, event_id] : t.ids) published.insert(event_id);
  EXPECT_TRUE(std::ranges::includes(stored, published));
  for (const auto& [what, times] : killing.kills) RecordProperty("kills of " + what, times);
  std::cout << records.size() << " records in " << took.count() << " s, " << repeats << " repeats;";
  for (const auto& [what, times] : killing.kills) std::cout << ' ' << what << " killed " << times << " times;";
  std::cout << '\n';

  killing.node().signal(SIGTERM);
  EXPECT_EQ(killing.node().wait(15s), 0) << killing.node().log();
  const auto verified = run_program({"audit", "verify", "--set", "journal.url=" + servers["HORIZONS_JOURNAL_URL"]});
  EXPECT_EQ(verified.status, 0) << verified.out << verified.err;
}

}  // namespace
}  // namespace horizons::test
