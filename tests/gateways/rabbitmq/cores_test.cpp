// The pure parts: who is tried next, what is confirmed, what is acknowledged, what waits for whom.
#include <gtest/gtest.h>
#include <prometheus/metric_family.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <map>
#include <memory>
#include <random>
#include <thread>

#include "gateways/rabbitmq/cloakroom.hpp"
#include "gateways/rabbitmq/confirm_ledger.hpp"
#include "gateways/rabbitmq/confirm_patience.hpp"
#include "gateways/rabbitmq/delivery_ledger.hpp"
#include "gateways/rabbitmq/inbox.hpp"
#include "gateways/rabbitmq/lanes.hpp"
#include "gateways/rabbitmq/metrics.hpp"
#include "gateways/rabbitmq/nap.hpp"
#include "gateways/rabbitmq/reconnect.hpp"
#include "gateways/rabbitmq/waiting_room.hpp"

namespace horizons::rabbitmq {
namespace {

using namespace std::chrono_literals;

TEST(RabbitmqCloakroom, GivesEachItemBackOnceAndItsPlaceAgain) {
  cloakroom<std::unique_ptr<int>> room;
  std::map<std::uint32_t, int> there;
  std::mt19937 random(8);
  for (int i = 0; i < 2'000; ++i) {
    if (there.size() < 20 && random() % 2 == 0) {
      const auto number = room.leave(std::make_unique<int>(i));
      ASSERT_LT(number, 20u);  // never more places than items at once
      ASSERT_TRUE(there.emplace(number, i).second);
    } else if (!there.empty()) {
      const auto at = std::next(there.begin(), static_cast<std::ptrdiff_t>(random() % there.size()));
      ASSERT_EQ(*room.fetch(at->first), at->second);
      there.erase(at);
    }
    ASSERT_EQ(room.size(), there.size());
  }
}

TEST(RabbitmqNap, EndsWhenItIsInterruptedOrThereIsSomethingToRead) {
  const int something = ::eventfd(1, EFD_CLOEXEC), nothing = ::eventfd(0, EFD_CLOEXEC);
  nap n;
  n.interrupt();  // nobody sleeps: of no consequence
  n.lie_down();
  EXPECT_EQ(n.wait(nothing, 1ms), nap::ended::timed_out);
  n.lie_down();
  n.interrupt();  // between the look and the sleep
  EXPECT_EQ(n.wait(nothing, 1h), nap::ended::interrupted);
  n.lie_down();
  std::thread other([&] { n.interrupt(); });
  EXPECT_EQ(n.wait(nothing, 1h), nap::ended::interrupted);
  other.join();
  n.lie_down();
  EXPECT_EQ(n.wait(something, 1h), nap::ended::readable);
  ::close(something);
  ::close(nothing);
}

TEST(RabbitmqReconnect, WalksThroughTheHostsBeforeItPauses) {
  reconnect_plan plan(3, 100ms);
  EXPECT_EQ(plan.start(0.5).host, 1u);
  EXPECT_EQ(plan.failed(0).host, 2u);
  EXPECT_EQ(plan.failed(0).after, reconnect_plan::hop);
  EXPECT_EQ(plan.failed(0).after, 50ms);  // the round is over: half of 100 ms to all of it
  plan.failed(0), plan.failed(0);
  EXPECT_EQ(plan.failed(0.999).after, 199ms);
  plan.succeeded();
  EXPECT_EQ(plan.failed(0).after, reconnect_plan::hop);
}

TEST(RabbitmqReconnect, PausesGrowToTheirLimitAndNoFurther) {
  std::mt19937 random(3);
  for (std::size_t hosts = 1; hosts < 5; ++hosts) {
    reconnect_plan plan(hosts, 1'000ms);
    EXPECT_LT(plan.start(0.999999).host, hosts);
    std::size_t last = 0;
    for (int i = 0; i < 500; ++i) {
      const auto next = plan.failed(std::uniform_real_distribution<>{0, 1}(random));
      ASSERT_LT(next.host, hosts);
      ASSERT_LE(next.after, reconnect_plan::pause_max);
      ASSERT_TRUE(hosts == 1 || i == 0 || next.host == (last + 1) % hosts);
      last = next.host;
    }
  }
}

/// Against a plain list of what is open.
TEST(RabbitmqConfirmLedger, SettlesEachPublishOnce) {
  std::mt19937 random(5);
  for (int round = 0; round < 200; ++round) {
    confirm_ledger<std::uint64_t> ledger;
    std::map<std::uint64_t, std::uint64_t> open;  // tag -> item
    std::uint64_t items = 0, tags = 0;
    for (int step = 0; step < 300; ++step) {
      if (random() % 2 == 0) {
        ASSERT_EQ(ledger.publish(++items), ++tags);
        open[tags] = items;
      } else if (random() % 50 == 0) {
        const auto left = ledger.reset();
        std::vector<std::uint64_t> expected;
        expected.reserve(open.size());
        for (const auto& [tag, item] : open) expected.push_back(item);
        ASSERT_EQ(left, expected);
        open.clear();
        tags = 0;
      } else if (tags > 0) {
        const std::uint64_t tag = 1 + random() % tags;
        const bool multiple = random() % 3 == 0;
        std::vector<std::uint64_t> expected, got;
        for (auto at = open.begin(); at != open.end() && at->first <= tag;) {
          if (multiple || at->first == tag) {
            expected.push_back(at->second);
            at = open.erase(at);
          } else {
            ++at;
          }
        }
        ASSERT_TRUE(ledger.settle(tag, multiple, [&](std::uint64_t&& item) { got.push_back(item); }));
        ASSERT_EQ(got, expected);
      }
      ASSERT_EQ(ledger.outstanding(), open.size());
      ASSERT_EQ(ledger.oldest() != nullptr, !open.empty());
      ASSERT_TRUE(open.empty() || *ledger.oldest() == open.begin()->second);
      ASSERT_FALSE(ledger.settle(tags + 1, false, [](std::uint64_t&&) { FAIL(); }));
    }
  }
}

TEST(RabbitmqConfirmLedger, AWithdrawnPublishTakesNoNumber) {
  confirm_ledger<int> ledger;
  EXPECT_EQ(ledger.publish(1), 1u);
  EXPECT_EQ(ledger.publish(2), 2u);
  ledger.withdraw();
  EXPECT_EQ(ledger.publish(3), 2u);
  EXPECT_EQ(ledger.outstanding(), 2u);
}

/// Whatever the order of finishing: each finished delivery is acknowledged exactly once, an unfinished one never.
TEST(RabbitmqDeliveryLedger, AcknowledgesExactlyWhatIsFinished) {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    delivery_ledger ledger;
    std::map<std::uint64_t, bool> open;  // tag -> finished
    std::uint64_t tags = 0;
    for (int step = 0; step < 200; ++step) {
      const auto dice = random() % 10;
      if (dice < 4) {
        ASSERT_TRUE(ledger.delivered(++tags));
        open[tags] = false;
      } else if (dice < 8 && !open.empty()) {
        auto at = std::next(open.begin(), static_cast<long>(random() % open.size()));
        at->second = true;
        ledger.finished(at->first);
        ledger.finished(at->first);  // a second time changes nothing
      } else if (dice == 8 && !open.empty()) {
        auto at = std::next(open.begin(), static_cast<long>(random() % open.size()));
        if (at->second) continue;
        ASSERT_TRUE(ledger.withdrawn(at->first));
        open.erase(at);
      } else {
        for (const auto& ack : ledger.flush())
          for (auto at = open.begin(); at != open.end() && at->first <= ack.tag;) {
            if (!ack.multiple && at->first != ack.tag) {
              ++at;
              continue;
            }
            ASSERT_TRUE(at->second) << "tag " << at->first << " is not finished";
            at = open.erase(at);
          }
        for (const auto& [tag, finished] : open) ASSERT_FALSE(finished) << "tag " << tag << " was forgotten";
      }
    }
  }
}

TEST(RabbitmqDeliveryLedger, OneFrameForManyFinishedInOrder) {
  delivery_ledger ledger;
  for (std::uint64_t tag = 1; tag <= 100; ++tag) EXPECT_TRUE(ledger.delivered(tag));
  for (std::uint64_t tag = 99; tag >= 1; --tag) ledger.finished(tag);
  EXPECT_EQ(ledger.flush(), (std::vector<delivery_ledger::ack>{{99, true}}));
  EXPECT_EQ(ledger.open(), 1u);
  EXPECT_FALSE(ledger.delivered(102)) << "101 is missing: it could be acknowledged with the others";
}

TEST(RabbitmqLanes, KeepOrderPerKey) {
  std::mt19937 random(11);
  lanes<int> all;
  std::map<std::uint64_t, int> running, last;
  std::vector<std::uint64_t> busy;
  int items = 0;
  for (int step = 0; step < 5'000; ++step) {
    if (random() % 2 == 0) {
      const std::uint64_t key = random() % 7;
      if (all.add(key, ++items)) {
        ASSERT_FALSE(running.contains(key));
        running[key] = items;
        busy.push_back(key);
      }
    } else if (!busy.empty()) {
      const auto at = busy.begin() + static_cast<long>(random() % busy.size());
      const auto key = *at;
      ASSERT_GT(running[key], last[key]);
      last[key] = running[key];
      if (const auto next = all.done(key)) {
        running[key] = *next;
      } else {
        running.erase(key);
        busy.erase(at);
      }
    }
    ASSERT_EQ(all.size(), running.size());
  }
}

TEST(RabbitmqLanes, GivesUpWhatWaitsInOrder) {
  lanes<int> all;
  EXPECT_TRUE(all.add(1, 1));
  EXPECT_FALSE(all.add(1, 2));
  EXPECT_FALSE(all.add(1, 3));
  EXPECT_TRUE(all.add(2, 4));
  EXPECT_EQ(all.give_up(1), (std::vector<int>{2, 3}));
  EXPECT_EQ(all.done(1), std::nullopt);
  EXPECT_EQ(all.size(), 1u);
}

TEST(RabbitmqConfirmPatience, AChannelThatOnlyRefusesIsOpenedAnewEachTimeLater) {
  confirm_patience patience(10s);
  auto now = std::chrono::steady_clock::time_point{} + 1h;
  for (const auto pause : {300ms, 600ms, 1'200ms, 2'400ms, 4'800ms, 5'000ms, 5'000ms}) {
    patience.opened(now);
    EXPECT_FALSE(patience.settled(false, now + pause - 1ms));
    EXPECT_TRUE(patience.settled(false, now + pause));
    now += pause;
  }
  patience.opened(now);
  EXPECT_FALSE(patience.settled(true, now + 1h)) << "it stores";
  EXPECT_FALSE(patience.settled(false, now + 2h)) << "it has stored: this passes, on the same channel";
  patience.opened(now);
  EXPECT_TRUE(patience.settled(false, now + 300ms)) << "after a channel that stored the pauses begin anew";
}

TEST(RabbitmqConfirmPatience, SilenceCountsFromTheLastWordOrTheFirstThatWaits) {
  confirm_patience patience(10s);
  const auto now = std::chrono::steady_clock::time_point{} + 1h;
  patience.opened(now);
  EXPECT_FALSE(patience.over(now + 10s));
  EXPECT_TRUE(patience.over(now + 10s + 1ms));
  patience.waits(now + 60s);  // nothing was under way before
  EXPECT_FALSE(patience.over(now + 70s));
  patience.settled(false, now + 65s);
  EXPECT_FALSE(patience.over(now + 75s));
  EXPECT_TRUE(patience.over(now + 76s));
}

TEST(RabbitmqWaitingRoom, OneAsksForAll) {
  using item = std::shared_ptr<int>;
  const std::array<item, 3> all{std::make_shared<int>(1), std::make_shared<int>(2), std::make_shared<int>(3)};
  waiting_room<item> room;
  EXPECT_EQ(room.ask(), nullptr);
  EXPECT_EQ(room.wait(all[0]), 100ms);
  EXPECT_EQ(room.wait(all[1]), std::nullopt) << "the pause is waited for already";
  EXPECT_EQ(room.ask(), all[0]);
  EXPECT_EQ(room.wait(all[2]), std::nullopt) << "one is asking";
  EXPECT_EQ(room.wait(all[0]), 200ms) << "still no room: a longer pause";
  EXPECT_TRUE(room.answered(all[1]).empty()) << "it has not asked";
  EXPECT_EQ(room.ask(), all[0]) << "the first one stays the first";
  EXPECT_FALSE(room.empty());
  EXPECT_EQ(room.answered(all[0]), (std::vector<item>{all[1], all[2]}));
  EXPECT_TRUE(room.empty());
  EXPECT_EQ(room.wait(all[1]), 100ms) << "after an answer the pauses begin anew";
}

/// Nothing is lost or told twice, however many put at once; whoever finds it empty wakes the owner.
TEST(RabbitmqInbox, WakesOncePerHandful) {
  constexpr int threads = 4, each = 5'000;
  std::atomic<int> wakes{0};
  inbox<int> all([&] { ++wakes; });
  std::vector<std::thread> putters;
  putters.reserve(threads);
  for (int t = 0; t < threads; ++t)
    putters.emplace_back([&, t] {
      for (int i = 0; i < each; ++i) all.put(t * each + i);
    });
  std::vector<int> seen;
  std::array<int, threads> last;
  last.fill(-1);
  int handfuls = 0;
  while (seen.size() < threads * each) {
    std::vector<int> some;
    all.take(some);
    handfuls += !some.empty();
    for (const int item : some) {
      ASSERT_GT(item, last[static_cast<std::size_t>(item / each)]) << "out of order";
      last[static_cast<std::size_t>(item / each)] = item;
      seen.push_back(item);
    }
  }
  for (auto& p : putters) p.join();
  EXPECT_EQ(wakes, handfuls);
  std::sort(seen.begin(), seen.end());
  EXPECT_EQ(std::unique(seen.begin(), seen.end()), seen.end());
}

TEST(RabbitmqMetrics, AreOnThePage) {
  auto m = std::make_shared<metrics>();
  m->relay.published = 3;
  m->source.blocked_ns = 1'500'000'000;
  m->relay_confirms.observe(300us);
  m->relay_confirms.observe(1h);
  m->set_depth("job-dlq", 4);
  std::map<std::string, prometheus::MetricFamily> families;
  for (auto& f : collector(m).Collect()) families[f.name] = f;
  EXPECT_EQ(families["horizons_rabbitmq_published_total"].metric[1].counter.value, 3);
  EXPECT_EQ(families["horizons_rabbitmq_blocked_seconds_total"].metric[0].counter.value, 1.5);
  EXPECT_EQ(families["horizons_rabbitmq_queue_messages"].metric[0].gauge.value, 4);
  const auto& histogram = families["horizons_rabbitmq_confirm_seconds"].metric[0].histogram;
  EXPECT_EQ(histogram.sample_count, 2u);
  EXPECT_EQ(histogram.bucket[0].cumulative_count, 0u);
  EXPECT_EQ(histogram.bucket[1].cumulative_count, 1u);
  EXPECT_EQ(histogram.bucket.back().cumulative_count, 1u);
}

}  // namespace
}  // namespace horizons::rabbitmq
