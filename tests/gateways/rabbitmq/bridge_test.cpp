// Source, relay and dead letters as actors, on a real cluster and a journal in memory.
#include <mutex>

#include "gateways/rabbitmq/dead_letters.hpp"
#include "gateways/rabbitmq/relay.hpp"
#include "gateways/rabbitmq/source.hpp"
#include "messages/codec/msgpack.hpp"
#include "tests/gateways/rabbitmq/broker.hpp"
#include "tests/gateways/rabbitmq/house.hpp"

namespace horizons::rabbitmq::testing {
namespace {

class RabbitmqBridge : public BrokerTest {
protected:
  void SetUp() override {
    BrokerTest::SetUp();
    if (IsSkipped()) return;
    house_ = std::make_unique<house>(vhost_->name());
    metrics_ = std::make_shared<metrics>();
  }
  void TearDown() override { house_.reset(); }

  void start_source() {
    source_ =
        house_->system.spawn_blocking<source_api>({.name = "source"}, source(house_->services(), options_, metrics_));
    ASSERT_TRUE(eventually([&] { return metrics_->source.connected.load(); }));
  }
  void start_relay() {
    relay_ = house_->system.spawn_blocking<relay_api>({.name = "relay", .limits = relay_lane},
                                                      relay(house_->services(), options_, metrics_));
    ASSERT_TRUE(eventually([&] { return metrics_->relay.connected.load(); }));
  }
  void start_letters() {
    letters_ = house_->system.spawn_blocking<dead_letters_api>({.name = "dead-letters"},
                                                               dead_letters(house_->services(), options_, metrics_));
    box_ = make_dead_letter_box(house_->system, letters_);
    ASSERT_TRUE(eventually([&] { return metrics_->dead_letters.connected.load(); }));
  }
  std::vector<bridges::dead_letter> list(const bridges::dead_letter_filter& f = {}) {
    return house_->system.ask(letters_, list_letters{f}, 30s).value_or(std::vector<bridges::dead_letter>{});
  }
  template <class Api>
  void stop(const kit::handle<Api>& h) {
    EXPECT_TRUE(house_->system.stop(h, 10s));
  }
  bool eventually_depth(client& c, const std::string& queue, std::uint32_t messages) {
    return eventually([&] { return c.depth(queue) == messages; });
  }

