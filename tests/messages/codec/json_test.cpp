#include "messages/codec/json.hpp"

#include <gtest/gtest.h>

namespace horizons {
namespace {

const std::string head =
    R"("event_id":"01JD3Z00000000000000000000","schema_version":1,"timestamp":"2026-11-21T08:15:30.123Z","job_id":"j")";

std::string progress(const std::string& data) {
  return "{" + head + R"(,"event_type":"job.progress","data":)" + data + "}";
}

/// A valid event with one part of its text replaced.
std::string changed(const std::string& part, const std::string& by) {
  std::string text = progress(R"({"progress":0.5,"stage":""})");
  return text.replace(text.find(part), part.size(), by);
}

std::string completed(const std::string& file) {
  return "{" + head + R"(,"event_type":"job.completed","data":{"old_status":"","new_status":"",)" +
         R"("execution_duration_s":0,"results":[)" + file + R"(],"metrics":{}}})";
}

std::string nested(std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); }

TEST(json, writes_the_contracts_order) {
  event e;
  e.event_id = "01JD3Z00000000000000000000";
  e.time = timestamp{std::chrono::milliseconds{1'795'248'930'123}};
  e.position = 12;
  e.sequence = 3;
  e.correlation_id = "c";
  e.causation_id = "k";
  e.user_id = "u";
  e.job_id = "j";
  e.traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  e.data = job_progress{0.5, "grid \"A\"\x01", 2};
  EXPECT_EQ(
      to_json(e),
      R"({"event_id":"01JD3Z00000000000000000000","event_type":"job.progress","schema_version":1,)"
      R"("timestamp":"2026-11-21T08:15:30.123Z","position":12,"sequence":3,"correlation_id":"c","causation_id":"k",)"
      R"("user_id":"u","tenant":"default","job_id":"j",)"
      R"("traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",)"
      R"("data":{"progress":0.5,"stage":"grid \"A\"\u0001","eta_s":2.0}})");
}

TEST(json, leaves_out_what_is_absent) {
  event e;
  e.event_id = "01JD3Z00000000000000000000";
  e.data = job_progress{};
  EXPECT_EQ(to_json(e),
            R"({"event_id":"01JD3Z00000000000000000000","event_type":"job.progress","schema_version":1,)"
            R"("timestamp":"1970-01-01T00:00:00.000Z","tenant":"default","data":{"progress":0.0,"stage":""}})");
  EXPECT_EQ(to_json(command{}), R"({"params":{},"priority":3,"resources":{"gpus":0,"cpus":1,"walltime_s":86400}})");
}

TEST(json, free_form_text_is_the_same_for_the_same_value) {
  EXPECT_EQ(json_text(json::parse(R"( {"b": [1, -2, 3.0, 1e300, null, true], "a\n": "\u00e9"} )")),
            "{\"a\\n\":\"\u00e9\",\"b\":[1,-2,3.0,1e+300,null,true]}");
}

