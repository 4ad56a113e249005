// Events from a journal to a real broker, and to one that bends its confirms.
#include "tests/gateways/rabbitmq/bridge.hpp"
#include "tests/gateways/rabbitmq/silent_broker.hpp"

namespace horizons::rabbitmq::testing {
namespace {

std::vector<event> progress_events(house& h, const std::string& job, std::uint64_t from, std::uint64_t to) {
  std::vector<event> all;
  for (auto i = from; i <= to; ++i) all.push_back(h.event_of(job, job_progress{.progress = 0.5, .stage = "s"}, i));
  return all;
}

TEST_F(RabbitmqBridge, EveryEventReachesItsReadersInOrder) {
  ASSERT_TRUE(house_->append(progress_events(*house_, "early", 1, 1'200)));  // before the relay was there
  start_relay();
  client c(options_);
  ASSERT_TRUE(c->declare_queue(2, "mine", false, {}));
  ASSERT_TRUE(c->bind(2, "mine", "notifications", "ada"));
  ASSERT_TRUE(eventually_depth(c, "job-events-api", 1'200));
  for (std::uint64_t i = 0; i < 10; ++i)
    ASSERT_TRUE(house_->append(progress_events(*house_, "late", i * 30 + 1, i * 30 + 30)));
  ASSERT_TRUE(house_->append(
      {house_->event_of("late", job_metrics{}), house_->event_of({}, audit_recorded{"a", "b", "c", "d", "e"}),
       house_->event_of("late", notification_sent{"01JD0000000000000000000000", "inbox", "done"})}));
  ASSERT_TRUE(eventually_depth(c, "job-events-api", 1'501));
  ASSERT_TRUE(eventually_depth(c, "job-events-audit", 1'501));
  ASSERT_TRUE(eventually_depth(c, "websocket-broadcast", 1'501));
  EXPECT_TRUE(c.take("mine"));
  ASSERT_TRUE(c->prefetch(2, 2'000));
  ASSERT_TRUE(c->consume(2, "job-events-api", "reader"));
  std::uint64_t position = 0;
  for (int i = 0; i < 1'501; ++i) {
    const auto d = c.next_delivery();
    ASSERT_TRUE(d);
    const auto e =
        event_from_cloudevents(d->what.properties.content_type, to_headers(d->what.properties.headers), d->what.body);
    ASSERT_TRUE(e) << e.error().text;
    EXPECT_GT(e->position, position);
    position = e->position;
    EXPECT_EQ(d->what.properties.message_id, e->event_id);
  }
  EXPECT_TRUE(eventually([&] { return house_->progress("relay/rabbitmq").next == 1'504; }));
  EXPECT_TRUE(eventually([&] { return metrics_->relay_position == 1'503; }));
  EXPECT_EQ(metrics_->relay.published, 1'502u);
  stop(relay_);
}

TEST_F(RabbitmqBridge, ARelayBeginsWhereTheLastOneEnded) {
  start_relay();
  client c(options_);
  ASSERT_TRUE(house_->append(progress_events(*house_, "j", 1, 100)));
  ASSERT_TRUE(eventually_depth(c, "job-events-api", 100));
  ASSERT_TRUE(eventually([&] { return metrics_->relay_position == 100; }));  // confirmed, too
  stop(relay_);                                                              // stores where it stands
  EXPECT_EQ(house_->progress("relay/rabbitmq").next, 101u);
  ASSERT_TRUE(house_->append(progress_events(*house_, "j", 101, 150)));
  relay_ = house_->system.spawn_blocking<relay_api>({.name = "relay2", .limits = relay_lane},
                                                    relay(house_->services(), options_, metrics_));
  ASSERT_TRUE(eventually_depth(c, "job-events-api", 150));
  EXPECT_EQ(metrics_->relay.published, 150u);
  stop(relay_);
}

/// What is on its way at the end is waited for: nothing of it is published again by the next one.
TEST_F(RabbitmqBridge, AStoppedRelayHasItsConfirms) {
  start_relay();
  std::vector<event> many;
  many.reserve(3'000);
  for (int i = 0; i < 3'000; ++i)
    many.push_back(house_->event_of("j" + std::to_string(i), job_submitted{.agent = "a"}, 1));
  EXPECT_TRUE(house_->append(std::move(many)));
  ASSERT_TRUE(eventually([&] { return metrics_->relay.published > 0; }));
  stop(relay_);
  const auto published = metrics_->relay.published.load();
  EXPECT_EQ(metrics_->relay.confirmed, published);
  EXPECT_EQ(house_->progress(std::string(relay_source)).next, published + 1);
}

/// An operator has removed every queue of events: that is said, and the relay goes on.
TEST_F(RabbitmqBridge, EventsThatNoQueueTakesComeBack) {
  start_relay();
  client c(options_);
  ASSERT_TRUE(house_->append(progress_events(*house_, "j", 1, 10)));
  ASSERT_TRUE(eventually([&] { return metrics_->relay_position == 10; }));
  EXPECT_EQ(metrics_->relay.returned, 0u);
  for (const char* queue : {"job-events-api", "job-events-audit", "websocket-broadcast"})
    cluster_->manage("DELETE", "queues/" + vhost_->name() + "/" + queue);
  auto later = progress_events(*house_, "j", 11, 20);
  later.push_back(house_->event_of("j", notification_sent{"01JD0000000000000000000000", "inbox", "done"}));
  ASSERT_TRUE(house_->append(std::move(later)));
  ASSERT_TRUE(eventually([&] { return metrics_->relay_position == 21; }));
  EXPECT_EQ(metrics_->relay.returned, 10u);  // the notification is one that nobody need read
  stop(relay_);
}

TEST_F(RabbitmqBridge, ABrokerThatConfirmsNothingIsLeft) {
  silent_broker between(options_.hosts[0]);
  ASSERT_TRUE(between.ok());
  client c(options_);
  options_.hosts = {between.address(), between.address()};
  options_.kind = queue_kind::quorum;
  options_.confirm_max = 500ms;
  start_relay();
  ASSERT_TRUE(house_->append(progress_events(*house_, "j", 1, 10)));
  ASSERT_TRUE(eventually([&] { return metrics_->relay_position == 10; }));
  between.keep_confirms();
  ASSERT_TRUE(house_->append(progress_events(*house_, "j", 11, 20)));
  EXPECT_TRUE(eventually([&] { return metrics_->relay_position == 20; }));
  EXPECT_GT(between.kept, 0);
  EXPECT_EQ(between.connections, 2);
  EXPECT_EQ(metrics_->relay.connects, 2u);
  EXPECT_EQ(metrics_->relay.losses, 1u);
  EXPECT_EQ(metrics_->relay.published, 30u) << "what was not confirmed is published again";
  EXPECT_TRUE(eventually_depth(c, "job-events-api", 30));
  stop(relay_);
}

/// RabbitMQ 3.10 does so when a channel has met a quorum queue whose leader's node had just died.
TEST_F(RabbitmqBridge, AChannelThatRefusesEverythingIsOpenedAnew) {
  silent_broker between(options_.hosts[0]);
  ASSERT_TRUE(between.ok());
  between.refuse_on(1);
  client c(options_);
  options_.hosts = {between.address()};
  options_.kind = queue_kind::quorum;
  start_relay();
  ASSERT_TRUE(house_->append(progress_events(*house_, "j", 1, 100)));
  EXPECT_TRUE(eventually([&] { return metrics_->relay_position == 100; }));
  EXPECT_GT(between.refused, 0);
  EXPECT_GT(metrics_->relay.nacked, 0u);
  EXPECT_EQ(metrics_->relay.connects, 1u) << "the same connection";
  stop(relay_);

  // Dead letters find their way, too.
  between.refuse_on(2);
  start_source();
  EXPECT_TRUE(c.submit("not json"));
  EXPECT_TRUE(eventually([&] { return metrics_->dead_lettered == 1; }));
  stop(source_);
}

TEST_F(RabbitmqBridge, AStreamFasterThanTheLaneIsReadFromTheJournal) {
  start_relay();
  client c(options_);
  std::atomic<int> answered{0};
  for (std::uint64_t i = 0; i < 300; ++i)
    house_->append(progress_events(*house_, "j" + std::to_string(i), 1, 60), {}, [&](const auto&) { ++answered; });
  ASSERT_TRUE(eventually([&] { return answered == 300; }));
  ASSERT_TRUE(eventually([&] { return metrics_->relay_position == 18'000; }, 60s));
  EXPECT_EQ(metrics_->relay.confirmed, 18'000u);
  EXPECT_EQ(c.depth("job-events-audit"), 18'000u);
  stop(relay_);
}

TEST_F(RabbitmqBridge, ADeletedExchangeIsDeclaredAgain) {
  start_relay();
  client c(options_);
  ASSERT_TRUE(house_->append(progress_events(*house_, "j", 1, 10)));
  ASSERT_TRUE(eventually([&] { return metrics_->relay_position == 10; }));
  cluster_->manage("DELETE", "exchanges/" + vhost_->name() + "/job.events");
  ASSERT_TRUE(house_->append(progress_events(*house_, "j", 11, 20)));
  EXPECT_TRUE(eventually([&] { return metrics_->relay_position == 20; }));
  EXPECT_TRUE(eventually_depth(c, "job-events-api", 20));
  stop(relay_);
}

}  // namespace
}  // namespace horizons::rabbitmq::testing
