// What docs/kafka.md tells people to type, typed: kcat and Kafka's own tools against the source, the relay and the dead
// letters of a small house.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>

#include <gtest/gtest.h>

#include "gateways/kafka/dead_letter_queue.hpp"
#include "gateways/kafka/relay.hpp"
#include "gateways/kafka/source.hpp"
#include "gateways/kafka/submission_handler.hpp"
#include "gateways/kafka/topics.hpp"
#include "tests/gateways/kafka/journal_fixture.hpp"

namespace horizons::kafka {
namespace {

using namespace std::chrono_literals;
using testing::eventually;
using testing::unique;
namespace fs = std::filesystem;

/// The ```sh blocks of docs/kafka.md, in order.
std::vector<std::string> commands_of_the_page() {
  std::ifstream page(HORIZONS_SOURCE_DIR "/docs/kafka.md");
  std::vector<std::string> blocks;
  bool inside = false;
  for (std::string line; std::getline(page, line);) {
    if (line.starts_with("```")) {
      inside = line == "```sh";
      if (inside) blocks.emplace_back();
    } else if (inside) {
      blocks.back() += line + "\n";
    }
  }
  return blocks;
}

class kafka_page : public testing::with_journal {
protected:
  void SetUp() override {
    with_journal::SetUp();
    if (IsSkipped()) return;
    ASSERT_TRUE(create_missing_topics(options));
    commands_ = commands_of_the_page();
    ASSERT_EQ(commands_.size(), 7u) << "a command of the page has no test";
    job_ = unique("page");

    services.handle = [this](bridges::incoming in, bridges::callback<bridges::handled> then) {
      handle(std::move(in), then);
    };
    dead_letter_options dead{.kafka = options};
    kafka_relay_options relay{.kafka = options};
    supervise("/out", {{{.name = "relay"}, kafka_relay(relay, services), {.grace = 10s}, true},
                       {{.name = "dead"}, dead_letter_writer(dead, services), {}, true}});
    relay_ = relay.metrics;
    kafka_source_options in;
    in.kafka = options;
    in.kafka.extra["heartbeat.interval.ms"] = "300";
    in.topics = {{"job-submissions", submissions(services, "")}};
    supervise(
        "/in",
        {{{.name = "source"},
          kafka_source(in, services, sink_of(system, kit::handle<dead_letter_writer_api>(found("/out/dead").cell()))),
          {.grace = 10s},
          true}});
    make_tools();
  }
  void TearDown() override {
    with_journal::TearDown();
    std::error_code ignored;
    fs::remove_all(tools_, ignored);
  }

  /// Runs a command of the page as a person would.
  std::string type(std::size_t command) {
    return testing::output_of("export PATH='" + tools_.string() + ":'\"$PATH\" KAFKA='" + options.brokers.front() +
                              "' JOB='" + job_ + "'\n" + commands_.at(command) + "true");
  }
  bool happened(const std::string& type) {
    return eventually(
        [&] {
          auto r = system.ask(services.reader, journal::read_events{{.job_id = job_, .type = type}, 10}, 10s);
          return r && !r->events.empty() && relay_->acknowledged_position >= r->events.back().position;
        },
        60s);
  }

  std::vector<std::string> commands_;
  std::string job_;
  std::shared_ptr<relay_metrics> relay_;
  bool has_java_tools_ = false;

private:
  /// A front that takes every order for the test's job: one event of the life cycle each. The topics have the names of
  /// the page, and tests that run beside this one use them too.
  void handle(bridges::incoming in, const bridges::callback<bridges::handled>& then) {
    const auto& job = in.what.job_id.empty() ? in.fallback_job_id : in.what.job_id;
    if (job != job_) return append({}, in.mark, then);
    std::unique_lock lock(mutex_);
    event_context context{
        .now = testing::wall_now(), .user_id = in.what.user_id, .job_id = job, .sequence = sequences_[job]};
    const auto& name = in.what.command_name;
    auto e = name == "submit"   ? make_event(context, job_submitted{.agent = in.what.agent, .dataset = in.what.dataset})
             : name == "cancel" ? make_event(context, job_cancelled{.old_status = "QUEUED", .by = in.what.user_id})
                                : make_event(context, job_paused{{.old_status = "QUEUED", .new_status = "PAUSED"}});
    if (!e) return then(failure(e.error()));
    sequences_[job] = context.sequence;
    lock.unlock();
    append({*e}, in.mark, then);
  }