  std::unique_ptr<house> house_;
  std::shared_ptr<metrics> metrics_;
  kit::handle<source_api> source_;
  kit::handle<relay_api> relay_;
  kit::handle<dead_letters_api> letters_;
  std::unique_ptr<bridges::dead_letter_box> box_;
};

// -- source -----------------------------------------------------------------------------------------------------------

TEST_F(RabbitmqBridge, SubmissionsOfAllFormsBecomeJobsOnce) {
  start_source();
  client c(options_);
  EXPECT_TRUE(c.submit(R"({"job_id":"j1","agent":"alpha-cal"})"));
  EXPECT_TRUE(c.submit(R"({"agent":"alpha-cal"})", {.message_id = "m2"}));
  EXPECT_TRUE(
      c.submit(to_msgpack(command{.job_id = "j3", .agent = "alpha-cal"}), {.content_type = "application/msgpack"}));
  EXPECT_TRUE(
      c.submit(R"({"specversion":"1.0","id":"e","source":"/lab","type":"x","data":{"job_id":"j4","agent":"a"}})",
               {.content_type = "application/cloudevents+json"}));
  EXPECT_TRUE(c.submit(R"({"job_id":"j1","agent":"alpha-cal"})"));  // again
  EXPECT_TRUE(c.submit(R"({"agent":"alpha-cal"})", {.message_id = "m2"}));
  ASSERT_TRUE(eventually([&] { return house_->applied == 4 && house_->repeated == 2; }));
  EXPECT_TRUE(eventually([&] { return metrics_->source.acked == 6; }));
  EXPECT_TRUE(eventually_depth(c, "job-submissions", 0));
  EXPECT_EQ(house_->events("job.submitted").size(), 4u);
  EXPECT_EQ(metrics_->applied, 4u);
  EXPECT_EQ(metrics_->repeated, 2u);
  EXPECT_EQ(c.depth("job-dlq"), 0u);
  const auto how = house_->system.ask(source_, health{}, 5s);
  ASSERT_TRUE(how);
  EXPECT_TRUE(how->ready);
  EXPECT_EQ(how->state, "up");
  stop(source_);
}

TEST_F(RabbitmqBridge, NothingIsAcknowledgedBeforeTheHouseHasIt) {
  std::mutex mutex;
  std::vector<bridges::callback<bridges::handled>> open;
  auto services = house_->services();
  services.handle = [&](const bridges::incoming&, bridges::callback<bridges::handled> then) {
    const std::lock_guard lock(mutex);
    open.push_back(std::move(then));
  };
  source_ = house_->system.spawn_blocking<source_api>({.name = "source"}, source(services, options_, metrics_));
  ASSERT_TRUE(eventually([&] { return metrics_->source.connected.load(); }));
  client c(options_);
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(c.submit(R"({"agent":"a","job_id":"j)" + std::to_string(i) + R"("})"));
  ASSERT_TRUE(eventually([&] { return std::lock_guard(mutex), open.size() == 10; }));
  EXPECT_EQ(metrics_->source.acked, 0u);
  EXPECT_EQ(metrics_->source.unacked, 10u);
  house_->system.kill(source_);  // all ten come again
  std::vector<bridges::callback<bridges::handled>> first;
  {
    const std::lock_guard lock(mutex);
    first.swap(open);
  }
  for (auto& then : first) then(bridges::handled{});  // too late: of no consequence
  auto second = house_->system.spawn_blocking<source_api>({.name = "source2"}, source(services, options_, metrics_));
  ASSERT_TRUE(eventually([&] { return std::lock_guard(mutex), open.size() == 10; }));
  EXPECT_EQ(metrics_->source.redelivered, 10u);
  {
    const std::lock_guard lock(mutex);
    for (auto& then : open) then(bridges::handled{});
  }
  EXPECT_TRUE(eventually([&] { return metrics_->source.acked == 10; }));
  stop(second);
}

TEST_F(RabbitmqBridge, MessagesOfOneJobStayInOrderOthersGoAhead) {
  std::mutex mutex;
  std::map<std::string, std::vector<std::pair<std::string, bridges::callback<bridges::handled>>>> open;
  auto services = house_->services();
  services.handle = [&](const bridges::incoming& in, bridges::callback<bridges::handled> then) {
    const std::lock_guard lock(mutex);
    open[in.what.job_id].emplace_back(in.what.command_name, std::move(then));
  };
  source_ = house_->system.spawn_blocking<source_api>({.name = "source"}, source(services, options_, metrics_));
  ASSERT_TRUE(eventually([&] { return metrics_->source.connected.load(); }));
  client c(options_);
  const auto count = [&](const std::string& job) { return std::lock_guard(mutex), open[job].size(); };
  EXPECT_TRUE(c.submit(R"({"agent":"x","job_id":"a"})"));
  EXPECT_TRUE(c.submit(R"({"command":"pause","job_id":"a"})"));
  EXPECT_TRUE(c.submit(R"({"command":"cancel","job_id":"a"})"));
  EXPECT_TRUE(c.submit(R"({"agent":"x","job_id":"b"})"));
  ASSERT_TRUE(eventually([&] { return count("a") == 1 && count("b") == 1; }));
  for (std::size_t i = 0; i < 3; ++i) {
    ASSERT_TRUE(eventually([&] { return count("a") == i + 1; }));
    const std::lock_guard lock(mutex);
    EXPECT_EQ(open["a"][i].first, (std::array{"submit", "pause", "cancel"})[i]);
    open["a"][i].second(bridges::handled{});
  }
  EXPECT_TRUE(eventually([&] { return metrics_->source.acked == 3; }));
  open["b"][0].second(bridges::handled{});
  EXPECT_TRUE(eventually([&] { return metrics_->source.acked == 4; }));
  stop(source_);
}

TEST_F(RabbitmqBridge, AFullQueueOfJobsStopsReadingAndLosesNothing) {
  std::atomic<bool> full{true};
  house_->before = [&](const bridges::incoming&) -> result<void> {
    if (full) return failure(error_code::limit_exceeded, "jobs.queued_max is reached");
    return {};
  };
  options_.prefetch = 5;
  start_source();
  client c(options_);
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(c.submit(R"({"agent":"a","job_id":"j)" + std::to_string(i) + R"("})"));
  ASSERT_TRUE(eventually([&] { return metrics_->source.unacked == 5 && metrics_->congested > 0; }));
  ASSERT_TRUE(eventually([&] { return house_->commands() > 7; }));  // it asks again, one at a time
  EXPECT_EQ(metrics_->source.delivered, 5u);
  EXPECT_EQ(metrics_->source.acked, 0u);
  const auto how = house_->system.ask(source_, health{}, 5s);
  ASSERT_TRUE(how);
  EXPECT_NE(how->state.find("queue of jobs is full"), std::string::npos);
  full = false;
  EXPECT_TRUE(eventually([&] { return house_->applied == 20 && metrics_->source.acked == 20; }));
  EXPECT_EQ(c.depth("job-dlq"), 0u);
  stop(source_);
}

TEST_F(RabbitmqBridge, WhatMayPassIsTriedAgainInPlace) {
  std::atomic<int> left{5};
  house_->before = [&](const bridges::incoming&) -> result<void> {
    if (left-- > 0) return failure(error_code::unavailable, "the journal is not here yet");
    return {};
  };
  start_source();
  client c(options_);
  EXPECT_TRUE(c.submit(R"({"agent":"a","job_id":"j"})"));
  EXPECT_TRUE(eventually([&] { return metrics_->source.acked == 1; }));
  EXPECT_EQ(house_->commands(), 6u);
  EXPECT_EQ(house_->applied, 1u);
  EXPECT_EQ(metrics_->source.redelivered, 0u);
  stop(source_);
}

TEST_F(RabbitmqBridge, RefusalsGoToTheDeadLettersAsTheyCame) {
  start_source();
  start_letters();
  client c(options_);
  EXPECT_TRUE(c.submit("not json", {.expiration = "3600000", .message_id = "poison"}));
  EXPECT_TRUE(c.submit(R"({"agent":"a"})"));
  EXPECT_TRUE(c.submit(R"({"agent":"a","job_id":"j"})"));
  EXPECT_TRUE(c.submit(R"({"agent":"b","job_id":"j"})"));
  field deep = field::number(1);
  for (int i = 0; i < 100; ++i) deep = {'F', field_table{{"d", std::move(deep)}}};
  EXPECT_TRUE(c.submit(R"({"agent":"a","job_id":"deep"})", {.headers = {{"deep", deep}}}));
  ASSERT_TRUE(eventually([&] { return list().size() == 4; }));
  std::map<std::string, bridges::dead_letter> by_reason;
  for (auto& l : list()) by_reason[l.reason] = l;
  ASSERT_TRUE(by_reason.contains("poison"));
  EXPECT_EQ(by_reason["poison"].value, "not json");
  EXPECT_EQ(by_reason["poison"].origin, "job.submissions/job-submissions");
  EXPECT_TRUE(by_reason["poison"].first_failed_at);
  ASSERT_TRUE(by_reason.contains("no-identity"));
  ASSERT_TRUE(by_reason.contains("conflict"));
  EXPECT_EQ(by_reason["conflict"].job_id, "j");
  EXPECT_NE(by_reason["conflict"].error.find("other content"), std::string::npos);
  ASSERT_TRUE(by_reason.contains("rejected"));  // moved by the broker: its headers are not for us to repeat
  const auto kept = house_->system.ask(letters_, replay_letters{{.reason = "rejected"}, {.by = "operator"}}, 30s);
  ASSERT_TRUE(kept);
  EXPECT_EQ(kept->skipped, 1u);
  EXPECT_TRUE(eventually_depth(c, "job-submissions", 0));
  EXPECT_TRUE(eventually([&] { return metrics_->source.unacked == 0; }));
  EXPECT_EQ(metrics_->dead_lettered, 4u);
  // Looked at often, they are all still there, in the same order.
  const auto once = list(), twice = list();
  ASSERT_EQ(once.size(), 4u);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(once[i].id, twice[i].id);
  EXPECT_EQ(list({.reason = "conflict"}).size(), 1u);
  EXPECT_EQ(list({.limit = 2}).size(), 2u);
  stop(source_);
}

TEST_F(RabbitmqBridge, ALetterWaitsUntilThereIsAQueueForIt) {
  start_source();
  client c(options_);
  cluster_->manage("DELETE", "queues/" + vhost_->name() + "/job-dlq");
  ASSERT_FALSE(c.exists("job-dlq"));
  EXPECT_TRUE(c.submit("not json"));
  ASSERT_TRUE(eventually([&] { return metrics_->source.returned > 0; }));
  EXPECT_TRUE(eventually([&] { return metrics_->source.acked == 1; }));
  EXPECT_EQ(metrics_->dead_lettered, 1u);
  const auto letter = c.take("job-dlq");
  ASSERT_TRUE(letter);
  EXPECT_EQ(letter->body, "not json");
  stop(source_);
}

TEST_F(RabbitmqBridge, WithoutADeadLetterQueueRefusalsAreDroppedAndCounted) {
  options_.dlq_enabled = false;
  start_source();
  client c(options_);
  EXPECT_TRUE(c.submit("not json"));
  EXPECT_TRUE(eventually([&] { return metrics_->dropped == 1 && metrics_->source.acked == 1; }));
  stop(source_);
}

TEST_F(RabbitmqBridge, WhoeverAsksIsAnswered) {
  start_source();
  client c(options_);
  ASSERT_TRUE(c->declare_queue(2, "answers", false, {}));
  const auto ask = [&](const std::string& body, const std::string& id) {
    EXPECT_TRUE(c.submit(body, {.correlation_id = id, .reply_to = "answers"}));
    const auto answer = c.take("answers");
    EXPECT_TRUE(answer);
    return answer.value_or(message{});
  };
  auto job = ask(R"({"agent":"a","job_id":"j"})", "1");
  EXPECT_EQ(job.properties.correlation_id, "1");
  EXPECT_EQ(job.properties.content_type, "application/json");
  EXPECT_EQ(nlohmann::json::parse(job.body)["job_id"], "j");
  job = ask(R"({"agent":"other","job_id":"j"})", "2");
  EXPECT_EQ(job.properties.correlation_id, "2");
  EXPECT_EQ(job.properties.content_type, "application/problem+json");
  EXPECT_EQ(nlohmann::json::parse(job.body)["status"], 409);
  EXPECT_EQ(nlohmann::json::parse(ask("?", "3").body)["reason"], "poison");
  EXPECT_TRUE(c.submit(R"({"agent":"a","job_id":"k"})", {.reply_to = "nobody-there"}));
  EXPECT_TRUE(eventually([&] { return house_->applied == 2; }));
  stop(source_);
}

/// R2, and a queue that somebody deletes under the consumer.
TEST_F(RabbitmqBridge, ADeletedQueueIsDeclaredAgain) {
  start_source();
  client c(options_);
  EXPECT_TRUE(c.submit(R"({"agent":"a","job_id":"j1"})"));
  ASSERT_TRUE(eventually([&] { return house_->applied == 1; }));
  cluster_->manage("DELETE", "queues/" + vhost_->name() + "/job-submissions");
  ASSERT_TRUE(eventually([&] { return metrics_->consumer_cancels == 1; }));
  ASSERT_TRUE(eventually([&] { return c.exists("job-submissions"); }));
  EXPECT_TRUE(eventually([&] { return c.submit(R"({"agent":"a","job_id":"j2"})"); }));  // bound a moment later
  EXPECT_TRUE(eventually([&] { return house_->applied == 2; }));
  stop(source_);
}

TEST_F(RabbitmqBridge, CutConnectionsAreMadeAgain) {
  options_.hosts.resize(1);  // the management interface knows the connections of its own node only
  options_.kind = queue_kind::quorum;
  start_source();
  client c(options_);
  const auto kill_all = [&] {
    const auto all =
        nlohmann::json::parse(cluster_->manage("GET", "vhosts/" + vhost_->name() + "/connections"), nullptr, false);
    int killed = 0;
    for (const auto& each : all)
      if (each.contains("client_properties") &&
          each["client_properties"].value("connection_name", "") == "horizons/test/source") {
        cluster_->manage("DELETE",
                         "connections/" + output_of("python3 -c \"import urllib.parse; print(urllib.parse.quote('" +
                                                    each["name"].get<std::string>() + "'), end='')\""));
        ++killed;
      }
    return killed;
  };
  for (int round = 1; round <= 2; ++round) {
    for (int i = 0; i < 50; ++i)
      EXPECT_TRUE(c.submit(R"({"agent":"a","job_id":"j)" + std::to_string(round) + "-" + std::to_string(i) + R"("})"));
    ASSERT_TRUE(eventually([&] { return kill_all() > 0; }));  // the management interface lists it some seconds late
    ASSERT_TRUE(eventually([&] { return metrics_->source.connects == static_cast<unsigned>(round) + 1; }));
  }
  EXPECT_TRUE(c.submit(R"({"agent":"a","job_id":"last"})"));
  EXPECT_TRUE(eventually([&] { return house_->applied == 101; }));
  EXPECT_EQ(house_->events("job.submitted").size(), 101u);
  stop(source_);
}

// -- relay ------------------------------------------------------------------------------------------------------------

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
  for (int i = 0; i < 3'000; ++i)
    many.push_back(house_->event_of("j" + std::to_string(i), job_submitted{.agent = "a"}, 1));
  EXPECT_TRUE(house_->append(std::move(many)));
  ASSERT_TRUE(eventually([&] { return metrics_->relay.published > 0; }));
  stop(relay_);
  const auto published = metrics_->relay.published.load();
  EXPECT_EQ(metrics_->relay.confirmed, published);
  EXPECT_EQ(house_->progress(std::string(relay_source)).next, published + 1);
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

// -- dead letters -----------------------------------------------------------------------------------------------------

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
