// Simulated traces through the scheduler: users submit, jobs run for as long as they run, devices come and go, all from
// a seed. What must hold in the long run: shares by weight, bounded waits, no deadlock, priority order.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <queue>
#include <random>
#include <set>

#include "actors/jobs/scheduler_core.hpp"

namespace horizons::jobs {
namespace {

using namespace std::chrono_literals;

/// The world around the core: a clock, and jobs that end when their time has come.
class world {
public:
  explicit world(std::uint64_t seed, scheduler_limits limits = {}) : random(seed), core(std::move(limits)) {}

  struct fate {
    waiting_job job;
    std::chrono::milliseconds runs;
    instant submitted, started;
    std::vector<std::string> devices;
  };

  void submit(waiting_job job, std::chrono::milliseconds runs) {
    job.order = ++orders_;
    if (job.job.job_id.empty()) job.job.job_id = std::to_string(orders_);
    if (job.job.tenant.empty()) job.job.tenant = "default";
    core.enqueue(job, now);
    waiting[job.job] = {job, runs, now, {}, {}};
    start();
  }

  void start() {
    for (auto& a : core.assign(now)) {
      auto node = waiting.extract(a.job);
      ASSERT_TRUE(node) << a.job.job_id << " did not wait";
      auto& f = node.mapped();
      ASSERT_EQ(f.job.attempt, a.attempt);
      ASSERT_EQ(a.devices.size(), devices_for(f.job.gpus)) << "all or nothing";
      for (auto& d : a.devices) ASSERT_TRUE(held.insert(d).second) << d << " was given twice";
      f.started = now;
      f.devices = a.devices;
      ends_.push({now + f.runs, a.job});
      running.insert(std::move(node));
      if (on_start) on_start(f);
    }
  }

  /// The next job ends, or nothing does until `limit`.
  void run_until(instant limit) {
    while (!ends_.empty() && ends_.top().first <= limit) {
      now = ends_.top().first;
      auto node = running.extract(ends_.top().second);
      ends_.pop();
      auto& f = node.mapped();
      for (auto& d : f.devices) held.erase(d);
      device_seconds[f.job.job.tenant + "/" + f.job.user] +=
          std::chrono::duration<double>(f.runs).count() * static_cast<double>(f.devices.size());
      ASSERT_TRUE(core.release(f.job.job, f.job.attempt, now));
      if (on_end) on_end(f);
      start();
    }
    now = limit;
  }

  std::uint64_t pick(std::uint64_t below) { return random() % below; }

