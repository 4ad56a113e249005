#include "gateways/rabbitmq/relay_flow.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "gateways/rabbitmq/relay_message.hpp"

namespace horizons::rabbitmq {
namespace {

using namespace std::chrono_literals;

relay_flow::page page_of(std::uint64_t from, std::uint64_t to) {
  std::vector<event> events;
  for (auto p = from; p <= to; ++p) {
    event e;
    e.position = p;
    e.data = job_progress{};
    events.push_back(std::move(e));
  }
  return std::make_shared<const journal::event_list>(std::move(events));
}

const auto nothing = [](auto) {};

TEST(RelayFlow, TakesOnlyWhatFollows) {
  relay_flow flow(10, 100);
  EXPECT_EQ(flow.offer(page_of(12, 13), 11), relay_flow::offered::gap);
  EXPECT_EQ(flow.offer(page_of(11, 13), 10), relay_flow::offered::taken);
  EXPECT_EQ(flow.held_to(), 13u);
  EXPECT_EQ(flow.offer(page_of(11, 13), 10), relay_flow::offered::gap);
  EXPECT_EQ(flow.offer(page_of(14, 14 + relay_flow::held_max), 13), relay_flow::offered::full);
  EXPECT_EQ(flow.done_to(), 10u);
}

TEST(RelayFlow, ARefusalWaitsUntilTheWindowIsEmptyAndThePauseIsOver) {
  relay_flow flow(0, 3);
  relay_flow::instant now{};
  ASSERT_EQ(flow.offer(page_of(1, 5), 0), relay_flow::offered::taken);
  for (std::uint64_t p = 1; p <= 3; ++p) {
    ASSERT_EQ(flow.next(now)->position, p);
    flow.sent(now);
  }
  EXPECT_EQ(flow.next(now), nullptr);  // the window is full
  EXPECT_TRUE(flow.settle(2, false, false, now, nothing));
  EXPECT_EQ(flow.next(now + 1h), nullptr);  // 1 and 3 are still in flight
  EXPECT_TRUE(flow.settle(3, false, true, now, nothing));
  EXPECT_TRUE(flow.settle(1, false, true, now, nothing));
  EXPECT_EQ(flow.done_to(), 1u);
  EXPECT_EQ(flow.next(now), nullptr);
  now = *flow.resume_at();
  ASSERT_EQ(flow.next(now)->position, 2u);  // the refused one before any new one
  flow.sent(now);
  ASSERT_EQ(flow.next(now)->position, 4u);
  EXPECT_TRUE(flow.settle(4, false, true, now, nothing));
  EXPECT_EQ(flow.done_to(), 3u);
}

TEST(RelayFlow, AFreshChannelIsTriedWithFew) {
  relay_flow flow(0, 100);
  const relay_flow::instant now{};
  ASSERT_EQ(flow.offer(page_of(1, 300), 0), relay_flow::offered::taken);
  const auto send_all = [&] {
    while (flow.next(now)) flow.sent(now);
    return flow.unconfirmed();
  };
  EXPECT_EQ(send_all(), relay_flow::trial_window);
  EXPECT_TRUE(flow.settle(1, false, true, now, nothing));
  EXPECT_EQ(send_all(), 100u);
  flow.lost();
  EXPECT_EQ(send_all(), relay_flow::trial_window);
  EXPECT_EQ(flow.done_to(), 1u);
}

/// A broker that confirms in any order, several at once, refuses now and then, and loses connections. In the end every
/// event was stored; in each connection they were sent in order; done_to never ran ahead of what was stored.
TEST(RelayFlow, NothingIsSkippedWhateverTheBrokerDoes) {
  std::mt19937 random(13);
  for (int round = 0; round < 200; ++round) {
    const std::uint64_t last = 1 + random() % 400;
    relay_flow flow(0, 1 + random() % 20);
    relay_flow::instant now{};
    std::uint64_t offered_to = 0, tags = 0, in_order = 0, done_before = 0;
    std::map<std::uint64_t, std::uint64_t> open;  // tag -> position
    std::set<std::uint64_t> stored;
    const auto settle = [&](std::uint64_t tag, bool multiple, bool yes) {
      for (auto at = open.begin(); at != open.end() && at->first <= tag;)
        if (multiple || at->first == tag) {
          if (yes) stored.insert(at->second);
          at = open.erase(at);
        } else {
          ++at;
        }
      if (!yes) in_order = 0;
      ASSERT_TRUE(flow.settle(tag, multiple, yes, now, nothing));
    };
    for (int step = 0; flow.done_to() < last; ++step) {
      ASSERT_LT(step, 200'000) << "no progress";
      const auto dice = random() % 100;
      now += 1ms;
      if (dice < 20 && offered_to < last) {
        const auto to = std::min<std::uint64_t>(last, offered_to + 1 + random() % 30);
        if (flow.offer(page_of(offered_to + 1, to), offered_to) == relay_flow::offered::taken) offered_to = to;
      } else if (dice < 60) {
        const event* e = flow.next(now);
        if (!e) continue;
        if (e->position % 7 == 0) {
          stored.insert(e->position);
          flow.skipped();
          continue;
        }
        ASSERT_GT(e->position, in_order);
        in_order = e->position;
        flow.sent(now);
        open[++tags] = e->position;
      } else if (dice < 97 && !open.empty()) {
        const auto at = std::next(open.begin(), static_cast<long>(random() % open.size()));
        settle(at->first, random() % 3 == 0, random() % 10 != 0);
      } else if (dice == 99) {
        for (const auto& [tag, position] : open)
          if (random() % 2) stored.insert(position);  // stored, but the confirmation was lost
        open.clear();
        tags = 0;
        in_order = 0;
        flow.lost();
      }
      ASSERT_EQ(flow.unconfirmed(), open.size());
      ASSERT_GE(flow.done_to(), done_before);
      for (auto p = done_before + 1; p <= flow.done_to(); ++p) ASSERT_TRUE(stored.contains(p)) << p;
      done_before = flow.done_to();
    }
    EXPECT_EQ(stored.size(), last);
    EXPECT_EQ(flow.held(), 0u);
  }
}

TEST(RelayMessage, JobEventsAndNotificationsFindTheirExchanges) {
  event e;
  e.event_id = "01JD0000000000000000000000";
  e.time = timestamp{1'700'000'000'123ms};
  e.job_id = "j1";
  e.sequence = 1;
  e.user_id = "ada";
  e.correlation_id = "c1";
  e.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  e.data = job_submitted{.agent = "image-reconstruction", .priority = 1};
  const auto m = to_message(e, {.node = "n1"}, message_format::json);
  ASSERT_TRUE(m);
  EXPECT_EQ(m->exchange, "job.events");
  EXPECT_EQ(m->routing_key, "job.submitted");
  EXPECT_EQ(m->properties.message_id, e.event_id);
  EXPECT_EQ(m->properties.content_type, "application/json");
  EXPECT_EQ(m->properties.delivery_mode, 2);
  EXPECT_EQ(m->properties.timestamp_s, 1'700'000'000u);
  EXPECT_EQ(m->properties.correlation_id, "c1");
  EXPECT_EQ(m->properties.priority, 9);
  EXPECT_EQ(text_of(m->properties.headers, "ce-id"), e.event_id);
  EXPECT_EQ(text_of(m->properties.headers, "ce-type"), "job.submitted");
  EXPECT_EQ(text_of(m->properties.headers, "ce-subject"), "j1");
  EXPECT_EQ(text_of(m->properties.headers, "ce-sequence"), "00000000000000000001");
  EXPECT_EQ(text_of(m->properties.headers, "ce-source"), "/horizons/n1");
  EXPECT_EQ(text_of(m->properties.headers, "X-Agent"), "image-reconstruction");
  EXPECT_EQ(event_from_cloudevents(m->properties.content_type, to_headers(m->properties.headers), m->body), e);

  EXPECT_EQ(to_message(e, {.node = "n1"}, message_format::msgpack)->properties.content_type, "application/msgpack");

  e.sequence = 0;
  e.data = job_metrics{};
  EXPECT_EQ(to_message(e, {}, message_format::json)->exchange, "job.events");
  e.data = notification_sent{"n", "inbox", "done"};
  EXPECT_EQ(to_message(e, {}, message_format::json)->exchange, "notifications");
  EXPECT_EQ(to_message(e, {}, message_format::json)->routing_key, "ada");
  e.user_id = std::string(256, 'u');
  EXPECT_FALSE(to_message(e, {}, message_format::json));  // no routing key can say it
  e.data = audit_recorded{};
  EXPECT_FALSE(to_message(e, {}, message_format::json));
  e.data = system_health{};
  EXPECT_FALSE(to_message(e, {}, message_format::json));
}

TEST(RelayMessage, PrioritiesMapBothWays) {
  for (int p = 1; p <= 5; ++p) EXPECT_EQ(from_amqp_priority(to_amqp_priority(p)), p);
  EXPECT_EQ(from_amqp_priority(0), 5);
  EXPECT_EQ(from_amqp_priority(4), 3);
  EXPECT_EQ(from_amqp_priority(255), 1);
}

}  // namespace
}  // namespace horizons::rabbitmq
