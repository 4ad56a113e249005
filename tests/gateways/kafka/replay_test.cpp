// Events into a topic and out of it by time, on real brokers; Avro with a real registry when there is one.
#include "gateways/kafka/replay.hpp"

#include <gtest/gtest.h>

#include "messages/codec/json.hpp"
#include "tests/gateways/kafka/brokers.hpp"
#include "tests/messages/random_events.hpp"
#include "tests/runtime/journal/sample.hpp"

namespace horizons::kafka {
namespace {

using namespace std::chrono_literals;
using journal::sample::life_cycle;

const timestamp long_ago = testing::wall_now() - std::chrono::hours(24 * 29);

class replay_on_brokers : public testing::with_brokers {
protected:
  /// Events of ten jobs, one a minute from 29 days ago.
  static std::vector<event> history(std::size_t count) {
    std::vector<event> events;
    for (std::size_t i = 0; i < count; ++i)
      events.push_back(life_cycle("job-" + std::to_string(i % 10), 1 + i / 10, long_ago + std::chrono::minutes(i)));
    return events;
  }
  static event_pull pages(std::vector<event> events, std::size_t size) {
    return [events = std::move(events), size, at = std::size_t{0}]() mutable -> result<std::vector<event>> {
      const auto end = std::min(events.size(), at + size);
      std::vector<event> page(events.begin() + static_cast<std::ptrdiff_t>(at),
                              events.begin() + static_cast<std::ptrdiff_t>(end));
      at = end;
      return page;
    };
  }
  result<topic_read_report> read(topic_query q, std::vector<event>& into, const avro_event_decoder& avro = nullptr) {
    q.kafka = options;
    return read_topic_events(q, avro, [&](event&& e, const stored_record&) {
      into.push_back(std::move(e));
      return true;
    });
  }
  std::string topic() { return make_topic(4, {{"retention.ms", "-1"}}); }
};

TEST_F(replay_on_brokers, what_goes_in_comes_out_between_two_times) {
  const auto name = topic();
  const auto events = history(1'000);
  auto published = publish_events({.kafka = options, .topic = name, .node = "n1"}, pages(events, 300));
  ASSERT_TRUE(published) << published.error().text;
  EXPECT_EQ(published->events, 1'000u);

  std::vector<event> all;
  auto report = read({.topic = name}, all);
  ASSERT_TRUE(report) << report.error().text;
  EXPECT_EQ(report->events, 1'000u);
  EXPECT_EQ(report->unreadable, 0u);
  std::map<std::string, std::uint64_t> last;
  for (const auto& e : all) {
    EXPECT_EQ(e.sequence, last[e.job_id] + 1) << "in order per job";
    last[e.job_id] = e.sequence;
  }

  std::vector<event> some;
  const auto start = long_ago + std::chrono::minutes(100), end = long_ago + std::chrono::minutes(250);
  report = read({.topic = name, .start = start, .end = end}, some);
  ASSERT_TRUE(report) << report.error().text;
  EXPECT_EQ(some.size(), 150u);
  EXPECT_LT(report->records, 250u) << "it begins and ends where the times are, not with the topic";
  for (const auto& e : some) EXPECT_TRUE(e.time >= start && e.time < end);

  std::vector<event> one;
  ASSERT_TRUE(read({.topic = name, .start = start, .end = end, .job_id = "job-3", .type = "job.progress"}, one));
  EXPECT_EQ(one.size(), 15u);
  std::vector<event> none;
  report = read({.topic = name, .start = long_ago + std::chrono::hours(24 * 28)}, none);
  ASSERT_TRUE(report) << "nothing is as young (K13: the answer is -1)";
  EXPECT_TRUE(none.empty());
}

TEST_F(replay_on_brokers, ends_when_told) {
  const auto name = topic();
  int pages_seen = 0;
  auto published =
      publish_events({.kafka = options, .topic = name, .go_on = [&](std::uint64_t) { return ++pages_seen < 3; }},
                     pages(history(1'000), 100));
  ASSERT_TRUE(published);
  EXPECT_EQ(published->events, 300u);
  int taken = 0;
  auto report = read_topic_events({.kafka = options, .topic = name}, nullptr,
                                  [&](event&&, const stored_record&) { return ++taken < 7; });
  ASSERT_TRUE(report);
  EXPECT_EQ(report->events, 7u);
}

TEST_F(replay_on_brokers, faults_are_values) {
  std::vector<event> none;
  const auto missing = testing::unique("missing");
  EXPECT_EQ(read({.topic = missing, .limit = 2s}, none).error().code, error_code::not_found);
  EXPECT_EQ(publish_events({.kafka = options, .topic = missing}, pages(history(1), 1)).error().code,
            error_code::not_found);
  auto odd = options;
  odd.format = "xml";
  EXPECT_EQ(publish_events({.kafka = odd, .topic = missing}, pages(history(1), 1)).error().code,
            error_code::invalid_argument);
  const auto name = topic();
  const auto failed = publish_events({.kafka = options, .topic = name}, []() -> result<std::vector<event>> {
    return failure(error_code::io, "the journal cannot be read");
  });
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, error_code::io);
}

TEST_F(replay_on_brokers, what_is_no_event_is_counted_and_told) {
  const auto name = topic();
  {
    auto p = producer::open({.kafka = options}, nullptr);
    ASSERT_TRUE(p);
    ASSERT_TRUE((*p)->send(name, testing::text_record("k", "nonsense"), 1));
    ASSERT_TRUE((*p)->send(name, std::make_shared<const record>(record{"k", std::nullopt, {}, {}}), 2));
    ASSERT_TRUE((*p)->send(name, testing::text_record("k", std::string("\0\0\0\0\x05x", 6)), 3));
    ASSERT_TRUE((*p)->flush(30s));
  }
  ASSERT_TRUE(publish_events({.kafka = options, .topic = name}, pages(history(5), 5)));
  std::vector<event> good;
  const auto report = read({.topic = name}, good);
  ASSERT_TRUE(report) << report.error().text;
  EXPECT_EQ(good.size(), 5u);
  EXPECT_EQ(report->unreadable, 3u);
  EXPECT_NE(report->notes.at(0).find(name + "["), std::string::npos);
}

TEST_F(replay_on_brokers, every_format_and_type_reads_back) {
  const char* registry = std::getenv("HORIZONS_KAFKA_REGISTRY");
  for (const std::string format : {"json", "msgpack", "avro"}) {
    if (format == "avro" && !registry) continue;
    const auto name = make_topic(1);
    horizons::testing::random_messages random(3);
    std::vector<event> events;
    for_each_event_type([&]<class T>() {
      events.push_back(random.event_of<T>());
      events.back().position &= 0x7fffffffffffffff;
    });
    publish_options o{.kafka = options, .topic = name};
    o.kafka.format = format;
    if (format == "avro") o.schema_id = registered_ids(registry);
    const auto published = publish_events(o, pages(events, 7));
    ASSERT_TRUE(published) << published.error().text;
    EXPECT_EQ(published->events, events.size());
    std::vector<event> back;
    const auto report = read({.topic = name}, back, format == "avro" ? registered_decoder(registry) : nullptr);
    ASSERT_TRUE(report) << report.error().text;
    ASSERT_EQ(back.size(), events.size()) << format << (report->notes.empty() ? "" : ": " + report->notes.front());
    for (std::size_t i = 0; i < back.size(); ++i)
      EXPECT_TRUE(back[i] == events[i]) << format << ", event " << i << ": " << to_json(back[i]) << "\nexpected "
                                        << to_json(events[i]);
  }
}

TEST_F(replay_on_brokers, a_registry_that_is_away_stops_it) {
  const auto name = topic();
  {
    auto p = producer::open({.kafka = options}, nullptr);
    ASSERT_TRUE(p);
    ASSERT_TRUE((*p)->send(name, testing::text_record("k", std::string("\0\0\0\0\x05x", 6)), 1));
    ASSERT_TRUE((*p)->flush(30s));
  }
  std::vector<event> none;
  const auto report = read({.topic = name}, none, registered_decoder("http://127.0.0.1:1"));
  ASSERT_FALSE(report) << "nothing is skipped because a schema cannot be fetched";
  EXPECT_EQ(report.error().code, error_code::unavailable);
  publish_options o{.kafka = options, .topic = name, .schema_id = registered_ids("http://127.0.0.1:1")};
  o.kafka.format = "avro";
  EXPECT_EQ(publish_events(o, pages(history(1), 1)).error().code, error_code::unavailable);
}

}  // namespace
}  // namespace horizons::kafka