  std::mt19937_64 random;
  scheduler_core core;
  instant now = instant{} + 1h;
  std::map<job_key, fate> waiting, running;
  std::set<std::string> held;
  std::map<std::string, double> device_seconds;  // by "tenant/user"
  std::function<void(const fate&)> on_start, on_end;

private:
  struct later {
    bool operator()(const std::pair<instant, job_key>& a, const std::pair<instant, job_key>& b) const { return b < a; }
  };
  std::priority_queue<std::pair<instant, job_key>, std::vector<std::pair<instant, job_key>>, later> ends_;
  std::uint64_t orders_ = 0;
};

// Two tenants 1 : 3, in one of them users 1 : 2 : 4. Ada asks for ten times what there is, all of it urgent; others
// keep a few jobs waiting, of any priority. Long and short jobs. Everybody gets the share of its weight.
TEST(scheduler_trace, shares_are_those_of_the_weights) {
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    scheduler_limits limits;
    limits.tenants["lab"].weight = 3;
    limits.users["survey/bob"].weight = 2;
    limits.users["survey/cid"].weight = 4;
    world w(seed, limits);
    for (int i = 0; i < 3; ++i) w.core.device_up("cuda/" + std::to_string(i), 1, true);
    auto length = [&] { return std::chrono::milliseconds{10'000 + w.pick(600'000)}; };
    auto one = [&](const std::string& tenant, const std::string& user, int priority) {
      waiting_job j;
      j.job.tenant = tenant;
      j.user = user;
      j.priority = priority;
      w.submit(std::move(j), length());
    };
    w.on_end = [&](const world::fate& f) {  // who keeps a few jobs waiting submits the next one
      if (f.job.user != "ada") one(f.job.job.tenant, f.job.user, 1 + static_cast<int>(w.pick(5)));
    };
    for (auto& [tenant, user] : {std::pair{"survey", "bob"}, {"survey", "cid"}, {"lab", "xe"}, {"lab", "yo"}})
      for (int i = 0; i < 4; ++i) one(tenant, user, 1 + static_cast<int>(w.pick(5)));
    const auto end = w.now + std::chrono::days{30};
    while (w.now < end) {
      one("survey", "ada", 1);
      w.run_until(w.now + 10s);
      if (HasFatalFailure()) return;
    }
    double all = 0;
    for (auto& [_, s] : w.device_seconds) all += s;
    EXPECT_GT(all, 0.999 * 3 * 30 * 86'400 - 3 * 700);  // nothing stood idle
    for (auto& [who, share] : std::map<std::string, double>{{"survey/ada", 0.25 / 7},
                                                            {"survey/bob", 0.5 / 7},
                                                            {"survey/cid", 1.0 / 7},
                                                            {"lab/xe", 0.375},
                                                            {"lab/yo", 0.375}})
      EXPECT_NEAR(w.device_seconds[who] / all / share, 1, 0.05) << who;
  }
}

// A stream of urgent jobs, as many as there is room for, and now and then one of the lowest priority, of the same user:
// it waits until ageing has brought it to the front, and not much longer.
TEST(scheduler_trace, ageing_bounds_the_wait_behind_urgent_work) {
  scheduler_limits limits;
  limits.ageing = 600s;
  world w(3, limits);
  w.core.device_up("cpu/0", 1);
  std::chrono::duration<double> longest{0};
  int low = 0;
  w.on_start = [&](const world::fate& f) {
    if (f.job.priority != 5) return;
    ++low;
    longest = std::max<std::chrono::duration<double>>(longest, w.now - f.submitted);
  };
  auto one = [&](int priority, std::chrono::milliseconds runs) {
    waiting_job j;
    j.priority = priority;
    w.submit(std::move(j), runs);
  };
  w.on_end = [&](const world::fate& f) {
    if (f.job.priority == 1) one(1, std::chrono::milliseconds{20'000 + w.pick(20'000)});
  };
  for (int i = 0; i < 3; ++i) one(1, 30s);
  for (int i = 0; i < 500; ++i) {
    one(5, 30s);
    w.run_until(w.now + 20min);
  }
  EXPECT_GT(low, 450);
  EXPECT_GT(longest, 40min);  // four priorities' worth
  EXPECT_LT(longest, 60min);
}

// Whoever has waiting jobs is served again and again, however much a newcomer may catch up on.
TEST(scheduler_trace, a_newcomer_does_not_shut_others_out) {
  world w(5);
  w.core.device_up("cpu/0", 1);
  auto one = [&](const std::string& user) {
    waiting_job j;
    j.user = user;
    w.submit(std::move(j), 60s);
  };
  w.on_end = [&](const world::fate& f) { one(f.job.user); };
  one("old");
  one("old");
  w.run_until(w.now + std::chrono::days{10});
  one("new");
  one("new");
  auto before = w.device_seconds["default/old"];
  w.run_until(w.now + 4h);
  // It catches up on an hour, then both have half.
  EXPECT_NEAR((w.device_seconds["default/old"] - before) / 3600, 1.5, 0.1);
}

