// The relay while its brokers are killed, frozen and lose a topic: nothing is lost, order per job holds. Brokers of the
// test's own. Beside it a bare librdkafka producer lives through the same, and both gaps are told.
#include <signal.h>

#include <atomic>
#include <cstdio>
#include <map>
#include <thread>

#include <gtest/gtest.h>

#include "gateways/kafka/relay.hpp"
#include "gateways/kafka/topics.hpp"
#include "tests/gateways/kafka/journal_fixture.hpp"
#include "tests/gateways/kafka/own_cluster.hpp"

namespace horizons::kafka {
namespace {

using namespace std::chrono_literals;
using testing::eventually;
using testing::own_cluster;
using testing::unique;

/// The longest time between two signs of progress.
class gap_clock {
public:
  void progress() {
    const auto now = std::chrono::steady_clock::now();
    longest_ = std::max(longest_, now - last_);
    last_ = now;
  }
  milliseconds take() {
    progress();
    return std::chrono::duration_cast<milliseconds>(std::exchange(longest_, {}));
  }

private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
  std::chrono::steady_clock::duration longest_{};
};

/// An idempotent producer as librdkafka makes it, a few records per partition and tick.
class bare_client {
public:
  bare_client(const kafka_options& options, std::string topic)
      : client_(
            client::open(client_role::producer, options, {{"linger.ms", "2"}}, {.events = RD_KAFKA_EVENT_DR}).value()),
        topic_(std::move(topic)),
        thread_([this](const std::stop_token& stop) { run(stop); }) {}
  /// The longest that any partition stood still.
  milliseconds take_gap() {
    const std::lock_guard lock(mutex_);
    milliseconds longest{0};
    for (auto& [partition, gap] : of_) longest = std::max(longest, gap.take());
    return longest;
  }

private:
  void run(const std::stop_token& stop) {
    const queue_ptr queue(rd_kafka_queue_get_main(client_.get()));
    for (int i = 0; !stop.stop_requested(); ++i) {
      const auto key = std::to_string(i % 50);
      rd_kafka_producev(client_.get(), RD_KAFKA_V_TOPIC(topic_.c_str()), RD_KAFKA_V_KEY(key.data(), key.size()),
                        RD_KAFKA_V_VALUE(const_cast<char*>("x"), 1), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                        RD_KAFKA_V_END);
      const event_ptr event(rd_kafka_queue_poll(queue.get(), 5));
      if (!event || rd_kafka_event_type(event.get()) != RD_KAFKA_EVENT_DR) continue;
      while (const auto* m = rd_kafka_event_message_next(event.get())) {
        const std::lock_guard lock(mutex_);
        if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR) of_[m->partition].progress();
      }
    }
  }

  client client_;
  const std::string topic_;
  std::mutex mutex_;
  std::map<std::int32_t, gap_clock> of_;
  std::jthread thread_;
};

class relay_chaos : public testing::with_journal {
protected:
  void SetUp() override {
    with_journal::SetUp();
    if (IsSkipped()) return;
    cluster_ = std::make_unique<own_cluster>();
    ASSERT_TRUE(cluster_->up());
    options.brokers = cluster_->brokers();
    ASSERT_TRUE(create_missing_topics(options));
    relay_.kafka = options;
    relay_.mark_every = 50ms;
    supervise("/kafka", {{{.name = "relay"}, kafka_relay(relay_, services), {.grace = 10s}, true}});
    job_ = unique("chaos");
    writer_ = std::jthread([this](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        for (int j = 0; j < jobs; ++j) commit(of_job(job_ + "-" + std::to_string(j), written_ + 1, 1));
        ++written_;
        testing::pause(stop, 5ms);
      }
    });
  }
  void TearDown() override {
    writer_ = {};
    with_journal::TearDown();
  }

  void wait_for_commits(std::uint64_t more) {
    const auto until = last_position() + more;
    ASSERT_TRUE(testing::eventually([&] { return last_position() >= until; }, 60s));
  }
  /// Until the relay has acknowledged everything committed before now; the longest it stood still.
  milliseconds passes(milliseconds limit = 60s) {
    const auto until = last_position();
    gap_clock gap;
    auto seen = relay_.metrics->acknowledged_position.load();
    EXPECT_TRUE(eventually(
        [&] {
          if (const auto now = relay_.metrics->acknowledged_position.load(); now != seen) {
            seen = now;
            gap.progress();
          }
          return seen >= until;
        },
        limit))
        << relay_.metrics->health().state;
    return gap.take();
  }

