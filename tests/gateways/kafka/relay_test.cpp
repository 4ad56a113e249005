// The relay on real brokers and real journal actors.
#include "gateways/kafka/relay.hpp"

#include <map>
#include <set>

#include <gtest/gtest.h>

#include "gateways/kafka/topics.hpp"
#include "messages/avro/confluent.hpp"
#include "messages/avro/event_codec.hpp"
#include "messages/topics.hpp"
#include "tests/gateways/kafka/journal_fixture.hpp"
#include "tests/messages/random_events.hpp"
#include "tests/runtime/kit/wait.hpp"

namespace horizons::kafka {
namespace {

using namespace std::chrono_literals;
using horizons::testing::eventually;
using testing::unique;

std::string header(const record& r, std::string_view name) {
  for (const auto& [n, value] : r.headers)
    if (n == name) return value.value_or("(null)");
  return "";
}

class relay_on_brokers : public testing::with_journal {
protected:
  void SetUp() override {
    with_journal::SetUp();
    if (IsSkipped()) return;
    ASSERT_TRUE(create_missing_topics(options));
    auto reader = topic_reader::open(options);
    ASSERT_TRUE(reader);
    for (const auto& t : kafka_topics) {
      auto ranges = reader->all_of(std::string(t.name), 10s);
      ASSERT_TRUE(ranges) << ranges.error().text;
      for (const auto& r : *ranges) begin_[{r.topic, r.partition}] = r.end;
    }
    relay_.kafka = options;
    relay_.mark_every = 20ms;
    relay_.retry_first = 20ms;
    relay_.retry_max = 100ms;
  }

  void start() { supervise("/kafka", {{{.name = "relay"}, kafka_relay(relay_, services), {.grace = 10s}, true}}); }

  /// What came to a topic since the test began, of its own.
  std::vector<stored_record> published(const std::string& topic, const std::function<bool(const record&)>& mine) {
    std::vector<stored_record> all;
    auto reader = topic_reader::open(options);
    EXPECT_TRUE(reader);
    auto ranges = reader->all_of(topic, 10s);
    EXPECT_TRUE(ranges) << ranges.error().text;
    for (auto& r : *ranges) r.first = begin_[{r.topic, r.partition}];
    auto read = reader->read(*ranges, 10s, [&](stored_record&& r) {
      if (mine(r.what)) all.push_back(std::move(r));
      return true;
    });
    EXPECT_TRUE(read) << read.error().text;
    return all;
  }
  std::vector<stored_record> of_jobs(const std::string& topic, const std::string& prefix) {
    return published(topic, [&](const record& r) { return r.key && r.key->starts_with(prefix); });
  }

  bool all_acknowledged(milliseconds limit = 60s) {
    const auto last = last_position();
    return eventually([&] { return relay_.metrics->acknowledged_position >= last; }, limit);
  }

  /// Sequences of each job in the order they lie in the topic, duplicates dropped as readers do.
  static std::map<std::string, std::vector<std::uint64_t>> sequences(const std::vector<stored_record>& records) {
    std::map<std::string, std::vector<std::uint64_t>> all;
    for (const auto& r : records) {
      auto& seen = all[*r.what.key];
      const auto n = std::stoull(header(r.what, "ce_sequence"));
      if (seen.empty() || n > seen.back()) seen.push_back(n);
    }
    return all;
  }

