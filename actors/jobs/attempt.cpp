#include "actors/jobs/attempt.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>

#include "actors/agents/sha256.hpp"

namespace horizons::jobs {

namespace fs = std::filesystem;

namespace {

tl::unexpected<error> os_failure(const std::string& what, const fs::path& path, int code) {
  auto kind = code == ENOSPC || code == EDQUOT ? error_code::disk_full : error_code::io;
  return failure(kind, what + " " + path.string() + ": " + std::strerror(code));
}

result<void> sync(const fs::path& path, int flags) {
  int fd = ::open(path.c_str(), flags | O_CLOEXEC);
  if (fd < 0) return os_failure("cannot open for syncing", path, errno);
  int failed = ::fsync(fd) != 0 ? errno : 0;
  ::close(fd);
  if (failed) return os_failure("cannot sync", path, failed);
  return {};
}

result<void> sync_folder(const fs::path& path) { return sync(path, O_RDONLY | O_DIRECTORY); }

std::string scratch_prefix(const std::string& job_id) { return "." + job_id + ".attempt-"; }

constexpr std::string_view checkpoint_suffix = ".checkpoint";

fs::path tenant_root(const fs::path& root, const std::string& tenant) {
  return tenant == "default" ? root : root / ("@" + tenant);
}

fs::path checkpoint_folder(const fs::path& root, const std::string& tenant, const std::string& job_id) {
  return tenant_root(root, tenant) / ("." + job_id + std::string(checkpoint_suffix));
}

/// Hashes and syncs every file of the attempt, in name order.
result<std::vector<result_file>> seal(const fs::path& folder, const std::stop_token& stop) {
  std::vector<result_file> files;
  std::error_code ec;
  for (auto it = fs::recursive_directory_iterator(folder, ec); !ec && it != fs::recursive_directory_iterator();
       it.increment(ec)) {
    if (it->is_directory()) {
      if (auto s = sync_folder(it->path()); !s) return failure(s.error());
      continue;
    }
    auto digest = agents::sha256_of(it->path(), stop);
    if (!digest) return failure(digest.error());
    if (auto s = sync(it->path(), O_RDONLY); !s) return failure(s.error());
    files.push_back({fs::relative(it->path(), folder).string(), static_cast<std::int64_t>(it->file_size()), *digest});
  }
  if (ec) return os_failure("cannot list", folder, ec.value());
  std::sort(files.begin(), files.end(), [](auto& a, auto& b) { return a.name < b.name; });
  if (auto s = sync_folder(folder); !s) return failure(s.error());
  return files;
}

std::string decode_percent(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned value = 0;
    if (text[i] == '%' && i + 2 < text.size() &&
        std::sscanf(std::string(text.substr(i + 1, 2)).c_str(), "%2x", &value) == 1) {
      out += static_cast<char>(value);
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

/// The path that a dataset's URI says, still percent-encoded when it is a URI; it points into `uri`.
struct written_path {
  std::string_view text;
  bool is_encoded = false;
  std::string decoded() const { return is_encoded ? decode_percent(text) : std::string(text); }
};

result<written_path> path_of(const std::string& uri) {
  written_path path{uri};
  if (auto colon = uri.find(':'); colon != std::string::npos && uri.find('/') > colon) {
    const auto scheme = path.text.substr(0, colon);
    if (scheme != "file")
      return failure(error_code::invalid_argument, "dataset " + uri + ": this node reads no " + std::string(scheme) +
                                                       ": addresses; expected file:///absolute/path");
    path = {path.text.substr(colon + 1), true};
    if (path.text.starts_with("//")) {
      const auto host_end = std::min(path.text.find('/', 2), path.text.size());
      const auto host = path.text.substr(2, host_end - 2);
      if (!host.empty() && host != "localhost")
        return failure(error_code::invalid_argument,
                       "dataset " + uri + ": \"" + std::string(host) +
                           "\" would be a host name; expected file:///absolute/path (three slashes)");
      path.text.remove_prefix(host_end);
    }
  }
  if (path.text.empty())
    return failure(error_code::invalid_argument,
                   "dataset \"" + uri + "\" names no path; expected file:///absolute/path");
  return path;
}

}  // namespace

fs::path results_folder(const fs::path& root, const std::string& tenant, const std::string& job_id) {
  return tenant_root(root, tenant) / job_id;
}

result<fs::path> local_dataset(const std::string& uri, const std::vector<std::string>& allow) {
  auto path = path_of(uri);
  if (!path) return failure(path.error());
  // The real path, so that a link or ".." cannot leave what is allowed.
  std::error_code ec;
  auto real = fs::weakly_canonical(path->decoded(), ec);
  if (ec) return failure(error_code::not_found, "dataset " + uri + ": " + ec.message());
  if (!allow.empty()) {
    bool allowed = false;
    for (auto& prefix : allow) {
      auto root = prefix.starts_with("file://") ? prefix.substr(7) : prefix;
      if (root.empty() || !prefix.starts_with("file://")) continue;
      while (root.size() > 1 && root.back() == '/') root.pop_back();
      auto text = real.string();
      allowed |= root == "/" || text == root || text.starts_with(root + "/");
    }
    if (!allowed)
      return failure(error_code::forbidden, "dataset " + uri + " is outside what this node may read (data.allow)");
  }
  return real;
}

result<void> check_dataset(const std::string& uri, const std::vector<std::string>& allow) {
  if (!allow.empty()) {
    auto path = local_dataset(uri, allow);
    return path ? result<void>{} : failure(path.error());
  }
  auto path = path_of(uri);
  return path ? result<void>{} : failure(path.error());
}

result<attempt_outcome> run_attempt(const attempt_request& request, std::stop_token stop,
                                    const gpu::progress_sink& progress) {
  auto began = std::chrono::steady_clock::now();
  auto* agent = agents::find_agent(request.agent);
  if (!agent) return failure(error_code::invalid_argument, "agent \"" + request.agent + "\" is unknown to this node");
  auto dataset = local_dataset(request.dataset, request.allow);
  if (!dataset) return failure(dataset.error());

  auto root = tenant_root(request.results_root, request.tenant);
  auto scratch = root / (scratch_prefix(request.job_id) + std::to_string(request.attempt));
  auto final_place = root / request.job_id;
  discard(request.results_root, request.tenant, request.job_id, request.attempt);
  std::error_code ec;
  fs::create_directories(scratch, ec);
  if (ec) return os_failure("cannot make the results folder", scratch, ec.value());

  struct cleaner {  // a failed attempt leaves nothing behind
    fs::path path;
    ~cleaner() {
      std::error_code ignored;
      if (!path.empty()) fs::remove_all(path, ignored);
    }
  } clean{scratch};

  agents::agent_input input{request.job_id, *dataset, request.dataset, request.params, scratch};
  if (agent->keeps_checkpoints()) {
    input.checkpoint_dir = checkpoint_folder(request.results_root, request.tenant, request.job_id);
    fs::create_directories(input.checkpoint_dir, ec);
    if (ec) return os_failure("cannot make the checkpoint's folder", input.checkpoint_dir, ec.value());
  }
  result<agents::agent_output> output = failure(error_code::internal, "the agent did not run");
  try {
    output = agent->run(input, stop, progress);
  } catch (const std::bad_alloc&) {
    output = failure(error_code::limit_exceeded, "agent " + request.agent + ": not enough memory");
  } catch (const std::exception& e) {
    output = failure(error_code::internal, "agent " + request.agent + ": " + e.what());
  }
  if (!output) return failure(output.error());
  auto files = seal(scratch, stop);
  if (!files) return failure(files.error());
  if (stop.stop_requested()) return failure(error_code::cancelled, "stopped before its results were published");
  fs::rename(scratch, final_place, ec);
  if (ec) return os_failure("cannot publish the results as", final_place, ec.value());
  clean.path.clear();
  if (auto s = sync_folder(root); !s) return failure(s.error());
  if (agent->keeps_checkpoints()) discard_checkpoint(request.results_root, request.tenant, request.job_id);
  std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  return attempt_outcome{std::move(*files), std::move(output->metrics), took.count()};
}

void discard(const fs::path& results_root, const std::string& tenant, const std::string& job_id, int attempts) {
  auto root = tenant_root(results_root, tenant);
  std::error_code ignored;
  fs::remove_all(root / job_id, ignored);
  for (int n = 1; n <= attempts; ++n) fs::remove_all(root / (scratch_prefix(job_id) + std::to_string(n)), ignored);
}

bool keeps_checkpoints(const std::string& agent) {
  const auto* found = agents::find_agent(agent);
  return found && found->keeps_checkpoints();
}

void discard_checkpoint(const fs::path& results_root, const std::string& tenant, const std::string& job_id) {
  std::error_code ignored;
  fs::remove_all(checkpoint_folder(results_root, tenant, job_id), ignored);
}

std::size_t sweep_results(
    const fs::path& results_root,
    const std::function<std::optional<job_status>(const std::string&, const std::string&)>& status_of) {
  const auto is_left_over = [&](const std::string& tenant, std::string_view name) {
    if (!name.starts_with(".")) {
      const auto status = status_of(tenant, std::string(name));
      return status && *status != job_status::completed;
    }
    if (name.ends_with(checkpoint_suffix)) {
      const auto status = status_of(tenant, std::string(name.substr(1, name.size() - 1 - checkpoint_suffix.size())));
      return status && (is_final(*status) || *status == job_status::none);
    }
    return name.find(".attempt-") != std::string_view::npos;
  };
  std::size_t removed = 0;
  auto sweep = [&](const fs::path& root, const std::string& tenant) {
    std::error_code ec;
    std::vector<fs::path> condemned;
    for (auto it = fs::directory_iterator(root, ec); !ec && it != fs::directory_iterator(); it.increment(ec)) {
      auto name = it->path().filename().string();
      if (name.starts_with("@") || !it->is_directory()) continue;
      if (is_left_over(tenant, name)) condemned.push_back(it->path());
    }
    for (auto& path : condemned) {
      std::error_code ignored;
      fs::remove_all(path, ignored);
      ++removed;
    }
  };
  sweep(results_root, "default");
  std::error_code ec;
  for (auto it = fs::directory_iterator(results_root, ec); !ec && it != fs::directory_iterator(); it.increment(ec))
    if (auto name = it->path().filename().string(); name.starts_with("@") && it->is_directory())
      sweep(it->path(), name.substr(1));
  return removed;
}

}  // namespace horizons::jobs
