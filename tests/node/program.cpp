#include "tests/node/program.hpp"

#include <curl/curl.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <thread>

namespace horizons::test {

namespace {

const std::string program = std::string(HORIZONS_BINARY_DIR) + "/horizons";

std::string slurp(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

pid_t spawn(const std::vector<std::string>& arguments, const fs::path& out, const fs::path& err) {
  std::vector<char*> argv{const_cast<char*>(program.c_str())};
  for (auto& a : arguments) argv.push_back(const_cast<char*>(a.c_str()));
  argv.push_back(nullptr);
  pid_t pid = ::fork();
  if (pid == 0) {
    int o = ::open(out.c_str(), O_CREAT | O_WRONLY | O_TRUNC, 0600),
        e = ::open(err.c_str(), O_CREAT | O_WRONLY | O_TRUNC, 0600);
    ::dup2(o, 1);
    ::dup2(e, 2);
    forget_servers();
    ::execv(program.c_str(), argv.data());
    ::_exit(127);
  }
  return pid;
}

int exit_status(int raw) { return WIFEXITED(raw) ? WEXITSTATUS(raw) : 128 + WTERMSIG(raw); }

template <class Condition>
bool eventually(std::chrono::milliseconds limit, Condition condition) {
  auto end = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::yield();
    ::poll(nullptr, 0, 5);  // another process is waited for: there is nothing to be notified by
  }
  return true;
}

int wait_for_end(pid_t pid, std::chrono::milliseconds limit) {
  int raw = 0;
  bool ended = eventually(limit, [&] { return ::waitpid(pid, &raw, WNOHANG) == pid; });
  return ended ? exit_status(raw) : -1;
}

size_t collect(char* data, size_t size, size_t count, void* to) {
  static_cast<std::string*>(to)->append(data, size * count);
  return size * count;
}

size_t header(char* data, size_t size, size_t count, void* to) {
  std::string_view line(data, size * count);
  if (line.starts_with("Location: ")) {
    line.remove_prefix(10);
    while (!line.empty() && (line.back() == '\r' || line.back() == '\n')) line.remove_suffix(1);
    *static_cast<std::string*>(to) = line;
  }
  return size * count;
}

answer request(const std::string& url, const std::string* body, const std::string& type) {
  answer a;
  CURL* curl = curl_easy_init();
  curl_slist* headers = curl_slist_append(nullptr, ("Content-Type: " + type).c_str());
  curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl, CURLOPT_TIMEOUT, 40L);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, collect);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &a.body);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, header);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &a.location);
  if (body) {
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body->data());
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, static_cast<long>(body->size()));
  }
  if (curl_easy_perform(curl) == CURLE_OK) curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &a.status);
  curl_slist_free_all(headers);
  curl_easy_cleanup(curl);
  return a;
}

}  // namespace

scratch_folder::scratch_folder() {
  std::string name = (fs::temp_directory_path() / "horizons-test-XXXXXX").string();
  path_ = ::mkdtemp(name.data());
}

scratch_folder::~scratch_folder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

void forget_servers() {
  for (auto name :
       {"HORIZONS_KAFKA_BROKERS", "HORIZONS_KAFKA_REGISTRY", "HORIZONS_RABBITMQ_URLS", "HORIZONS_JOURNAL_URL"})
    ::unsetenv(name);
}

finished run_program(const std::vector<std::string>& arguments, std::chrono::seconds limit) {
  scratch_folder folder;
  pid_t pid = spawn(arguments, folder / "out", folder / "err");
  int status = wait_for_end(pid, limit);
  if (status == -1) {
    ::kill(pid, SIGKILL);
    wait_for_end(pid, 10s);
  }
  return {status, slurp(folder / "out"), slurp(folder / "err")};
}

node_process::node_process(const fs::path& data_dir, std::vector<std::string> more)
    : out_(data_dir.string() + ".out"), err_(data_dir.string() + ".err") {
  std::vector<std::string> arguments{"node", "--set", "node.data_dir=" + data_dir.string(), "--set",
                                     "http.listen=127.0.0.1:0"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  fs::remove(out_);  // of a node before on the same folder: it names another port
  pid_ = spawn(arguments, out_, err_);
  eventually(60s, [&] {
    auto text = slurp(out_);
    if (auto at = text.find("ready "); at != std::string::npos && text.find('\n', at) != std::string::npos)
      url_ = text.substr(at + 6, text.find('\n', at) - at - 6);
    int raw = 0;
    if (url_.empty() && ::waitpid(pid_, &raw, WNOHANG) == pid_) {
      pid_ = -1;
      return true;
    }
    return !url_.empty();
  });
}

node_process::~node_process() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    wait(10s);
  }
}

std::string node_process::log() const { return slurp(err_); }

long node_process::resident_kib() const {
  std::istringstream status(slurp("/proc/" + std::to_string(pid_) + "/status"));
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmRSS:")) return std::atol(line.c_str() + 6);
  return 0;
}

void node_process::signal(int number) {
  if (pid_ > 0) ::kill(pid_, number);  // one that has ended is -1: to kill(2), everybody
}

int node_process::wait(std::chrono::milliseconds limit) {
  int status = wait_for_end(pid_, limit);
  if (status != -1) pid_ = -1;
  return status;
}

answer node_process::get(const std::string& path) const { return request(url_ + path, nullptr, ""); }

answer node_process::post(const std::string& path, const std::string& body, const std::string& type) const {
  return request(url_ + path, &body, type);
}

std::string node_process::submit(const json& job, answer* refusal) const {
  auto a = post("/api/jobs", job);
  if (a.status == 202 || a.status == 200) return a.parsed().value("job_id", "");
  if (refusal) *refusal = a;
  return "";
}

json node_process::wait_for(const std::string& job_id, std::chrono::seconds limit) const {
  json view;
  eventually(limit, [&] {
    auto a = get("/api/jobs/" + job_id);
    if (a.status != 200) return false;
    view = a.parsed();
    auto status = view.value("status", "");
    return status == "COMPLETED" || status == "FAILED" || status == "CANCELLED";
  });
  return view;
}

std::vector<json> node_process::events(const std::string& job_id) const {
  std::vector<json> all;
  std::string token;
  do {
    auto page =
        get("/api/jobs/" + job_id + "/events?page_size=1000" + (token.empty() ? "" : "&page_token=" + token)).parsed();
    if (!page.is_object() || !page.contains("events")) break;
    for (auto& e : page["events"]) all.push_back(e);
    token = page.contains("next_page_token") && page["next_page_token"].is_string()
                ? page["next_page_token"].get<std::string>()
                : "";
  } while (!token.empty());
  return all;
}

const fs::path& small_observation() {
  static const scratch_folder folder;
  static const fs::path file = [] {
    auto path = folder / "small.uvfits";
    auto made = run_program(
        {"simulate", "--array", "small", "--integrations", "10", "--channels", "2", "--out", path.string()});
    EXPECT_EQ(made.status, 0) << made.err;
    return path;
  }();
  return file;
}

json small_job(int priority) {
  return {{"agent", "image-reconstruction"},
          {"dataset", "file://" + small_observation().string()},
          {"params", {{"size", 128}, {"niter", 50}}},
          {"priority", priority}};
}

bool long_run() { return std::getenv("HORIZONS_LONG") != nullptr; }

}  // namespace horizons::test