// Jobs that want one to all of the devices, in random order and priority, while devices fail: everything starts whole
// and everything ends.
TEST(scheduler_trace, gangs_neither_deadlock_nor_starve) {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    world w(seed, {.ageing = 60s});
    constexpr int devices = 4;
    auto name = [](int n) { return (n < 3 ? "cuda/" : "cpu/") + std::to_string(n); };
    for (int i = 0; i < devices; ++i) w.core.device_up(name(i), 1, i < 3);
    for (int i = 0; i < 300; ++i) {
      waiting_job j;
      j.user = "u" + std::to_string(w.pick(4));
      j.priority = 1 + static_cast<int>(w.pick(5));
      j.gpus = static_cast<int>(w.pick(4));
      j.walltime_s = 10 + static_cast<std::uint32_t>(w.pick(2) ? w.pick(100) : w.pick(4'000));
      j.dataset = w.pick(5);
      std::chrono::milliseconds runs{1 + w.pick(j.walltime_s * 1'000)};
      w.submit(std::move(j), runs);
      w.run_until(w.now + std::chrono::seconds{w.pick(200)});
      if (w.pick(20) == 0) {
        auto d = static_cast<int>(w.pick(devices));
        w.core.device_down(name(d));
        w.run_until(w.now + std::chrono::seconds{w.pick(100)});
        w.core.device_up(name(d), 1, d < 3);
        w.start();
      }
      if (HasFatalFailure()) return;
    }
    w.run_until(w.now + std::chrono::days{30});
    EXPECT_TRUE(w.waiting.empty()) << w.core.why(w.waiting.begin()->first, w.now);
    EXPECT_TRUE(w.running.empty());
    EXPECT_EQ(w.core.waiting(), 0u);
  }
}

// A stream of small jobs that never lets two devices be free at once by itself: the gang waits no longer than what was
// before it in order takes.
TEST(scheduler_trace, a_gang_waits_no_longer_than_what_is_before_it) {
  world w(7);
  for (int i = 0; i < 4; ++i) w.core.device_up("cuda/" + std::to_string(i), 1, true);
  int gangs = 0;
  std::chrono::duration<double> longest{0};
  w.on_start = [&](const world::fate& f) {
    if (f.job.gpus != 4) return;
    ++gangs;
    longest = std::max<std::chrono::duration<double>>(longest, w.now - f.submitted);
  };
  for (int i = 0; i < 3'000; ++i) {
    waiting_job j;
    j.gpus = i % 100 == 50 ? 4 : 1;
    j.walltime_s = 600;
    w.submit(std::move(j), std::chrono::milliseconds{60'000 + w.pick(120'000)});
    w.run_until(w.now + 33s);  // some 90 % of what four devices can do
    if (HasFatalFailure()) return;
  }
  EXPECT_EQ(gangs, 30);
  EXPECT_LT(longest, 20min);
}

// Equal shares: who is more urgent never waits while a less urgent one of the same kind starts, ageing aside.
TEST(scheduler_trace, priority_order_when_shares_are_equal) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    world w(seed, {.ageing = std::chrono::hours{100'000}, .share_unit = std::chrono::hours{100'000}});
    w.core.device_up("cpu/0", 1);
    w.on_start = [&](const world::fate& f) {
      for (auto& [_, other] : w.waiting)
        EXPECT_GE(std::pair(other.job.priority, other.job.order), std::pair(f.job.priority, f.job.order));
    };
    for (int i = 0; i < 300; ++i) {
      waiting_job j;
      j.user = "u";
      j.priority = 1 + static_cast<int>(w.pick(5));
      w.submit(std::move(j), 60s);
      w.run_until(w.now + std::chrono::seconds{w.pick(100)});
    }
    w.run_until(w.now + 10h);
    EXPECT_TRUE(w.waiting.empty());
  }
}

// Quotas hold at every moment, whatever starts and ends.
TEST(scheduler_trace, quotas_are_never_exceeded) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    scheduler_limits limits;
    limits.user.running_max = 3;
    limits.user.gpus_max = 2;
    limits.tenant.cpus_max = 8;
    world w(seed, limits);
    for (int i = 0; i < 4; ++i) w.core.device_up("cuda/" + std::to_string(i), 1, true);
    for (int i = 0; i < 4; ++i) w.core.device_up("cpu/" + std::to_string(i), 1);
    w.on_start = [&](const world::fate&) {
      std::map<std::string, int> running, gpus, cpus;
      for (auto& [_, f] : w.running) {
        auto user = f.job.job.tenant + "/" + f.job.user;
        EXPECT_LE(++running[user], 3);
        EXPECT_LE(gpus[user] += f.job.gpus, 2);
        EXPECT_LE(cpus[f.job.job.tenant] += f.job.cpus, 8);
      }
    };
    for (int i = 0; i < 400; ++i) {
      waiting_job j;
      j.job.tenant = "t" + std::to_string(w.pick(2));
      j.user = "u" + std::to_string(w.pick(3));
      j.gpus = static_cast<int>(w.pick(3));
      j.cpus = 1 + static_cast<int>(w.pick(3));
      w.submit(std::move(j), std::chrono::milliseconds{w.pick(100'000)});
      w.run_until(w.now + std::chrono::seconds{w.pick(20)});
    }
    w.run_until(w.now + std::chrono::days{1});
    EXPECT_TRUE(w.waiting.empty());
  }
}

}  // namespace
}  // namespace horizons::jobs
