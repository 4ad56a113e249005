// The producer on real brokers, and on librdkafka's mock cluster for the faults that real ones do not make on demand.
#include "gateways/kafka/producer.hpp"

#include <algorithm>
#include <map>
#include <mutex>

#include <gtest/gtest.h>
#include <librdkafka/rdkafka_mock.h>

#include "tests/gateways/kafka/brokers.hpp"
#include "tests/runtime/kit/wait.hpp"

namespace horizons::kafka {
namespace {

using namespace std::chrono_literals;
using horizons::testing::eventually;
using testing::text_record;
using testing::unique;

/// Collects what a producer delivers.
struct deliveries {
  std::vector<delivery> all;
  bool take(producer& p, std::size_t wanted, milliseconds limit = 30s) {
    return eventually(
        [&] {
          for (auto& d : p.take_deliveries()) all.push_back(std::move(d));
          return all.size() >= wanted;
        },
        limit);
  }
};

class producer_on_brokers : public testing::with_brokers {
protected:
  std::unique_ptr<producer> open(producer_options o) {
    o.kafka = options;
    auto p = producer::open(std::move(o), nullptr, metrics);
    EXPECT_TRUE(p) << p.error().text;
    return std::move(*p);
  }
  std::shared_ptr<producer_metrics> metrics = std::make_shared<producer_metrics>();
};

TEST_F(producer_on_brokers, every_token_once_and_in_order_per_key) {
  const auto topic = make_topic(5);
  auto p = open({});
  constexpr std::uint64_t count = 5'000;
  for (std::uint64_t i = 0; i < count; ++i)
    ASSERT_TRUE(p->send(topic, text_record("k" + std::to_string(i % 17), std::to_string(i)), i + 1));
  ASSERT_TRUE(p->flush(30s));
  deliveries got;
  ASSERT_TRUE(got.take(*p, count));
  std::set<std::uint64_t> tokens;
  for (const auto& d : got.all) {
    EXPECT_FALSE(d.refused);
    EXPECT_GE(d.offset, 0);
    tokens.insert(d.token);
  }
  EXPECT_EQ(tokens.size(), count);
  std::map<std::string, int> last;
  const auto stored = read_all(topic);
  ASSERT_EQ(stored.size(), count);
  for (const auto& r : stored) {
    const int n = std::stoi(*r.what.value);
    auto [at, first] = last.try_emplace(*r.what.key, n);
    if (!first) {
      EXPECT_LT(at->second, n);
    }
    at->second = n;
  }
  EXPECT_EQ(metrics->acknowledged, count);
  EXPECT_EQ(metrics->in_flight, 0);
  EXPECT_EQ(metrics->in_flight_bytes, 0);
  EXPECT_TRUE(p->state().up);
  EXPECT_NE(metrics->text("relay").find("horizons_kafka_produced_total{client=\"relay\"} 5000"), std::string::npos);
}

TEST_F(producer_on_brokers, keys_lie_where_java_and_kcat_put_them) {
  const auto ours = make_topic(7), theirs = make_topic(7);
  auto p = open({});
  std::string lines;
  for (int i = 0; i < 60; ++i) {
    const auto key = "job-" + std::to_string(i * i);
    ASSERT_TRUE(p->send(ours, text_record(key, "x"), static_cast<std::uint64_t>(i) + 1));
    lines += key + ":x\\n";
  }
  ASSERT_TRUE(p->flush(30s));
  testing::output_of("printf '" + lines + "' | kcat -q -P -b " + testing::joined(options.brokers) + " -t " + theirs +
                     " -K : -X partitioner=murmur2_random");
  std::map<std::string, std::int32_t> where;
  for (const auto& r : read_all(theirs)) where[*r.what.key] = r.partition;
  ASSERT_EQ(where.size(), 60u);
  for (const auto& r : read_all(ours)) EXPECT_EQ(r.partition, where.at(*r.what.key)) << *r.what.key;
}

TEST_F(producer_on_brokers, null_and_empty_are_not_the_same) {
  const auto topic = make_topic(1);
  auto p = open({});
  const std::vector<record> sent{
      {std::nullopt, "value", {}, timestamp(1'000ms)},
      {"", "", {{"h", std::nullopt}, {"h", ""}, {"z", "1"}, {"a", std::string("\0\xff", 2)}}, timestamp(2'000ms)},
      {"key", std::nullopt, {}, timestamp(3'000ms)}};
  for (std::size_t i = 0; i < sent.size(); ++i)
    ASSERT_TRUE(p->send(topic, std::make_shared<const record>(sent[i]), i + 1));
  ASSERT_TRUE(p->flush(30s));
  const auto stored = read_all(topic);
  ASSERT_EQ(stored.size(), sent.size());
  for (std::size_t i = 0; i < sent.size(); ++i) EXPECT_EQ(stored[i].what, sent[i]) << i;
}

/// K17: told by the bytes that went out, not by the setting.
TEST_F(producer_on_brokers, compresses_when_it_is_told_to) {
  for (const std::string how : {"none", "gzip", "snappy", "lz4", "zstd"}) {
    const auto topic = make_topic(1);
    metrics = std::make_shared<producer_metrics>();
    auto p = open({.compression = how});
    constexpr std::uint64_t count = 500;
    for (std::uint64_t i = 1; i <= count; ++i)
      ASSERT_TRUE(p->send(topic, text_record("k", std::string(1'000, 'x')), i));
    ASSERT_TRUE(p->flush(30s)) << how;
    metrics->wire_bytes = 0;  // what is told from now on counts all of them
    ASSERT_TRUE(eventually([&] { return metrics->wire_bytes > 0; }, 30s)) << how;
    if (how == "none")
      EXPECT_GT(metrics->wire_bytes, count * 1'000);
    else
      EXPECT_LT(metrics->wire_bytes, count * 1'000 / 4) << how;
    EXPECT_EQ(read_all(topic).size(), count) << how;
  }
}

TEST_F(producer_on_brokers, has_a_limit_of_what_is_under_way) {
  const auto topic = make_topic(1);
  auto p = open({.linger = 1'000ms, .messages_max = 10, .bytes_max = 10'000});
  for (std::uint64_t i = 1; i <= 10; ++i) ASSERT_TRUE(p->send(topic, text_record("k", "v"), i));
  EXPECT_FALSE(p->has_room(1));
  const auto full = p->send(topic, text_record("k", "v"), 11);
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code, error_code::limit_exceeded);
  ASSERT_TRUE(p->flush(30s));
  EXPECT_TRUE(p->send(topic, text_record("k", std::string(20'000, 'x')), 11)) << "larger than the budget: alone";
  EXPECT_FALSE(p->has_room(1));
  EXPECT_TRUE(p->flush(30s));
}

TEST_F(producer_on_brokers, a_record_too_large_for_us_is_refused_at_once) {
  const auto topic = make_topic(1);
  auto p = open({.record_bytes_max = 10'000});
  ASSERT_TRUE(p->send(topic, text_record("k", std::string(20'000, 'x')), 1));
  ASSERT_TRUE(p->send(topic, text_record("k", "small"), 2));
  deliveries got;
  ASSERT_TRUE(got.take(*p, 2));
  EXPECT_EQ(got.all[0].token, 1u);
  ASSERT_TRUE(got.all[0].refused);
  EXPECT_EQ(got.all[0].refused->code, error_code::limit_exceeded);
  EXPECT_FALSE(got.all[1].refused);
  EXPECT_EQ(metrics->rebuilt, 0u);
}

TEST_F(producer_on_brokers, a_record_too_large_for_the_topic_does_not_take_others_with_it) {
  const auto topic = make_topic(1, {{"max.message.bytes", "20000"}});
  auto p = open({.linger = 200ms});
  for (std::uint64_t i = 1; i <= 9; ++i)
    ASSERT_TRUE(p->send(topic, text_record("k", i == 5 ? std::string(30'000, 'x') : std::to_string(i)), i));
  deliveries got;
  ASSERT_TRUE(got.take(*p, 9));
  for (const auto& d : got.all) EXPECT_EQ(d.refused.has_value(), d.token == 5) << d.token;
  std::string order;
  for (const auto& r : read_all(topic)) order += *r.what.value;
  EXPECT_EQ(order, "12346789");
  EXPECT_GE(metrics->rebuilt, 1u);
  EXPECT_EQ(metrics->refused, 1u);
}

/// A clock that runs ahead: brokers that mind (message.timestamp.after.max.ms) refuse the whole batch.
TEST_F(producer_on_brokers, a_record_with_a_time_that_is_refused_does_not_take_others_with_it) {
  const auto topic = make_topic(1, {{"message.timestamp.after.max.ms", "3600000"}});
  auto p = open({.linger = 200ms});
  for (std::uint64_t i = 1; i <= 9; ++i) {
    auto r = *text_record("k", std::to_string(i));
    r.time = testing::wall_now() + (i == 5 ? std::chrono::hours(24) : std::chrono::hours(0));
    ASSERT_TRUE(p->send(topic, std::make_shared<const record>(std::move(r)), i));
  }
  deliveries got;
  ASSERT_TRUE(got.take(*p, 9));
  for (const auto& d : got.all) EXPECT_EQ(d.refused.has_value(), d.token == 5) << d.token;
  std::string order;
  for (const auto& r : read_all(topic)) order += *r.what.value;
  EXPECT_EQ(order, "12346789");
}

TEST_F(producer_on_brokers, a_topic_that_is_missing_is_asked_for) {
  const auto topic = unique("late");
  std::atomic<int> asked{0};
  auto o = options;
  o.extra["topic.metadata.propagation.max.ms"] = "200";
  producer_options settings{.kafka = o, .topic_missing = [&](const std::string& name) {
                              if (++asked < 2) return;  // once it does not help
                              auto admin = topic_admin::open(options, 30s);
                              ASSERT_TRUE(admin);
                              ASSERT_TRUE(admin->create({name, 3, 3, {}}));
                            }};
  auto p = producer::open(std::move(settings), nullptr, metrics);
  ASSERT_TRUE(p);
  for (std::uint64_t i = 1; i <= 100; ++i) ASSERT_TRUE((*p)->send(topic, text_record("k", std::to_string(i)), i));
  deliveries got;
  ASSERT_TRUE(got.take(**p, 100)) << (*p)->state().text;
  const auto stored = read_all(topic);
  ASSERT_EQ(stored.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(*stored[static_cast<std::size_t>(i)].what.value, std::to_string(i + 1));
  EXPECT_GE(asked, 2);
}

TEST(producer_without_brokers, waits_and_says_so) {
  kafka_options nobody;
  nobody.brokers = {"127.0.0.1:1"};
  auto p = producer::open({.kafka = nobody}, nullptr);
  ASSERT_TRUE(p);
  ASSERT_TRUE((*p)->send("t", text_record("k", "v"), 1));
  EXPECT_TRUE(eventually([&] { return (*p)->state().oldest_unacknowledged > 200ms; }));
  EXPECT_FALSE((*p)->flush(1ms));
  EXPECT_TRUE((*p)->take_deliveries().empty()) << "it may still pass";
}

/// Three brokers in this process that fail as they are told.
class producer_on_mock : public ::testing::Test {
protected:
  void SetUp() override {
    char why[256];
    owner_.reset(rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), why, sizeof why));
    cluster_ = rd_kafka_mock_cluster_new(owner_.get(), 3);
    ASSERT_EQ(rd_kafka_mock_topic_create(cluster_, "t", 2, 3), RD_KAFKA_RESP_ERR_NO_ERROR);
    options_.kafka.brokers = testing::split(rd_kafka_mock_cluster_bootstraps(cluster_));
    options_.kafka.node = "test";
    options_.kafka.extra["topic.metadata.propagation.max.ms"] = "200";
    options_.kafka.extra["topic.metadata.refresh.interval.ms"] = "100";
    options_.backoff_first = 10ms;
  }
  void TearDown() override {
    producer_.reset();
    if (cluster_) rd_kafka_mock_cluster_destroy(cluster_);
  }
  producer& open() {
    auto p = producer::open(options_, nullptr, metrics_);
    EXPECT_TRUE(p) << p.error().text;
    producer_ = std::move(*p);
    return *producer_;
  }
  /// What lies in the topic, per partition.
  std::vector<std::string> read(std::size_t wanted) {
    std::vector<std::string> all;
    auto reader = topic_reader::open(options_.kafka);
    EXPECT_TRUE(reader);
    auto ranges = reader->all_of("t", 10s);
    EXPECT_TRUE(ranges);
    auto ok = reader->read(*ranges, 10s, [&](stored_record&& r) {
      all.push_back(*r.what.value);
      return true;
    });
    EXPECT_TRUE(ok) << ok.error().text;
    EXPECT_GE(all.size(), wanted);
    return all;
  }

  owned<rd_kafka_t, rd_kafka_destroy> owner_;
  rd_kafka_mock_cluster_t* cluster_ = nullptr;
  producer_options options_;
  std::shared_ptr<producer_metrics> metrics_ = std::make_shared<producer_metrics>();
  std::unique_ptr<producer> producer_;
};

constexpr std::int16_t produce_key = 0;  // Kafka protocol: api key of Produce

TEST_F(producer_on_mock, a_fatal_error_is_survived_in_order) {  // K8
  auto& p = open();
  ASSERT_TRUE(p.send("t", text_record("k", "0"), 1));
  ASSERT_TRUE(p.flush(30s));
  rd_kafka_mock_push_request_errors(cluster_, produce_key, 1, RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
  for (std::uint64_t i = 1; i < 200; ++i) ASSERT_TRUE(p.send("t", text_record("k", std::to_string(i)), i + 1));
  deliveries got;
  ASSERT_TRUE(got.take(p, 200)) << p.state().text;
  for (const auto& d : got.all) EXPECT_FALSE(d.refused);
  EXPECT_GE(metrics_->rebuilt, 1u) << "the error was fatal";
  EXPECT_GE(metrics_->sent_again, 1u);
  // Duplicates may be; none is missing, and the first of each stands in order.
  std::vector<std::string> firsts;
  for (const auto& v : read(200))
    if (std::ranges::find(firsts, v) == firsts.end()) firsts.push_back(v);
  ASSERT_EQ(firsts.size(), 200u);
  for (int i = 0; i < 200; ++i) EXPECT_EQ(firsts[static_cast<std::size_t>(i)], std::to_string(i));
}

TEST_F(producer_on_mock, what_may_pass_is_tried_again_without_a_new_producer) {
  auto& p = open();
  for (const auto code : {RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
                          RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR, RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT})
    rd_kafka_mock_push_request_errors(cluster_, produce_key, 1, code);
  for (std::uint64_t i = 0; i < 50; ++i) ASSERT_TRUE(p.send("t", text_record("k", std::to_string(i)), i + 1));
  deliveries got;
  ASSERT_TRUE(got.take(p, 50)) << p.state().text;
  EXPECT_EQ(metrics_->rebuilt, 0u);
  const auto stored = read(50);
  ASSERT_EQ(stored.size(), 50u);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(stored[static_cast<std::size_t>(i)], std::to_string(i));
}

/// What is known of leaders is out of date: nobody told us that they moved.
TEST_F(producer_on_mock, leaders_that_moved_cost_time_only) {
  auto& p = open();
  std::uint64_t token = 0;
  for (const int leader : {1, 2, 3, 1}) {
    for (const int partition : {0, 1})
      ASSERT_EQ(rd_kafka_mock_partition_set_leader(cluster_, "t", partition, leader), RD_KAFKA_RESP_ERR_NO_ERROR);
    for (int i = 0; i < 25; ++i, ++token) ASSERT_TRUE(p.send("t", text_record("k", std::to_string(token)), token + 1));
    ASSERT_TRUE(p.flush(30s)) << p.state().text;
  }
  EXPECT_EQ(metrics_->rebuilt, 0u);
  const auto stored = read(100);
  ASSERT_EQ(stored.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(stored[static_cast<std::size_t>(i)], std::to_string(i));
}

TEST_F(producer_on_mock, no_permission_waits_and_says_so) {
  auto& p = open();
  ASSERT_TRUE(p.send("t", text_record("k", "0"), 1));
  ASSERT_TRUE(p.flush(30s));
  for (int i = 0; i < 3; ++i)
    rd_kafka_mock_push_request_errors(cluster_, produce_key, 1, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
  std::string said;
  ASSERT_TRUE(p.send("t", text_record("k", "1"), 2));
  deliveries got;
  ASSERT_TRUE(eventually([&] {
    for (auto& d : p.take_deliveries()) got.all.push_back(std::move(d));
    if (const auto s = p.state(); !s.up) said = s.text;
    return got.all.size() >= 2;
  })) << p.state().text;
  EXPECT_NE(said.find("authorization failed"), std::string::npos) << said;
  EXPECT_FALSE(got.all[1].refused) << "it goes out when it may";
  EXPECT_EQ(metrics_->rebuilt, 3u);
}

TEST_F(producer_on_mock, ends_while_brokers_do_not_answer) {
  auto& p = open();
  ASSERT_TRUE(p.send("t", text_record("k", "0"), 1));
  ASSERT_TRUE(p.flush(30s));
  for (int broker = 1; broker <= 3; ++broker) rd_kafka_mock_broker_set_down(cluster_, broker);
  for (std::uint64_t i = 2; i < 100; ++i) ASSERT_TRUE(p.send("t", text_record("k", "v"), i));
  EXPECT_FALSE(p.flush(50ms));
  const auto begin = std::chrono::steady_clock::now();
  producer_.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 20s);
}

}  // namespace
}  // namespace horizons::kafka
