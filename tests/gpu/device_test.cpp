// A device: one unit at a time, in order; stopping one that runs, one that waits, and one that does not listen.
#include "gpu/device.hpp"

#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>

#include "runtime/kit/system.hpp"

namespace horizons::gpu {
namespace {

using namespace std::chrono_literals;

class device_of_one_thread : public ::testing::Test {
protected:
  kit::handle<device_api> start(device_limits limits = {}) {
    return system_.spawn<device_api>({.name = "device"}, device_actor(cpu_device(), limits));
  }

  run_unit unit(const std::string& id, std::function<void(std::stop_token)> work) {
    return {id,
            [this, id, work = std::move(work)](std::stop_token stop) {
              note("begin " + id);
              work(stop);
            },
            [this, id](unit_end how) {
              note((how == unit_end::done ? "done " : how == unit_end::abandoned ? "abandoned " : "lost ") + id);
            }};
  }

  void note(std::string what) {
    std::lock_guard lock(mutex_);
    notes_.push_back(std::move(what));
    changed_.notify_all();
  }
  bool wait_for(const std::string& what) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, 10s, [&] { return std::ranges::count(notes_, what) > 0; });
  }
  std::vector<std::string> notes() {
    std::lock_guard lock(mutex_);
    return notes_;
  }
  void open_gate() {
    std::lock_guard lock(mutex_);
    gate_open_ = true;
    changed_.notify_all();
  }
  void wait_at_gate() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return gate_open_; });
  }
  static void until_stopped(std::stop_token stop) {
    std::mutex m;
    std::unique_lock lock(m);
    std::condition_variable_any().wait(lock, stop, [] { return false; });
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> notes_;
  bool gate_open_ = false;
  kit::system system_;  // ends first: its threads use the above
};

TEST_F(device_of_one_thread, units_run_one_after_the_other) {
  auto d = start();
  d.send(unit("a", [this](std::stop_token) { wait_at_gate(); }));
  d.send(unit("b", [](std::stop_token) {}));
  ASSERT_TRUE(wait_for("begin a"));
  EXPECT_TRUE(system_.ask(d, has_unit{"b"}, 5s).value());
  open_gate();
  ASSERT_TRUE(wait_for("done b"));
  const auto all = notes();
  const auto place = [&](const char* what) { return std::ranges::find(all, what) - all.begin(); };
  EXPECT_EQ(all.size(), 4u);
  EXPECT_LT(place("begin a"), place("begin b"));
  EXPECT_LT(place("done a"), place("done b"));
  EXPECT_FALSE(system_.ask(d, has_unit{"a"}, 5s).value());
}

TEST_F(device_of_one_thread, a_unit_that_waits_begins_stopped) {
  auto d = start();
  d.send(unit("a", [this](std::stop_token) { wait_at_gate(); }));
  d.send(unit("b", [this](std::stop_token stop) {
    if (stop.stop_requested()) note("b was stopped");
  }));
  ASSERT_TRUE(wait_for("begin a"));
  d.send(stop_unit{"b"});
  ASSERT_TRUE(system_.ask(d, has_unit{"b"}, 5s).value());  // behind the order to stop
  open_gate();
  EXPECT_TRUE(wait_for("b was stopped"));
  EXPECT_TRUE(wait_for("done b"));
}

TEST_F(device_of_one_thread, who_does_not_listen_is_given_up_and_the_next_one_runs) {
  auto d = start({.stop_grace = 20ms});
  d.send(unit("deaf", [this](std::stop_token) {
    wait_at_gate();
    note("deaf left");
  }));
  d.send(unit("next", [](std::stop_token) {}));
  ASSERT_TRUE(wait_for("begin deaf"));
  d.send(stop_unit{"deaf"});
  EXPECT_TRUE(wait_for("abandoned deaf"));
  EXPECT_TRUE(wait_for("done next"));
  const auto status = system_.ask(d, device_status{}, 5s).value();
  EXPECT_EQ(status.units_abandoned, 1u);
  EXPECT_EQ(status.units_done, 1u);
  open_gate();
  EXPECT_TRUE(wait_for("deaf left"));  // its thread uses this test
}

TEST_F(device_of_one_thread, stopping_reaches_the_running_unit) {
  auto d = start();
  d.send(unit("a", until_stopped));
  ASSERT_TRUE(wait_for("begin a"));
  d.send(stop_unit{"a"});
  EXPECT_TRUE(wait_for("done a"));
}

}  // namespace
}  // namespace horizons::gpu
