// The scheduler's scenarios, testdata/scheduler/*.txt. A line says what happens and, behind "->", who starts; or asks.
//
//     limits ageing=600s share_unit=600s credit=1h half_life=1d affinity=60s preempt_run=300s preempt_wait=30s
//     tenant survey weight=2 running_max=4           user survey/ada gpus_max=1
//     at 0s   cuda/0 comes up slots=1                                    # an accelerator, as its name says
//     at 1s   a waits user=ada tenant=survey priority=2 gpus=2 cpus=4 walltime=1h dataset=m51 checkpointable -> nothing
//     at 2s   a leaves -> nothing        at 2s  b ends -> a on cuda/0+cuda/1        at 3s  cuda/0 goes down -> nothing
//     at 4s   why a -> 2 ahead           at 5s  preempt -> b for a
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "actors/jobs/scheduler_core.hpp"

namespace horizons::jobs {
namespace {

std::string trim(std::string s) {
  s.erase(0, s.find_first_not_of(" \t"));
  s.erase(s.find_last_not_of(" \t") + 1);
  return s;
}

std::chrono::seconds seconds_from(const std::string& text) {
  std::size_t digits = 0;
  long n = std::stol(text, &digits);
  switch (text.at(digits)) {
    case 'm':
      return std::chrono::minutes{n};
    case 'h':
      return std::chrono::hours{n};
    case 'd':
      return std::chrono::days{n};
    default:
      return std::chrono::seconds{n};
  }
}

using settings = std::map<std::string, std::string>;

settings read_settings(std::istream& words) {
  settings out;
  for (std::string word; words >> word;) {
    auto eq = word.find('=');
    out[word.substr(0, eq)] = eq == std::string::npos ? "yes" : word.substr(eq + 1);
  }
  return out;
}

class scenario {
public:
  void line(const std::string& text) {
    auto arrow = text.find("->");
    std::istringstream words(text.substr(0, arrow));
    auto expected = arrow == std::string::npos ? "nothing" : trim(text.substr(arrow + 2));
    std::string first, second;
    words >> first >> second;
    if (first == "limits") {
      words.str(text);
      words.clear();
      words >> first;
      return set_limits(read_settings(words));
    }
    if (first == "tenant" || first == "user")
      return set_account((first == "tenant" ? limits_.tenants : limits_.users)[second], read_settings(words));
    ASSERT_EQ(first, "at");
    if (!core_) core_.emplace(limits_);
    EXPECT_EQ(happens(instant{} + std::chrono::hours{1} + seconds_from(second), words), expected);
  }

private:
  void set_limits(const settings& all) {
    for (auto& [key, value] : all) {
      auto t = seconds_from(value);
      if (key == "ageing")
        limits_.ageing = t;
      else if (key == "share_unit")
        limits_.share_unit = t;
      else if (key == "credit")
        limits_.credit = t;
      else if (key == "half_life")
        limits_.half_life = t;
      else if (key == "affinity")
        limits_.affinity_window = t;
      else if (key == "preempt_run")
        limits_.preempt_run = t;
      else if (key == "preempt_wait")
        limits_.preempt_wait = t;
      else
        FAIL() << "unknown limit " << key;
    }
  }

  void set_account(account_limits& limits, const settings& all) {
    for (auto& [key, value] : all) {
      if (key == "weight")
        limits.weight = std::stod(value);
      else if (key == "running_max")
        limits.running_max = std::stoi(value);
      else if (key == "gpus_max")
        limits.gpus_max = std::stoi(value);
      else if (key == "cpus_max")
        limits.cpus_max = std::stoi(value);
      else
        FAIL() << "unknown limit " << key;
    }
  }

  std::string happens(instant now, std::istream& words) {
    std::string who, what;
    words >> who >> what;
    if (who == "why") return core_->why(jobs_[what].job, now);
    if (who == "preempt") {
      std::string out;
      for (auto& p : core_->preempt(now)) {
        auto by = p.reason.substr(p.reason.find("job ") + 4);
        out += (out.empty() ? "" : ", ") + p.job.job_id + " for " + by.substr(0, by.find(' '));
      }
      return out.empty() ? "nothing" : out;
    }
    auto& job = jobs_[who];
    if (what == "comes" || what == "goes") {
      jobs_.erase(who);
      words >> what;
      auto all = read_settings(words);
      if (what == "down")
        core_->device_down(who);
      else
        core_->device_up(who, all.contains("slots") ? std::stoul(all["slots"]) : 1, !who.starts_with("cpu/"));
    } else if (what == "waits" || what == "runs") {
      read_job(job, who, words);
      if (what == "waits")
        core_->enqueue(job, now);
      else
        core_->found_running(job, {device_}, now);
    } else if (what == "leaves") {
      core_->dequeue(job.job);
    } else if (what == "ends") {
      EXPECT_TRUE(core_->release(job.job, job.attempt, now)) << who << " held nothing";
      ++job.attempt;
    } else if (what != "passes") {
      ADD_FAILURE() << "unknown: " << who << " " << what;
    }
    std::string out;
    for (auto& a : core_->assign(now)) {
      EXPECT_EQ(a.attempt, jobs_[a.job.job_id].attempt);
      out += (out.empty() ? "" : ", ") + a.job.job_id + " on ";
      for (auto& d : a.devices) out += (&d == a.devices.data() ? "" : "+") + d;
    }
    return out.empty() ? "nothing" : out;
  }

  void read_job(waiting_job& job, const std::string& name, std::istream& words) {
    auto all = read_settings(words);
    auto text = [&](const char* key, std::string otherwise) { return all.contains(key) ? all[key] : otherwise; };
    if (job.order == 0) job.order = ++last_order_;
    job.job = {text("tenant", "default"), name};
    job.user = text("user", "ada");
    job.priority = std::stoi(text("priority", "3"));
    job.gpus = std::stoi(text("gpus", "0"));
    job.cpus = std::stoi(text("cpus", "1"));
    job.walltime_s = static_cast<std::uint32_t>(seconds_from(text("walltime", "1d")).count());
    job.dataset = all.contains("dataset") ? std::hash<std::string>{}(all["dataset"]) : 0;
    job.checkpointable = all.contains("checkpointable");
    device_ = text("on", "");
  }

  scheduler_limits limits_;
  std::optional<scheduler_core> core_;
  std::map<std::string, waiting_job> jobs_;
  std::string device_;
  std::uint64_t last_order_ = 0;
};

TEST(scheduler, scenarios) {
  int files = 0;
  for (auto& file : std::filesystem::directory_iterator(HORIZONS_SOURCE_DIR "/tests/actors/jobs/testdata/scheduler")) {
    ++files;
    std::ifstream in(file.path());
    scenario s;
    std::string line;
    for (int number = 1; std::getline(in, line); ++number) {
      SCOPED_TRACE(file.path().filename().string() + ":" + std::to_string(number));
      line = trim(line.substr(0, line.find('#')));
      if (!line.empty()) s.line(line);
    }
  }
  EXPECT_GE(files, 8);
}

}  // namespace
}  // namespace horizons::jobs
