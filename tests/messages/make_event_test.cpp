#include "messages/make_event.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "messages/codec/json.hpp"
#include "messages/ulid.hpp"

namespace horizons {
namespace {

event_context a_job() {
  event_context context;
  context.now = timestamp{std::chrono::milliseconds{1'795'248'930'123}};
  context.job_id = "job-1";
  context.user_id = "ann";
  context.correlation_id = "c";
  return context;
}

TEST(make_event, makes_a_valid_event_in_one_line) {
  event_context context = a_job();
  const auto e = make_event(context, job_progress{0.5, "gridding", {}});
  ASSERT_TRUE(e) << e.error().text;
  EXPECT_TRUE(is_ulid(e->event_id));
  EXPECT_EQ(e->time, context.now);
  EXPECT_EQ(e->job_id, "job-1");
  EXPECT_EQ(e->user_id, "ann");
  EXPECT_EQ(e->correlation_id, "c");
  EXPECT_EQ(e->sequence, 1u);
}

TEST(make_event, the_sequence_has_no_gap_and_no_repeat) {
  event_context context = a_job();
  EXPECT_EQ(make_event(context, job_queued{})->sequence, 1u);
  EXPECT_EQ(make_event(context, job_metrics{})->sequence, 0u) << "not a life-cycle event";
  EXPECT_FALSE(make_event(context, job_progress{2, "", {}})) << "a refused event takes no number";
  EXPECT_EQ(make_event(context, job_progress{})->sequence, 2u);
  EXPECT_EQ(make_event(context, job_cancelled{})->sequence, 3u);
}

TEST(make_event, refuses_the_invalid_and_says_why) {
  const double nan = std::nan(""), infinity = std::numeric_limits<double>::infinity();
  resources greedy;
  greedy.gpus = -1;
  const std::string hash(64, 'a');
  const struct {
    event_data data;
    const char* reason;
  } table[] = {
      {job_progress{1.5, "", {}}, "data.progress: 1.5 is out of range; expected 0 to 1"},
      {job_progress{nan, "", {}}, "data.progress: is NaN; expected a finite number"},
      {job_progress{0, "", infinity}, "data.eta_s: is infinity"},
      {job_progress{0, "", -1}, "data.eta_s: -1 is out of range"},
      {job_progress{0, std::string(70'000, 'x'), {}}, "data.stage: has 70000 bytes; at most 65536"},
      {job_progress{0, "\xff", {}}, "data.stage: \"\\xff\" is not valid UTF-8"},
      {job_progress{0, std::string(1, '\0'), {}}, "data.stage: \"\\x00\" contains a NUL character"},
      {job_submitted{}, "data.agent: \"\" is not a name"},
      {job_submitted{"a", "d", json::array()}, "data.params: is array; expected an object"},
      {job_submitted{"a", "d", json::object(), 0}, "data.priority: 0 is out of range; expected 1 to 5"},
      {job_submitted{"a", "d", json::object(), 6}, "data.priority: 6 is out of range"},
      {job_submitted{"a", "d", json::object(), 3, greedy}, "data.resources.gpus: -1 is out of range"},
      {job_submitted{"a", "d", {{"x", {1, {{"y", nan}}}}}}, "data.params.x[1].y: is NaN"},
      {job_submitted{"a", "d", {{"x", json::binary({1})}}}, "data.params.x: holds binary data"},
      {job_submitted{"a", "d", {{"x", "\xff"}}}, "data.params.x: \"\\xff\" is not valid UTF-8"},
      {job_submitted{"a", "a\nb"}, "data.dataset: \"a\\x0ab\" holds a control character"},
      {job_completed{"", "", -1}, "data.execution_duration_s: -1"},
      {job_completed{"", "", 0, {{"a.fits", 1, hash}, {"/etc/passwd", 1, hash}}}, "data.results[1].name"},
      {job_completed{"", "", 0, {{"a/../../b", 1, hash}}}, "leads out"},
      {job_completed{"", "", 0, {{"a", -1, hash}}}, "data.results[0].size: -1"},
      {job_completed{"", "", 0, {{"a", 1, "abc"}}}, "data.results[0].sha256: \"abc\" is not a SHA-256"},
      {job_completed{"", "", 0, std::vector<result_file>(10'001)}, "data.results: has 10001 elements"},
      {notification_sent{"x", "", ""}, "data.notification_id: \"x\" is not a ULID"},
      {audit_recorded{}, "data.action: is empty"},
      {system_health{}, "data.component: is empty"},
  };
  for (const auto& [data, reason] : table) {
    event_context context = a_job();
    const auto e = make_event(context, data);
    ASSERT_FALSE(e) << reason;
    EXPECT_NE(e.error().text.find(reason), std::string::npos) << reason << "\nsaid: " << e.error().text;
    EXPECT_EQ(context.sequence, 0u);
  }
}

TEST(make_event, refuses_a_wrong_context) {
  const auto refused = [](auto change, const char* reason) {
    event_context context = a_job();
    change(context);
    const auto e = make_event(context, job_queued{});
    ASSERT_FALSE(e) << reason;
    EXPECT_NE(e.error().text.find(reason), std::string::npos) << e.error().text;
  };
  refused([](event_context& c) { c.job_id = ""; }, "job_id: \"\" is not a job id");
  refused([](event_context& c) { c.job_id = "a/b"; }, "job_id: \"a/b\" is not a job id");
  refused([](event_context& c) { c.tenant = ""; }, "tenant: \"\" is not a name");
  refused([](event_context& c) { c.traceparent = "x"; }, "traceparent: \"x\" is not a traceparent");
  refused([](event_context& c) { c.user_id = std::string(257, 'u'); }, "user_id: has 257 bytes; at most 256");
  refused([](event_context& c) { c.correlation_id = "\xff"; }, "correlation_id: \"\\xff\" is not valid UTF-8");
  refused([](event_context& c) { c.now -= std::chrono::years{100}; }, "timestamp: is outside the years");
}

TEST(make_event, what_was_built_can_be_read_even_at_the_limits) {
  event_context context = a_job();
  json params = json::object();
  for (int i = 0; i < 15; ++i) params[std::to_string(i)] = std::string(65'536, i == 0 ? '\x01' : 'x');
  const auto too_large = make_event(context, job_submitted{"a", "d", params});
  ASSERT_FALSE(too_large) << "65,536 control characters take 393,216 bytes of JSON";
  EXPECT_EQ(too_large.error().code, error_code::limit_exceeded);
  params["0"] = "";
  const auto largest = make_event(context, job_submitted{"a", "d", params});
  ASSERT_TRUE(largest) << largest.error().text;
  const auto read = event_from_json(to_json(*largest));
  ASSERT_TRUE(read) << read.error().text;
  EXPECT_EQ(*read, *largest);
}

TEST(events, every_type_has_its_name_version_and_place) {
  std::set<std::string_view> names;
  for_each_event_type([&]<class T>() {
    const event_data data{T{}};
    EXPECT_EQ(type_of(data), name_of<T>());
    EXPECT_GE(schema_version_of(data), 1);
    EXPECT_EQ(is_life_cycle(data), name_of<T>().starts_with("job.") && name_of<T>() != "job.metrics") << name_of<T>();
    names.insert(type_of(data));
  });
  EXPECT_EQ(names.size(), std::variant_size_v<event_data>);
}

}  // namespace
}  // namespace horizons
