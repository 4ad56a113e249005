// Dead letters on a real broker: ours, the broker's own, and their way back.
#include <map>

#include "tests/gateways/rabbitmq/bridge.hpp"

namespace horizons::rabbitmq::testing {
namespace {

TEST_F(RabbitmqBridge, LettersGoBackWhereTheyCameFrom) {
  std::atomic<bool> broken{true};
  house_->before = [&](const bridges::incoming&) -> result<void> {
    if (broken) return failure(error_code::forbidden, "not today");
    return {};
  };
  start_source();
  start_letters();
  client c(options_);
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(c.submit(R"({"agent":"a","job_id":"j)" + std::to_string(i) + R"("})"));
  ASSERT_TRUE(eventually([&] { return list().size() == 5; }));
  const auto replay = [&](const bridges::dead_letter_filter& f, bridges::replay_options o = {}) {
    o.by = "operator";
    o.rate_per_s = 1'000;
    auto r = house_->system.ask(letters_, replay_letters{f, o}, 60s);
    EXPECT_TRUE(r) << r.error().text;
    return r.value_or(bridges::replay_report{});
  };
  auto report = replay({}, {.dry_run = true});
  EXPECT_EQ(report.matched, 5u);
  EXPECT_EQ(report.replayed, 0u);
  EXPECT_EQ(report.ids.size(), 5u);
  EXPECT_EQ(list().size(), 5u);

  report = replay({.job_id = "j2"});  // still broken: it comes back, and is counted
  EXPECT_EQ(report.replayed, 1u);
  ASSERT_TRUE(eventually([&] {
    const auto all = list({.job_id = "j2"});
    return all.size() == 1 && all[0].replays == 1;
  }));
  EXPECT_EQ(list().size(), 5u);

  broken = false;
  const auto parked = list({.job_id = "j3"}).at(0).id;
  EXPECT_TRUE(house_->system.ask(letters_, park_letter{parked, "operator"}, 30s).value());
  EXPECT_FALSE(house_->system.ask(letters_, park_letter{"rabbitmq:none", "operator"}, 30s).value());
  EXPECT_EQ(list({.state = "parked"}).size(), 1u);
  report = replay({}, {.replays_max = 1});
  EXPECT_EQ(report.matched, 5u);
  EXPECT_EQ(report.replayed, 3u);
  EXPECT_EQ(report.skipped, 2u);  // one parked, one that came back once already
  EXPECT_EQ(report.notes.size(), 2u);
  EXPECT_TRUE(eventually([&] { return house_->applied == 3; }));
  EXPECT_EQ(replay({}).replayed, 1u);
  EXPECT_TRUE(eventually([&] { return house_->applied == 4; }));
  ASSERT_EQ(list().size(), 1u);
  EXPECT_EQ(list()[0].state, "parked");

  // Another node, or this one after a restart, knows what is parked from the journal.
  stop(letters_);
  metrics_->dead_letters.connected = false;
  letters_ = house_->system.spawn_blocking<dead_letters_api>({.name = "letters2"},
                                                             dead_letters(house_->services(), options_, metrics_));
  ASSERT_TRUE(eventually([&] { return metrics_->dead_letters.connected.load(); }));
  ASSERT_TRUE(eventually([&] { return list({.state = "parked"}).size() == 1; }));
  std::map<std::string, int> audits;
  for (const auto& e : house_->events("audit.recorded")) ++audits[std::get<audit_recorded>(e.data).action];
  EXPECT_EQ(audits["dlq.replay"], 5);
  EXPECT_EQ(audits["dlq.park"], 1);
  stop(source_);
}

TEST_F(RabbitmqBridge, WhatTheBrokerDeadLettersIsUnderstood) {
  client c(options_);
  ASSERT_TRUE(declare(c.raw(), 3, options_));
  EXPECT_TRUE(c.submit(R"({"agent":"a","job_id":"j"})", {.expiration = "1"}));  // nobody takes it in time
  start_letters();
  ASSERT_TRUE(eventually([&] { return list().size() == 1; }));
  auto l = list()[0];
  EXPECT_EQ(l.reason, "expired");
  EXPECT_EQ(l.job_id, "j");
  EXPECT_EQ(l.origin, "job.submissions/job-submissions");
  EXPECT_EQ(house_->system.ask(letters_, replay_letters{{.id = l.id}, {.by = "operator"}}, 30s)->replayed, 1u);
  ASSERT_TRUE(eventually_depth(c, "job-dlq", 0));
  for (int i = 0; i <= delivery_limit; ++i) {  // a poison message that kills its consumer each time
    ASSERT_TRUE(eventually([&] {
      auto got = c->get(2, "job-submissions");
      if (!got || !*got) return false;
      return c->nack(2, (**got).tag, false, true).has_value();
    }));
  }
  ASSERT_TRUE(eventually([&] { return list().size() == 1; }));
  l = list()[0];
  EXPECT_EQ(l.reason, "delivery_limit");
  EXPECT_EQ(l.replays, 1);
  EXPECT_NE(l.error.find("20 times"), std::string::npos) << l.error;
}

TEST_F(RabbitmqBridge, WithoutABrokerEverybodySaysWhy) {
  for (auto& h : options_.hosts) h.port = 1;  // nobody listens there
  source_ =
      house_->system.spawn_blocking<source_api>({.name = "source"}, source(house_->services(), options_, metrics_));
  letters_ = house_->system.spawn_blocking<dead_letters_api>({.name = "dead-letters"},
                                                             dead_letters(house_->services(), options_, metrics_));
  ASSERT_TRUE(eventually([&] {
    const auto how = house_->system.ask(source_, health{}, 5s);
    return how && !how->ready && how->state.find("amqp://127.0.0.1:1/") != std::string::npos;
  }));
  const auto listed = house_->system.ask(letters_, list_letters{}, 30s);
  ASSERT_FALSE(listed);
  EXPECT_EQ(listed.error().code, error_code::unavailable);
  EXPECT_GT(metrics_->source.losses, 0u);
}

}  // namespace
}  // namespace horizons::rabbitmq::testing
