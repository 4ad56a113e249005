#include "runtime/journal/owner_lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "messages/codec/json.hpp"
#include "runtime/journal/admission.hpp"

namespace horizons::journal {

namespace {

constexpr std::size_t owner_bytes_max = 4096;

owner_info read_owner(int descriptor) {
  std::string text(owner_bytes_max, '\0');
  const auto count = ::pread(descriptor, text.data(), text.size(), 0);
  text.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
  owner_info owner;
  const auto parsed = parse_json(text);
  if (!parsed || !parsed->is_object()) return owner;  // its owner is just writing it: refused all the same
  const auto field = [&](const char* name) {
    const auto at = parsed->find(name);
    return at != parsed->end() && at->is_string() ? at->get<std::string>() : std::string();
  };
  owner.node = field("node");
  owner.host = field("host");
  if (auto since = parse_timestamp(field("since"))) owner.since = *since;
  return owner;
}

/// Only for people and the refusal's text; the lock itself is the kernel's. So a full disk does not matter here.
bool write_owner(int descriptor, const owner_info& me) {
  const std::string text =
      json_text(json{{"node", me.node}, {"host", me.host}, {"pid", ::getpid()}, {"since", to_string(me.since)}}) + "\n";
  return ::ftruncate(descriptor, 0) == 0 && ::pwrite(descriptor, text.data(), text.size(), 0) > 0;
}

}  // namespace

owner_lock::owner_lock(owner_lock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}

owner_lock& owner_lock::operator=(owner_lock&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

owner_lock::~owner_lock() {
  if (descriptor_ >= 0) ::close(descriptor_);  // the file stays: removing it would let two owners lock two files
}

result<owner_lock> owner_lock::take(const std::string& path, const owner_info& me) {
  owner_lock lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (lock.descriptor_ < 0) return failure(error_code::io, "cannot open " + path + ": " + std::strerror(errno));
  if (::flock(lock.descriptor_, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return failure(in_use_error(read_owner(lock.descriptor_)));
    return failure(error_code::io, "cannot lock " + path + ": " + std::strerror(errno));
  }
  write_owner(lock.descriptor_, me);
  return lock;
}

}  // namespace horizons::journal
