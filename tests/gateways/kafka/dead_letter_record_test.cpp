// Dead letters as records: byte-identical, with headers that Kafka Connect's tools read.
#include "gateways/kafka/dead_letter_record.hpp"

#include <gtest/gtest.h>

#include "gateways/kafka/letter_states.hpp"

namespace horizons::kafka {
namespace {

using namespace std::chrono_literals;

const timestamp noon = timestamp(1'763'726'400'000ms);  // 2025-11-21T12:00:00Z

failed_record failed(record original) {
  return {.topic = "job-submissions",
          .partition = 7,
          .offset = 42,
          .original = std::move(original),
          .time = time_kind::create,
          .reason = "poison",
          .error = "value: '}' expected",
          .attempts = 3,
          .first_failed_at = noon,
          .last_failed_at = noon + 5s,
          .job_id = "m87",
          .traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"};
}

const record odd{std::string("k\0\xff", 3),
                 std::nullopt,
                 {{"a", "1"}, {"a", std::nullopt}, {"__connect.errors.topic", "theirs"}, {"", ""}},
                 noon};

std::string header(const record& r, std::string_view name) {
  std::string last = "(none)";
  for (const auto& [n, value] : r.headers)
    if (n == name) last = value.value_or("(null)");
  return last;
}

TEST(dead_letter_record, keeps_the_original_and_says_what_went_wrong) {
  const auto dead = to_dead_letter(failed(odd), "n1");
  EXPECT_EQ(dead.key, odd.key);
  EXPECT_EQ(dead.value, odd.value);
  EXPECT_EQ(dead.time, odd.time);
  ASSERT_GT(dead.headers.size(), odd.headers.size());
  EXPECT_TRUE(std::equal(odd.headers.begin(), odd.headers.end(), dead.headers.begin())) << "first, in their order";
  EXPECT_EQ(header(dead, "__connect.errors.topic"), "job-submissions");
  EXPECT_EQ(header(dead, "__connect.errors.partition"), "7");
  EXPECT_EQ(header(dead, "__connect.errors.offset"), "42");
  EXPECT_EQ(header(dead, "__connect.errors.stage"), "VALUE_CONVERTER");
  EXPECT_EQ(header(dead, "__connect.errors.exception.message"), "value: '}' expected");
  EXPECT_EQ(header(dead, "horizons-attempts"), "3");
  EXPECT_EQ(header(dead, "horizons-last-failed-at"), "2025-11-21T12:00:05.000Z");
  EXPECT_EQ(header(dead, "horizons-trace-id"), "0af7651916cd43dd8448eb211c80319c");
  EXPECT_EQ(original_of(dead), odd) << "even where the original has headers of the same names";
}

TEST(dead_letter_record, error_texts_are_bounded) {
  auto f = failed(odd);
  f.error = std::string(1'000'000, 'x');
  EXPECT_EQ(header(to_dead_letter(f, "n1"), "__connect.errors.exception.message").size(), 4'096u);
}

TEST(dead_letter_record, goes_back_with_its_count_and_nothing_else) {
  auto r = to_send_back(to_dead_letter(failed(odd), "n1"));
  auto expected = odd.headers;
  expected.emplace_back("horizons-replays", "1");
  EXPECT_EQ(r.headers, expected);
  EXPECT_EQ(r.key, odd.key);
  EXPECT_EQ(r.time, std::nullopt) << "the time of the replay";
  r.time = noon;
  r = to_send_back(to_dead_letter(failed(r), "n1"));  // it came back
  expected.back().second = "2";
  EXPECT_EQ(r.headers, expected);
}

TEST(dead_letter_record, is_a_letter) {
  record original{"m87",
                  R"({"command":"cancel","job_id":"m87"})",
                  {{"content-type", "application/json"}, {"n", std::nullopt}},
                  noon};
  const auto l = to_letter({"job-submissions.dlq", 7, 99, to_dead_letter(failed(original), "n1")});
  EXPECT_EQ(l.id, "kafka:job-submissions.dlq:7:99");
  EXPECT_EQ(l.origin, "job-submissions[7]@42");
  EXPECT_EQ(l.reason, "poison");
  EXPECT_EQ(l.error, "value: '}' expected");
  EXPECT_EQ(l.attempts, 3);
  EXPECT_EQ(l.first_failed_at, noon);
  EXPECT_EQ(l.last_failed_at, noon + 5s);
  EXPECT_EQ(l.job_id, "m87");
  EXPECT_EQ(l.type, "cancel");
  EXPECT_EQ(l.key, original.key);
  EXPECT_EQ(l.value, original.value);
  EXPECT_EQ(l.headers.size(), 2u);
  EXPECT_EQ(l.state, "open");
}

TEST(dead_letter_record, of_somebody_else_is_read_as_far_as_it_goes) {
  const stored_record foreign{"job-submissions.dlq", 1, 5, {std::nullopt, "nonsense", {}, noon}};
  const auto l = to_letter(foreign);
  EXPECT_EQ(l.origin, "job-submissions");
  EXPECT_EQ(l.attempts, 1);
  EXPECT_EQ(l.last_failed_at, noon);
  EXPECT_EQ(origin_of(foreign).partition, -1);
  EXPECT_EQ(origin_of({"else", 0, 0, {}}).topic, "");
  EXPECT_EQ(to_send_back(foreign.what).headers, (record_headers{{"horizons-replays", "1"}}));
}

TEST(dead_letter_record, ids_read_back) {
  EXPECT_EQ(parse_letter_id(letter_id("a:b.dlq", 3, 77)).value(), (partition_range{"a:b.dlq", 3, 77, 78}));
  for (const char* wrong :
       {"", "kafka:", "kafka:t", "kafka:t:1", "kafka::1:2", "rabbitmq:1", "kafka:t:x:2", "kafka:t:1:", "kafka:t:-1:2"})
    EXPECT_FALSE(parse_letter_id(wrong)) << wrong;
}

TEST(dead_letter_record, filters) {
  bridges::dead_letter l{.id = "kafka:t.dlq:0:1",
                         .bridge = "kafka",
                         .reason = "poison",
                         .last_failed_at = noon,
                         .job_id = "a",
                         .type = "submit"};
  EXPECT_TRUE(matches({}, l));
  EXPECT_TRUE(matches({.job_id = "a", .type = "submit", .reason = "poison", .start = noon, .end = noon + 1ms}, l));
  EXPECT_FALSE(matches({.job_id = "b"}, l));
  EXPECT_FALSE(matches({.reason = "schema"}, l));
  EXPECT_FALSE(matches({.start = noon + 1ms}, l));
  EXPECT_FALSE(matches({.end = noon}, l)) << "end is exclusive";
  l.last_failed_at.reset();
  EXPECT_FALSE(matches({.start = noon}, l));
}

TEST(letter_states, follow_the_audit) {
  letter_states states(2);
  const auto act = [&](std::string action, std::string id, std::string outcome) {
    event e;
    e.data = audit_recorded{std::move(action), "karl", "dead-letter", std::move(id), std::move(outcome)};
    states.apply(e);
  };
  act("dlq.replay", "kafka:a", "failed: too large");
  EXPECT_EQ(states.of("kafka:a"), "open");
  act("dlq.replay", "kafka:a", "done: t[0]@1");
  EXPECT_EQ(states.of("kafka:a"), "replayed");
  act("dlq.park", "kafka:a", "done");
  EXPECT_EQ(states.of("kafka:a"), "parked");
  act("dlq.park", "rabbitmq:b", "done");
  EXPECT_EQ(states.of("rabbitmq:b"), "open") << "not ours";
  act("dlq.park", "kafka:c", "done");
  act("dlq.park", "kafka:d", "done");
  EXPECT_EQ(states.of("kafka:a"), "open") << "bounded: the oldest is forgotten";
  EXPECT_EQ(states.of("kafka:d"), "parked");
}

}  // namespace
}  // namespace horizons::kafka