  std::map<std::pair<std::string, std::int32_t>, std::int64_t> begin_;
  kafka_relay_options relay_;
};

result<event> decoded(const record& r, const std::string& format) {
  header_list headers;
  for (const auto& [name, value] : r.headers) headers.emplace_back(name, value.value());
  if (format != "avro") return event_from_cloudevents(header(r, "content-type"), headers, *r.value);
  const auto framed = avro::parse_frame(*r.value);
  if (!framed) return failure(framed.error());
  return event_from_avro(framed->datum, header(r, "ce_type"));
}

class relay_formats : public relay_on_brokers, public ::testing::WithParamInterface<std::string> {};
INSTANTIATE_TEST_SUITE_P(kafka, relay_formats, ::testing::Values("json", "msgpack", "avro"),
                         [](const auto& each) { return each.param; });

TEST_P(relay_formats, every_type_comes_out_as_it_went_in) {
  relay_.kafka.format = GetParam();
  relay_.schema_id = [](std::string_view type) -> result<std::uint32_t> {
    return static_cast<std::uint32_t>(type.size());
  };
  start();
  horizons::testing::random_messages random(11);
  const auto job = unique("all");
  std::vector<event> events;
  std::uint64_t sequence = 0;
  for (int round = 0; round < 3; ++round)
    for_each_event_type([&]<class T>() {
      auto e = random.event_of<T>();
      e.position = 0;
      e.tenant = "default";
      e.user_id = job;
      e.job_id = is_life_cycle(e.data) || std::holds_alternative<job_metrics>(e.data) ? job : "";
      if (auto* audit = std::get_if<audit_recorded>(&e.data)) audit->resource_id = job;
      if (is_life_cycle(e.data)) e.sequence = ++sequence;
      events.push_back(std::move(e));
    });
  events = commit(std::move(events));
  ASSERT_TRUE(all_acknowledged()) << relay_.metrics->health().state;

  for (const auto& topic : kafka_topics) {
    std::vector<event> expected;
    for (const auto& e : events)
      if (carries(topic, type_of(e.data))) expected.push_back(e);
    std::vector<event> got;
    for (const auto& r :
         published(std::string(topic.name), [&](const record& r) { return header(r, "ce_userid") == job; })) {
      auto e = decoded(r.what, GetParam());
      ASSERT_TRUE(e) << e.error().text;
      EXPECT_EQ(header(r.what, "ce_id"), e->event_id);
      EXPECT_EQ(r.what.key, partition_key(*e, "n1"));
      EXPECT_EQ(r.what.time, e->time);
      got.push_back(std::move(*e));
    }
    EXPECT_EQ(got, expected) << topic.name;
  }
  EXPECT_EQ(relay_.metrics->refused, 0u);
}

TEST_F(relay_on_brokers, follows_live_and_stores_its_position) {
  start();
  const auto job = unique("live");
  for (std::uint64_t i = 0; i < 20; ++i) {
    commit(of_job(job, 1 + i * 5, 5));
    if (i % 5 == 0) {
      ASSERT_TRUE(all_acknowledged());
    }
  }
  ASSERT_TRUE(all_acknowledged());
  EXPECT_TRUE(eventually([&] { return stored_position() == last_position() + 1; })) << stored_position();
  const auto lifecycle = of_jobs("job-lifecycle", job);
  ASSERT_EQ(lifecycle.size(), 100u) << "nothing twice without a crash";
  EXPECT_EQ(sequences(lifecycle)[job].size(), 100u) << "in order";
  EXPECT_EQ(of_jobs("audit-trail", job).size(), 100u);
  EXPECT_EQ(header(lifecycle[0].what, "X-Agent"), "image-reconstruction");
  EXPECT_EQ(header(lifecycle[99].what, "X-Agent"), "image-reconstruction") << "known from the submission";
  EXPECT_TRUE(eventually([&] { return relay_.metrics->health().ready; })) << relay_.metrics->health().state;
  EXPECT_EQ(relay_.metrics->lag(), 0u);
  EXPECT_NE(relay_.metrics->text().find("horizons_kafka_relay_position_lag 0\n"), std::string::npos);
}

TEST_F(relay_on_brokers, catches_up_with_a_long_journal) {
  const auto prefix = unique("many");
  constexpr int jobs = 50, each = 200;
  for (int j = 0; j < jobs; ++j) commit(of_job(prefix + "-" + std::to_string(j), 1, each));
  start();
  ASSERT_TRUE(all_acknowledged()) << relay_.metrics->health().state;
  commit(of_job(prefix + "-0", each + 1, 1));
  ASSERT_TRUE(all_acknowledged());
  const auto records = of_jobs("job-lifecycle", prefix);
  EXPECT_EQ(records.size(), jobs * each + 1u);
  const auto by_job = sequences(records);
  ASSERT_EQ(by_job.size(), static_cast<std::size_t>(jobs));
  for (const auto& [job, numbers] : by_job) EXPECT_EQ(numbers.size(), numbers.back()) << job << ": in order, no gap";
}

TEST_F(relay_on_brokers, killed_again_and_again_it_skips_nothing) {
  start();
  const auto prefix = unique("kill");
  for (int round = 0; round < 6; ++round) {
    for (int j = 0; j < 20; ++j)
      commit(of_job(prefix + "-" + std::to_string(j), 1 + static_cast<std::uint64_t>(round) * 10, 10));
    system.kill(found("/kafka/relay"));
  }
  ASSERT_TRUE(all_acknowledged()) << relay_.metrics->health().state;
  EXPECT_TRUE(eventually([&] { return stored_position() == last_position() + 1; }));
  const auto by_job = sequences(of_jobs("job-lifecycle", prefix));
  ASSERT_EQ(by_job.size(), 20u);
  for (const auto& [job, numbers] : by_job) {
    ASSERT_EQ(numbers.size(), 60u) << job;
    EXPECT_EQ(numbers.back(), 60u) << "dropping what is not younger gives every event in order";
  }
}

TEST_F(relay_on_brokers, goes_on_when_the_writer_is_restarted) {
  start();
  const auto job = unique("writer");
  commit(of_job(job, 1, 10));
  ASSERT_TRUE(all_acknowledged());
  for (std::uint64_t round = 1; round <= 3; ++round) {
    system.kill(services.writer);
    ASSERT_TRUE(eventually([&] { return system.ask(services.writer, journal::journal_status{}, 1s).has_value(); }));
    commit(of_job(job, 1 + round * 10, 10));
    ASSERT_TRUE(all_acknowledged()) << relay_.metrics->health().state;
  }
  EXPECT_TRUE(eventually([&] { return stored_position() == last_position() + 1; })) << "marks under the new epoch";
  EXPECT_EQ(sequences(of_jobs("job-lifecycle", job))[job].size(), 40u);
}

TEST_F(relay_on_brokers, an_older_owner_is_fenced) {
  start();
  const auto job = unique("fence");
  commit(of_job(job, 1, 1));
  ASSERT_TRUE(all_acknowledged());
  ASSERT_TRUE(system.ask(services.writer, journal::claim_source{"relay/kafka"}, 10s)) << "another relay takes over";
  commit(of_job(job, 2, 1));
  EXPECT_TRUE(eventually([&] {
    for (const auto& t : system.tree())
      if (t.path == "/kafka/relay" && t.last_error.find("fenced") != std::string::npos) return true;
    return false;
  }));
}

TEST_F(relay_on_brokers, a_record_too_large_is_audited_and_does_not_stop_the_rest) {
  relay_.record_bytes_max = 20'000;
  start();
  const auto job = unique("large");
  auto events = of_job(job, 1, 3);
  std::get<job_progress>(events[1].data).stage = std::string(30'000, 'x');
  events = commit(std::move(events));
  ASSERT_TRUE(all_acknowledged()) << relay_.metrics->health().state;
  EXPECT_TRUE(eventually([&] { return audits().size() >= 2; })) << "one for each topic";
  ASSERT_TRUE(all_acknowledged());
  const auto audit = std::get<audit_recorded>(audits().at(0).data);
  EXPECT_EQ(audit.action, "relay.refused");
  EXPECT_EQ(audit.resource_id, services.journal_id + "." + std::to_string(events[1].position));
  EXPECT_NE(audit.outcome.find("job-lifecycle"), std::string::npos) << audit.outcome;
  EXPECT_EQ(relay_.metrics->refused, 2u);
  EXPECT_EQ(sequences(of_jobs("job-lifecycle", job))[job], (std::vector<std::uint64_t>{1, 3}));
  EXPECT_EQ(published("audit-trail", [&](const record& r) { return r.key == audit.resource_id; }).size(), 2u)
      << "readers of the audit trail are told";
}

TEST_F(relay_on_brokers, waits_while_the_registry_is_away) {
  relay_.kafka.format = "avro";
  std::atomic<bool> up{false};
  std::atomic<int> asked{0};
  relay_.schema_id = [&](std::string_view) -> result<std::uint32_t> {
    ++asked;
    if (!up) return failure(error_code::unavailable, "connection refused");
    return 5;
  };
  start();
  const auto job = unique("registry");
  commit(of_job(job, 1, 10));
  EXPECT_TRUE(eventually([&] { return asked >= 3; })) << "asks again and again";
  EXPECT_TRUE(eventually([&] {
    const auto h = relay_.metrics->health();
    return !h.ready && h.state.find("schema registry") != std::string::npos &&
           h.state.find("connection refused") != std::string::npos;
  })) << relay_.metrics->health().state;
  up = true;
  ASSERT_TRUE(all_acknowledged());
  EXPECT_EQ(sequences(of_jobs("job-lifecycle", job))[job].size(), 10u);
  EXPECT_TRUE(eventually([&] { return relay_.metrics->health().ready; }));
}

TEST_F(relay_on_brokers, brokers_that_are_away_stop_nothing_but_the_relay) {
  relay_.kafka.brokers = {"127.0.0.1:1"};
  relay_.kafka.create_topics = false;
  relay_.events_open_max = 10;
  start();
  commit(of_job(unique("away"), 1, 100));
  EXPECT_TRUE(eventually([&] { return relay_.metrics->open == 10; })) << "the window is bounded";
  EXPECT_TRUE(eventually([&] { return !relay_.metrics->health().ready; }, 30s));
  EXPECT_GE(relay_.metrics->lag(), 100u);
  EXPECT_EQ(stored_position(), 0u);
}

TEST_F(relay_on_brokers, the_head_of_the_audit_chain_is_told) {
  relay_.head_every = 50ms;
  services.node_id = unique("node");
  start();
  commit(of_job(unique("head"), 1, 3));
  ASSERT_TRUE(eventually([&] { return relay_.metrics->heads >= 3; }));
  const auto last = last_position();
  std::string outcome;
  EXPECT_TRUE(eventually([&] {
    for (const auto& r : published("audit-trail", [](const record& r) { return r.key == audit_chain_key; })) {
      const auto e = decoded(r.what, "json");
      EXPECT_TRUE(e) << e.error().text;
      const auto& a = std::get<audit_recorded>(e->data);
      if (a.actor != services.node_id) continue;
      EXPECT_EQ(a.action, "audit-chain.head");
      outcome = a.outcome;
    }
    return outcome.starts_with(services.journal_id + "." + std::to_string(last) + " count ");
  })) << outcome;
}

TEST_F(relay_on_brokers, asked_to_stop_it_finishes_what_is_under_way) {
  start();
  const auto job = unique("stop");
  commit(of_job(job, 1, 500));
  ASSERT_TRUE(eventually([&] { return relay_.metrics->open > 0 || relay_.metrics->events > 0; }));
  ASSERT_TRUE(system.stop(found("/kafka"), 20s));
  const auto records = of_jobs("job-lifecycle", job);
  EXPECT_EQ(stored_position(), records.size() + 1) << "what was sent is marked, so nothing comes twice";
}

TEST(relay_settings, impossible_ones_fail_the_actor) {
  kit::system system;
  kafka_relay_options o;
  o.kafka.brokers = {"127.0.0.1:1"};
  o.kafka.format = "avro";
  const auto relay = system.spawn_blocking<relay_api>({.name = "relay"}, kafka_relay(o, {}));
  EXPECT_TRUE(eventually([&] { return o.metrics->health().state.find("needs kafka.registry") != std::string::npos; }));
}

}  // namespace
}  // namespace horizons::kafka
