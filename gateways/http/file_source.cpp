#include "gateways/http/file_source.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>

namespace horizons::http {
namespace {

constexpr std::uint64_t piece_bytes = 256 * 1024;  // few system calls, little memory per reader

class file_part : public body_source {
public:
  file_part(int fd, std::uint64_t first, std::uint64_t count) : fd_(fd), at_(first), left_(count), count_(count) {}
  ~file_part() override { ::close(fd_); }
  file_part(const file_part&) = delete;

  void next(std::function<void(result<std::string>)> then) override {
    std::string piece(std::min(left_, piece_bytes), '\0');
    std::size_t filled = 0;
    while (filled < piece.size()) {
      const auto got = ::pread(fd_, piece.data() + filled, piece.size() - filled, static_cast<off_t>(at_ + filled));
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return then(failure(error_code::io, got == 0 ? "the file became shorter" : std::strerror(errno)));
      filled += static_cast<std::size_t>(got);
    }
    at_ += filled;
    left_ -= filled;
    then(std::move(piece));
  }

  std::optional<std::uint64_t> size() const override { return count_; }

private:
  int fd_;
  std::uint64_t at_, left_, count_;
};

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || code != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

result<std::shared_ptr<body_source>> open_file(const std::filesystem::path& path, std::uint64_t size,
                                               std::uint64_t first, std::uint64_t count) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return failure(errno == ENOENT ? error_code::not_found : error_code::io,
                   path.filename().string() + " cannot be read: " + std::strerror(errno));
  struct stat info {};
  if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode) || static_cast<std::uint64_t>(info.st_size) != size) {
    ::close(fd);
    return failure(error_code::io,
                   path.filename().string() + " is not the file that was recorded: it has another size");
  }
  return std::make_shared<file_part>(fd, first, count);
}

byte_range parse_range(std::string_view header, std::uint64_t size) {
  if (!header.starts_with("bytes=") || header.find(',') != header.npos) return {};
  header.remove_prefix(6);
  const auto dash = header.find('-');
  if (dash == header.npos) return {};
  const auto first = number(header.substr(0, dash)), last = number(header.substr(dash + 1));
  if (dash == 0) {  // the last n bytes
    if (!last) return {};
    const auto count = std::min(*last, size);
    return {count == 0 ? byte_range::impossible : byte_range::part, size - count, count};
  }
  if (!first || (!last && dash + 1 != header.size()) || (last && *last < *first)) return {};
  if (*first >= size) return {byte_range::impossible, 0, 0};
  return {byte_range::part, *first, std::min(last.value_or(size - 1), size - 1) - *first + 1};
}

}  // namespace horizons::http
