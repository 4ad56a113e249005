#include "gateways/cli/commands.hpp"

#include <fstream>
#include <sstream>
#include <thread>

#include <gtest/gtest.h>

#include "gateways/cli/progress_bar.hpp"
#include "gateways/cli/table.hpp"
#include "gateways/http/server.hpp"
#include "tests/gateways/http/fake_house.hpp"

namespace horizons::cli {
namespace {

using std::chrono::milliseconds;

struct outcome {
  int status = -1;
  std::string out, err;
};

class commands_test : public testing::Test {
protected:
  http::fake_house house;
  std::unique_ptr<http::http_server> server;

  void SetUp() override {
    auto started = http::http_server::start({.listen = "127.0.0.1:0", .data_dir = house.directory}, house.doors());
    ASSERT_TRUE(started) << started.error().text;
    server = std::move(*started);
  }
  ~commands_test() override {
    if (server) server->stop(milliseconds(100));
  }

  static outcome run_words(std::vector<std::string> words) {
    CLI::App app("horizons");
    client_options o;
    int exit_status = done;
    add_global_options(app, o);
    add_client_commands(app, o, exit_status);
    std::vector<const char*> argv{"horizons"};
    for (const auto& word : words) argv.push_back(word.c_str());
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    outcome result;
    result.status = run(app, static_cast<int>(argv.size()), argv.data(), exit_status);
    result.out = testing::internal::GetCapturedStdout();
    result.err = testing::internal::GetCapturedStderr();
    return result;
  }

  outcome horizons(std::vector<std::string> words) {
    words.insert(words.end(), {"--node", server->url()});
    return run_words(std::move(words));
  }

