// Brokers and sources die at random while orders come in: none is lost, none is done twice, each job's stay in order.
#include <gtest/gtest.h>

#include <cstdio>
#include <random>
#include <thread>

#include "gateways/kafka/submission_handler.hpp"
#include "tests/gateways/kafka/house.hpp"
#include "tests/gateways/kafka/own_cluster.hpp"

namespace horizons::kafka {
namespace {

using namespace testing;

constexpr int jobs = 500;

/// Kills one broker after the other, never two at a time, until it is told to stop.
class broker_killer {
public:
  broker_killer(const own_cluster& cluster, kafka_options options, std::string topic, std::uint64_t seed)
      : thread_([=, this, &cluster](const std::stop_token& stop) {
          std::mt19937_64 random(seed);
          while (!stop.stop_requested()) {
            pause(stop, milliseconds(500 + random() % 1'500));
            if (stop.stop_requested()) return;
            const int broker = 1 + static_cast<int>(random() % 3);
            cluster.signal(broker, SIGKILL);
            ++kills;
            pause(stop, milliseconds(random() % 2'000));
            healed = cluster.restart(broker) && cluster.in_sync(broker, options, topic, 60s);
            if (!healed) return;
          }
        }) {}

  std::atomic<int> kills{0};
  std::atomic<bool> healed{true};

private:
  std::jthread thread_;
};

class kafka_chaos : public with_brokers {
protected:
  kit::handle<source_api> start(house& h, const std::string& topic, const std::string& name,
                                const kafka_options& kafka) {
    kafka_source_options o;
    o.kafka = kafka;
    o.kafka.extra["heartbeat.interval.ms"] = "300";
    o.kafka.extra["session.timeout.ms"] = "6000";  // the brokers' least
    o.topics = {{topic, submissions(h.services(), "")}};
    return h.system.spawn_blocking<source_api>({.name = name}, kafka_source(o, h.services(), h.sink()));
  }
};

TEST_F(kafka_chaos, NothingIsLostDoubledOrReorderedWhileBrokersAndSourcesDie) {
  const bool long_run = std::getenv("HORIZONS_LONG") != nullptr;
  const int orders = long_run ? 2'000 : 100;  // of each job
  const own_cluster cluster;
  ASSERT_TRUE(cluster.up()) << "./dev services up kafka failed";
  options.brokers = cluster.brokers();
  const auto topic = make_topic(6);
  ASSERT_TRUE(cluster.in_sync(options, topic, 30s));
  house h;
  const std::uint64_t seed = std::random_device{}();
  RecordProperty("seed", std::to_string(seed));
  std::mt19937_64 random(seed);

  auto metrics = std::make_shared<producer_metrics>();
  auto sender = producer::open(
      {.kafka = options, .linger = 5ms}, [] {}, metrics);
  ASSERT_TRUE(sender);
  broker_killer killer(cluster, options, topic, seed);
  // K10: a killed broker ends its TLS connections without a word, which 2.0.2 takes for the end of what was read.
  const auto secure = over_tls(options, cluster.home());
  auto a = start(h, topic, "a", options), b = start(h, topic, "b", secure);

  std::atomic<bool> sent{false};
  std::jthread writer([&] {
    std::uint64_t token = 0;
    const auto began = std::chrono::steady_clock::now();
    for (int i = 0; i < orders; ++i) {
      for (int j = 0; j < jobs; ++j) {
        const auto job = "job-" + std::to_string(j);
        const auto r = text_record(job, order_json(job, i));
        while (!(*sender)->has_room(bytes_of(*r))) {
          (*sender)->take_deliveries();
          std::this_thread::yield();
        }
        EXPECT_TRUE((*sender)->send(topic, r, ++token));
      }
      (*sender)->take_deliveries();
      // Spread over the faults: 2,000 orders a second.
      pause({}, std::chrono::ceil<milliseconds>(began + (i + 1) * 250ms - std::chrono::steady_clock::now()));
    }
    EXPECT_TRUE((*sender)->flush(120s));
    sent = true;
  });

  // Sources die, too, one at a time: what they held is read again by the other, and the dead one's marks are refused.
  const auto total = static_cast<std::size_t>(orders) * jobs;
  int deaths = 0;
  std::size_t next_death = total / 5;
  auto last_count = h.stored_count();
  auto last_change = std::chrono::steady_clock::now();
  auto longest = last_change - last_change;
  ASSERT_TRUE(eventually(
      [&] {
        const auto count = h.stored_count();
        const auto now = std::chrono::steady_clock::now();
        if (count != last_count) {
          longest = std::max(longest, now - last_change);
          last_change = now;
          last_count = count;
        }
        if (count >= next_death && count < total) {
          next_death += total / 5;
          auto& victim = deaths % 2 == 0 ? a : b;
          h.system.kill(victim);
          victim = start(h, topic, (deaths % 2 == 0 ? "a" : "b") + std::to_string(deaths),
                         deaths % 2 == 0 ? options : secure);
          ++deaths;
        }
        return count >= total;
      },
      long_run ? std::chrono::minutes(40) : std::chrono::minutes(4)))
      << h.stored_count() << " of " << total << "; seed " << seed;
  EXPECT_TRUE(killer.healed);

  ASSERT_TRUE(sent || eventually([&] { return sent.load(); }, 60s));
  {
    SCOPED_TRACE("seed " + std::to_string(seed));
    expect_complete(h, jobs, orders);
  }
  EXPECT_TRUE(h.letters().empty());
  EXPECT_GT(killer.kills, 0);
  std::printf("%zu orders, %d brokers and %d sources killed, longest standstill %.1f s\n", total, killer.kills.load(),
              deaths, std::chrono::duration<double>(longest).count());
}

}  // namespace
}  // namespace horizons::kafka
