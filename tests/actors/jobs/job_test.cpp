// The state machine of a job: every order in every state, and what the fold makes of the events.
#include "actors/jobs/job.hpp"

#include <gtest/gtest.h>

#include <random>

namespace horizons::jobs {
namespace {

const retry_limits limits;

/// A job that lives in memory: decides, folds, remembers the effects.
struct bench_job {
  job j;
  std::vector<job_effect> effects;
  std::vector<event> events;

  bench_job() {
    command c;
    c.job_id = "j1";
    c.user_id = "ada";
    c.agent = "image-reconstruction";
    c.dataset = "file:///x.uvfits";
    append(accept(command(c), "n1"));
  }

  void append(std::vector<event_data> data) {
    for (auto& d : data) {
      event e;
      e.time = timestamp{std::chrono::milliseconds{1'000'000 + static_cast<std::int64_t>(events.size())}};
      e.tenant = "default";
      e.user_id = "ada";
      e.job_id = "j1";
      e.sequence = j.last_sequence + 1;
      e.position = events.size() + 1;
      e.data = std::move(d);
      j.apply(e);
      events.push_back(std::move(e));
    }
  }

  result<void> step(const job_input& input) {
    auto d = decide(j, input, limits, "n1");
    if (!d) return failure(d.error());
    append(std::move(d->events));
    effects = std::move(d->effects);
    return {};
  }

  template <class Effect>
  bool has() const {
    return std::any_of(effects.begin(), effects.end(), [](auto& e) { return std::holds_alternative<Effect>(e); });
  }

