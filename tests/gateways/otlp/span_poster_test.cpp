// Spans over real HTTP to a small receiver: what arrives, and what a collector that is away, refuses or hangs costs.
#include "gateways/otlp/span_poster.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mutex>
#include <nlohmann/json.hpp>

#include "runtime/telemetry/log.hpp"
#include "runtime/telemetry/metrics.hpp"
#include "runtime/telemetry/tracing.hpp"
#include "tests/gateways/registry/http_stub.hpp"
#include "tests/runtime/kit/wait.hpp"

namespace horizons::otlp {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;
using json = nlohmann::json;

/// A collector that keeps what it gets and answers with `status`.
struct collector {
  std::mutex mutex;
  std::vector<test::http_request> taken;
  std::atomic<int> status{200};
  test::http_stub server{[this](const test::http_request& r) {
    const std::scoped_lock lock(mutex);
    taken.push_back(r);
    return test::http_stub::reply(status, "{}");
  }};
  std::size_t spans() {
    const std::scoped_lock lock(mutex);
    std::size_t n = 0;
    for (auto& r : taken) n += json::parse(r.body)["resourceSpans"][0]["scopeSpans"][0]["spans"].size();
    return n;
  }
};

TEST(span_poster, spans_arrive_as_otlp_json) {
  collector c;
  telemetry::span_context job;
  {
    telemetry::tracer t({.node = "n1", .post = span_poster(c.server.url() + "/")});
    auto whole = t.start("job");
    job = whole.context();
    t.start("grid", job).set("device", "0");
  }
  ASSERT_EQ(c.taken.size(), 1u);
  EXPECT_EQ(c.taken[0].method, "POST");
  EXPECT_EQ(c.taken[0].path, "/v1/traces");
  EXPECT_THAT(c.taken[0].head, HasSubstr("application/json"));
  const auto body = json::parse(c.taken[0].body)["resourceSpans"][0];
  EXPECT_EQ(body["resource"]["attributes"][1]["value"]["stringValue"], "n1");
  const auto spans = body["scopeSpans"][0]["spans"];
  ASSERT_EQ(spans.size(), 2u);
  EXPECT_EQ(spans[0]["traceId"], job.trace_id);
  EXPECT_EQ(spans[0]["parentSpanId"], job.span_id);
}

TEST(span_poster, the_whole_path_may_be_given) {
  collector c;
  EXPECT_TRUE(span_poster(c.server.url() + "/v1/traces")("{}"));
  EXPECT_EQ(c.taken.at(0).path, "/v1/traces");
}

TEST(span_poster, a_refusal_is_counted_and_work_goes_on) {
  collector c;
  c.status = 503;
  auto t = std::make_shared<telemetry::tracer>(
      telemetry::tracer_options{.batch_max = 1, .interval = 1h, .post = span_poster(c.server.url())});
  t->start("lost");
  EXPECT_TRUE(testing::eventually([&] { return t->dropped() == 1; }));
  c.status = 200;
  t->start("taken");
  EXPECT_TRUE(testing::eventually([&] { return t->exported() == 1; }));
  telemetry::metrics_page page;
  page.add(std::make_shared<telemetry::span_collector>(t));
  EXPECT_THAT(page.prometheus_text(), HasSubstr("horizons_spans_dropped_total 1"));
  EXPECT_THAT(page.prometheus_text(), HasSubstr("horizons_spans_exported_total 1"));
}

TEST(span_poster, nobody_listens) {
  std::string url;
  {
    collector gone;
    url = gone.server.url();
  }
  EXPECT_FALSE(span_poster(url)("{}"));
}

TEST(span_poster, a_collector_that_hangs_costs_spans_and_nothing_else) {
  test::http_stub silent([](const test::http_request&) { return ""; });
  std::uint64_t dropped = 0;
  {
    telemetry::tracer t({.queue_max = 100,
                         .batch_max = 10,
                         .interval = 1h,
                         .post = span_poster(silent.url(), {.connect = 200ms, .whole = 200ms})});
    for (int i = 0; i < 10'000; ++i) t.start("s");  // never waits for the collector
    dropped = t.dropped();
  }
  EXPECT_GE(dropped, 9'000u);
}

TEST(span_poster, a_password_is_not_logged) {
  std::mutex mutex;
  std::string lines;
  log::configure({.sink = [&](std::string_view line) {
    const std::scoped_lock lock(mutex);
    lines += line;
  }});
  auto post = span_poster("http://ada:secret@127.0.0.1:1");  // port 1: nobody
  EXPECT_FALSE(post("{}"));
  EXPECT_FALSE(post("{}"));
  log::configure({});
  EXPECT_THAT(lines, HasSubstr("http://127.0.0.1:1/v1/traces"));
  EXPECT_THAT(lines, Not(HasSubstr("secret")));
  EXPECT_EQ(lines.find("spans are lost"), lines.rfind("spans are lost"));  // said once
}

}  // namespace
}  // namespace horizons::otlp