  static bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }
};

TEST_F(commands_test, submit_from_arguments) {
  const auto r = horizons({"submit", "--agent", "image-reconstruction", "--dataset", "x.uvfits", "--param", "niter=100",
                           "--param", "size=[10, 20]", "--param", "weighting=briggs", "--priority", "1"});
  EXPECT_EQ(r.status, done) << r.err;
  ASSERT_EQ(house.jobs.size(), 1u);
  const auto& job = house.jobs.begin()->second;
  EXPECT_EQ(job["params"], json::parse(R"({"niter": 100, "size": [10, 20], "weighting": "briggs"})"));
  EXPECT_EQ(job["priority"], 1);
  EXPECT_EQ(job["dataset"], "file://" + std::filesystem::absolute("x.uvfits").string());
  EXPECT_TRUE(has(r.out, house.jobs.begin()->first)) << r.out;
}

TEST_F(commands_test, submit_from_a_file_where_arguments_win) {
  const auto file = (house.directory / "job.json").string();
  std::ofstream(file)
      << R"({"job_id": "f1", "agent": "image-reconstruction", "dataset": "s3://b/x", "params": {"niter": 1, "robust": 0}})";
  EXPECT_EQ(horizons({"submit", file, "--param", "niter=2"}).status, done);
  EXPECT_EQ(house.jobs["f1"]["params"], json::parse(R"({"niter": 2, "robust": 0})"));
  const auto again = horizons({"submit", file, "--json"});
  EXPECT_EQ(json::parse(again.out)["job_id"], "f1");
  EXPECT_TRUE(has(horizons({"submit", file}).out, "was there before"));
}

TEST_F(commands_test, wrong_arguments_are_2_refusals_1_and_no_node_3) {
  EXPECT_EQ(horizons({"submit"}).status, bad_arguments);
  EXPECT_EQ(horizons({"submit", "/nonexistent.json"}).status, bad_arguments);
  EXPECT_EQ(horizons({"submit", "--agent", "a", "--dataset", "x", "--param", "broken"}).status, bad_arguments);
  EXPECT_EQ(horizons({"submit", "--priority", "9"}).status, bad_arguments);
  EXPECT_EQ(horizons({"jobs", "--colour", "red"}).status, bad_arguments);
  const auto refused = horizons({"submit", "--agent", "nonsense", "--dataset", "x"});
  EXPECT_EQ(refused.status, failed);
  EXPECT_TRUE(has(refused.err, "agent: \"nonsense\" is not known")) << refused.err;
  EXPECT_EQ(horizons({"job", "none"}).status, failed);
  EXPECT_EQ(horizons({"jobs", "--status", "DONE"}).status, failed);
  const auto gone = run_words({"jobs", "--node", "http://127.0.0.1:1"});
  EXPECT_EQ(gone.status, unreachable);
  EXPECT_TRUE(has(gone.err, "cannot be reached")) << gone.err;
  EXPECT_TRUE(has(gone.err, "horizons node")) << gone.err;
  EXPECT_EQ(run_words({"submit", "--agent", "a", "--dataset", "x", "--wait", "--node", "127.0.0.1:1"}).status,
            unreachable);
  EXPECT_EQ(run_words({"--help"}).status, done);
}

TEST_F(commands_test, waiting_shows_progress_until_the_end) {
  for (const bool succeeds : {true, false}) {
    const std::string id = succeeds ? "good" : "bad";
    std::thread node([&] {
      const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
      while (house.watching() == 0 && std::chrono::steady_clock::now() < end) std::this_thread::yield();
      house.happen(
          id,
          job_running{{.old_status = "QUEUED", .new_status = "RUNNING", .attempt = 1, .node = "n", .device = "cpu"}});
      house.happen(id, job_progress{.progress = 0.5, .stage = "gridding", .eta_s = 3});
      if (succeeds)
        house.happen(id, job_completed{.old_status = "RUNNING",
                                       .execution_duration_s = 2.5,
                                       .results = {{"image.fits", 1, std::string(64, 'a')}}});
      else
        house.happen(id, job_failed{{.old_status = "RUNNING",
                                     .new_status = "FAILED",
                                     .error = {"dataset-unreadable", "Dataset unreadable", "file:///x: no WW"},
                                     .error_class = "permanent",
                                     .attempt = 1}});
    });
    const auto file = (house.directory / (id + ".json")).string();
    std::ofstream(file) << json{{"job_id", id}, {"agent", "image-reconstruction"}, {"dataset", "file:///x"}};
    const auto r = horizons({"submit", file, "--wait"});
    node.join();
    EXPECT_TRUE(has(r.out, "50 %  gridding, about 3 s left")) << r.out;
    EXPECT_EQ(r.out.find('\x1b'), std::string::npos) << "no terminal, no control characters";
    EXPECT_EQ(r.status, succeeds ? done : failed) << r.err;
    EXPECT_TRUE(has(r.out, succeeds ? "COMPLETED in 2.5 s" : "file:///x: no WW")) << r.out;
    EXPECT_EQ(has(r.out, "image.fits"), succeeds);
    // What has ended is told from the journal.
    const auto again = horizons({"job", id, "--follow", "--json"});
    EXPECT_EQ(again.status, succeeds ? done : failed);
    EXPECT_TRUE(has(again.out, succeeds ? "\"job.completed\"" : "\"job.failed\"")) << again.out;
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (house.watching() > 0 && std::chrono::steady_clock::now() < limit) std::this_thread::yield();
  }
}

TEST_F(commands_test, lists_orders_events_and_the_tree) {
  EXPECT_TRUE(has(horizons({"jobs"}).out, "no jobs"));
  for (int i = 0; i < 620; ++i)
    house.jobs["j" + std::to_string(1000 + i)] = {
        {"job_id", "j" + std::to_string(1000 + i)}, {"status", "QUEUED"}, {"agent", "alpha-cal"}, {"progress", 0.5}};
  const auto all = horizons({"jobs"});
  EXPECT_EQ(std::ranges::count(all.out, '\n'), 621) << "every page is read";
  EXPECT_EQ(std::ranges::count(horizons({"--json", "jobs"}).out, '\n'), 620);
  EXPECT_TRUE(has(horizons({"cancel", "j1000", "--reason", "wrong \"field\""}).out, "CANCELLED"));
  EXPECT_EQ(house.jobs["j1000"]["reason"], "wrong \"field\"");
  EXPECT_TRUE(has(horizons({"pause", "j1001"}).out, "PAUSED"));
  EXPECT_TRUE(has(horizons({"job", "j1001"}).out, "50 %"));
  house.happen("j1001", job_progress{.progress = 0.25, .stage = "fft"});
  house.happen("j1002", job_progress{.progress = 0.75, .stage = "fft"});
  EXPECT_EQ(std::ranges::count(horizons({"events"}).out, '\n'), 2);
  const auto one = horizons({"events", "--job", "j1002", "--type", "job.progress", "--json"});
  EXPECT_EQ(json::parse(one.out)["data"]["progress"], 0.75);
  EXPECT_EQ(horizons({"events", "--from", "yesterday"}).status, failed);
  const auto tree = horizons({"tree"});
  EXPECT_TRUE(has(tree.out, "horizons  running")) << tree.out;
  EXPECT_TRUE(has(tree.out, "└─ jobs  running")) << tree.out;
}

TEST_F(commands_test, the_token_of_the_data_directory_is_used_by_itself) {
  server->stop(milliseconds(0));
  auto started = http::http_server::start({.listen = "127.0.0.1:0", .data_dir = house.directory, .node_uid = 4'000'000},
                                          house.doors());
  ASSERT_TRUE(started) << started.error().text;
  server = std::move(*started);
  const auto refused = horizons({"jobs", "--set", "node.data_dir=/nonexistent"});
  EXPECT_EQ(refused.status, failed);
  EXPECT_TRUE(has(refused.err, "--token")) << refused.err;
  EXPECT_EQ(horizons({"jobs", "--set", "node.data_dir=" + house.directory.string()}).status, done);
}

TEST_F(commands_test, config_check) {
  const auto file = (house.directory / "c.toml").string();
  std::ofstream(file) << "[http]\nlisten = \"127.0.0.1:9000\"\n";
  const auto good = horizons({"config", "check", file});
  EXPECT_EQ(good.status, done) << good.err;
  EXPECT_TRUE(has(good.out, "listen = \"127.0.0.1:9000\""));
  std::ofstream(file) << "[http]\nlisen = 1\n";
  const auto wrong = horizons({"config", "check", file});
  EXPECT_EQ(wrong.status, failed);
  EXPECT_TRUE(has(wrong.err, file + ":2: http.lisen is not known; did you mean http.listen?")) << wrong.err;
}

TEST(progress_bar_test, a_terminal_redraws_and_a_log_gets_few_lines) {
  std::ostringstream log, terminal;
  progress_bar lines(log, false, "job x"), drawn(terminal, true, "job x");
  for (int i = 0; i <= 1000; ++i) {
    lines.show(i / 1000.0, "gridding");
    drawn.show(i / 1000.0, "gridding");
  }
  drawn.finish();
  EXPECT_EQ(std::ranges::count(log.str(), '\n'), 11);
  EXPECT_EQ(std::ranges::count(terminal.str(), '\n'), 1);
  EXPECT_NE(terminal.str().find("████████████████████  100 %"), std::string::npos);
  lines.show(std::numeric_limits<double>::quiet_NaN(), "x");
  lines.show(7, "y");
  EXPECT_NE(log.str().find("100 %  y"), std::string::npos);
}

TEST(table_test, columns_are_aligned_by_characters) {
  table t({"A", "B"});
  t.add({"é", "1"});
  t.add({"abc", "2"});
  std::ostringstream out;
  t.print(out);
  EXPECT_EQ(out.str(), "A    B\né    1\nabc  2\n");
}

}  // namespace
}  // namespace horizons::cli
