// The embedded node from outside: starts, works, refuses what is wrong, stops, and survives being killed.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>
#include <unistd.h>

#include <fstream>
#include <map>
#include <random>
#include <set>

#include "tests/node/program.hpp"

namespace horizons::test {
namespace {

/// What must be true of every job's trail: sequences 1, 2, 3 … without gap or double, and at most one completion.
void expect_sound_trail(const std::vector<json>& events, const std::string& job_id) {
  std::set<std::string> ids;
  std::uint64_t sequence = 0, position = 0;
  int completions = 0;
  for (auto& e : events) {
    EXPECT_TRUE(ids.insert(e["event_id"]).second) << job_id << ": event doubled";
    EXPECT_EQ(e["sequence"].get<std::uint64_t>(), ++sequence) << job_id;
    EXPECT_GT(e["position"].get<std::uint64_t>(), position) << job_id;
    position = e["position"];
    completions += e["event_type"] == "job.completed";
  }
  EXPECT_LE(completions, 1) << job_id;
}

TEST(node, images_a_simulated_observation) {
  scratch_folder folder;
  node_process node(folder / "data");
  ASSERT_TRUE(node.ready()) << node.log();
  auto id = node.submit(small_job());
  ASSERT_FALSE(id.empty());
  auto job = node.wait_for(id);
  ASSERT_EQ(job["status"], "COMPLETED") << job;
  EXPECT_EQ(job["progress"], 1);
  for (auto name :
       {"image.fits", "residual.fits", "model.fits", "psf.fits", "preview.png", "sources.json", "report.json"}) {
    EXPECT_TRUE(fs::exists(folder.path() / "data" / "results" / id / name)) << name;
    auto a = node.get("/api/jobs/" + id + "/results/" + name);
    EXPECT_EQ(a.status, 200) << name;
    EXPECT_EQ(a.body.size(), fs::file_size(folder.path() / "data" / "results" / id / name)) << name;
  }
  auto events = node.events(id);
  expect_sound_trail(events, id);
  ASSERT_GE(events.size(), 4u);
  EXPECT_EQ(events[0]["event_type"], "job.submitted");
  EXPECT_EQ(events[1]["event_type"], "job.queued");
  EXPECT_EQ(events[2]["event_type"], "job.running");
  EXPECT_EQ(events.back()["event_type"], "job.completed");
  EXPECT_EQ(events.back()["data"]["results"].size(), 7u);
  EXPECT_EQ(node.get("/healthz").status, 200);
  EXPECT_EQ(node.get("/readyz").status, 200);
  EXPECT_NE(node.get("/metrics").body.find("horizons_"), std::string::npos);
  EXPECT_EQ(node.get("/").status, 200);
}

// A VLA field of 20 sources of 1 to 1000 mJy: positions within 0.2 beam, fluxes within 5 % or 3 sigma.
TEST(node, finds_the_sources_of_a_simulated_vla_field) {
  for (auto seed : {"7", "11"}) {
    scratch_folder folder;
    auto observation = (folder / "vla.uvfits").string();
    auto made = run_program({"simulate", "--array", "vla", "--seed", seed, "--out", observation});
    ASSERT_EQ(made.status, 0) << made.err;
    auto imaged =
        run_program({"agent", "image-reconstruction", "--dataset", observation, "--out", (folder / "out").string()});
    ASSERT_EQ(imaged.status, 0) << imaged.err;
    auto compared = run_program({"compare", "--json", "--sources", (folder / "out/sources.json").string(), "--truth",
                                 observation + ".truth.json", "--report", (folder / "out/report.json").string()});
    auto result = json::parse(compared.out, nullptr, false);
    ASSERT_TRUE(result.is_object()) << compared.out << compared.err;
    EXPECT_EQ(result["sources"], 20);
    EXPECT_EQ(result["matched"], 20) << "seed " << seed;
    for (auto& match : result["matches"]) {
      EXPECT_LE(match["offset_beams"].get<double>(), 0.2) << "seed " << seed << match;
      EXPECT_TRUE(std::abs(match["flux_error"].get<double>()) <= 0.05 || match["flux_sigma"].get<double>() <= 3)
          << "seed " << seed << match;
    }
  }
}

TEST(node, the_same_submission_is_one_job) {
  scratch_folder folder;
  node_process node(folder / "data");
  ASSERT_TRUE(node.ready()) << node.log();
  auto job = small_job();
  job["job_id"] = "once";
  job["idempotency_key"] = "k1";
  auto first = node.post("/api/jobs", job);
  EXPECT_EQ(first.status, 202) << first.body;
  EXPECT_EQ(first.location, "/api/jobs/once");
  EXPECT_EQ(node.post("/api/jobs", job).status, 200);
  auto other = job;
  other["params"]["niter"] = 51;
  EXPECT_EQ(node.post("/api/jobs", other).status, 409);
  other.erase("job_id");
  EXPECT_EQ(node.post("/api/jobs", other).status, 409);
  auto by_key = job;
  by_key.erase("job_id");
  auto again = node.post("/api/jobs", by_key);
  EXPECT_EQ(again.status, 200) << again.body;
  EXPECT_EQ(again.parsed()["job_id"], "once");
  EXPECT_EQ(node.wait_for("once")["status"], "COMPLETED");
  EXPECT_EQ(node.post("/api/jobs", job).status, 200);
  int submitted = 0;
  for (auto& e : node.events("once")) submitted += e["event_type"] == "job.submitted";
  EXPECT_EQ(submitted, 1);
}

TEST(node, refuses_what_is_wrong_at_the_door) {
  scratch_folder folder;
  node_process node(folder / "data");
  ASSERT_TRUE(node.ready()) << node.log();
  struct row {
    json change;
    long status;
    std::string names;
  };
  const std::vector<row> table = {
      {{{"agent", "alchemy"}}, 422, "alchemy"},      {{{"params", {{"sizee", 5}}}}, 422, "sizee"},
      {{{"params", {{"niter", -1}}}}, 422, "niter"}, {{{"params", {{"weighting", "heavy"}}}}, 422, "weighting"},
      {{{"priority", 9}}, 422, "priority"},          {{{"dataset", ""}}, 422, "dataset"},
      {{{"dataset", "s3://bucket/x"}}, 422, "s3"},   {{{"resources", {{"gpus", 64}}}}, 422, "gpus"},
      {{{"job_id", "../etc"}}, 422, "job_id"},
  };
  for (auto& row : table) {
    auto job = small_job();
    job.update(row.change);
    auto a = node.post("/api/jobs", job);
    EXPECT_EQ(a.status, row.status) << row.change << " -> " << a.body;
    EXPECT_NE(a.body.find(row.names), std::string::npos) << row.change << " -> " << a.body;
  }
  EXPECT_EQ(node.post("/api/jobs", std::string("{\"agent\": ")).status, 400);
  EXPECT_EQ(node.post("/api/jobs", std::string(2 << 20, 'x')).status, 413);
  EXPECT_EQ(node.post("/api/jobs", std::string("agent: x"), "text/plain").status, 415);
  EXPECT_EQ(node.get("/api/jobs/nobody").status, 404);
  EXPECT_EQ(node.get("/api/nothing").status, 404);
  EXPECT_EQ(node.get("/healthz").status, 200);
}

TEST(node, a_bad_dataset_fails_the_job_and_says_why) {
  scratch_folder folder;
  node_process node(folder / "data");
  ASSERT_TRUE(node.ready()) << node.log();
  auto write = [&](const std::string& name, const std::string& bytes) {
    std::ofstream(folder / name, std::ios::binary) << bytes;
    return "file://" + (folder / name).string();
  };
  std::string good;
  {
    std::ifstream in(small_observation(), std::ios::binary);
    good.assign(std::istreambuf_iterator<char>(in), {});
  }
  fs::create_directory(folder / "folder");
  const std::map<std::string, std::string> table = {
      {"file://" + (folder / "missing.uvfits").string(), "missing.uvfits"},
      {write("empty.uvfits", ""), "empty"},
      {write("text.uvfits", std::string(10'000, 'x')), "FITS"},
      {write("truncated.uvfits", good.substr(0, good.size() / 2)), "trunc"},
      {"file://" + (folder / "folder").string(), "Measurement Set"},
  };
  for (auto& [dataset, names] : table) {
    auto job = small_job();
    job["dataset"] = dataset;
    auto id = node.submit(job);
    ASSERT_FALSE(id.empty()) << dataset;
    auto view = node.wait_for(id);
    EXPECT_EQ(view["status"], "FAILED") << dataset << view;
    ASSERT_TRUE(view["error"].is_object()) << view;
    auto detail = view["error"]["detail"].get<std::string>();
    EXPECT_NE(detail.find(names), std::string::npos) << dataset << ": " << detail;
    EXPECT_EQ(view["attempt"], 1) << "the same dataset would fail again: " << dataset;
    auto events = node.events(id);
    expect_sound_trail(events, id);
    EXPECT_EQ(events.back()["event_type"], "job.failed");
    EXPECT_FALSE(fs::exists(folder.path() / "data" / "results" / id));
  }
  EXPECT_EQ(node.wait_for(node.submit(small_job()))["status"], "COMPLETED") << "the node stays up";
}

TEST(node, orders) {
  scratch_folder folder;
  node_process node(folder / "data");
  ASSERT_TRUE(node.ready()) << node.log();
  auto long_job = small_job();
  long_job["params"] = {{"size", 2048}, {"niter", 2'000'000}, {"auto_threshold_sigma", 0}, {"accuracy", 1e-9}};
  auto running = node.submit(long_job);
  auto waiting = node.submit(small_job());
  ASSERT_FALSE(running.empty() || waiting.empty());
  EXPECT_EQ(node.post("/api/jobs/" + waiting + "/pause", json::object()).parsed()["status"], "PAUSED");
  EXPECT_EQ(node.post("/api/jobs/" + waiting + "/resume", json::object()).parsed()["status"], "QUEUED");
  auto cancelled = node.post("/api/jobs/" + running + "/cancel", {{"reason", "typo"}});
  EXPECT_EQ(cancelled.status, 200) << cancelled.body;
  EXPECT_EQ(cancelled.parsed()["status"], "CANCELLED");
  EXPECT_EQ(node.wait_for(waiting)["status"], "COMPLETED") << "the device is free again";
  EXPECT_EQ(node.post("/api/jobs/" + waiting + "/cancel", json::object()).status, 409);
  EXPECT_EQ(node.post("/api/jobs/" + running + "/retry", json::object()).parsed()["status"], "QUEUED");
  EXPECT_EQ(node.post("/api/jobs/" + running + "/cancel", json::object()).parsed()["status"], "CANCELLED");
  expect_sound_trail(node.events(running), running);
}

TEST(node, a_second_node_is_refused_by_name) {
  scratch_folder folder;
  node_process node(folder / "data", {"--set", "node.id=first-node"});
  ASSERT_TRUE(node.ready()) << node.log();
  auto second =
      run_program({"node", "--set", "node.data_dir=" + (folder / "data").string(), "--set", "http.listen=127.0.0.1:0"});
  EXPECT_EQ(second.status, 1);
  EXPECT_NE(second.err.find("journal is in use by node first-node"), std::string::npos) << second.err;
  EXPECT_EQ(node.get("/healthz").status, 200);
}

TEST(node, stops_in_time_also_while_it_works) {
  for (bool busy : {false, true}) {
    scratch_folder folder;
    node_process node(folder / "data");
    ASSERT_TRUE(node.ready()) << node.log();
    std::string id;
    if (busy) {
      auto job = small_job();
      job["params"] = {{"size", 2048}, {"niter", 2'000'000}, {"auto_threshold_sigma", 0}};
      id = node.submit(job);
    }
    node.signal(SIGTERM);
    EXPECT_EQ(node.wait(15s), 0) << node.log();
    if (busy) {
      node_process again(folder / "data");
      ASSERT_TRUE(again.ready()) << again.log();
      EXPECT_EQ(again.get("/api/jobs/" + id).status, 200) << "an acknowledged job is there after a stop";
    }
  }
}

TEST(node, jobs_start_in_priority_order) {
  scratch_folder folder;
  node_process node(folder / "data");
  ASSERT_TRUE(node.ready()) << node.log();
  const int jobs = long_run() ? 1'000 : 60;
  // The first job keeps the device busy while the others arrive.
  auto first = small_job();
  first["params"] = {{"size", 1024}, {"niter", 200'000}, {"auto_threshold_sigma", 0}, {"accuracy", 1e-6}};
  auto blocker = node.submit(first);
  std::mt19937 random(1);
  std::vector<std::pair<int, std::string>> submitted;
  for (int i = 0; i < jobs; ++i) {
    int priority = 1 + static_cast<int>(random() % 5);
    auto id = node.submit(small_job(priority));
    ASSERT_FALSE(id.empty());
    submitted.emplace_back(priority, id);
  }
  auto before = node.resident_kib();
  node.post("/api/jobs/" + blocker + "/cancel", json::object());
  std::vector<std::pair<std::string, std::string>> started;  // time, job
  for (auto& [priority, id] : submitted) {
    auto view = node.wait_for(id, 600s);
    ASSERT_EQ(view["status"], "COMPLETED") << view;
    for (auto& e : node.events(id))
      if (e["event_type"] == "job.running")
        started.emplace_back(std::to_string(1'000'000'000 + e["position"].get<long>()), id);
  }
  auto after = node.resident_kib();
  std::sort(started.begin(), started.end());
  std::stable_sort(submitted.begin(), submitted.end(), [](auto& a, auto& b) { return a.first < b.first; });
  ASSERT_EQ(started.size(), submitted.size());
  for (std::size_t i = 0; i < started.size(); ++i) EXPECT_EQ(started[i].second, submitted[i].second) << "place " << i;
  RecordProperty("resident_kib_before", std::to_string(before));
  RecordProperty("resident_kib_after", std::to_string(after));
  EXPECT_LT(after, before + 100'000) << "memory grows with the number of finished jobs";
}

// Killing the node with -9 at any moment: every acknowledged job finishes, nothing is doubled or missing.
TEST(node, survives_kill_9) {
  scratch_folder folder;
  std::random_device seed_source;
  auto seed = seed_source();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  std::set<std::string> acknowledged;
  const int kills = long_run() ? 100 : 12;
  for (int round = 0; round < kills; ++round) {
    node_process node(folder / "data");
    ASSERT_TRUE(node.ready()) << "round " << round << ": " << node.log();
    auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(random() % 600);
    pid_t pid = node.pid();
    std::thread killer([=] {
      while (std::chrono::steady_clock::now() < end) std::this_thread::yield();
      if (pid > 0) ::kill(pid, SIGKILL);
    });
    for (int i = 0; i < 6; ++i)
      if (auto id = node.submit(small_job()); !id.empty()) acknowledged.insert(id);
    killer.join();
    node.wait(10s);
  }
  node_process node(folder / "data");
  ASSERT_TRUE(node.ready()) << node.log();
  for (auto& id : acknowledged) {
    auto view = node.wait_for(id, 120s);
    ASSERT_EQ(view["status"], "COMPLETED") << id << " " << view;
    auto events = node.events(id);
    expect_sound_trail(events, id);
    EXPECT_EQ(events.back()["event_type"], "job.completed");
    for (auto& file : events.back()["data"]["results"])
      EXPECT_EQ(fs::file_size(folder.path() / "data" / "results" / id / file["name"].get<std::string>()),
                file["size"].get<std::uint64_t>());
  }
  // Some were stored and their answer lost with the node: they run too.
  const auto listed = node.get("/api/jobs?page_size=1000");
  ASSERT_EQ(listed.status, 200) << listed.body;
  std::set<std::string> all;
  const json jobs = listed.parsed()["jobs"];
  for (auto& job : jobs) {
    all.insert(job["job_id"]);
    EXPECT_EQ(node.wait_for(job["job_id"], 120s)["status"], "COMPLETED") << job;
  }
  EXPECT_TRUE(std::includes(all.begin(), all.end(), acknowledged.begin(), acknowledged.end()));
  for (auto& entry : fs::directory_iterator(folder / "data" / "results"))
    EXPECT_FALSE(entry.path().filename().string().starts_with(".")) << "left behind: " << entry.path();
  node.signal(SIGTERM);
  EXPECT_EQ(node.wait(15s), 0);
  auto verified = run_program({"audit", "verify", "--set", "node.data_dir=" + (folder / "data").string()});
  EXPECT_EQ(verified.status, 0) << verified.out << verified.err;
}

TEST(node, a_full_disk_fails_jobs_and_not_the_node) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs to mount a small file system; run as root";
  scratch_folder folder;
  fs::create_directory(folder / "small");
  if (::mount("tmpfs", (folder / "small").c_str(), "tmpfs", 0, "size=3m") != 0)
    GTEST_SKIP() << "this machine allows no mounts";
  {
    node_process node(folder.path() / "small" / "data");
    ASSERT_TRUE(node.ready()) << node.log();
    auto job = small_job();
    job["params"] = {{"size", 1024}, {"niter", 0}};  // four images of 4 MiB
    auto id = node.submit(job);
    ASSERT_FALSE(id.empty());
    auto view = node.wait_for(id, 60s);
    EXPECT_EQ(view["status"], "FAILED") << view;
    EXPECT_EQ(view["error"]["type"], "disk_full") << view;
    EXPECT_EQ(node.get("/healthz").status, 200);
    EXPECT_EQ(node.wait_for(node.submit(small_job()))["status"], "COMPLETED") << "small results still fit";
  }
  ::umount((folder / "small").c_str());
}

}  // namespace
}  // namespace horizons::test
