// What operators see: metrics page, log lines, spans, stuck actors.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "runtime/kit/actor_metrics.hpp"
#include "runtime/kit/credit.hpp"
#include "runtime/kit/system.hpp"
#include "runtime/telemetry/log.hpp"
#include "runtime/telemetry/metrics.hpp"
#include "runtime/telemetry/tracing.hpp"
#include "runtime/telemetry/watchdog.hpp"
#include "tests/runtime/kit/wait.hpp"

namespace horizons::telemetry {
namespace {

using namespace std::chrono_literals;
using horizons::testing::eventually;
using ::testing::HasSubstr;

struct tick {};
struct crash {};
struct unknown {};
struct block {
  std::shared_future<void> until;
};
using api = kit::accepts<tick, crash, unknown, block>;

kit::behavior worker(kit::context&) {
  return kit::behavior{}
      .on<tick>([](const tick&) {})
      .on<crash>([](const crash&) { throw std::runtime_error("x"); })
      .on<block>([](const block& b) { b.until.wait(); });
}

TEST(metrics, the_page_counts_per_actor_type) {
  kit::system sys;
  metrics_page page;
  page.add(std::make_shared<actor_collector>(sys));
  auto h = sys.spawn<api>({.name = "w", .type = "solver"}, worker);
  for (int i = 0; i < 16; ++i) h.send(tick{});
  h.send(unknown{});
  h.send(crash{});
  ASSERT_TRUE(eventually([&] { return sys.tree().empty(); }));
  h.send(tick{});
  auto text = page.prometheus_text();
  EXPECT_THAT(text, HasSubstr("horizons_actor_spawned_total{type=\"solver\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("horizons_actor_stopped_total{type=\"solver\",cause=\"failed\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("horizons_actor_handled_total{type=\"solver\"} 18\n"));
  EXPECT_THAT(text, HasSubstr("horizons_actor_dead_letters_total{type=\"solver\",reason=\"unhandled\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("horizons_actor_dead_letters_total{type=\"solver\",reason=\"no_receiver\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("horizons_actor_mailbox_wait_seconds_bucket{type=\"solver\",le=\"+Inf\"}"));
  EXPECT_THAT(text, HasSubstr("# TYPE horizons_actor_processing_seconds histogram"));
}

struct urgent {
  static constexpr auto lane = kit::lane::control;
};
using both = kit::accepts<tick, urgent>;

TEST(metrics, messages_of_both_lanes_are_timed) {
  kit::system sys;
  const auto spawn = [&](const char* type) {
    return sys.spawn<both>({.name = type, .type = type}, [](kit::context&) {
      return kit::behavior{}.on<tick>([](const tick&) {}).on<urgent>([](const urgent&) {});
    });
  };
  const auto plain = spawn("plain"), pressed = spawn("pressed");
  for (int i = 0; i < 64; ++i) plain.send(tick{});
  for (int i = 0; i < 64; ++i) pressed.send(urgent{});
  const auto timed = [&](std::string_view type, kit::duration_histogram kit::actor_metrics::*what) {
    std::uint64_t sum = 0;
    for (const auto registry = sys.metrics(); const auto* m : registry->all())
      for (std::size_t b = 0; m->type == type && b < kit::duration_histogram::buckets; ++b) sum += (m->*what).count(b);
    return sum;
  };
  for (const auto* type : {"plain", "pressed"}) {
    EXPECT_TRUE(eventually([&] { return timed(type, &kit::actor_metrics::processed) == 64; })) << type;
    EXPECT_EQ(timed(type, &kit::actor_metrics::waited), 64u) << type;
  }
}

TEST(metrics, histogram_buckets_are_powers_of_four) {
  kit::duration_histogram h;
  h.add(900, 1);             // <= 1 us
  h.add(3'900, 1);           // <= 4 us
  h.add(4'100, 2);           // <= 16 us
  h.add(20'000'000'000, 1);  // 20 s: the last one
  EXPECT_EQ(h.count(0), 1u);
  EXPECT_EQ(h.count(1), 1u);
  EXPECT_EQ(h.count(2), 2u);
  EXPECT_EQ(h.count(kit::duration_histogram::buckets - 1), 1u);
  EXPECT_DOUBLE_EQ(h.upper_seconds(2), 16e-6);
}

TEST(log, lines_are_structured_and_cannot_be_forged) {
  std::vector<std::string> lines;
  log::configure({.level = log::level::info, .format = log::format::json, .sink = [&](std::string_view l) {
                    lines.emplace_back(l);
                  }});
  log::debug("not shown");
  log::warn("beam \"7\" lost\n{}", {{"job_id", "j-1"}, {"path", "/jobs"}});
  log::configure({.level = log::level::debug, .sink = [&](std::string_view l) { lines.emplace_back(l); }});
  log::error("two\nlines", {{"job_id", "j-2"}});
  log::configure({});
  ASSERT_EQ(lines.size(), 2u);
  auto j = nlohmann::json::parse(lines[0]);
  EXPECT_EQ(j["level"], "warn");
  EXPECT_EQ(j["message"], "beam \"7\" lost\n{}");
  EXPECT_EQ(j["job_id"], "j-1");
  EXPECT_THAT(lines[1], HasSubstr(" error two lines job_id=j-2"));
  EXPECT_FALSE(log::parse_level("loud"));
  EXPECT_EQ(log::parse_level("warn"), log::level::warn);
}

TEST(tracing, spans_are_exported_as_otlp_json) {
  std::vector<std::string> bodies;
  span_context parent;
  {
    tracer t({.node = "n1", .interval = 1h, .post = [&](const std::string& b) {
                bodies.push_back(b);
                return true;
              }});
    auto job = t.start("job");
    parent = job.context();
    auto step = t.start("grid", job.context());
    step.set("device", "0");
    step.fail("out of memory");
    step.end();
  }
  ASSERT_EQ(bodies.size(), 1u);
  auto j = nlohmann::json::parse(bodies[0]);
  auto spans = j["resourceSpans"][0]["scopeSpans"][0]["spans"];
  ASSERT_EQ(spans.size(), 2u);
  EXPECT_EQ(spans[0]["name"], "grid");
  EXPECT_EQ(spans[0]["traceId"], parent.trace_id);
  EXPECT_EQ(spans[0]["parentSpanId"], parent.span_id);
  EXPECT_EQ(spans[0]["status"]["code"], 2);
  EXPECT_EQ(spans[0]["attributes"][0]["value"]["stringValue"], "0");
  EXPECT_TRUE(parent.valid());
}

TEST(tracing, a_full_queue_drops_and_counts) {
  std::promise<void> release;
  auto gate = release.get_future().share();
  tracer t({.queue_max = 4, .batch_max = 1, .interval = 1h, .post = [gate](const std::string&) {
              gate.wait();
              return false;
            }});
  for (int i = 0; i < 100; ++i) t.start("s");
  EXPECT_GE(t.dropped(), 90u);
  release.set_value();
}

TEST(metrics, credit_outstanding_is_what_the_actors_of_a_type_hold) {
  struct item {};
  kit::system sys;
  auto page = std::make_shared<metrics_page>();
  page->add(std::make_shared<actor_collector>(sys));
  auto h = sys.spawn<kit::accepts<item>>({.name = "w", .type = "puller"}, [](kit::context& self) {
    auto window = std::make_shared<kit::credit_window>(kit::credit{.messages = 10, .bytes = 1000}, kit::gauge_of(self));
    return kit::behavior{}.on<item>([window](const item&) { window->received(); });
  });
  h.send(item{});
  h.send(item{});
  const std::string name = "horizons_actor_credit_outstanding{type=\"puller\"} ";
  EXPECT_TRUE(testing::eventually([&] { return page->prometheus_text().find(name + "2") != std::string::npos; }));
  sys.stop(h, 5s);  // what it held is gone with it
  EXPECT_TRUE(testing::eventually([&] { return page->prometheus_text().find(name + "0") != std::string::npos; }));
}

TEST(watchdog, names_the_actor_and_the_message_once) {
  std::set<std::pair<std::string, bool>> known;
  std::vector<kit::mailbox_reading> now{{.path = "/gpu/device/0",
                                         .type = "device",
                                         .messages = 3,
                                         .oldest = 6s,
                                         .handling = "gpu::unit",
                                         .handling_for = 1200ms},
                                        {.path = "/ok", .type = "x", .messages = 1, .oldest = 1s}};
  auto found = find_stuck(now, {}, known);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].text, "handler of gpu::unit runs for 1200 ms");
  EXPECT_EQ(found[1].text, "3 messages wait, the oldest for 6000 ms; handling gpu::unit");
  EXPECT_TRUE(find_stuck(now, {}, known).empty());
  EXPECT_TRUE(find_stuck({}, {}, known).empty());
  EXPECT_EQ(find_stuck(now, {}, known).size(), 2u);
}

TEST(watchdog, sees_a_handler_that_blocks) {
  kit::system sys;
  std::promise<void> release;
  auto h = sys.spawn<api>({.name = "w"}, worker);
  h.send(block{release.get_future().share()});
  std::promise<stuck_actor> told;
  {
    watchdog dog(sys, {.running = 20ms}, [&, once = false](const stuck_actor& s) mutable {
      if (!std::exchange(once, true)) told.set_value(s);
    });
    auto s = told.get_future().get();
    EXPECT_EQ(s.path, "/w");
    EXPECT_THAT(s.text, HasSubstr("block"));
  }
  release.set_value();
}

}  // namespace
}  // namespace horizons::telemetry
