// The journal's actors: group commit, subscribers without gaps or doubles, errors that pass.
#include "runtime/journal/journal_actor.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <future>
#include <mutex>
#include <random>
#include <thread>

#include "runtime/journal/memory_store.hpp"
#include "runtime/kit/system.hpp"
#include "tests/runtime/journal/postgres_fixture.hpp"
#include "tests/runtime/journal/sample.hpp"
#include "tests/runtime/kit/wait.hpp"

namespace horizons::journal {
namespace {

using namespace sample;
using namespace std::chrono_literals;
using testing::eventually;

using listener_api = kit::accepts<committed>;

/// What one subscriber saw, and whether it was in order.
struct seen {
  std::mutex mutex;
  std::vector<std::uint64_t> positions;
  std::uint64_t start = 0;
  std::string wrong;
  std::function<void()> pause;  // run in the listener for each message

  void note(const committed& c) {
    if (pause) pause();
    const std::lock_guard lock(mutex);
    const auto stand = positions.empty() ? start : positions.back();
    if (c.after_position != stand) wrong = "got " + std::to_string(c.after_position) + " at " + std::to_string(stand);
    for (const auto& e : *c.events) {
      if (e.position != (positions.empty() ? start : positions.back()) + 1)
        wrong = "gap or double at " + std::to_string(e.position);
      positions.push_back(e.position);
    }
  }
  std::uint64_t last() {
    const std::lock_guard lock(mutex);
    return positions.empty() ? start : positions.back();
  }
};

kit::actor_body listener(std::shared_ptr<seen> s) {
  return [s](kit::context&) { return kit::behavior{}.on<committed>([s](const committed& c) { s->note(c); }); };
}

class journal_actor : public ::testing::TestWithParam<std::string> {
protected:
  void SetUp() override {
    if (GetParam() == "postgres") NEEDS_POSTGRES();
  }
  std::string url() const {
    if (GetParam() == "postgres") return postgres_.url();
    return GetParam() == "sqlite" ? "sqlite:" + (folder_ / "journal.db") : "memory:actor";
  }
  void start() {
    writer_ = system_.spawn_blocking<writer_api>({.name = "journal"},
                                                 journal_writer([u = url()] { return open_store(u, me); }, metrics_));
  }
  result<append_outcome> commit(batch b) { return system_.ask(writer_, append{std::move(b)}, 20s); }
  std::shared_ptr<seen> subscribe_new(std::uint64_t after, kit::lane_limits limits = {}) {
    auto s = std::make_shared<seen>();
    s->start = after;
    auto h =
        system_.spawn<listener_api>({.name = "listener" + std::to_string(++listeners_), .limits = limits}, listener(s));
    writer_.send(subscribe{h, after});
    return s;
  }

