// Every event type as a Kafka record, in every encoding.
#include "gateways/kafka/event_record.hpp"

#include <set>

#include <gtest/gtest.h>

#include "messages/avro/confluent.hpp"
#include "messages/avro/event_codec.hpp"
#include "messages/topics.hpp"
#include "tests/messages/random_events.hpp"

namespace horizons::kafka {
namespace {

header_list plain(const record_headers& headers) {
  header_list out;
  for (const auto& [name, value] : headers) out.emplace_back(name, value.value());
  return out;
}

std::string header(const record& r, std::string_view name) {
  for (const auto& [n, value] : r.headers)
    if (n == name) return value.value_or("(null)");
  return "(none)";
}

TEST(event_record, formats_by_name) {
  EXPECT_EQ(parse_format("json").value(), message_format::json);
  EXPECT_EQ(parse_format("avro").value(), message_format::avro);
  EXPECT_EQ(parse_format("msgpack").value(), message_format::msgpack);
  const auto wrong = parse_format("xml");
  ASSERT_FALSE(wrong);
  EXPECT_NE(wrong.error().text.find("expected \"json\""), std::string::npos);
}

TEST(event_record, life_cycle_goes_to_two_topics_under_its_job) {
  event e;
  e.event_id = "01JD3Z000000000000000000AA";
  e.job_id = "m87";
  e.user_id = "karl";
  e.sequence = 3;
  e.correlation_id = "c";
  e.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  e.time = timestamp(std::chrono::milliseconds(1'763'726'130'123));
  e.data = job_progress{.progress = 0.5, .stage = "gridding"};
  const auto made =
      record_of(e, {.node = "n1", .agent = "alpha-cal", .dataset = "file:///d", .gpus = 2}, message_format::json);
  ASSERT_TRUE(made) << made.error().text;
  EXPECT_EQ(made->topics, (std::vector<std::string_view>{"job-lifecycle", "audit-trail"}));
  const record& r = *made->what;
  EXPECT_EQ(r.key, "m87");
  EXPECT_EQ(r.time, e.time);
  EXPECT_EQ(header(r, "ce_id"), e.event_id);
  EXPECT_EQ(header(r, "ce_sequence"), "00000000000000000003");
  EXPECT_EQ(header(r, "ce_partitionkey"), "m87");
  EXPECT_EQ(header(r, "content-type"), "application/json");
  EXPECT_EQ(header(r, "traceparent"), e.traceparent);
  EXPECT_EQ(header(r, "X-Correlation-ID"), "c");
  EXPECT_EQ(header(r, "X-Agent"), "alpha-cal");
  EXPECT_EQ(header(r, "X-GPU-Count"), "2");
}

TEST(event_record, keys_and_topics_of_the_others) {
  const auto of = [](event e) { return record_of(e, {.node = "n1"}, message_format::json).value(); };
  event e;
  e.event_id = "01JD3Z000000000000000000AA";
  e.user_id = "karl";
  e.data = notification_sent{"n", "mail", "s"};
  EXPECT_EQ(of(e).what->key, "karl");
  EXPECT_EQ(of(e).topics, (std::vector<std::string_view>{"notifications"}));
  e.data = audit_recorded{"dlq.replay", "karl", "dead-letter", "kafka:x", "done"};
  EXPECT_EQ(of(e).what->key, "kafka:x");
  EXPECT_EQ(of(e).topics, (std::vector<std::string_view>{"audit-trail"}));
  e.data = system_health{"journal", "up", ""};
  EXPECT_EQ(of(e).what->key, "n1");
  EXPECT_EQ(of(e).topics, (std::vector<std::string_view>{"system-health"}));
  e.user_id.clear();
  e.data = notification_sent{"n", "mail", "s"};
  EXPECT_EQ(of(e).what->key, std::nullopt) << "of nobody: any partition";
}

TEST(event_record, every_type_reads_back_in_every_format) {
  horizons::testing::random_messages random(7);
  std::set<std::string> types;
  for (int i = 0; i < 400; ++i) {
    event e = random.any_event();
    e.position &= 0x7fffffffffffffff;  // Avro's long
    types.insert(std::string(type_of(e.data)));
    for (const auto format : {message_format::json, message_format::msgpack, message_format::avro}) {
      std::string asked;
      const auto made = record_of(e, {.node = "n1"}, format, [&](std::string_view type) -> result<std::uint32_t> {
        asked = type;
        return 77;
      });
      ASSERT_TRUE(made) << made.error().text;
      ASSERT_FALSE(made->topics.empty());
      if (format == message_format::avro) {
        EXPECT_EQ(asked, type_of(e.data));
        const auto framed = avro::parse_frame(*made->what->value);
        ASSERT_TRUE(framed);
        EXPECT_EQ(framed->schema_id, 77u);
        const auto back = event_from_avro(framed->datum, asked);
        ASSERT_TRUE(back) << back.error().text;
        EXPECT_EQ(*back, e);
      } else {
        const auto back =
            event_from_cloudevents(content_type_of(format), plain(made->what->headers), *made->what->value);
        ASSERT_TRUE(back) << back.error().text;
        EXPECT_EQ(*back, e);
      }
    }
  }
  EXPECT_EQ(types.size(), std::variant_size_v<event_data>);
}

TEST(event_record, avro_without_an_id_waits) {
  event e;
  e.event_id = "01JD3Z000000000000000000AA";
  e.data = system_health{"journal", "up", ""};
  const auto down = record_of(e, {}, message_format::avro, [](std::string_view) -> result<std::uint32_t> {
    return failure(error_code::unavailable, "registry down");
  });
  ASSERT_FALSE(down);
  EXPECT_EQ(down.error().code, error_code::unavailable);
  EXPECT_EQ(record_of(e, {}, message_format::avro).error().code, error_code::invalid_argument);
}

}  // namespace
}  // namespace horizons::kafka
