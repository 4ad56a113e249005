// Dead letters on real brokers: written, listed, sent back, parked.
#include "gateways/kafka/dead_letter_queue.hpp"

#include <future>

#include <gtest/gtest.h>

#include "gateways/kafka/dead_letter_record.hpp"
#include "tests/gateways/kafka/journal_fixture.hpp"

namespace horizons::kafka {
namespace {

using namespace std::chrono_literals;
using bridges::dead_letter;
using testing::eventually;
using testing::unique;

class dead_letters_on_brokers : public testing::with_journal {
protected:
  void SetUp() override {
    with_journal::SetUp();
    if (IsSkipped()) return;
    topic_ = unique("dead");
    auto admin = topic_admin::open(options, 30s);
    ASSERT_TRUE(admin);
    ASSERT_TRUE(admin->create({topic_, 4, 3, {}}));
    ASSERT_TRUE(admin->create({topic_ + ".dlq", 4, 3, {{"max.message.bytes", "1179660"}}}));
    dead_.kafka = options;
    dead_.sources = {topic_};
    start();
  }

  void start() {
    supervise("/dead", {{{.name = "writer"}, dead_letter_writer(dead_, services), {}, true},
                        {{.name = "desk"}, dead_letter_desk(dead_, services), {}, true}});
    sink_ = sink_of(system, kit::handle<dead_letter_writer_api>(found("/dead/writer").cell()));
    box_ = box_of(system, kit::handle<dead_letter_desk_api>(found("/dead/desk").cell()));
  }

  failed_record failed(std::string key, std::string value, std::int32_t partition, timestamp at = testing::wall_now()) {
    return {.topic = topic_,
            .partition = partition,
            .offset = ++offset_,
            .original = {key,
                         std::move(value),
                         {{"h", "1"}, {"h", std::nullopt}, {"a", std::string("\0\xff", 2)}},
                         at - 1h},
            .time = time_kind::create,
            .reason = "poison",
            .error = "it is none",
            .attempts = 1,
            .first_failed_at = at,
            .last_failed_at = at,
            .job_id = key,
            .traceparent = ""};
  }

  template <class T, class F>
  result<T> wait(F ask) {
    std::promise<result<T>> done;
    ask([&](result<T> r) { done.set_value(std::move(r)); });
    auto future = done.get_future();
    if (future.wait_for(60s) != std::future_status::ready) {
      ADD_FAILURE() << "no answer";
      std::abort();  // the callback still refers to this frame
    }
    return future.get();
  }
  void bury(const failed_record& f) {
    const auto r = wait<void>([&](auto then) { sink_(f, then); });
    EXPECT_TRUE(r) << r.error().text;
  }
  std::vector<dead_letter> list(bridges::dead_letter_filter filter = {}) {
    auto r = wait<std::vector<dead_letter>>([&](auto then) { box_->list(filter, then); });
    EXPECT_TRUE(r) << r.error().text;
    return r ? *r : std::vector<dead_letter>{};
  }
  result<bridges::replay_report> replay(bridges::dead_letter_filter filter, bridges::replay_options o = {}) {
    if (o.by.empty()) o.by = "karl";
    return wait<bridges::replay_report>([&](auto then) { box_->replay(filter, o, then); });
  }