  folder folder_;
  memory_journal kept_{"actor"};
  postgres_schema postgres_{GetParam() == "postgres" ? postgres_schema() : postgres_schema("")};
  std::shared_ptr<journal_metrics> metrics_ = std::make_shared<journal_metrics>();
  kit::system system_;
  kit::handle<writer_api> writer_;
  int listeners_ = 0;
};

INSTANTIATE_TEST_SUITE_P(journal, journal_actor, ::testing::Values("sqlite", "memory", "postgres"),
                         [](const auto& each) { return each.param; });

TEST_P(journal_actor, many_appends_share_few_commits_and_each_gets_its_answer) {
  start();
  std::atomic<int> answered{0}, right{0};
  std::mutex mutex;
  std::vector<std::uint64_t> positions;
  for (int i = 0; i < 2'000; ++i)
    system_.ask(writer_, append{of({life_cycle("job-" + std::to_string(i), 1)})}, 20s, [&](result<append_outcome> r) {
      if (r) {
        const std::lock_guard lock(mutex);
        positions.push_back(r->positions.at(0));
        ++right;
      }
      ++answered;
    });
  ASSERT_TRUE(eventually([&] { return answered == 2'000; }, 20s));
  EXPECT_EQ(right, 2'000);
  std::ranges::sort(positions);
  for (std::size_t i = 0; i < positions.size(); ++i) ASSERT_EQ(positions[i], i + 1);
  EXPECT_EQ(metrics_->events, 2'000u);
  EXPECT_LT(metrics_->commits, 1'000u) << "waiting appends share a commit";
  const auto status = system_.ask(writer_, journal_status{}, 5s).value();
  EXPECT_EQ(status.last_position, 2'000u);
  EXPECT_EQ(status.last_error, "");
  EXPECT_TRUE(is_ulid(status.id));
}

TEST_P(journal_actor, subscribers_of_any_start_see_every_event_once) {
  start();
  std::vector<event> early;
  for (std::uint64_t i = 1; i <= 1'300; ++i) early.push_back(life_cycle("early", i));
  ASSERT_TRUE(commit(of(early)));
  std::vector<std::shared_ptr<seen>> subscribers{subscribe_new(0), subscribe_new(700), subscribe_new(1'300)};
  std::vector<std::thread> senders;
  for (int t = 0; t < 3; ++t)
    senders.emplace_back([this, t] {
      std::mt19937 random{unsigned(t)};
      const auto job = "late-" + std::to_string(t);
      std::uint64_t n = 0;
      for (int i = 0; i < 60; ++i) {
        std::vector<event> events;
        for (unsigned k = 0; k <= random() % 5; ++k) events.push_back(life_cycle(job, ++n));
        const auto b = of(events);
        ASSERT_TRUE(commit(b));
        if (random() % 8 == 0) {
          ASSERT_TRUE(commit(b)) << "a repeat is not told twice";
        }
      }
    });
  for (int i = 0; i < 6; ++i) subscribers.push_back(subscribe_new(std::uint64_t(i) * 230));  // while commits go on
  for (auto& s : senders) s.join();
  const auto last = system_.ask(writer_, journal_status{}, 5s).value().last_position;
  EXPECT_GT(last, 1'300u);
  for (auto& s : subscribers) {
    EXPECT_TRUE(eventually([&] { return s->last() == last; })) << s->last() << " of " << last;
    EXPECT_EQ(s->wrong, "");
  }
}

TEST_P(journal_actor, a_slow_subscriber_falls_back_to_the_store_and_misses_nothing) {
  start();
  auto gate = std::make_shared<std::pair<std::mutex, std::condition_variable>>();
  auto open = std::make_shared<bool>(false);
  auto slow = std::make_shared<seen>();
  slow->pause = [gate, open] {
    std::unique_lock lock(gate->first);
    gate->second.wait_for(lock, 20s, [&] { return *open; });
  };
  auto h = system_.spawn<listener_api>({.name = "slow", .limits = {.messages_max = 2}}, listener(slow));
  writer_.send(subscribe{h, 0});
  auto fast = subscribe_new(0);
  for (std::uint64_t i = 1; i <= 200; ++i) ASSERT_TRUE(commit(of({life_cycle("m87", i)})));
  ASSERT_TRUE(eventually([&] { return fast->last() == 200; })) << "others are not held up";
  EXPECT_GE(metrics_->subscribers_fell_behind, 1u);
  {
    const std::lock_guard lock(gate->first);
    *open = true;
  }
  gate->second.notify_all();
  EXPECT_TRUE(eventually([&] { return slow->last() == 200; })) << slow->last();
  ASSERT_TRUE(commit(of({life_cycle("m87", 201)})));
  EXPECT_TRUE(eventually([&] { return slow->last() == 201; })) << slow->last();
  EXPECT_EQ(slow->wrong, "");
}

TEST_P(journal_actor, a_subscriber_that_ended_is_forgotten) {
  start();
  auto s = subscribe_new(0);
  ASSERT_TRUE(commit(of({health()})));
  ASSERT_TRUE(eventually([&] { return s->last() == 1 && metrics_->subscribers == 1; }));
  system_.kill(system_.find("/listener1"));
  EXPECT_TRUE(eventually([&] { return metrics_->subscribers == 0; }));
  EXPECT_TRUE(commit(of({health()})));
}

TEST_P(journal_actor, the_reader_reads_beside_the_writer) {
  start();
  ASSERT_TRUE(commit(submission("m87", "d", "k")));
  auto reader =
      system_.spawn_blocking<reader_api>({.name = "reader"}, journal_reader([u = url()] { return open_reader(u); }));
  EXPECT_EQ(system_.ask(reader, read_events{{.job_id = "m87"}}, 5s).value().events.size(), 1u);
  EXPECT_EQ(system_.ask(reader, find_claim{"default", "karl", "k"}, 5s).value().claim->job_id, "m87");
  EXPECT_EQ(system_.ask(reader, verify_chain{}, 5s).value().checked, 1u);
  EXPECT_EQ(system_.ask(reader, read_head{}, 5s).value().position, 1u);
  EXPECT_EQ(system_.ask(reader, read_events{{}, 0}, 5s).error().code, error_code::invalid_argument);
}

TEST_P(journal_actor, a_source_is_claimed_behind_the_appends_that_wait) {
  start();
  const auto mine = system_.ask(writer_, claim_source{"kafka/c/t/0"}, 5s).value();
  EXPECT_TRUE(mine.is_new);
  std::atomic<int> kept{0}, fenced{0}, other{0};
  constexpr int marks = 500;
  for (std::uint64_t i = 0; i < marks; ++i) {
    auto b = of({life_cycle("job-" + std::to_string(i), 1)});
    b.marks = {finished("kafka/c/t/0", mine.progress.epoch, i)};
    system_.ask(writer_, append{b}, 20s, [&](const result<append_outcome>& r) {
      ++(r ? kept : r.error().code == error_code::fenced ? fenced : other);
    });
  }
  const auto next = system_.ask(writer_, claim_source{"kafka/c/t/0"}, 20s).value();  // overtakes those not yet taken
  ASSERT_TRUE(eventually([&] { return kept + fenced + other == marks; }, 20s));
  EXPECT_EQ(other, 0);
  EXPECT_EQ(next.progress.epoch, mine.progress.epoch + 1);
  EXPECT_EQ(next.progress.next + next.progress.above().size(), std::uint64_t(kept)) << "it sees all that is ever kept";
  auto reader =
      system_.spawn_blocking<reader_api>({.name = "reader"}, journal_reader([u = url()] { return open_reader(u); }));
  EXPECT_EQ(system_.ask(reader, read_sources{"kafka/"}, 5s).value().at("kafka/c/t/0"), next.progress);
}

TEST_P(journal_actor, refusals_reach_the_one_who_asked) {
  start();
  ASSERT_TRUE(commit(submission("m87", "d1", "k")));
  EXPECT_TRUE(commit(submission("m87", "d2")).value().conflict);
  EXPECT_EQ(commit(of({life_cycle("m87", 1)})).error().code, error_code::conflict);
  auto bad = of({health()});
  bad.shard = 999;
  EXPECT_EQ(commit(bad).error().code, error_code::invalid_argument);
  EXPECT_EQ(metrics_->conflicts, 2u);
  EXPECT_EQ(metrics_->refused, 1u);
}

class journal_faults : public journal_actor {};
INSTANTIATE_TEST_SUITE_P(journal, journal_faults, ::testing::Values("memory"),
                         [](const auto& each) { return each.param; });

TEST_P(journal_faults, a_failed_commit_fails_its_appends_and_the_next_one_goes_on) {
  start();
  auto s = subscribe_new(0);
  std::atomic<memory_fault> fault{memory_fault::disk_full};
  kept_.set_faults({.at_commit = [&](std::uint64_t) { return fault.load(); }});
  EXPECT_EQ(commit(of({life_cycle("m87", 1)})).error().code, error_code::disk_full);
  EXPECT_NE(system_.ask(writer_, journal_status{}, 5s).value().last_error, "");
  fault = memory_fault::io;
  EXPECT_EQ(commit(of({life_cycle("m87", 1)})).error().code, error_code::io);
  fault = memory_fault::none;
  EXPECT_TRUE(commit(of({life_cycle("m87", 1)})));
  EXPECT_EQ(system_.ask(writer_, journal_status{}, 5s).value().last_error, "");
  fault = memory_fault::answer_lost;  // stored, though nobody knows: the subscriber hears of it all the same
  EXPECT_EQ(commit(of({life_cycle("m87", 2)})).error().code, error_code::timed_out);
  fault = memory_fault::none;
  EXPECT_TRUE(eventually([&] { return s->last() == 2; })) << s->last();
  EXPECT_TRUE(commit(of({life_cycle("m87", 3)})));
  EXPECT_TRUE(eventually([&] { return s->last() == 3; })) << s->last();
  EXPECT_EQ(s->wrong, "");
  kept_.set_faults({});
}

TEST_P(journal_faults, a_journal_in_use_fails_the_writer_with_the_owners_name) {
  auto owner = open_store(url(), owner_info{"node-2", "alma", noon}).value();
  std::promise<std::string> reason;
  system_.spawn<kit::accepts<>>({.name = "parent"}, [&](kit::context& self) {
    writer_ =
        self.spawn_blocking<writer_api>({.name = "journal"}, journal_writer([u = url()] { return open_store(u, me); }),
                                        {.restart = kit::restart::temporary});
    self.monitor(writer_, [&](const kit::exit_cause& cause) { reason.set_value(cause.reason); });
    return kit::behavior{};
  });
  auto told = reason.get_future();
  ASSERT_EQ(told.wait_for(10s), std::future_status::ready);
  EXPECT_NE(told.get().find("node node-2 on host alma"), std::string::npos);
  EXPECT_EQ(commit(of({health()})).error().code, error_code::unavailable);
}

}  // namespace
}  // namespace horizons::journal
