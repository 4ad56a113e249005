#include "actors/observations/fits_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <system_error>

namespace horizons::observations {

namespace {

bool means_full(int number) { return number == ENOSPC || number == EDQUOT || number == EFBIG; }

tl::unexpected<error> write_failure(const std::filesystem::path& path, int number, const std::string& words) {
  std::string text = path.string() + ": cannot write: " + words;
  if (number != 0) text += " (" + std::system_category().message(number) + ")";
  return failure(means_full(number) ? error_code::disk_full : error_code::io, text);
}

std::filesystem::path temporary_beside(const std::filesystem::path& path) {
  static std::atomic<unsigned> count{0};
  auto name = "." + path.filename().string() + "." + std::to_string(::getpid()) + "." + std::to_string(++count);
  return path.parent_path() / name;
}

bool sync_path(const std::filesystem::path& path, int flags) {
  int descriptor = ::open(path.c_str(), flags | O_CLOEXEC);
  if (descriptor < 0) return false;
  bool good = ::fsync(descriptor) == 0;
  int kept = errno;
  ::close(descriptor);
  errno = kept;
  return good;
}

// The order that survives a power cut: content on disk, then the name, then the folder that holds the name.
result<void> publish(const std::filesystem::path& temporary, const std::filesystem::path& path) {
  if (!sync_path(temporary, O_RDONLY)) return write_failure(path, errno, "fsync");
  std::error_code renamed;
  std::filesystem::rename(temporary, path, renamed);
  if (renamed) return write_failure(path, renamed.value(), "rename");
  auto folder = path.parent_path().empty() ? std::filesystem::path(".") : path.parent_path();
  if (!sync_path(folder, O_RDONLY | O_DIRECTORY)) return write_failure(path, errno, "fsync of the folder");
  return {};
}

}  // namespace

void fits_closer::operator()(fitsfile* file) const {
  int status = 0;
  fits_close_file(file, &status);
  fits_clear_errmsg();
}

std::string fits_words(int status) {
  std::array<char, FLEN_STATUS> words{};
  fits_get_errstatus(status, words.data());
  std::string text = words.data();
  std::array<char, FLEN_ERRMSG> message{};
  std::string last;
  while (fits_read_errmsg(message.data()) != 0) last = message.data();
  if (!last.empty()) text += ": " + last;
  return text;
}

result<fits_handle> open_fits(const std::filesystem::path& path) {
  std::error_code bad;
  auto kind = std::filesystem::status(path, bad);
  if (!std::filesystem::exists(kind)) return failure(error_code::not_found, path.string() + ": no such file");
  if (!std::filesystem::is_regular_file(kind))
    return failure(error_code::unreadable, path.string() + ": is not a file");
  auto size = std::filesystem::file_size(path, bad);
  if (bad) return failure(error_code::io, path.string() + ": " + bad.message());
  if (size == 0) return failure(error_code::unreadable, path.string() + ": is empty (0 bytes)");
  std::array<char, 9> start{};
  std::ifstream stream(path, std::ios::binary);
  if (!stream) return failure(error_code::io, path.string() + ": cannot be opened for reading");
  stream.read(start.data(), start.size());
  if (start[0] == '\x1f' && start[1] == '\x8b')
    return failure(error_code::unreadable, path.string() + ": is compressed with gzip; unpack it first");
  if (std::memcmp(start.data(), "SIMPLE  =", start.size()) != 0)
    return failure(error_code::unreadable, path.string() + ": is not FITS (does not start with 'SIMPLE  =')");
  if (size < 2880)
    return failure(error_code::unreadable, path.string() + ": truncated: " + std::to_string(size) +
                                               " bytes, the header alone has at least 2880");
  int status = 0;
  fitsfile* file = nullptr;
  fits_open_diskfile(&file, path.c_str(), READONLY, &status);
  if (status != 0)
    return failure(error_code::unreadable, path.string() + ": cannot be read as FITS: " + fits_words(status));
  return fits_handle(file);
}

std::optional<double> header_number(fitsfile* file, const std::string& key) {
  int status = 0;
  double number = 0;
  fits_read_key(file, TDOUBLE, key.c_str(), &number, nullptr, &status);
  if (status == 0) return number;
  fits_clear_errmsg();
  return std::nullopt;
}

std::string header_text(fitsfile* file, const std::string& key) {
  int status = 0;
  std::array<char, FLEN_VALUE> text{};
  fits_read_key(file, TSTRING, key.c_str(), text.data(), nullptr, &status);
  if (status != 0) {
    fits_clear_errmsg();
    return {};
  }
  std::string value = text.data();
  value.erase(value.find_last_not_of(' ') + 1);
  return value;
}

fits_output::fits_output(std::filesystem::path path, std::filesystem::path temporary, fits_handle file)
    : path_(std::move(path)), temporary_(std::move(temporary)), file_(std::move(file)) {}

result<fits_output> fits_output::create(const std::filesystem::path& path) {
  auto temporary = temporary_beside(path);
  int status = 0;
  fitsfile* file = nullptr;
  errno = 0;
  fits_create_diskfile(&file, temporary.c_str(), &status);
  if (status != 0) return write_failure(path, errno, fits_words(status));
  return fits_output(path, temporary, fits_handle(file));
}

fits_output::~fits_output() {
  if (temporary_.empty()) return;
  file_.reset();
  std::error_code ignored;
  std::filesystem::remove(temporary_, ignored);
}

result<void> fits_output::check(int status) const {
  if (status == 0) return {};
  int number = errno;
  return write_failure(path_, number, fits_words(status));
}

void fits_output::flush() const {
  int status = 0;
  fits_flush_buffer(file_.get(), 0, &status);
  (void)sync_path(temporary_, O_RDONLY);
  errno = 0;  // what went wrong shows again at the next write, or in the commit
}

result<void> fits_output::commit() {
  int status = 0;
  errno = 0;
  fits_close_file(file_.release(), &status);
  if (status != 0) return check(status);
  auto published = publish(temporary_, path_);
  if (published) temporary_.clear();
  return published;
}

int write_key(fitsfile* file, const char* key, const std::string& text, int* status) {
  std::string printable;
  for (char c : text.substr(0, 68)) printable += (c >= ' ' && c <= '~') ? c : '?';
  return fits_update_key(file, TSTRING, key, printable.data(), nullptr, status);
}

int write_key(fitsfile* file, const char* key, double number, int* status) {
  return fits_update_key(file, TDOUBLE, key, &number, nullptr, status);
}

result<void> write_text_file(const std::filesystem::path& path, const std::string& text) {
  auto temporary = temporary_beside(path);
  {
    std::ofstream stream(temporary, std::ios::binary);
    errno = 0;
    stream << text;
    stream.close();
    if (!stream) {
      int number = errno;
      std::error_code ignored;
      std::filesystem::remove(temporary, ignored);
      return write_failure(path, number, "writing " + std::to_string(text.size()) + " bytes");
    }
  }
  return publish(temporary, path);
}

}  // namespace horizons::observations
