// What the source does when something it stands on is away: brokers, the journal, the registry, the topic.
#include <gtest/gtest.h>

#include "gateways/kafka/topics.hpp"
#include "messages/avro/confluent.hpp"
#include "messages/avro/event_codec.hpp"
#include "tests/gateways/kafka/house.hpp"
#include "tests/gateways/kafka/own_cluster.hpp"
#include "tests/gateways/registry/http_stub.hpp"

namespace horizons::kafka {
namespace {

using namespace testing;

class kafka_source_faults : public with_brokers {
protected:
  kafka_source_options on(const std::string& topic, house& h) {
    kafka_source_options o;
    o.kafka = options;
    o.kafka.extra["heartbeat.interval.ms"] = "300";
    o.topics = {{topic, submissions(h.services(), options.registry)}};
    o.limits.backoff_first = 20ms;
    o.limits.backoff_max = 100ms;
    o.limits.attempts_max = 3;
    o.retry_first = 20ms;
    o.retry_max = 200ms;
    return o;
  }
  kit::handle<source_api> start(house& h, kafka_source_options o) {
    return h.system.spawn_blocking<source_api>({.name = "source"}, kafka_source(std::move(o), h.services(), h.sink()));
  }
  std::string state(house& h, const kit::handle<source_api>& s) {
    const auto r = h.system.ask(s, source_health{}, 5s);
    return r ? (r->ready ? "ready: " : "not ready: ") + r->state : r.error().text;
  }
  std::unique_ptr<producer> open_producer() {
    auto p = producer::open({.kafka = options}, [] {});
    EXPECT_TRUE(p) << p.error().text;
    return std::move(*p);
  }
  void send(producer& p, const std::string& topic, int from, int to) {
    for (int i = from; i < to; ++i)
      ASSERT_TRUE(p.send(
          topic, text_record("job-" + std::to_string(i % 10), order_json("job-" + std::to_string(i % 10), i / 10)),
          static_cast<std::uint64_t>(i)));
    ASSERT_TRUE(p.flush(60s));
    p.take_deliveries();
  }
};

TEST_F(kafka_source_faults, BrokersThatFreezeDieAndComeBackCostTimeOnly) {
  const own_cluster cluster;
  ASSERT_TRUE(cluster.up()) << "./dev services up kafka failed";
  options.brokers = cluster.brokers();
  const auto topic = make_topic(3);
  ASSERT_TRUE(cluster.in_sync(options, topic, 60s));
  house h;
  const auto s = start(h, on(topic, h));
  const auto sender = open_producer();
  send(*sender, topic, 0, 300);
  ASSERT_TRUE(eventually([&] { return h.stored_count() >= 300; }, 60s)) << state(h, s);

  cluster.signal(2, SIGSTOP);  // others lead its partitions soon
  send(*sender, topic, 300, 600);
  ASSERT_TRUE(eventually([&] { return h.stored_count() >= 600; }, 60s)) << state(h, s);
  cluster.signal(2, SIGCONT);
  ASSERT_TRUE(cluster.in_sync(options, topic, 60s));

  for (int i = 1; i <= 3; ++i) cluster.signal(i, SIGKILL);  // nobody is left
  ASSERT_TRUE(eventually([&] { return state(h, s).find("no broker can be reached") != std::string::npos; }, 60s))
      << state(h, s);
  EXPECT_TRUE(state(h, s).starts_with("not ready"));
  for (int i = 1; i <= 3; ++i) ASSERT_TRUE(cluster.restart(i));
  ASSERT_TRUE(cluster.in_sync(options, topic, 60s));
  send(*sender, topic, 600, 900);
  ASSERT_TRUE(eventually([&] { return h.stored_count() >= 900; }, 60s)) << state(h, s);
  ASSERT_TRUE(eventually([&] { return state(h, s).starts_with("ready"); }, 60s)) << state(h, s);
  expect_complete(h, 10, 90);
  EXPECT_TRUE(h.letters().empty());
}

TEST_F(kafka_source_faults, AJournalThatFailsSendsNothingToTheDeadLetters) {
  const auto topic = make_topic(2);
  house h;
  std::atomic<int> failing{60};
  h.set_faults({.at_commit = [&](std::uint64_t) {
    const int n = failing--;
    if (n <= 0) return journal::memory_fault::none;
    return n % 3 == 0   ? journal::memory_fault::answer_lost
           : n % 3 == 1 ? journal::memory_fault::io
                        : journal::memory_fault::disk_full;
  }});
  const auto s = start(h, on(topic, h));
  const auto sender = open_producer();
  send(*sender, topic, 0, 200);
  ASSERT_TRUE(eventually([&] { return failing <= 0; }, 60s)) << state(h, s);
  send(*sender, topic, 200, 400);
  ASSERT_TRUE(eventually([&] { return all_there(h, 10, 40); }, 60s)) << state(h, s);
  expect_complete(h, 10, 40);
  EXPECT_TRUE(h.letters().empty());
}

TEST_F(kafka_source_faults, ARegistryThatIsAwayHoldsItsRecordsInOrder) {
  std::atomic<bool> away{true};
  const auto schema = json(avro::schema_of("command")->text);
  test::http_stub registry([&](const test::http_request&) {
    return away ? test::http_stub::reply(503, "{}") : test::http_stub::reply(200, json{{"schema", schema}}.dump());
  });
  options.registry = registry.url();
  const auto topic = make_topic(1);
  const auto sender = open_producer();
  for (int i = 0; i < 5; ++i) {
    std::string body;
    avro::append_frame(7, body);
    append_avro(
        command{.command_name = "pause", .job_id = "avro", .user_id = "karl", .idempotency_key = std::to_string(i)},
        body);
    ASSERT_TRUE(sender->send(topic, text_record("avro", body), static_cast<std::uint64_t>(i)));
  }
  ASSERT_TRUE(sender->send(topic, text_record("plain", order_json("plain", 0)), 5));
  ASSERT_TRUE(sender->flush(30s));
  house h;
  const auto s = start(h, on(topic, h));
  ASSERT_TRUE(eventually([&] { return h.stored_count() == 1; }, 30s)) << state(h, s);
  ASSERT_TRUE(
      eventually([&] { return registry.requests() > 5 && state(h, s).find("schema 7") != std::string::npos; }, 30s))
      << state(h, s);
  EXPECT_TRUE(h.letters().empty());
  away = false;
  ASSERT_TRUE(eventually([&] { return h.stored_count() >= 6; }, 30s)) << state(h, s);
  EXPECT_TRUE(h.letters().empty());
  int next = 0;
  for (const auto& [job, number, place] : h.stored())
    if (job == "avro") {
      EXPECT_EQ(number, std::to_string(next++));
    }
  EXPECT_EQ(next, 5);
}

TEST_F(kafka_source_faults, AMissingTopicIsMadeOrSaid) {
  const auto topic = unique("late");
  house h;
  auto o = on(topic, h);
  const auto s = start(h, o);
  ASSERT_TRUE(eventually(
      [&] {
        return state(h, s).find(topic) != std::string::npos || state(h, s).find("Unknown topic") != std::string::npos;
      },
      30s))
      << state(h, s);
  EXPECT_TRUE(state(h, s).starts_with("not ready"));
  ASSERT_TRUE(h.system.stop(s, 10s));

  o.create_topics = [this, topic]() -> result<void> {
    auto admin = topic_admin::open(options, 30s);
    if (!admin) return failure(admin.error());
    auto made = admin->create({topic, 1, 3, {}});
    if (!made && made.error().code != error_code::conflict) return failure(made.error());
    return {};
  };
  const auto t = h.system.spawn_blocking<source_api>({.name = "maker"}, kafka_source(o, h.services(), h.sink()));
  ASSERT_TRUE(eventually([&] { return state(h, t).starts_with("ready"); }, 60s)) << state(h, t);
  const auto sender = open_producer();
  send(*sender, topic, 0, 10);
  ASSERT_TRUE(eventually([&] { return h.stored_count() >= 10; }, 30s)) << state(h, t);
}

}  // namespace
}  // namespace horizons::kafka
