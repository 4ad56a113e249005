// Starts the built program as a user would, and talks to it over HTTP.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace horizons::test {

using json = nlohmann::json;
namespace fs = std::filesystem;
using namespace std::chrono_literals;

/// A folder that disappears with the test.
class scratch_folder {
public:
  scratch_folder();
  ~scratch_folder();
  const fs::path& path() const { return path_; }
  fs::path operator/(const std::string& name) const { return path_ / name; }

private:
  fs::path path_;
};

struct finished {
  int status = 0;  // exit status; 128 + signal when killed
  std::string out, err;
};

/// In a child, before it becomes a node: addresses of test servers in the environment would configure it.
void forget_servers();

/// Runs build/horizons with these arguments to its end.
finished run_program(const std::vector<std::string>& arguments, std::chrono::seconds limit = 120s);

struct answer {
  long status = 0;  // 0: no answer
  std::string body, location;
  json parsed() const { return json::parse(body, nullptr, false); }
};

/// A node as a child process; killed with -9 when the test forgets it.
class node_process {
public:
  /// Starts and waits for "ready <url>".
  explicit node_process(const fs::path& data_dir, std::vector<std::string> more = {});
  ~node_process();
  node_process(const node_process&) = delete;

  const std::string& url() const { return url_; }
  bool ready() const { return !url_.empty(); }
  std::string log() const;
  pid_t pid() const { return pid_; }
  long resident_kib() const;

  void signal(int number);
  /// Waits for the end; exit status, 128 + signal when killed, -1 when it did not end in time.
  int wait(std::chrono::milliseconds limit);

  answer get(const std::string& path) const;
  answer post(const std::string& path, const std::string& body, const std::string& type = "application/json") const;
  answer post(const std::string& path, const json& body) const { return post(path, body.dump()); }

  /// Submits and returns the job id; empty (with the reason in `refusal`) when it was not accepted.
  std::string submit(const json& job, answer* refusal = nullptr) const;
  /// Polls until the job is in a final state or the limit has passed; the last view.
  json wait_for(const std::string& job_id, std::chrono::seconds limit = 60s) const;
  /// Every event of a job, in order.
  std::vector<json> events(const std::string& job_id) const;

private:
  pid_t pid_ = -1;
  std::string url_;
  fs::path out_, err_;
};

/// A small simulated observation, made once per test run: images in some 50 ms.
const fs::path& small_observation();
/// Parameters that make a job as short as possible.
json small_job(int priority = 3);

/// true where HORIZONS_LONG is set: the issues' full figures.
bool long_run();

}  // namespace horizons::test
