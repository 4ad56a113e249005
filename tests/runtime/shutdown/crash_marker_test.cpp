// What a process leaves behind when it dies, as the next one reads it.
#include "runtime/shutdown/crash_marker.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>

namespace horizons::shutdown {
namespace {

struct crash_marker_test : ::testing::Test {
  std::string path =
      (std::filesystem::temp_directory_path() / ("crash_marker_test." + std::to_string(getpid()))).string();
  void SetUp() override { std::filesystem::remove(path); }
  void TearDown() override { std::filesystem::remove(path); }

  /// Runs `f` in a process of its own with an open marker; returns the signal that ended it.
  int die(std::function<void(crash_marker&)> f) {
    auto child = fork();
    if (child == 0) {
      auto m = crash_marker::open(path);
      if (!m) _exit(9);
      (*m)->install_handlers();
      f(**m);
      _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  }
  previous_run previous() { return crash_marker::open(path).value()->read_previous(); }
};

TEST_F(crash_marker_test, the_first_start_has_no_past) {
  auto p = previous();
  EXPECT_FALSE(p.exists);
  EXPECT_TRUE(p.jobs.empty());
}

TEST_F(crash_marker_test, an_orderly_end_leaves_no_signal) {
  previous();
  auto p = previous();
  EXPECT_TRUE(p.exists);
  EXPECT_TRUE(p.closed);
  EXPECT_EQ(p.signal, 0);
}

TEST_F(crash_marker_test, a_fatal_signal_and_the_running_jobs_are_known_afterwards) {
  for (int signal : {SIGSEGV, SIGABRT, SIGFPE, SIGBUS, SIGILL}) {
    auto died_of = die([&](crash_marker& m) {
      m.set_running(0, "job-done", 1);
      m.clear(0);
      m.set_running(3, "job-a", 2);
      raise(signal);
    });
    EXPECT_EQ(died_of, signal);
    auto p = previous();
    EXPECT_EQ(p.signal, signal);
    EXPECT_FALSE(p.closed);
    EXPECT_EQ(p.jobs, (std::vector<running_job>{{3, "job-a", 2}}));
  }
}

TEST_F(crash_marker_test, sigkill_leaves_the_jobs_but_no_signal) {
  EXPECT_EQ(die([](crash_marker& m) {
              m.set_running(0, "job-b", 1);
              raise(SIGKILL);
            }),
            SIGKILL);
  auto p = previous();
  EXPECT_EQ(p.signal, 0);
  EXPECT_FALSE(p.closed);
  ASSERT_EQ(p.jobs.size(), 1u);
  EXPECT_EQ(p.jobs[0].job_id, "job-b");
}

TEST_F(crash_marker_test, long_ids_are_cut_and_slots_are_bounded) {
  auto m = crash_marker::open(path).value();
  EXPECT_FALSE(m->set_running(crash_marker::slots_max, "x", 1));
  EXPECT_TRUE(m->set_running(0, std::string(500, 'j'), 1));
  m.reset();
  EXPECT_EQ(previous().jobs.at(0).job_id, std::string(crash_marker::job_id_bytes_max, 'j'));
}

TEST_F(crash_marker_test, a_damaged_file_counts_as_absent) {
  std::ofstream(path) << "not a marker";
  EXPECT_FALSE(previous().exists);
  EXPECT_EQ(crash_marker::open("/nonexistent/marker").error().code, error_code::io);
}

}  // namespace
}  // namespace horizons::shutdown
