// A node must end in order at any moment, also while its bridge is joining a group or its brokers do not answer.
#include <gtest/gtest.h>
#include <signal.h>

#include <random>
#include <thread>

#include "tests/node/servers.hpp"

namespace horizons::test {
namespace {

class bridge_stop : public ::testing::Test {
protected:
  void start_brokers() {
    servers_ = std::make_unique<own_servers>(std::vector<std::string>{"kafka"});
    ASSERT_TRUE(servers_->up()) << servers_->problem();
  }
  std::unique_ptr<node_process> start() {
    return std::make_unique<node_process>(
        folder_ / "data", std::vector<std::string>{"--set", "kafka.brokers=" + (*servers_)["HORIZONS_KAFKA_BROKERS"]});
  }
  void signal_brokers(int number) {
    for (const auto* broker : {"kafka-1", "kafka-2", "kafka-3"}) servers_->signal(broker, number);
  }
  /// Some moment of the node's life that nobody chose.
  std::chrono::milliseconds any_moment(int before_ms) {
    return std::chrono::milliseconds(std::uniform_int_distribution(0, before_ms)(random_));
  }

  scratch_folder folder_;
  std::unique_ptr<own_servers> servers_;
  unsigned seed_ = std::random_device{}();
  std::mt19937 random_{seed_};
};

/// librdkafka 2.0.2 aborts when a consumer is destroyed that joined a group and got no part of it, and cannot leave a
/// group that is being rebalanced. A node that was killed before keeps the group waiting for its session's end.
TEST_F(bridge_stop, in_order_at_any_moment_of_joining_the_group) {
  if (!with_servers()) GTEST_SKIP() << "needs real servers; run ./dev test";
  ASSERT_NO_FATAL_FAILURE(start_brokers());
  SCOPED_TRACE("seed " + std::to_string(seed_));
  const int rounds = long_run() ? 50 : 8;
  for (int i = 0; i < rounds; ++i) {
    {
      const auto killed = start();
      ASSERT_TRUE(killed->ready()) << killed->log();
      killed->wait(any_moment(4'000));
      killed->signal(SIGKILL);
      killed->wait(10s);
    }
    const auto node = start();
    ASSERT_TRUE(node->ready()) << node->log();
    ASSERT_EQ(node->wait(any_moment(4'000)), -1) << "it ended by itself: " << node->log();
    node->signal(SIGTERM);
    EXPECT_EQ(node->wait(15s), 0) << "round " << i << "\n" << node->log();
  }
}

TEST_F(bridge_stop, in_order_while_no_broker_answers) {
  if (!with_servers()) GTEST_SKIP() << "needs real servers; run ./dev test";
  ASSERT_NO_FATAL_FAILURE(start_brokers());
  SCOPED_TRACE("seed " + std::to_string(seed_));
  for (int i = 0; i < (long_run() ? 10 : 3); ++i) {
    const auto node = start();
    ASSERT_TRUE(node->ready()) << node->log();
    node->wait(any_moment(3'000));
    signal_brokers(SIGSTOP);
    node->wait(any_moment(3'000));
    node->signal(SIGTERM);
    EXPECT_EQ(node->wait(15s), 0) << "round " << i << "\n" << node->log();
    signal_brokers(SIGCONT);
  }
  signal_brokers(SIGKILL);
  const auto node = start();
  ASSERT_TRUE(node->ready()) << node->log();
  node->wait(any_moment(3'000));
  node->signal(SIGTERM);
  EXPECT_EQ(node->wait(15s), 0) << node->log();
}

}  // namespace
}  // namespace horizons::test