  void expect_all_published() {
    writer_ = {};
    passes();
    for (const auto* topic : {"job-lifecycle", "audit-trail"}) {
      std::map<std::string, std::uint64_t> last;
      std::size_t doubles = 0;
      for (const auto& r : read_all(topic)) {
        if (!r.what.key || !r.what.key->starts_with(job_)) continue;
        const auto n = std::stoull(header(r.what, "ce_sequence"));
        auto& seen = last[*r.what.key];
        if (n <= seen) {
          ++doubles;
          continue;
        }
        ASSERT_EQ(n, seen + 1) << *r.what.key << ": lost or out of order on " << topic;
        seen = n;
      }
      ASSERT_EQ(last.size(), static_cast<std::size_t>(jobs));
      for (const auto& [job, n] : last) EXPECT_EQ(n, written_) << job;
      std::printf("%s: %d jobs, %llu events each, %zu doubles\n", topic, jobs,
                  static_cast<unsigned long long>(written_.load()), doubles);
    }
  }
  static std::string header(const record& r, std::string_view name) {
    for (const auto& [n, value] : r.headers)
      if (n == name) return value.value_or("");
    return "";
  }

  static constexpr int jobs = 20;
  std::unique_ptr<own_cluster> cluster_;
  kafka_relay_options relay_;
  std::string job_;
  std::atomic<std::uint64_t> written_{0};
  std::jthread writer_;
};

TEST_F(relay_chaos, brokers_killed_one_after_the_other_lose_nothing) {
  const auto beside = make_topic(10);
  bare_client bare(options, beside);
  passes();
  for (int broker = 1; broker <= 3; ++broker) {
    (void)bare.take_gap();
    cluster_->signal(broker, SIGKILL);
    wait_for_commits(1);  // so that what is waited for was committed after it died
    const auto ours = passes();
    std::printf("broker %d killed: relay stood still for %lld ms, a bare client for %lld ms\n", broker,
                static_cast<long long>(ours.count()), static_cast<long long>(bare.take_gap().count()));
    ASSERT_TRUE(cluster_->restart(broker));
    ASSERT_TRUE(cluster_->in_sync(options, "job-lifecycle", 60s));
  }
  expect_all_published();
}

TEST_F(relay_chaos, a_frozen_broker_loses_nothing) {
  passes();
  cluster_->signal(2, SIGSTOP);
  const auto ours = passes();
  std::printf("broker 2 frozen: relay stood still for %lld ms\n", static_cast<long long>(ours.count()));
  cluster_->signal(2, SIGCONT);
  ASSERT_TRUE(cluster_->in_sync(options, "job-lifecycle", 60s));
  passes();
  expect_all_published();
}

TEST_F(relay_chaos, a_deleted_topic_comes_back_and_the_relay_goes_on) {
  passes();
  const auto admin = client::open(client_role::admin, options);
  ASSERT_TRUE(admin);
  const queue_ptr queue(rd_kafka_queue_new(admin->get()));
  auto* topic = rd_kafka_DeleteTopic_new("job-lifecycle");
  rd_kafka_DeleteTopics(admin->get(), &topic, 1, nullptr, queue.get());
  const event_ptr deleted(rd_kafka_queue_poll(queue.get(), 30'000));
  rd_kafka_DeleteTopic_destroy(topic);
  ASSERT_TRUE(deleted);
  wait_for_commits(100);
  passes(120s);
  const auto report = topics_check(options);
  ASSERT_TRUE(report);
  EXPECT_TRUE(report->good()) << report->text();
  // What lay in the topic is gone; what follows is complete, and the other topic has everything.
  writer_ = {};
  passes();
  std::map<std::string, std::uint64_t> last;
  for (const auto& r : read_all("job-lifecycle")) {
    if (!r.what.key || !r.what.key->starts_with(job_)) continue;
    const auto n = std::stoull(header(r.what, "ce_sequence"));
    auto& seen = last[*r.what.key];
    if (seen != 0 && n > seen) {
      EXPECT_EQ(n, seen + 1) << *r.what.key;
    }
    seen = std::max<std::uint64_t>(seen, n);
  }
  for (const auto& [job, n] : last) EXPECT_EQ(n, written_) << job;
}

}  // namespace
}  // namespace horizons::kafka