  void bring_to(job_status s) {
    switch (s) {
      case job_status::queued:
        return;
      case job_status::running:
        ASSERT_TRUE(step(start_attempt{"n1", "cpu/0"}));
        return;
      case job_status::retrying:
        bring_to(job_status::running);
        ASSERT_TRUE(step(fail_attempt{j.attempt, 1, {error_code::io, "broken pipe"}, error_class::transient}));
        return;
      case job_status::paused:
        ASSERT_TRUE(step(pause_job{"ada", ""}));
        return;
      case job_status::completed:
        bring_to(job_status::running);
        ASSERT_TRUE(step(finish_attempt{j.attempt, 2, {{"image.fits", 10, "00"}}, {}}));
        return;
      case job_status::failed:
        bring_to(job_status::running);
        ASSERT_TRUE(step(fail_attempt{j.attempt, 1, {error_code::unreadable, "no UVFITS"}, error_class::invalid}));
        return;
      case job_status::cancelled:
        ASSERT_TRUE(step(cancel_job{"ada", "typo"}));
        return;
      default:
        FAIL();
    }
  }
};

TEST(job, accepts_into_queued) {
  bench_job b;
  EXPECT_EQ(b.j.status, job_status::queued);
  EXPECT_EQ(b.j.last_sequence, 2u);
  EXPECT_EQ(b.j.view()["status"], "QUEUED");
}

// Which orders are possible in which state: the contract's table of states.
TEST(job, orders_by_state) {
  struct row {
    job_status from;
    std::optional<job_status> cancel, pause, resume, retry;  // where it leads; nothing: refused
  };
  using s = job_status;
  const row table[] = {
      {s::queued, s::cancelled, s::paused, s::queued, {}},
      {s::running, s::cancelled, s::paused, s::running, {}},
      {s::retrying, s::cancelled, s::paused, {}, {}},
      {s::paused, s::cancelled, s::paused, s::queued, {}},
      {s::completed, {}, {}, {}, {}},
      {s::failed, {}, {}, {}, s::queued},
      {s::cancelled, s::cancelled, {}, {}, s::queued},
  };
  for (auto& row : table) {
    auto expect = [&](const job_input& input, std::optional<job_status> to, const char* order) {
      bench_job b;
      b.bring_to(row.from);
      ASSERT_EQ(b.j.status, row.from);
      auto r = b.step(input);
      if (to) {
        ASSERT_TRUE(r) << order << " in " << to_string(row.from) << ": " << r.error().text;
        EXPECT_EQ(b.j.status, *to) << order << " in " << to_string(row.from);
      } else {
        ASSERT_FALSE(r) << order << " in " << to_string(row.from);
        EXPECT_EQ(r.error().code, error_code::conflict);
        EXPECT_NE(r.error().text.find(to_string(row.from)), std::string::npos);
      }
    };
    expect(cancel_job{"ada", ""}, row.cancel, "cancel");
    expect(pause_job{"ada", ""}, row.pause, "pause");
    expect(resume_job{"ada", ""}, row.resume, "resume");
    expect(retry_job{"ada", ""}, row.retry, "retry");
  }
}

TEST(job, cancel_while_running_stops_the_attempt_and_discards_a_late_result) {
  bench_job b;
  b.bring_to(job_status::running);
  ASSERT_TRUE(b.step(cancel_job{"ada", ""}));
  EXPECT_TRUE(b.has<stop_attempt>());
  ASSERT_TRUE(b.step(finish_attempt{1, 2, {}, {}}));
  EXPECT_EQ(b.j.status, job_status::cancelled);
  EXPECT_TRUE(b.has<discard_results>());
}

TEST(job, completion_is_recorded_once) {
  bench_job b;
  b.bring_to(job_status::completed);
  auto n = b.events.size();
  ASSERT_TRUE(b.step(finish_attempt{1, 2, {{"image.fits", 10, "00"}}, {}}));
  EXPECT_EQ(b.events.size(), n);
  EXPECT_FALSE(b.has<discard_results>());
}

TEST(job, transient_failures_are_retried_up_to_the_limit) {
  bench_job b;
  for (int n = 1; n < limits.attempts_max; ++n) {
    b.bring_to(job_status::running);
    ASSERT_TRUE(b.step(fail_attempt{n, 1, {error_code::io, "broken"}, error_class::transient}));
    EXPECT_EQ(b.j.status, job_status::retrying);
    ASSERT_TRUE(b.has<wait_to_retry>());
    ASSERT_TRUE(b.step(retry_due{}));
    EXPECT_EQ(b.j.status, job_status::queued);
  }
  b.bring_to(job_status::running);
  ASSERT_TRUE(b.step(fail_attempt{limits.attempts_max, 1, {error_code::io, "broken"}, error_class::transient}));
  EXPECT_EQ(b.j.status, job_status::failed);
  EXPECT_EQ(b.j.error->detail, "broken");
}

TEST(job, interruptions_are_not_charged) {
  bench_job b;
  for (int n = 0; n < limits.interruptions_max; ++n) {
    b.bring_to(job_status::running);
    ASSERT_TRUE(b.step(lose_attempt{"the node stopped"}));
    ASSERT_EQ(b.j.status, job_status::queued) << n;
  }
  EXPECT_EQ(b.j.failures, 0);
  b.bring_to(job_status::running);
  ASSERT_TRUE(b.step(lose_attempt{"the node stopped"}));
  EXPECT_EQ(b.j.status, job_status::failed);
}

TEST(job, two_crashes_fail_it) {
  bench_job b;
  b.bring_to(job_status::running);
  ASSERT_TRUE(b.step(lose_attempt{"SIGSEGV", true}));
  EXPECT_EQ(b.j.status, job_status::queued);
  b.bring_to(job_status::running);
  ASSERT_TRUE(b.step(lose_attempt{"SIGSEGV", true}));
  EXPECT_EQ(b.j.status, job_status::failed);
  EXPECT_EQ(b.j.error->title, "crashed the node");
}

TEST(job, costs_are_those_of_what_it_asked_for_and_how_long_it_took) {
  command c;
  c.wants = {.gpus = 2, .cpus = 4, .memory_gb = {}, .walltime_s = 7'200};
  EXPECT_FALSE(std::get<job_submitted>(accept(command(c), "n1")[0]).estimated_cost_usd);
  const auto request = std::get<job_submitted>(accept(command(c), "n1", {.cpu_usd = 0.05, .gpu_usd = 2})[0]);
  EXPECT_DOUBLE_EQ(request.estimated_cost_usd.value(), 2 * (4 * 0.05 + 2 * 2));
  bench_job b;
  b.j.request = request;
  ASSERT_TRUE(b.step(start_attempt{"n1", "cpu/0"}));
  ASSERT_TRUE(b.step(finish_attempt{1, 1'800, {}, json::object()}));
  EXPECT_DOUBLE_EQ(std::get<job_completed>(b.events.back().data).cost_usd.value(), 0.5 * (4 * 0.05 + 2 * 2));
}

TEST(job, a_preempted_job_waits_again_and_is_not_charged) {
  bench_job b;
  for (int i = 1; i <= 60; ++i) {
    ASSERT_TRUE(b.step(start_attempt{"n1", "cpu/0"}));
    ASSERT_TRUE(b.step(preempt_attempt{i - 1, "gives way to job x"}));
    EXPECT_EQ(b.j.status, job_status::running) << "that was an earlier attempt";
    ASSERT_TRUE(b.step(preempt_attempt{i, "gives way to job x"}));
    EXPECT_EQ(b.j.status, job_status::queued);
    EXPECT_EQ(b.j.reason, "preempted: gives way to job x");
    EXPECT_TRUE(b.has<stop_attempt>() && b.has<enqueue_job>());
    ASSERT_TRUE(b.step(lose_attempt{"it was stopped", false, i}));
    EXPECT_EQ(b.j.status, job_status::queued);
  }
  EXPECT_EQ(b.j.failures + b.j.interruptions + b.j.crashes, 0);
}

TEST(job, what_was_kept_for_a_next_attempt_goes_when_there_is_none) {
  bench_job b;
  ASSERT_TRUE(b.step(start_attempt{"n1", "cpu/0"}));
  ASSERT_TRUE(b.step(fail_attempt{1, 1, {error_code::io, "x"}, error_class::transient}));
  EXPECT_FALSE(b.has<discard_progress>());
  ASSERT_TRUE(b.step(cancel_job{"ada", ""}));
  EXPECT_TRUE(b.has<discard_progress>());
  bench_job c;
  ASSERT_TRUE(c.step(start_attempt{"n1", "cpu/0"}));
  ASSERT_TRUE(c.step(fail_attempt{1, 1, {error_code::not_found, "x"}, error_class::invalid}));
  EXPECT_TRUE(c.has<discard_progress>());
}

TEST(job, an_offer_to_a_job_that_left_frees_the_device) {
  bench_job b;
  b.bring_to(job_status::cancelled);
  ASSERT_TRUE(b.step(start_attempt{"n1", "cpu/0"}));
  EXPECT_TRUE(b.has<free_device>());
  EXPECT_EQ(b.j.status, job_status::cancelled);
}

// Random inputs: the fold of the events is the state, sequences have no gap, a final state is left by retry only, and
// a snapshot brings the same job back.
TEST(job, random_histories) {
  for (std::uint64_t seed = 1; seed <= 500; ++seed) {
    std::mt19937_64 random(seed);
    bench_job b;
    for (int i = 0; i < 60; ++i) {
      auto before = b.j.status;
      int attempt = b.j.attempt - static_cast<int>(random() % 4 == 0);
      job_input input = retry_due{};
      switch (random() % 13) {
        case 0:
        case 1:
        case 2:
          input = start_attempt{"n1", "cpu/0"};
          break;
        case 3:
          input = report_progress{attempt, 0.5, "clean", {}};
          break;
        case 4:
          input = finish_attempt{attempt, 1, {{"a", 1, "00"}}, {}};
          break;
        case 5:
          input = fail_attempt{attempt, 1, {error_code::io, "x"}, error_class::transient};
          break;
        case 6:
          input = lose_attempt{"stop", random() % 2 == 0};
          break;
        case 7:
          input = cancel_job{"ada", ""};
          break;
        case 8:
          input = pause_job{"ada", ""};
          break;
        case 9:
          input = resume_job{"ada", ""};
          break;
        case 10:
          input = retry_job{"ada", ""};
          break;
        case 11:
          input = preempt_attempt{attempt, "gives way"};
          break;
        default:
          break;
      }
      (void)b.step(input);
      if (is_final(before) && b.j.status != before) {
        EXPECT_TRUE(std::holds_alternative<retry_job>(input)) << "seed " << seed;
      }
    }
    job folded;
    for (std::size_t i = 0; i < b.events.size(); ++i) {
      EXPECT_EQ(b.events[i].sequence, i + 1);
      folded.apply(b.events[i]);
    }
    EXPECT_EQ(folded, b.j) << "seed " << seed;
    auto back = job::from_snapshots(b.j.origin_snapshot(), b.j.state_snapshot());
    ASSERT_TRUE(back) << back.error().text;
    EXPECT_EQ(*back, b.j) << "seed " << seed;
  }
}

}  // namespace
}  // namespace horizons::jobs
