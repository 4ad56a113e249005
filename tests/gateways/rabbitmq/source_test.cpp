// Submissions from a real broker to a small house.
#include <amqp_tcp_socket.h>

#include <map>
#include <mutex>

#include "messages/codec/msgpack.hpp"
#include "tests/gateways/rabbitmq/bridge.hpp"
#include "tests/gateways/rabbitmq/silent_broker.hpp"

namespace horizons::rabbitmq::testing {
namespace {

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

/// As RabbitMQ 3.10 does now and then when an acknowledgement is under way.
TEST_F(RabbitmqBridge, AConsumerThatIsEndedWithoutAWordBeginsAgain) {
  silent_broker between(options_.hosts[0]);
  ASSERT_TRUE(between.ok());
  between.keep_cancels();
  client c(options_);
  options_.hosts = {between.address()};
  start_source();
  EXPECT_TRUE(c.submit(R"({"agent":"a","job_id":"j1"})"));
  ASSERT_TRUE(eventually([&] { return house_->applied == 1; }));
  cluster_->manage("DELETE", "queues/" + vhost_->name() + "/job-submissions");
  ASSERT_TRUE(eventually([&] { return metrics_->consumer_cancels == 1; }));
  EXPECT_TRUE(eventually([&] { return c.exists("job-submissions"); }));
  EXPECT_TRUE(eventually([&] { return c.submit(R"({"agent":"a","job_id":"j2"})"); }));
  EXPECT_TRUE(eventually([&] { return house_->applied == 2; }));
  EXPECT_EQ(metrics_->source.connects, 2u);
  stop(source_);
}

/// Somebody whose exclusive queue has the name of ours: RabbitMQ then says 405 to everybody else.
class squatter {
public:
  explicit squatter(const endpoint& e) {
    auto* socket = amqp_tcp_socket_new(state_);
    ok_ = amqp_socket_open(socket, e.host.c_str(), e.port) == AMQP_STATUS_OK &&
          amqp_login(state_, e.vhost.c_str(), 0, AMQP_DEFAULT_FRAME_SIZE, 0, AMQP_SASL_METHOD_PLAIN, e.user.c_str(),
                     e.password.c_str())
                  .reply_type == AMQP_RESPONSE_NORMAL &&
          amqp_channel_open(state_, 1);
  }
  ~squatter() { amqp_destroy_connection(state_); }
  squatter(const squatter&) = delete;

  bool move_in(std::string_view queue) {
    return ok_ && amqp_queue_delete(state_, 1, to_bytes(queue), 0, 0) &&
           amqp_queue_declare(state_, 1, to_bytes(queue), 0, 0, 1, 0, amqp_empty_table);
  }
  bool move_out(std::string_view queue) { return ok_ && amqp_queue_delete(state_, 1, to_bytes(queue), 0, 0); }

private:
  amqp_connection_state_t state_ = amqp_new_connection();
  bool ok_ = false;
};

TEST_F(RabbitmqBridge, ALookThatIsRefusedIsNoLostConnection) {
  silent_broker between(options_.hosts[0]);
  ASSERT_TRUE(between.ok());
  between.keep_cancels();  // else the source would not need to look
  squatter other(options_.hosts[0]);
  client c(options_);
  options_.hosts = {between.address()};
  start_source();
  ASSERT_TRUE(other.move_in(submissions_queue));
  const auto state = [&] {
    const auto how = house_->system.ask(source_, health{}, 5s);
    return how ? how->state : how.error().text;
  };
  ASSERT_TRUE(eventually([&] { return state().find("RESOURCE_LOCKED") != std::string::npos; })) << state();
  EXPECT_EQ(metrics_->source.losses, 0u);
  ASSERT_TRUE(other.move_out(submissions_queue));  // now it is not there: its consumer cannot be
  ASSERT_TRUE(eventually([&] { return metrics_->consumer_cancels == 1; }));
  EXPECT_TRUE(eventually([&] { return c.exists("job-submissions"); }));
  EXPECT_TRUE(eventually([&] { return c.submit(R"({"agent":"a","job_id":"j"})"); }));
  EXPECT_TRUE(eventually([&] { return house_->applied == 1; }));
  EXPECT_EQ(state(), "up");
  EXPECT_EQ(metrics_->source.connects, 2u);
  stop(source_);
}

TEST_F(RabbitmqBridge, CutConnectionsAreMadeAgain) {
  silent_broker between(options_.hosts[0]);
  ASSERT_TRUE(between.ok());
  options_.kind = queue_kind::quorum;
  client c(options_);
  options_.hosts = {between.address()};
  start_source();
  for (int round = 1; round <= 2; ++round) {
    for (int i = 0; i < 50; ++i)
      EXPECT_TRUE(c.submit(R"({"agent":"a","job_id":"j)" + std::to_string(round) + "-" + std::to_string(i) + R"("})"));
    between.cut();
    ASSERT_TRUE(eventually([&] { return metrics_->source.connects == static_cast<unsigned>(round) + 1; }));
  }
  EXPECT_TRUE(c.submit(R"({"agent":"a","job_id":"last"})"));
  EXPECT_TRUE(eventually([&] { return house_->applied == 101; }));
  EXPECT_EQ(house_->events("job.submitted").size(), 101u);
  stop(source_);
}

}  // namespace
}  // namespace horizons::rabbitmq::testing
