#include "actors/consumers/job_spans.hpp"

#include <gtest/gtest.h>

#include "messages/trace.hpp"

namespace horizons::consumers {
namespace {

using namespace std::chrono_literals;

const timestamp start{std::chrono::milliseconds{1'700'000'000'000}};

event at(std::chrono::milliseconds after, event_data data, const std::string& trace, const std::string& id = "j") {
  event e;
  e.time = start + after;
  e.tenant = "default";
  e.user_id = "u";
  e.job_id = id;
  e.traceparent = trace;
  e.data = std::move(data);
  return e;
}

job_running running(int attempt) {
  job_running r;
  r.attempt = attempt;
  r.device = "cpu";
  return r;
}

TEST(job_spans, a_job_is_a_span_with_its_waits_and_attempts_below) {
  const auto trace = to_string(new_trace());
  job_spans spans;
  EXPECT_TRUE(spans.apply(at(0ms, job_submitted{.agent = "image-reconstruction"}, trace)).empty());
  EXPECT_TRUE(spans.apply(at(0ms, job_queued{}, trace)).empty());
  const auto waited = spans.apply(at(10ms, running(1), trace));
  ASSERT_EQ(waited.size(), 1u);
  EXPECT_EQ(waited[0].name, "waiting 1");
  EXPECT_EQ(waited[0].end_unix_ns - waited[0].start_unix_ns, 10'000'000);
  job_retrying retrying;
  retrying.reason = "transient: the disk was full";
  const auto failed = spans.apply(at(30ms, retrying, trace));
  ASSERT_EQ(failed.size(), 1u);
  EXPECT_EQ(failed[0].name, "attempt 1");
  EXPECT_TRUE(failed[0].failed);
  EXPECT_EQ(failed[0].message, "transient: the disk was full");
  spans.apply(at(40ms, job_queued{}, trace));
  spans.apply(at(50ms, running(2), trace));
  const auto ended = spans.apply(at(90ms, job_completed{}, trace));
  ASSERT_EQ(ended.size(), 2u);
  EXPECT_EQ(ended[0].name, "attempt 2");
  EXPECT_FALSE(ended[0].failed);
  const auto& whole = ended[1];
  EXPECT_EQ(whole.name, "job image-reconstruction");
  EXPECT_EQ(whole.context.trace_id, trace.substr(3, 32));
  EXPECT_EQ(whole.parent_span_id, trace.substr(36, 16)) << "below the submitter's span";
  EXPECT_EQ(whole.end_unix_ns - whole.start_unix_ns, 90'000'000);
  for (const auto& part : {waited[0], failed[0], ended[0]}) {
    EXPECT_EQ(part.parent_span_id, whole.context.span_id);
    EXPECT_EQ(part.context.trace_id, whole.context.trace_id);
    EXPECT_TRUE(part.context.valid());
  }
  EXPECT_NE(failed[0].context.span_id, ended[0].context.span_id);
  EXPECT_EQ(spans.size(), 0u);
}

TEST(job_spans, a_clock_beyond_what_nanoseconds_count_ends_at_their_last) {
  const auto trace = to_string(new_trace());
  job_spans spans;
  spans.apply(at(0ms, job_submitted{.agent = "image-reconstruction"}, trace));
  auto far = at(0ms, job_completed{}, trace);
  far.time = parse_timestamp("9999-12-31T23:59:59.999Z").value();
  const auto ended = spans.apply(far);
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended[0].end_unix_ns / 1'000'000, std::chrono::nanoseconds::max().count() / 1'000'000);
}

TEST(job_spans, without_a_submitters_trace_the_job_is_the_root) {
  for (const auto* wrong : {"", "00-0-0-0", "no trace"}) {
    const auto trace = traceparent_of_job(wrong, "default", "j");
    ASSERT_TRUE(is_traceparent(trace)) << trace;
    job_spans spans;
    spans.apply(at(0ms, job_submitted{}, trace));
    const auto ended = spans.apply(at(1ms, job_cancelled{}, trace));
    ASSERT_EQ(ended.size(), 1u);
    EXPECT_TRUE(ended[0].parent_span_id.empty());
    EXPECT_EQ(ended[0].context.span_id, trace.substr(36, 16));
  }
  const auto given = to_string(new_trace());
  EXPECT_EQ(traceparent_of_job(given, "default", "j"), given);
}

TEST(job_spans, jobs_that_never_end_are_forgotten) {
  const auto trace = to_string(new_trace());
  job_spans spans;
  for (std::size_t i = 0; i < job_spans::jobs_max + 10; ++i)
    spans.apply(at(0ms, job_submitted{}, trace, "j" + std::to_string(i)));
  EXPECT_EQ(spans.size(), job_spans::jobs_max);
  EXPECT_TRUE(spans.apply(at(1ms, job_completed{}, trace, "j0")).empty());
  EXPECT_EQ(spans.apply(at(1ms, job_completed{}, trace, "j20")).size(), 1u);
}

}  // namespace
}  // namespace horizons::consumers
