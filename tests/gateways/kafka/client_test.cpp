#include "gateways/kafka/client.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <thread>

#include "gateways/kafka/progress_watch.hpp"
#include "tests/gateways/kafka/brokers.hpp"

namespace horizons::kafka {
namespace {

using namespace std::chrono_literals;

kafka_options one_broker() {
  kafka_options o;
  o.brokers = {"127.0.0.1:1"};
  return o;
}

std::string value_of(const setting_list& settings, const std::string& name) {
  std::string found = "(not set)";
  for (const auto& [n, v] : settings)
    if (n == name) found = v;  // the last one counts
  return found;
}

TEST(KafkaClient, GuardsAreSetForEveryRole) {
  for (auto role : {client_role::producer, client_role::consumer, client_role::admin}) {
    const auto s = settings_of(role, one_broker());
    EXPECT_EQ(value_of(s, "socket.nagle.disable"), "true") << "K12";
    EXPECT_EQ(value_of(s, "allow.auto.create.topics"), "false");
  }
  const auto s = settings_of(client_role::consumer, one_broker());
  EXPECT_EQ(value_of(s, "enable.auto.commit"), "false") << "K2";
  EXPECT_EQ(value_of(s, "auto.offset.reset"), "error") << "K7";
  EXPECT_EQ(value_of(s, "partition.assignment.strategy"), "cooperative-sticky");
  EXPECT_EQ(value_of(settings_of(client_role::producer, one_broker()), "enable.idempotence"), "true");
}

TEST(KafkaClient, EveryClientHasAnIdOfItsOwn) {
  std::set<std::string> ids;
  for (int i = 0; i < 100; ++i) ids.insert(value_of(settings_of(client_role::consumer, one_broker()), "client.id"));
  EXPECT_EQ(ids.size(), 100u) << "K3";
}

TEST(KafkaClient, SecurityFollowsFromWhatIsGiven) {
  auto o = one_broker();
  EXPECT_EQ(value_of(settings_of(client_role::admin, o), "security.protocol"), "plaintext");
  o.tls_ca = "/ca.pem";
  EXPECT_EQ(value_of(settings_of(client_role::admin, o), "security.protocol"), "ssl");
  o.sasl_mechanism = "SCRAM-SHA-256";
  o.sasl_username = "karl";
  o.sasl_password = "secret";
  EXPECT_EQ(value_of(settings_of(client_role::admin, o), "security.protocol"), "sasl_ssl");
  EXPECT_EQ(value_of(settings_of(client_role::admin, o), "sasl.password"), "secret");
  EXPECT_EQ(value_of(without_secrets(settings_of(client_role::admin, o)), "sasl.password"), "***");
}

TEST(KafkaClient, WhatDoesNotBelongTogetherIsRefusedByName) {
  const auto text = [](auto change) {
    auto o = one_broker();
    change(o);
    const auto ok = validate(o);
    return ok ? std::string("fine") : ok.error().text;
  };
  EXPECT_EQ(text([](auto&) {}), "fine");
  EXPECT_NE(text([](auto& o) { o.brokers.clear(); }).find("kafka.brokers"), std::string::npos);
  EXPECT_NE(text([](auto& o) { o.tls_cert = "/c.pem"; }).find("kafka.tls_key"), std::string::npos);
  EXPECT_NE(text([](auto& o) { o.sasl_mechanism = "PLAIN"; }).find("kafka.sasl_username"), std::string::npos);
  EXPECT_NE(text([](auto& o) { o.security_protocol = "tls"; }).find("\"tls\""), std::string::npos);
}

TEST(KafkaClient, AWrongSettingIsNamedAndASecretOneIsNotShown) {
  auto o = one_broker();
  o.extra["session.timeout.ms"] = "soon";
  const auto c = client::open(client_role::consumer, o);
  ASSERT_FALSE(c);
  EXPECT_EQ(c.error().code, error_code::invalid_argument);
  EXPECT_NE(c.error().text.find("session.timeout.ms = \"soon\""), std::string::npos) << c.error().text;
  o = one_broker();
  o.extra["no.such.password"] = "hunter2";
  const auto d = client::open(client_role::consumer, o);
  ASSERT_FALSE(d);
  EXPECT_EQ(d.error().text.find("hunter2"), std::string::npos) << d.error().text;
}

TEST(KafkaClient, SaysWhenNobodyAnswers) {
  const auto c = client::open(client_role::admin, one_broker());
  ASSERT_TRUE(c) << c.error().text;
  const auto id = c->cluster_id(50ms);
  ASSERT_FALSE(id);
  EXPECT_EQ(id.error().code, error_code::unavailable);
  EXPECT_NE(id.error().text.find("kafka.brokers"), std::string::npos);
  const auto layout = c->layout_of("job-submissions", 50ms);
  ASSERT_FALSE(layout);
  EXPECT_TRUE(layout.error().code == error_code::unavailable || layout.error().code == error_code::timed_out);
}

TEST(KafkaClient, ErrorsHaveAKindAndAName) {
  EXPECT_EQ(kind_of(RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION), error_code::unavailable);
  EXPECT_EQ(kind_of(RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED), error_code::forbidden);
  EXPECT_EQ(kind_of(RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE), error_code::limit_exceeded);
  EXPECT_EQ(kind_of(RD_KAFKA_RESP_ERR__MSG_TIMED_OUT), error_code::timed_out);
  EXPECT_EQ(to_error(RD_KAFKA_RESP_ERR__TIMED_OUT, "asking").text, "asking: Local: Timed out (_TIMED_OUT)");
}

TEST(KafkaClient, WorkThatHangsIsLeftBehind) {
  std::atomic<bool> go{false}, ended{false};
  EXPECT_FALSE(run_within(10ms, [&] {
    while (!go) std::this_thread::yield();
    ended = true;
  }));
  go = true;
  while (!ended) std::this_thread::yield();
  EXPECT_TRUE(run_within(10s, [] {}));
}

TEST(ProgressWatch, TellsThenGivesUpAndForgivesAnyAnswer) {
  progress_watch w({.tell = 10s, .give_up = 60s});
  using verdict = progress_watch::verdict;
  const progress_watch::instant t{1h};
  EXPECT_EQ(w.look(t, 5, 0), verdict::fine);
  EXPECT_EQ(w.look(t + 9s, 5, 0), verdict::fine);
  EXPECT_EQ(w.look(t + 10s, 5, 0), verdict::stalled);
  EXPECT_EQ(w.look(t + 11s, 5, 1), verdict::fine);
  EXPECT_EQ(w.look(t + 21s, 5, 1), verdict::stalled);
  EXPECT_EQ(w.look(t + 22s, 0, 1), verdict::fine) << "nothing to do is no standstill";
  EXPECT_EQ(w.look(t + 23s, 1, 1), verdict::fine);
  EXPECT_EQ(w.look(t + 83s, 1, 1), verdict::give_up);
}

class kafka_client : public testing::with_brokers {};

TEST_F(kafka_client, KnowsItsClusterAndTopics) {
  auto c = client::open(client_role::admin, options);
  ASSERT_TRUE(c);
  const auto id = c->cluster_id(10s);
  ASSERT_TRUE(id) << id.error().text;
  EXPECT_EQ(id->size(), 22u);
  const auto topic = make_topic(3);
  const auto layout = c->layout_of(topic, 10s);
  ASSERT_TRUE(layout);
  EXPECT_EQ(layout->partitions.size(), 3u);
  const auto missing = c->layout_of("no-such-topic", 200ms);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, error_code::not_found);
}

}  // namespace
}  // namespace horizons::kafka
