#include "actors/agents/checkpoint.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "actors/agents/sha256.hpp"

namespace horizons::agents {

namespace {

namespace fs = std::filesystem;

tl::unexpected<error> os_failure(const std::string& what, const fs::path& path) {
  const int code = errno;
  return failure(code == ENOSPC || code == EDQUOT ? error_code::disk_full : error_code::io,
                 what + " " + path.string() + ": " + std::strerror(code));
}

struct descriptor {
  int fd = -1;
  ~descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

fs::path file_in(const fs::path& folder) { return folder / "checkpoint"; }

}  // namespace

checkpoint::checkpoint(fs::path folder, std::string key) : folder_(std::move(folder)), key_(std::move(key)) {}

result<void> checkpoint::save(const json& head, std::span<const std::span<const std::byte>> parts) const {
  if (folder_.empty()) return {};
  std::string data;
  for (const auto part : parts) data.append(reinterpret_cast<const char*>(part.data()), part.size());
  const json first_line = {{"key", key_}, {"head", head}, {"size", data.size()}, {"sha256", sha256_of_text(data)}};

  const fs::path fresh = folder_ / "checkpoint.new";
  {
    const descriptor file{::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)};
    if (file.fd < 0) return os_failure("cannot make", fresh);
    if (!write_all(file.fd, first_line.dump() + '\n') || !write_all(file.fd, data) || ::fsync(file.fd) != 0)
      return os_failure("cannot write", fresh);
  }
  if (::rename(fresh.c_str(), file_in(folder_).c_str()) != 0) return os_failure("cannot put in place", fresh);
  const descriptor folder{::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (folder.fd < 0 || ::fsync(folder.fd) != 0) return os_failure("cannot sync", folder_);
  return {};
}

std::optional<checkpoint::content> checkpoint::load() const {
  if (folder_.empty()) return {};
  std::ifstream file(file_in(folder_), std::ios::binary);
  std::string line;
  if (!std::getline(file, line)) return {};
  const auto first = json::parse(line, nullptr, false);
  if (!first.is_object() || first.value("key", "") != key_ || !first.contains("head")) return {};
  content found{first["head"], std::string(std::istreambuf_iterator<char>(file), {})};
  if (found.data.size() != first.value("size", std::size_t{0}) ||
      sha256_of_text(found.data) != first.value("sha256", ""))
    return {};
  return found;
}

}  // namespace horizons::agents