TEST(json, reads_numbers_exactly) {
  const auto read =
      parse_json("[9223372036854775807,-9223372036854775808,18446744073709551615,9007199254740993,-0.0,5e-324]");
  ASSERT_TRUE(read) << read.error().text;
  EXPECT_EQ((*read)[0].get<std::int64_t>(), std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ((*read)[1].get<std::int64_t>(), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ((*read)[2].get<std::uint64_t>(), std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ((*read)[3].get<std::uint64_t>(), 9007199254740993u);
  EXPECT_TRUE(std::signbit((*read)[4].get<double>()));
  EXPECT_EQ((*read)[5].get<double>(), std::numeric_limits<double>::denorm_min());
  EXPECT_EQ(event_from_json(progress(R"({"progress":1,"stage":""})"))->data, event_data(job_progress{1, "", {}}));
  EXPECT_EQ(command_from_json(R"({"agent":"a","priority":2.0})")->priority, 2) << "JSON Schema calls 2.0 an integer";
}

TEST(json, bad_events_say_where_and_why) {
  const struct {
    std::string text;
    const char* reason;
  } table[] = {
      {"", "not JSON"},
      {"   ", "not JSON"},
      {"{", "not JSON"},
      {progress("{}").substr(0, 60), "not JSON"},
      {progress(R"({"progress":0.5,"stage":""})") + "x", "not JSON"},
      {progress(R"({"progress":0.5,"stage":""})") + "{}", "not JSON"},
      {"[]", "[…] is an array; expected an object"},
      {"null", "null found; expected an object"},
      {progress(R"({"progress":"x","stage":""})"), "data.progress: \"x\" is a string; expected a number"},
      {progress(R"({"progress":null,"stage":""})"), "data.progress: null found; expected a number"},
      {progress(R"({"progress":true,"stage":""})"), "data.progress: true is a boolean; expected a number"},
      {progress(R"({"progress":{},"stage":""})"), "data.progress: {…} is an object; expected a number"},
      {progress(R"({"progress":1.5,"stage":""})"), "data.progress: 1.5 is out of range; expected 0 to 1"},
      {progress(R"({"progress":-1,"stage":""})"), "data.progress: -1 is out of range; expected 0 to 1"},
      {progress(R"({"progress":0.5,"stage":7})"), "data.stage: 7 is a number; expected a string"},
      {progress(R"({"progress":0.5})"), "data.stage: is missing"},
      {progress(R"({"progress":0.5,"stage":"","progress":0.5})"), "data: \"progress\" appears twice"},
      {progress(R"({"progress":0.5,"stage":"","x":1,"x":2})"), "data: \"x\" appears twice"},
      {progress(R"({"progress":0.5,"stage":"","x":{"y":1,"y":2}})"), "\"y\" appears twice"},
      {progress(R"({"progress":NaN,"stage":""})"), "not JSON"},
      {progress(R"({"progress":Infinity,"stage":""})"), "not JSON"},
      {progress(R"({"progress":1e999,"stage":""})"), "not JSON"},
      {progress(R"({"progress":01,"stage":""})"), "not JSON"},
      {progress(R"({"progress":0.5,"stage":"\ud800"})"), "JSON"},
      {progress(R"({"progress":0.5,"stage":"\udc00x"})"), "JSON"},
      {progress("{\"progress\":0.5,\"stage\":\"\xff\"}"), "not JSON"},
      {progress("{\"progress\":0.5,\"stage\":\"\x01\"}"), "not JSON"},
      {progress(R"({"progress":0.5,"stage":"\u0000"})"), "data.stage: \"\\x00\" contains a NUL character"},
      {progress(R"([])"), "data: […] is an array; expected an object"},
      {"{" + head + R"(,"event_type":"job.teleported","data":{}})",
       "event_type: \"job.teleported\" is not an event type"},
      {"{" + head + R"(,"event_type":7,"data":{}})", "event_type: 7 is a number; expected a string"},
      {"{" + head + R"(,"data":{}})", "event_type: is missing"},
      {"{" + head + R"(,"event_type":"job.progress"})", "data: is missing"},
      {"{" + head + "," + head + "}", "\"event_id\" appears twice"},
      {changed(R"("event_id":"01JD3Z00000000000000000000",)", ""), "event_id: is missing"},
      {changed("01JD3Z00000000000000000000", "x"), "event_id: \"x\" is not a ULID"},
      {changed(R"("schema_version":1)", R"("schema_version":0)"), "schema_version: 0 is out of range"},
      {changed("30.123Z", "30"), "timestamp: \"2026-11-21T08:15:30\" is not a time: the zone is missing"},
      {changed(R"("job_id":"j")", R"("job_id":"")"), "job_id: \"\" is not a job id"},
      {"{" + head + R"(,"position":-1,"event_type":"job.progress","data":{}})", "position: -1 is out of range"},
      {"{" + head + R"(,"position":1.5,"event_type":"job.progress","data":{}})",
       "position: 1.5 is a number; expected an integer"},
      {"{" + head + R"(,"sequence":18446744073709551616,"event_type":"job.progress","data":{}})", "not JSON"},
      {"{" + head + R"(,"tenant":"a b","event_type":"job.progress","data":{"progress":0,"stage":""}})",
       "tenant: \"a b\" is not a name"},
      {"{" + head + R"(,"traceparent":"00-x","event_type":"job.progress","data":{"progress":0,"stage":""}})",
       "traceparent: \"00-x\""},
      {"{" + head +
           R"(,"sequence":1,"event_type":"job.metrics","data":{"cpu_percent":0,"gpu_percent":0,"memory_gb":0,)" +
           R"("io_read_mb":0,"io_write_mb":0,"interval_s":1}})",
       "sequence: 1 on job.metrics"},
      {completed(R"({"name":"../x","size":0,"sha256":""})"), "data.results[0].name: \"../x\" leads out"},
      {completed(R"({"name":"x","size":"0","sha256":""})"),
       "data.results[0].size: \"0\" is a string; expected an integer"},
  };
  for (const auto& [text, reason] : table) {
    const auto read = event_from_json(text);
    ASSERT_FALSE(read) << text;
    EXPECT_NE(read.error().text.find(reason), std::string::npos) << text << "\nsaid: " << read.error().text;
  }
}

TEST(json, every_byte_is_escaped_wherever_it_stands) {
  for (int byte = 1; byte < 0x80; ++byte)
    for (std::size_t size = 1; size <= 20; ++size)
      for (std::size_t place = 0; place < size; ++place) {
        std::string text(size, 'x');
        text[place] = static_cast<char>(byte);
        if (place > 0) text[place - 1] = '\x7f';
        ASSERT_EQ(json_text(text), json(text).dump()) << byte << " at " << place << " of " << size;
      }
}

TEST(json, limits_hold) {
  const auto code_of = [](const std::string& text) {
    const auto read = parse_json(text);
    return read ? "read" : std::string(to_string(read.error().code));
  };
  EXPECT_EQ(code_of(nested(32)), "read");
  EXPECT_EQ(code_of(nested(33)), "limit_exceeded");
  EXPECT_EQ(code_of(nested(400'000)), "limit_exceeded");
  const std::string longest = "\"" + std::string((1 << 20) - 2, 'x') + "\"";
  EXPECT_EQ(code_of(longest), "read");
  EXPECT_EQ(code_of(longest + " "), "limit_exceeded");
  std::string many = "[";
  for (int i = 0; i < 100'001; ++i) many += "0,";
  EXPECT_EQ(code_of(many + "0]"), "limit_exceeded");
  const auto deep = command_from_json(R"({"agent":"a","params":{"x":)" + nested(30) + "}}");
  ASSERT_FALSE(deep);
  EXPECT_EQ(deep.error().code, error_code::limit_exceeded);
  const auto read = command_from_json(R"({"agent":"a","user_id":")" + std::string(257, 'u') + "\"}");
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().text, "user_id: has 257 bytes; at most 256");
}

TEST(json, unknown_fields_follow_the_policy) {
  const std::string newer = progress(R"({"progress":0.5,"stage":"","colour":{"deep":[1,2]}})");
  EXPECT_TRUE(event_from_json(newer));
  const auto strict = event_from_json(newer, unknown_fields::refused);
  ASSERT_FALSE(strict);
  EXPECT_EQ(strict.error().text, "data.colour: unknown field; expected one of progress, stage, eta_s");
  EXPECT_FALSE(event_from_json("{\"colour\":1," + newer.substr(1), unknown_fields::refused));
  EXPECT_TRUE(event_from_json("{\"colour\":1," + newer.substr(1)));
}

TEST(json, a_newer_writer_may_have_dropped_a_field) {
  std::string newer = progress(R"({"progress":0.5})");
  newer.replace(newer.find("\"schema_version\":1"), 18, "\"schema_version\":2");
  const auto read = event_from_json(newer);
  ASSERT_TRUE(read) << read.error().text;
  EXPECT_EQ(std::get<job_progress>(read->data).stage, "");
}

}  // namespace
}  // namespace horizons
