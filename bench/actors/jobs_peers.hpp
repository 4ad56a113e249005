// Runs Celery and BullMQ as peers of bench-jobs: processes of their own that time themselves (jobs_peers.py). One that
// is not installed is left out, with a line on stderr. Judges nothing.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "bench/actors/wsclean.hpp"

namespace horizons::bench {

struct job_peer {
  std::string name, conditions;
  double jobs_per_second = 0;
  double goal = 0;  // how many times as fast ours is to be
};

inline std::vector<job_peer> measure_peers(const std::filesystem::path& folder, std::size_t jobs) {
  const auto log = folder / "jobs-bench-peers.log";
  const auto run = run_process(
      {"/usr/bin/python3", HORIZONS_SOURCE_DIR "/bench/actors/jobs_peers.py", "--jobs", std::to_string(jobs),
       "--folder", folder.string(), "--packages", HORIZONS_BINARY_DIR "/bench/bullmq"},
      log);
  std::filesystem::remove(log);
  std::vector<job_peer> peers;
  std::istringstream lines(run ? run->output : run.error().text);
  for (std::string line; std::getline(lines, line);) {
    auto said = nlohmann::json::parse(line, nullptr, false);
    if (!said.is_object()) {
      std::fprintf(stderr, "%s\n", line.c_str());
      continue;
    }
    job_peer p{said.at("name"), said.at("conditions"), said.at("jobs_per_second")};
    p.goal = p.name.starts_with("Celery") ? 5 : 3;
    peers.push_back(std::move(p));
  }
  return peers;
}

}  // namespace horizons::bench
