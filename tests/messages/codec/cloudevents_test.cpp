#include "messages/codec/cloudevents.hpp"

#include <gtest/gtest.h>

#include <map>

#include "messages/codec/base64.hpp"
#include "messages/codec/json.hpp"

namespace horizons {
namespace {

event submitted() {
  event e;
  e.event_id = "01JD3Z00000000000000000000";
  e.time = timestamp{std::chrono::milliseconds{1'795'248'930'123}};
  e.sequence = 1;
  e.correlation_id = "c-1";
  e.user_id = "ann";
  e.job_id = "job-1";
  e.traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  job_submitted data{"image-reconstruction", "file:///d.uvfits"};
  data.wants.gpus = 2;
  e.data = data;
  return e;
}

TEST(cloudevents, binary_mode_carries_the_contracts_headers) {
  const auto message = to_cloudevents(submitted(), {.node = "node-1", .agent = {}, .dataset = {}, .gpus = {}},
                                      cloudevents_binding::kafka);
  const header_list expected{{"ce_specversion", "1.0"},
                             {"ce_id", "01JD3Z00000000000000000000"},
                             {"ce_type", "job.submitted"},
                             {"ce_source", "/horizons/node-1"},
                             {"ce_subject", "job-1"},
                             {"ce_time", "2026-11-21T08:15:30.123Z"},
                             {"ce_dataschema", "job.submitted/1"},
                             {"ce_correlationid", "c-1"},
                             {"ce_userid", "ann"},
                             {"ce_tenant", "default"},
                             {"ce_sequence", "00000000000000000001"},
                             {"ce_partitionkey", "job-1"},
                             {"ce_traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
                             {"content-type", "application/json"},
                             {"traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
                             {"X-Correlation-ID", "c-1"},
                             {"X-Agent", "image-reconstruction"},
                             {"X-Dataset", "file:///d.uvfits"},
                             {"X-GPU-Count", "2"}};
  EXPECT_EQ(message.headers, expected);
  EXPECT_EQ(message.content_type, "application/json");
  EXPECT_EQ(message.body, to_json(submitted()));
}

TEST(cloudevents, amqp_headers_have_a_hyphen_and_no_content_type) {
  event e = submitted();
  e.data = job_queued{};
  const auto message = to_cloudevents(e, {.node = "n", .agent = "a", .dataset = "d", .gpus = 0},
                                      cloudevents_binding::amqp, message_format::msgpack);
  const std::map<std::string, std::string> headers(message.headers.begin(), message.headers.end());
  EXPECT_EQ(headers.at("ce-type"), "job.queued");
  EXPECT_EQ(headers.at("X-Agent"), "a");
  EXPECT_EQ(headers.at("X-GPU-Count"), "0");
  EXPECT_FALSE(headers.contains("content-type"));
  EXPECT_EQ(message.content_type, "application/msgpack");
}

TEST(cloudevents, every_known_prefix_is_read) {
  const std::string body = to_json(submitted());
  for (const std::string prefix : {"ce-", "ce_", "cloudEvents:", "cloudEvents_", "CE-"}) {
    const header_list headers{{prefix + "specversion", "1.0"},
                              {prefix + "id", "01JD3Z00000000000000000000"},
                              {prefix + "type", "job.submitted"},
                              {prefix + "source", "/elsewhere"},
                              {"unrelated", "x"}};
    EXPECT_TRUE(is_cloudevents("", headers));
    const auto e = event_from_cloudevents("application/json", headers, body);
    ASSERT_TRUE(e) << prefix << e.error().text;
    EXPECT_EQ(*e, submitted());
  }
  EXPECT_FALSE(is_cloudevents("application/json", {{"x", "y"}}));
  EXPECT_TRUE(is_cloudevents("Application/CloudEvents+JSON; charset=UTF-8", {}));
}

TEST(cloudevents, structured_mode_is_read_as_others_write_it) {
  const auto e =
      read_cloudevents("application/cloudevents+json", {},
                       R"({"specversion":"1.0","id":"7","source":"/s","type":"command","retries":3,"urgent":true,
                                      "datacontenttype":"application/json","data":{"agent":"a"}})");
  ASSERT_TRUE(e) << e.error().text;
  EXPECT_EQ(e->type, "command");
  EXPECT_EQ(*e->data, R"({"agent":"a"})");
  EXPECT_EQ(*e->extension("retries"), "3");
  EXPECT_EQ(*e->extension("urgent"), "true");
  EXPECT_EQ(e->extension("other"), nullptr);

  const auto binary =
      read_cloudevents("application/cloudevents+json", {},
                       R"({"specversion":"1.0","id":"7","source":"/s","type":"t","data_base64":"AAH/"})");
  ASSERT_TRUE(binary) << binary.error().text;
  EXPECT_EQ(*binary->data, std::string("\x00\x01\xff", 3));

  const auto text = read_cloudevents(
      "application/cloudevents+json", {},
      R"({"specversion":"1.0","id":"7","source":"/s","type":"t","datacontenttype":"text/csv","data":"a,b"})");
  EXPECT_EQ(*text->data, "a,b");
  const auto none = read_cloudevents("application/cloudevents+json", {},
                                     R"({"specversion":"1.0","id":"7","source":"/s","type":"t"})");
  EXPECT_EQ(none->data, std::nullopt);
  EXPECT_FALSE(event_from_cloudevents("application/cloudevents+json", {},
                                      R"({"specversion":"1.0","id":"7","source":"/s","type":"t"})"));
}

TEST(cloudevents, bad_messages_say_why) {
  const header_list good{{"ce_specversion", "1.0"},
                         {"ce_id", "01JD3Z00000000000000000000"},
                         {"ce_type", "job.submitted"},
                         {"ce_source", "/s"}};
  const std::string body = to_json(submitted());
  const auto with = [&](std::pair<std::string, std::string> header) {
    header_list headers = good;
    headers.push_back(std::move(header));
    return headers;
  };
  const auto changed = [&](std::size_t index, const std::string& value) {
    header_list headers = good;
    headers[index].second = value;
    return headers;
  };
  const struct {
    const char* content_type;
    header_list headers;
    std::string body;
    const char* reason;
  } table[] = {
      {"", {}, body, "specversion is missing"},
      {"", changed(0, "0.3"), body, "specversion is \"0.3\"; expected \"1.0\""},
      {"", changed(1, ""), body, "id is missing"},
      {"", changed(1, "7"), body, "id is \"7\", but the event inside is \"01JD3Z00000000000000000000\""},
      {"", changed(2, "job.queued"), body, "type is \"job.queued\", but the event inside is a job.submitted"},
      {"", changed(3, ""), body, "source is missing"},
      {"", with({"ce_id", "again"}), body, "id appears twice"},
      {"", with({"ce_tenant", "\xff"}), body, "tenant: \"\\xff\" is not valid UTF-8"},
      {"", with({"ce_time", "noon"}), body, "time: \"noon\" is not a time"},
      {"", with({"ce-tenant", "x"}), body, "another prefix"},
      {"", with({"ce_ten ant", "x"}), body, "attribute \"ten ant\""},
      {"", with({"ce_tenant", std::string(70'000, 'x')}), body, "tenant has 70000 bytes"},
      {"", header_list(129), body, "has 129 headers; at most 128"},
      {"", good, "", "holds no data"},
      {"image/png", good, body, "content-type \"image/png\" is unknown"},
      {"application/cloudevents+json", {}, "{", "not JSON"},
      {"application/cloudevents+json", {}, "[]", "not a JSON object"},
      {"application/cloudevents+json", {}, R"({"specversion":1.0})", "specversion is \"1.0\"; expected a string"},
      {"application/cloudevents+json", {}, R"({"specversion":"1.0","id":{}})", "id is \"{}\"; expected a string"},
      {"application/cloudevents+json", {}, R"({"specversion":"1.0","Id":"x"})", "attribute \"Id\""},
      {"application/cloudevents+json",
       {},
       R"({"specversion":"1.0","id":"1","source":"s","type":"t","data_base64":"AA"})",
       "is not base64"},
      {"application/cloudevents+json",
       {},
       R"({"specversion":"1.0","id":"1","source":"s","type":"t","data_base64":"","data":1})",
       "both data and data_base64"},
      {"application/cloudevents-batch+json", {}, "[]", "expected application/cloudevents+json"},
      {"application/cloudevents+avro", {}, "", "expected application/cloudevents+json"},
  };
  for (const auto& [content_type, headers, text, reason] : table) {
    const auto e = event_from_cloudevents(content_type, headers, text);
    ASSERT_FALSE(e) << reason;
    EXPECT_NE(e.error().text.find(reason), std::string::npos) << reason << "\nsaid: " << e.error().text;
  }
}

TEST(base64, is_rfc_4648) {
  const std::pair<const char*, const char*> table[] = {{"", ""},
                                                       {"f", "Zg=="},
                                                       {"fo", "Zm8="},
                                                       {"foo", "Zm9v"},
                                                       {"foob", "Zm9vYg=="},
                                                       {"fooba", "Zm9vYmE="},
                                                       {"foobar", "Zm9vYmFy"}};
  for (const auto& [bytes, text] : table) {
    EXPECT_EQ(codec::to_base64(bytes), text);
    EXPECT_EQ(*codec::from_base64(text), bytes);
  }
  for (const char* bad : {"Z", "Zg", "Zg=", "Zh==", "Zm9=", "Z===", "====", "Zm9v=", "Zm 9v", "Zg==Zg==", "Zm9_"})
    EXPECT_FALSE(codec::from_base64(bad)) << bad;
}

}  // namespace
}  // namespace horizons
