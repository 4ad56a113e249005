// A node comes up and goes down as often as it is asked to: in time, in order, with nobody left behind, whenever the
// signal comes. HORIZONS_LONG: the full figures. Random points come from a seed that a failure prints
// (HORIZONS_SEED repeats it).
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <random>
#include <sstream>

#include "tests/node/program.hpp"

namespace horizons::test {
namespace {

constexpr auto stop_limit = 15s;

std::uint64_t seed() {
  const char* given = std::getenv("HORIZONS_SEED");
  return given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
}

/// What a node writes when somebody did not end: shutdown's report, the kit's and the log's words.
void expect_nobody_left(const std::string& log) {
  for (auto text : {"did not end", "abandoned", "stopped out of order", "AddressSanitizer", "ThreadSanitizer"})
    EXPECT_EQ(log.find(text), std::string::npos) << log;
}

/// A node that nobody waits for: signals may reach it at any moment of its start.
class starting_node {
public:
  explicit starting_node(const fs::path& data_dir) : err_(data_dir.string() + ".err") {
    const std::string program = std::string(HORIZONS_BINARY_DIR) + "/horizons";
    const std::string folder = "node.data_dir=" + data_dir.string();
    pid_ = ::fork();
    if (pid_ != 0) return;
    const int out = ::open("/dev/null", O_WRONLY), err = ::open(err_.c_str(), O_CREAT | O_WRONLY | O_TRUNC, 0600);
    ::dup2(out, 1);
    ::dup2(err, 2);
    forget_servers();
    ::execl(program.c_str(), program.c_str(), "node", "--set", folder.c_str(), "--set", "http.listen=127.0.0.1:0",
            nullptr);
    ::_exit(127);
  }
  ~starting_node() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  void signal(int number) {
    if (pid_ > 0) ::kill(pid_, number);
  }
  /// Exit status, 128 + signal when killed, -1 when it did not end in time.
  int wait(std::chrono::milliseconds limit) {
    for (const auto end = std::chrono::steady_clock::now() + limit; std::chrono::steady_clock::now() < end;
         ::poll(nullptr, 0, 5)) {
      int raw = 0;
      if (::waitpid(pid_, &raw, WNOHANG) != pid_) continue;
      pid_ = -1;
      return WIFEXITED(raw) ? WEXITSTATUS(raw) : 128 + WTERMSIG(raw);
    }
    return -1;
  }
  std::string log() const {
    std::ostringstream text;
    text << std::ifstream(err_).rdbuf();
    return text.str();
  }

private:
  pid_t pid_;
  fs::path err_;
};

/// Lets up to `ms` pass: the random moment of a signal, not a wait for something.
void pass_time(std::mt19937_64& random, int ms) { ::poll(nullptr, 0, static_cast<int>(random() % (ms + 1u))); }

void expect_done_once(node_process& node, const std::vector<std::string>& jobs) {
  for (auto& id : jobs) {
    EXPECT_EQ(node.wait_for(id)["status"], "COMPLETED") << id;
    int completions = 0;
    for (auto& e : node.events(id)) completions += e["event_type"] == "job.completed";
    EXPECT_EQ(completions, 1) << id;
  }
}

TEST(lifecycle, starts_and_stops_again_and_again) {
  const int cycles = long_run() ? 1'000 : 50;
  scratch_folder folder;
  std::vector<std::string> jobs;
  for (int i = 0; i < cycles; ++i) {
    SCOPED_TRACE("cycle " + std::to_string(i));
    node_process node(folder / "data");
    ASSERT_TRUE(node.ready()) << node.log();
    if (i % (cycles / 10) == 0) {  // some stop while they work
      jobs.push_back(node.submit(small_job()));
      ASSERT_FALSE(jobs.back().empty());
    }
    // After some stops it may finish: a job that is interrupted for ever fails, as it should.
    if (i % (cycles / 10) == 4) expect_done_once(node, jobs);
    node.signal(SIGTERM);
    ASSERT_EQ(node.wait(stop_limit), 0) << node.log();
    expect_nobody_left(node.log());
  }
  node_process node(folder / "data");
  ASSERT_TRUE(node.ready()) << node.log();
  expect_done_once(node, jobs);
}

TEST(lifecycle, a_signal_during_the_start) {
  const auto s = seed();
  std::mt19937_64 random(s);
  for (int i = 0, rounds = long_run() ? 200 : 20; i < rounds; ++i) {
    SCOPED_TRACE("HORIZONS_SEED=" + std::to_string(s) + ", round " + std::to_string(i));
    scratch_folder folder;
    starting_node node(folder / "data");
    pass_time(random, 400);
    node.signal(random() % 2 ? SIGTERM : SIGINT);
    const int status = node.wait(stop_limit);
    // Before the program has taken the signals over, the kernel ends it: nothing was started then.
    EXPECT_TRUE(status == 0 || status == 128 + SIGTERM || status == 128 + SIGINT) << status << node.log();
    expect_nobody_left(node.log());
  }
}

TEST(lifecycle, a_signal_while_jobs_run_or_nothing_happens) {
  const auto s = seed();
  std::mt19937_64 random(s);
  scratch_folder folder;
  std::vector<std::string> jobs;
  for (int i = 0, rounds = long_run() ? 100 : 10; i < rounds; ++i) {
    SCOPED_TRACE("HORIZONS_SEED=" + std::to_string(s) + ", round " + std::to_string(i));
    node_process node(folder / "data");
    ASSERT_TRUE(node.ready()) << node.log();
    if (i % 3 != 2) {
      for (int n = 0; n < 3; ++n) jobs.push_back(node.submit(small_job()));
      ASSERT_FALSE(jobs.back().empty());
    }
    pass_time(random, 300);
    node.signal(SIGTERM);
    ASSERT_EQ(node.wait(stop_limit), 0) << node.log();
    expect_nobody_left(node.log());
  }
  node_process node(folder / "data");
  ASSERT_TRUE(node.ready()) << node.log();
  expect_done_once(node, jobs);  // interrupted or not, each is done, once
}

TEST(lifecycle, a_second_signal_ends_it_at_once) {
  scratch_folder folder;
  std::vector<std::string> jobs;
  {
    node_process node(folder / "data");
    ASSERT_TRUE(node.ready()) << node.log();
    for (int n = 0; n < 3; ++n) jobs.push_back(node.submit(small_job()));
    node.signal(SIGTERM);
    node.signal(SIGINT);  // two of a kind might become one on the way
    EXPECT_EQ(node.wait(2s), 3) << node.log();
    EXPECT_NE(node.log().find("a second signal"), std::string::npos) << node.log();
  }
  node_process node(folder / "data");
  ASSERT_TRUE(node.ready()) << node.log();
  expect_done_once(node, jobs);
}

}  // namespace
}  // namespace horizons::test