  void append(std::vector<event> events, const std::optional<journal::source_mark>& mark,
              const bridges::callback<bridges::handled>& then) {
    auto b = journal::sample::of(std::move(events));
    if (mark) b.marks.push_back(*mark);
    system.ask(services.writer, journal::append{std::move(b)}, 20s, [then](result<journal::append_outcome> r) {
      if (r)
        then(bridges::handled{.marked = true});
      else
        then(failure(r.error()));
    });
  }

  void make_tools() {
    tools_ = fs::temp_directory_path() / unique("tools");
    fs::create_directories(tools_);
    fs::path libraries;
    std::error_code none;
    for (const auto& entry : fs::directory_iterator(HORIZONS_SOURCE_DIR "/build/services/downloads", none))
      if (entry.path().filename().string().starts_with("kafka-")) libraries = entry.path();
    has_java_tools_ = !libraries.empty();
    for (const auto& [name, main] :
         {std::pair{"kafka-console-producer.sh", "kafka.tools.ConsoleProducer"},
          std::pair{"kafka-console-consumer.sh", "org.apache.kafka.tools.consumer.ConsoleConsumer"}}) {
      std::ofstream(tools_ / name) << "#!/bin/sh\nexec java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp '"
                                   << libraries.string() << "/*' " << main << " \"$@\" 2>/dev/null\n";
      fs::permissions(tools_ / name, fs::perms::owner_all);
    }
  }

  std::mutex mutex_;
  std::map<std::string, std::uint64_t> sequences_;
  fs::path tools_;
};

TEST_F(kafka_page, kcat_submits_a_job_and_reads_its_life_cycle) {
  type(0);
  ASSERT_TRUE(happened("job.submitted"));
  type(1);
  ASSERT_TRUE(happened("job.cancelled"));
  const auto printed = type(2);
  const auto lines = testing::split(printed, '\n');
  ASSERT_EQ(lines.size(), 2u) << printed;
  EXPECT_TRUE(lines[0].starts_with(job_ + " ")) << lines[0];
  EXPECT_NE(lines[0].find("ce_type=job.submitted"), std::string::npos) << lines[0];
  EXPECT_NE(lines[0].find("content-type=application/json"), std::string::npos);
  EXPECT_NE(lines[0].find("\"agent\":\"image-reconstruction\""), std::string::npos);
  EXPECT_NE(lines[1].find("ce_type=job.cancelled"), std::string::npos) << "in order";
  EXPECT_EQ(type(3), "1\tjob.submitted\t\n2\tjob.cancelled\tCANCELLED\n");
}

TEST_F(kafka_page, what_cannot_be_read_is_in_the_dead_letters) {
  testing::output_of("echo '{nonsense' | kcat -P -b " + options.brokers.front() + " -t job-submissions -k " + job_ +
                     " -X partitioner=murmur2_random");
  std::string letters;
  ASSERT_TRUE(eventually(
      [&] {
        letters = type(4);
        return letters.find(job_) != std::string::npos;
      },
      60s));
  const auto line = letters.substr(letters.find(job_), letters.find('\n', letters.find(job_)) - letters.find(job_));
  EXPECT_NE(line.find("__connect.errors.topic=job-submissions"), std::string::npos) << line;
  EXPECT_NE(line.find("horizons-reason=poison"), std::string::npos) << line;
  EXPECT_TRUE(line.ends_with("{nonsense")) << line;
}

TEST_F(kafka_page, kafkas_own_tools_do_the_same) {
  if (!has_java_tools_) GTEST_SKIP() << "Kafka's own tools are not here: ./dev services up kafka";
  type(0);
  ASSERT_TRUE(happened("job.submitted"));
  type(5);
  ASSERT_TRUE(happened("job.paused")) << "the same partition as kcat's, so in order";
  const auto printed = type(6);
  const auto lines = testing::split(printed, '\n');
  ASSERT_EQ(lines.size(), 2u) << printed;
  EXPECT_NE(lines[0].find("job.submitted"), std::string::npos);
  EXPECT_NE(lines[1].find("job.paused"), std::string::npos);
}

}  // namespace
}  // namespace horizons::kafka
