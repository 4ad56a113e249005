#include "runtime/shutdown/crash_marker.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>

namespace horizons::shutdown {

namespace {
constexpr std::uint64_t magic = 0x31304b52414d5a48;  // "HZMARK01"
constexpr std::array fatal{SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};

struct slot_record {
  std::atomic<std::uint32_t> in_use;  // written last when set, first when cleared
  std::uint32_t attempt;
  char job_id[crash_marker::job_id_bytes_max + 4];  // ends with a zero
};
}  // namespace

struct crash_marker::layout {
  std::uint64_t magic;
  std::atomic<std::int32_t> signal;
  std::atomic<std::int32_t> closed;
  slot_record slots[slots_max];
};

namespace {
std::atomic<std::atomic<std::int32_t>*> signal_field{nullptr};  // what the handler writes
static_assert(std::atomic<std::int32_t>::is_always_lock_free);

extern "C" void record_and_die(int signo) {
  // A store into mapped memory is all: the kernel keeps the page when the process is gone.
  if (auto* field = signal_field.load(std::memory_order_relaxed)) {
    std::int32_t none = 0;
    field->compare_exchange_strong(none, signo);  // the first one counts
  }
  ::signal(signo, SIG_DFL);
  ::raise(signo);
}
}  // namespace

result<std::unique_ptr<crash_marker>> crash_marker::open(const std::string& path) {
  auto refuse = [&](const char* what) {
    return failure(error_code::io, std::string("crash marker ") + path + ": " + what + ": " + std::strerror(errno));
  };
  int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
  if (fd < 0) return refuse("cannot open");
  struct stat st {};
  bool old = ::fstat(fd, &st) == 0 && st.st_size == sizeof(layout);
  if (::ftruncate(fd, sizeof(layout)) != 0) {
    ::close(fd);
    return refuse("cannot size");
  }
  // Blocks must exist: a full disk would otherwise turn a later store into SIGBUS.
  if (auto e = ::posix_fallocate(fd, 0, sizeof(layout)); e != 0) {
    ::close(fd);
    errno = e;
    return refuse("cannot reserve");
  }
  void* memory = ::mmap(nullptr, sizeof(layout), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ::close(fd);
  if (memory == MAP_FAILED) return refuse("cannot map");

  auto* l = static_cast<layout*>(memory);
  previous_run before;
  if (old && l->magic == magic) {
    before.exists = true;
    before.closed = l->closed.load() == 1;
    before.signal = l->signal.load();
    for (std::uint32_t i = 0; i < slots_max; ++i) {
      auto& s = l->slots[i];
      if (s.in_use.load(std::memory_order_acquire) != 1) continue;
      before.jobs.push_back({i, std::string(s.job_id, ::strnlen(s.job_id, sizeof s.job_id)), s.attempt});
    }
  }
  std::memset(memory, 0, sizeof(layout));
  l->magic = magic;
  return std::unique_ptr<crash_marker>(new crash_marker(l, std::move(before)));
}

crash_marker::~crash_marker() {
  if (installed_) {
    for (int s : fatal) ::signal(s, SIG_DFL);
    signal_field.store(nullptr);
  }
  layout_->closed.store(1);
  ::munmap(layout_, sizeof(layout));
}

bool crash_marker::set_running(std::uint32_t slot, std::string_view job_id, std::uint32_t attempt) {
  if (slot >= slots_max) return false;
  auto& s = layout_->slots[slot];
  s.in_use.store(0, std::memory_order_release);
  auto n = std::min(job_id.size(), job_id_bytes_max);
  std::memcpy(s.job_id, job_id.data(), n);
  s.job_id[n] = 0;
  s.attempt = attempt;
  s.in_use.store(1, std::memory_order_release);
  return true;
}

void crash_marker::clear(std::uint32_t slot) {
  if (slot < slots_max) layout_->slots[slot].in_use.store(0, std::memory_order_release);
}

void crash_marker::install_handlers() {
  static std::array<char, 64 * 1024> stack;  // a stack overflow leaves no room on its own
  stack_t alternative{};
  alternative.ss_sp = stack.data();
  alternative.ss_size = stack.size();
  ::sigaltstack(&alternative, nullptr);
  signal_field.store(&layout_->signal);
  installed_ = true;
  struct sigaction action {};
  action.sa_handler = record_and_die;
  action.sa_flags = SA_ONSTACK | SA_NODEFER;
  sigemptyset(&action.sa_mask);
  for (int s : fatal) ::sigaction(s, &action, nullptr);
}

}  // namespace horizons::shutdown
