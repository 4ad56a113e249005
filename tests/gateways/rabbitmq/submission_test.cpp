#include "gateways/rabbitmq/submission.hpp"

#include <gtest/gtest.h>

#include "gateways/rabbitmq/dead_letters.hpp"
#include "gateways/rabbitmq/letter.hpp"
#include "gateways/rabbitmq/topology.hpp"
#include "messages/codec/msgpack.hpp"

namespace horizons::rabbitmq {
namespace {

using namespace std::chrono_literals;

message submit(std::string body, properties p = {}) {
  if (p.content_type.empty()) p.content_type = "application/json";
  return {std::string(submissions_exchange), std::string(submissions_queue), std::move(p), std::move(body), {}};
}

const std::string bare = R"({"agent":"a"})";

submission read(const message& m) {
  submission s;
  if (const auto no = read_submission(m, s)) ADD_FAILURE() << no->why.text;
  return s;
}

refusal refused(const message& m) {
  submission s;
  const auto no = read_submission(m, s);
  if (!no) ADD_FAILURE() << "it was read";
  return no.value_or(refusal{});
}

TEST(RabbitmqSubmission, AJobIdOfItsOwnIsKept) {
  const auto s = read(submit(R"({"job_id":"j1","agent":"alpha-cal","tenant":"t"})", {.message_id = "m"}));
  EXPECT_EQ(s.what.what.job_id, "j1");
  EXPECT_EQ(s.what.fallback_job_id, "");
}

TEST(RabbitmqSubmission, AJobIdIsDerivedFromTheMessageAlwaysTheSame) {
  const auto id = [](const properties& p, const std::string& body = R"({"agent":"a","user_id":"ada"})") {
    return read(submit(body, p)).what.fallback_job_id;
  };
  const auto first = id({.message_id = "m1"});
  EXPECT_TRUE(is_job_id(first)) << first;
  EXPECT_EQ(id({.message_id = "m1"}), first);
  EXPECT_NE(id({.message_id = "m2"}), first);
  EXPECT_NE(id({.message_id = "m1"}, R"({"agent":"a","user_id":"bob"})"), first);  // two users may both count from 1
  EXPECT_NE(id({.message_id = "m1"}, R"({"agent":"a","user_id":"ada","tenant":"x"})"), first);
  EXPECT_EQ(id({.message_id = "m1", .user_id = "ada"}, bare), first);  // proved or said, the same user
  EXPECT_NE(id({}, R"({"agent":"a","idempotency_key":"m1"})"), "");
  EXPECT_NE(id({}, R"({"agent":"a","idempotency_key":"m1"})"), id({.message_id = "m1"}, bare));
}

TEST(RabbitmqSubmission, WithoutAnyIdentityItIsRefused) {
  const auto no = refused(submit(R"({"agent":"alpha-cal"})"));
  EXPECT_EQ(no.reason, "no-identity");
  EXPECT_NE(no.why.text.find("message_id"), std::string::npos);
  // An order names its job or is refused by the house: it needs no identity of its own.
  EXPECT_EQ(read(submit(R"({"command":"cancel","job_id":"j"})")).what.what.command_name, "cancel");
}

TEST(RabbitmqSubmission, PropertiesFillWhatTheCommandLeavesOut) {
  properties p{.correlation_id = "c", .message_id = "m", .user_id = "ada", .priority = 9};
  p.headers = {{"traceparent", field::text("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")}};
  const auto s = read(submit(bare, p));
  EXPECT_EQ(s.what.what.priority, 1);
  EXPECT_EQ(s.what.what.correlation_id, "c");
  EXPECT_EQ(s.what.proven_user, "ada");
  EXPECT_EQ(s.what.traceparent, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
  const auto own = read(submit(R"({"agent":"a","priority":4,"correlation_id":"mine"})", p));
  EXPECT_EQ(own.what.what.priority, 4);
  EXPECT_EQ(own.what.what.correlation_id, "mine");
  command c{.job_id = "j", .agent = "a", .priority = 3};
  p.content_type = "application/msgpack";
  EXPECT_EQ(read(submit(to_msgpack(c), p)).what.what.priority, 3);  // said, though it is the default
  p.headers = {{"traceparent", field::text("nonsense")}};
  EXPECT_EQ(read(submit(to_msgpack(c), p)).what.traceparent, "");
}

TEST(RabbitmqSubmission, CloudEventsOfBothModesAndAllPrefixes) {
  for (const std::string prefix : {"ce-", "ce_", "cloudEvents:", "cloudEvents_"}) {
    properties p{.content_type = "application/json"};
    for (const auto& [name, value] : header_list{{"specversion", "1.0"},
                                                 {"id", "e1"},
                                                 {"source", "/lab"},
                                                 {"type", "job.submit"},
                                                 {"correlationid", "corr"}})
      p.headers.emplace_back(prefix + name, field::text(value));
    const auto s = read(submit(R"({"agent":"alpha-cal"})", p));
    EXPECT_EQ(s.what.what.agent, "alpha-cal");
    EXPECT_EQ(s.what.what.correlation_id, "corr");
    EXPECT_EQ(s.what.fallback_job_id, derived_job_id("default", "", "/lab\ne1"));
    p.message_id = "m";
    EXPECT_EQ(read(submit(bare, p)).what.fallback_job_id, derived_job_id("default", "", "m"));
  }
  const auto structured =
      read(submit(R"({"specversion":"1.0","id":"e1","source":"/lab","type":"x","data":{"agent":"alpha-cal"}})",
                  {.content_type = "application/cloudevents+json"}));
  EXPECT_EQ(structured.what.what.agent, "alpha-cal");
  EXPECT_EQ(structured.what.fallback_job_id, derived_job_id("default", "", "/lab\ne1"));
  EXPECT_EQ(refused(submit(R"({"specversion":"1.0","id":"e1","source":"/lab","type":"x"})",
                           {.content_type = "application/cloudevents+json"}))
                .reason,
            "poison");
}

TEST(RabbitmqSubmission, WhatCannotBeReadIsPoison) {
  EXPECT_EQ(refused(submit("not json")).reason, "poison");
  EXPECT_EQ(refused(submit(R"({"priority":"high","job_id":"j"})")).reason, "poison");
  EXPECT_EQ(read(submit(R"({"priority":9,"job_id":"j"})")).what.what.priority, 9) << "readable: the house refuses it";
  EXPECT_EQ(read(submit(R"({"job_id":"j"})")).what.what.agent, "") << "likewise";
  EXPECT_EQ(refused(submit(bare, {.content_type = "image/png", .message_id = "m"})).reason, "poison");
  EXPECT_EQ(refused(submit(bare, {.content_encoding = "gzip", .message_id = "m"})).reason, "poison");
  auto m = submit(bare, {.message_id = "m"});
  m.fault = "too large";
  EXPECT_EQ(refused(m).reason, "poison");
}

// -- letters ----------------------------------------------------------------------------------------------------------

const failure_note note{.letter_id = "01JD0000000000000000000000",
                        .reason = "conflict",
                        .error = "job j exists with other content",
                        .attempts = 2,
                        .first_failed_at = timestamp{1'000ms},
                        .last_failed_at = timestamp{2'000ms},
                        .job_id = "j"};

TEST(RabbitmqLetter, HoldsTheOriginalAndGivesItBack) {
  properties p{.content_type = "application/json",
               .correlation_id = "c",
               .reply_to = "r",
               .expiration = "60000",
               .message_id = "m",
               .user_id = "ada",
               .delivery_mode = 1,
               .priority = 7};
  p.headers = {{"mine", {'I', std::int64_t{5}}}, {"x-delivery-count", field::number(1)}};
  const message original = submit(R"({"agent":"a","job_id":"j","user_id":"ada"})", p);
  const message m = to_letter(original, note, "bridge");
  EXPECT_EQ(m.exchange, "dlx");
  EXPECT_EQ(m.routing_key, "job-dlq");
  EXPECT_EQ(m.body, original.body);
  EXPECT_EQ(m.properties.user_id, "");  // the broker would refuse another one's
  EXPECT_EQ(m.properties.expiration, "");
  EXPECT_EQ(m.properties.delivery_mode, 2);

  const auto l = read_letter(m);
  EXPECT_TRUE(l.id.starts_with("rabbitmq:"));
  EXPECT_EQ(l.origin, "job.submissions/job-submissions");
  EXPECT_EQ(l.reason, "conflict");
  EXPECT_EQ(l.error, note.error);
  EXPECT_EQ(l.attempts, 2);
  EXPECT_EQ(l.replays, 0);
  EXPECT_EQ(l.state, "open");
  EXPECT_EQ(l.first_failed_at, note.first_failed_at);
  EXPECT_EQ(l.last_failed_at, note.last_failed_at);
  EXPECT_EQ(l.job_id, "j");
  EXPECT_EQ(l.type, "submit");
  EXPECT_EQ(l.value, original.body);
  EXPECT_EQ(l.headers, (std::vector<std::pair<std::string, std::string>>{{"mine", "5"}}));
  message again = m;
  again.properties.headers.emplace_back("x-delivery-count", field::number(7));  // as a quorum queue adds it
  EXPECT_EQ(read_letter(again).id, l.id);
  auto twin = to_letter(original, {.letter_id = "01JD0000000000000000000001", .reason = "conflict"}, "bridge");
  EXPECT_NE(read_letter(twin).id, l.id);

  const auto back = original_of(m, "bridge");
  ASSERT_TRUE(back) << back.error().text;  // the command names the user that was proved
  EXPECT_EQ(back->exchange, original.exchange);
  EXPECT_EQ(back->routing_key, original.routing_key);
  EXPECT_EQ(back->body, original.body);
  EXPECT_EQ(back->properties.message_id, "m");
  EXPECT_EQ(back->properties.headers,
            (field_table{{"mine", {'I', std::int64_t{5}}}, {"horizons-replays", field::number(1)}}));
  const auto second = to_letter(*back, note, "bridge");
  EXPECT_EQ(read_letter(second).replays, 1);
  EXPECT_EQ(number_of(original_of(second, "bridge")->properties.headers, "horizons-replays"), 2);
}

TEST(RabbitmqLetter, AProvedUserIsNotLost) {
  const auto original = submit(R"({"agent":"a","job_id":"j"})", {.user_id = "ada"});
  EXPECT_EQ(original_of(to_letter(original, note, "bridge"), "bridge").error().code, error_code::forbidden);
  EXPECT_EQ(original_of(to_letter(original, note, "ada"), "ada")->properties.user_id, "ada");
  EXPECT_EQ(to_letter(original, note, "ada").properties.user_id, "ada");
}

TEST(RabbitmqLetter, OfTheBrokerSaysItsXDeath) {
  const field_table death{{"count", field::number(1)},
                          {"reason", field::text("delivery_limit")},
                          {"queue", field::text("job-submissions")},
                          {"time", {'T', std::uint64_t{1'700'000'000}}},
                          {"exchange", field::text("job.submissions")},
                          {"routing-keys", {'A', field_array{field::text("job-submissions")}}}};
  auto m = submit(R"({"agent":"a","job_id":"j"})", {.message_id = "m"});
  m.properties.headers = {{"x-death", {'A', field_array{{'F', death}}}},
                          {"x-first-death-reason", field::text("delivery_limit")},
                          {"own", field::text("v")}};
  m.exchange = "dlx";
  m.routing_key = "job-dlq";
  const auto l = read_letter(m);
  EXPECT_EQ(l.reason, "delivery_limit");
  EXPECT_EQ(l.origin, "job.submissions/job-submissions");
  EXPECT_EQ(l.last_failed_at, timestamp(1'700'000'000s));
  EXPECT_EQ(l.job_id, "j");
  EXPECT_NE(l.error.find("20 times"), std::string::npos);
  EXPECT_EQ(l.headers, (std::vector<std::pair<std::string, std::string>>{{"own", "v"}}));
  const auto back = original_of(m, "bridge");
  ASSERT_TRUE(back);
  EXPECT_EQ(back->exchange, "job.submissions");
  EXPECT_EQ(back->routing_key, "job-submissions");
  EXPECT_EQ(back->properties.headers, (field_table{{"own", field::text("v")}, {"horizons-replays", field::number(1)}}));
}

TEST(RabbitmqLetter, OfNobodyStaysWhereItIs) {
  auto m = submit("{}");
  EXPECT_EQ(read_letter(m).reason, "unknown");
  EXPECT_EQ(original_of(m, "bridge").error().code, error_code::not_found);
}

TEST(RabbitmqLetter, FiltersByEverything) {
  bridges::dead_letter l{.id = "i", .bridge = "rabbitmq", .reason = "conflict", .state = "open", .job_id = "j"};
  l.last_failed_at = timestamp{5'000ms};
  EXPECT_TRUE(matches(l, {}));
  EXPECT_TRUE(matches(l, {.id = "i", .bridge = "rabbitmq", .job_id = "j", .reason = "conflict", .state = "open"}));
  EXPECT_FALSE(matches(l, {.id = "x"}));
  EXPECT_FALSE(matches(l, {.bridge = "kafka"}));
  EXPECT_FALSE(matches(l, {.state = "parked"}));
  EXPECT_TRUE(matches(l, {.start = timestamp{5'000ms}, .end = timestamp{5'001ms}}));
  EXPECT_FALSE(matches(l, {.end = timestamp{5'000ms}}));
  EXPECT_FALSE(matches(l, {.start = timestamp{5'001ms}}));
}

TEST(RabbitmqTopology, FollowsTheContract) {
  options o;
  o.hosts.resize(3);
  const auto plan = plan_topology(o);
  EXPECT_EQ(plan.exchanges.size(), 4u);
  ASSERT_EQ(plan.queues.size(), 6u);
  for (const auto& q : plan.queues) {
    EXPECT_EQ(text_of(q.arguments, "x-queue-type"), "quorum") << q.name;
    EXPECT_EQ(find(q.arguments, "x-dead-letter-exchange") != nullptr, q.name == "job-submissions") << q.name;
    EXPECT_EQ(number_of(q.arguments, "x-max-length-bytes").has_value(),
              q.name != "job-submissions" && q.name != "job-dlq")
        << q.name;
  }
  o.hosts.resize(1);
  for (const auto& q : plan_topology(o).queues) EXPECT_EQ(find(q.arguments, "x-queue-type"), nullptr);
  o.dlq_enabled = false;
  EXPECT_EQ(plan_topology(o).exchanges.size(), 3u);
  EXPECT_EQ(plan_topology(o).queues.size(), 5u);
  EXPECT_EQ(plan_topology(o).queues[0].arguments, field_table{});
  o.hosts.resize(3);
  o.durable_queues = false;
  for (const auto& q : plan_topology(o).queues) {
    EXPECT_FALSE(q.durable);
    EXPECT_EQ(find(q.arguments, "x-queue-type"), nullptr);  // a quorum queue is durable always
  }
}

}  // namespace
}  // namespace horizons::rabbitmq
