// The source on librdkafka's mock cluster: faults that real brokers do not make on demand.
#include <gtest/gtest.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include "tests/gateways/kafka/house.hpp"

namespace horizons::kafka {
namespace {

using namespace testing;

class kafka_source_on_mock : public ::testing::Test {
protected:
  static constexpr int partitions = 3;
  static constexpr std::int16_t fetch = 1, offset_commit = 8, join_group = 11, heartbeat = 12;  // Kafka's api keys

  void SetUp() override {
    char why[256];
    owner_.reset(rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), why, sizeof why));
    cluster_ = rd_kafka_mock_cluster_new(owner_.get(), 3);
    ASSERT_EQ(rd_kafka_mock_topic_create(cluster_, "t", partitions, 3), RD_KAFKA_RESP_ERR_NO_ERROR);
    options_.brokers = split(rd_kafka_mock_cluster_bootstraps(cluster_));
    options_.group = unique("test");
    options_.node = "test";
    options_.extra["heartbeat.interval.ms"] = "300";
    auto opened = producer::open({.kafka = options_}, [] {});
    ASSERT_TRUE(opened) << opened.error().text;
    sender_ = std::move(*opened);
    kafka_source_options o;
    o.kafka = options_;
    o.topics = {{"t", submissions(house_.services(), "")}};
    o.retry_first = 20ms;
    o.retry_max = 200ms;
    source_ =
        house_.system.spawn_blocking<source_api>({.name = "source"}, kafka_source(o, house_.services(), house_.sink()));
  }
  void TearDown() override {
    house_.system.shutdown(10s);
    sender_.reset();
    if (cluster_) rd_kafka_mock_cluster_destroy(cluster_);
  }
  /// 10 more orders of each of 10 jobs.
  void send_more() {
    for (int i = 0; i < 100; ++i, ++sent_) {
      const auto job = "job-" + std::to_string(sent_ % 10);
      ASSERT_TRUE(sender_->send("t", text_record(job, order_json(job, sent_ / 10)), static_cast<std::uint64_t>(sent_)));
    }
    ASSERT_TRUE(sender_->flush(60s)) << sender_->state().text;
    sender_->take_deliveries();
  }
  void expect_all() {
    ASSERT_TRUE(eventually([&] { return all_there(house_, 10, sent_ / 10); }, 60s)) << state();
    expect_complete(house_, 10, sent_ / 10);
    EXPECT_TRUE(house_.letters().empty());
  }
  std::string state() {
    const auto r = house_.system.ask(source_, source_health{}, 5s);
    return r ? r->state : r.error().text;
  }
  void fail(std::int16_t request, rd_kafka_resp_err_t code, int times) {
    for (int i = 0; i < times; ++i) rd_kafka_mock_push_request_errors(cluster_, request, 1, code);
  }

  owned<rd_kafka_t, rd_kafka_destroy> owner_;
  rd_kafka_mock_cluster_t* cluster_ = nullptr;
  kafka_options options_;
  house house_;
  std::unique_ptr<producer> sender_;
  kit::handle<source_api> source_;
  int sent_ = 0;
};

/// Nobody tells a consumer that a leader moved: it learns it from a refusal.
TEST_F(kafka_source_on_mock, LeadersThatMovedAreFollowed) {
  for (const int leader : {1, 2, 3}) {
    send_more();
    for (int p = 0; p < partitions; ++p)
      ASSERT_EQ(rd_kafka_mock_partition_set_leader(cluster_, "t", p, 1 + (leader + p) % 3), RD_KAFKA_RESP_ERR_NO_ERROR);
  }
  send_more();
  expect_all();
}

TEST_F(kafka_source_on_mock, FetchesThatFailAreRepeatedFromTheSameOffset) {
  send_more();
  expect_all();
  fail(fetch, RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR, 3);
  fail(fetch, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, 3);
  fail(fetch, RD_KAFKA_RESP_ERR_UNKNOWN, 3);
  send_more();
  expect_all();
}

/// K7: such an error has reset offsets before; here the journal is asked anew and nothing is skipped or done twice.
TEST_F(kafka_source_on_mock, AnOffsetThatIsRefusedIsAskedOfTheJournal) {
  send_more();
  expect_all();
  fail(fetch, RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE, 2);
  send_more();
  expect_all();
}

TEST_F(kafka_source_on_mock, ACoordinatorThatMovesOrForgetsUsCostsARebalance) {
  send_more();
  expect_all();
  fail(heartbeat, RD_KAFKA_RESP_ERR_NOT_COORDINATOR, 2);
  send_more();
  expect_all();
  fail(heartbeat, RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID, 1);
  fail(join_group, RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE, 2);
  send_more();
  expect_all();
}

/// Commits only show the lag: that they fail harms nothing.
TEST_F(kafka_source_on_mock, CommitsThatFailAreOfNoConsequence) {
  fail(offset_commit, RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, 20);
  send_more();
  send_more();
  expect_all();
}

}  // namespace
}  // namespace horizons::kafka