  std::string topic_;
  std::uint64_t offset_ = 0;
  dead_letter_options dead_;
  dead_letter_sink sink_;
  std::shared_ptr<bridges::dead_letter_box> box_;
};

TEST_F(dead_letters_on_brokers, are_byte_identical_on_the_partition_of_their_source) {
  std::vector<failed_record> all{failed("a", std::string("\0\x01\xff", 3), 3), failed("b", "", 0), failed("c", "x", 2)};
  all[1].original.key.reset();
  all[2].original.value.reset();
  for (const auto& f : all) bury(f);
  const auto stored = read_all(topic_ + ".dlq");
  ASSERT_EQ(stored.size(), 3u);
  for (const auto& s : stored) {
    const auto o = origin_of(s);
    EXPECT_EQ(o.topic, topic_);
    const auto& f = all.at(static_cast<std::size_t>(o.offset - 1));
    EXPECT_EQ(s.partition, f.partition);
    EXPECT_EQ(original_of(s.what), f.original);
  }
}

TEST_F(dead_letters_on_brokers, many_at_once_are_all_answered) {
  constexpr int count = 2'000;
  std::atomic<int> stored{0}, again{0};
  for (int i = 0; i < count; ++i)
    sink_(failed("k" + std::to_string(i), "x", i % 4), [&](result<void> r) { ++(r ? stored : again); });
  EXPECT_TRUE(eventually([&] { return stored + again == count; }, 60s)) << stored << ", " << again;
  EXPECT_EQ(read_all(topic_ + ".dlq").size(), static_cast<std::size_t>(stored));
  EXPECT_GT(stored, 0);
}

TEST_F(dead_letters_on_brokers, the_largest_record_still_fits_with_its_errors) {
  auto f = failed("k", std::string(1'047'000, 'x'), 1);
  f.error = std::string(10'000, 'e');
  bury(f);
  EXPECT_EQ(list().at(0).value->size(), 1'047'000u);
}

TEST_F(dead_letters_on_brokers, are_listed_by_what_is_known_of_them) {
  const auto now = testing::wall_now();
  for (int i = 0; i < 10; ++i) {
    auto f = failed("job-" + std::to_string(i % 2), "x" + std::to_string(i), i % 4, now + std::chrono::seconds(i));
    if (i == 3) f.reason = "schema";
    bury(f);
  }
  const auto all = list();
  ASSERT_EQ(all.size(), 10u);
  for (std::size_t i = 0; i < 10; ++i) EXPECT_EQ(all[i].value, "x" + std::to_string(i)) << "oldest failure first";
  EXPECT_EQ(list({.job_id = "job-1"}).size(), 5u);
  EXPECT_EQ(list({.reason = "schema"}).at(0).value, "x3");
  EXPECT_EQ(list({.start = now + 2s, .end = now + 5s}).size(), 3u);
  EXPECT_EQ(list({.limit = 3}).back().value, "x2");
  EXPECT_EQ(list({.id = all[7].id}).at(0).value, "x7");
  EXPECT_TRUE(list({.bridge = "rabbitmq"}).empty());
  EXPECT_TRUE(list({.state = "parked"}).empty());
  const auto missing =
      wait<std::vector<dead_letter>>([&](auto then) { box_->list({.id = "kafka:" + topic_ + ".dlq:0:999"}, then); });
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, error_code::not_found);
  const auto foreign =
      wait<std::vector<dead_letter>>([&](auto then) { box_->list({.id = "kafka:__consumer_offsets:0:0"}, then); });
  ASSERT_FALSE(foreign);
  EXPECT_EQ(foreign.error().code, error_code::not_found) << "no way to read other topics";
}

TEST_F(dead_letters_on_brokers, go_back_where_they_came_from) {
  std::vector<failed_record> all;
  for (int i = 0; i < 5; ++i)
    all.push_back(failed("k", "v" + std::to_string(i), 2, testing::wall_now() + std::chrono::seconds(i)));
  for (const auto& f : all) bury(f);

  const auto dry = replay({}, {.dry_run = true});
  ASSERT_TRUE(dry) << dry.error().text;
  EXPECT_EQ(dry->matched, 5u);
  EXPECT_EQ(dry->replayed, 5u);
  EXPECT_TRUE(read_all(topic_).empty()) << "nothing was done";

  const auto done = replay({});
  ASSERT_TRUE(done) << done.error().text;
  EXPECT_EQ(done->replayed, 5u);
  EXPECT_EQ(done->ids.size(), 5u);
  const auto back = read_all(topic_);
  ASSERT_EQ(back.size(), 5u);
  for (std::size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(back[i].partition, 2) << "the partition it was on";
    EXPECT_EQ(back[i].what.key, all[i].original.key);
    EXPECT_EQ(back[i].what.value, all[i].original.value) << "in order";
    auto expected = all[i].original.headers;
    expected.emplace_back("horizons-replays", "1");
    EXPECT_EQ(back[i].what.headers, expected);
  }
  for (const auto& l : list()) EXPECT_EQ(l.state, "replayed");
  const auto audited = audits();
  ASSERT_EQ(audited.size(), 5u);
  const auto& a = std::get<audit_recorded>(audited[0].data);
  EXPECT_EQ(a.action, "dlq.replay");
  EXPECT_EQ(a.actor, "karl");
  EXPECT_EQ(a.resource_type, "dead-letter");
  EXPECT_TRUE(a.outcome.starts_with("done: " + topic_ + "[2]@")) << a.outcome;

  const auto again = replay({});
  ASSERT_TRUE(again);
  EXPECT_EQ(again->replayed, 0u) << "not twice by accident";
  EXPECT_EQ(again->skipped, 5u);
  const auto one = replay({.id = list().at(0).id});
  ASSERT_TRUE(one);
  EXPECT_EQ(one->replayed, 1u) << "twice on purpose";
}

TEST_F(dead_letters_on_brokers, come_back_only_so_often) {
  auto f = failed("k", "v", 1);
  f.original.headers.emplace_back("horizons-replays", "3");
  bury(f);
  EXPECT_EQ(list().at(0).replays, 3);
  const auto capped = replay({}, {.replays_max = 3});
  ASSERT_TRUE(capped);
  EXPECT_EQ(capped->skipped, 1u);
  EXPECT_NE(capped->notes.at(0).find("replays_max"), std::string::npos);
  const auto once_more = replay({}, {.replays_max = 4});
  ASSERT_TRUE(once_more);
  EXPECT_EQ(once_more->replayed, 1u);
  EXPECT_EQ(read_all(topic_).at(0).what.headers.back().second, "4");
}

TEST_F(dead_letters_on_brokers, parked_ones_stay_and_survive_the_desk) {
  for (int i = 0; i < 3; ++i) bury(failed("k" + std::to_string(i), "v", i));
  const auto id = list({.job_id = "k1"}).at(0).id;
  const auto park = [&](const std::string& which) {
    return wait<bool>([&](auto then) { box_->park(which, "karl", then); });
  };
  EXPECT_EQ(park(id), true);
  EXPECT_EQ(park(id), false) << "it is parked already";
  EXPECT_EQ(park("kafka:" + topic_ + ".dlq:0:77").error().code, error_code::not_found);
  EXPECT_EQ(park("nonsense").error().code, error_code::invalid_argument);
  system.kill(found("/dead/desk"));
  ASSERT_TRUE(
      eventually([&] { return wait<std::vector<dead_letter>>([&](auto then) { box_->list({}, then); }).has_value(); }));
  EXPECT_EQ(list({.state = "parked"}).size(), 1u);
  EXPECT_EQ(list({.state = "open"}).size(), 2u);
  const auto all = replay({});
  ASSERT_TRUE(all) << all.error().text;
  EXPECT_EQ(all->replayed, 2u);
  EXPECT_EQ(all->skipped, 1u);
}

TEST_F(dead_letters_on_brokers, are_sent_back_at_the_rate_asked_for) {
  for (int i = 0; i < 6; ++i) bury(failed("k", "v", 1));
  const auto refused = replay({}, {.rate_per_s = 0});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, error_code::invalid_argument);
  const auto begin = std::chrono::steady_clock::now();
  const auto done = replay({}, {.rate_per_s = 10});
  ASSERT_TRUE(done);
  EXPECT_EQ(done->replayed, 6u);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 450ms) << "the first at once, five more at 10 per second";
}

TEST_F(dead_letters_on_brokers, topics_that_are_missing_are_said) {
  auto f = failed("k", "v", 0);
  f.topic = unique("nowhere");
  const auto r = wait<void>([&](auto then) { sink_(f, then); });
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().code, error_code::unavailable) << r.error().text;
}

}  // namespace
}  // namespace horizons::kafka
