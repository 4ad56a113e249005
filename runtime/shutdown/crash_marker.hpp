// Remembers, in a small mapped file, which jobs run on which device, and by which signal the process died. The next
// start reads it: a start that took the process down itself (SIGSEGV, SIGABRT …) is charged to its job; one lost to
// SIGKILL or power is an interruption. Not for SIGTERM and SIGINT: see signals.hpp.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "messages/result.hpp"

namespace horizons::shutdown {

struct running_job {
  std::uint32_t slot = 0;
  std::string job_id;
  std::uint32_t attempt = 0;
  friend bool operator==(const running_job&, const running_job&) = default;
};

/// How the last process that used the file ended.
struct previous_run {
  bool exists = false;  // the file was there and readable
  bool closed = false;  // it ended in order
  int signal = 0;       // the fatal signal it caught; 0: none (SIGKILL and power leave no trace)
  std::vector<running_job> jobs;
};

class crash_marker {
public:
  static constexpr std::uint32_t slots_max = 64;        // devices of one node
  static constexpr std::size_t job_id_bytes_max = 100;  // longer ids are cut off

  /// Reads what the last process left, then begins anew. A damaged file counts as absent.
  static result<std::unique_ptr<crash_marker>> open(const std::string& path);
  ~crash_marker();  // closes in order
  crash_marker(const crash_marker&) = delete;

  const previous_run& read_previous() const { return previous_; }

  /// Thread safe for different slots; no system call. False when the slot is out of range.
  bool set_running(std::uint32_t slot, std::string_view job_id, std::uint32_t attempt);
  void clear(std::uint32_t slot);

  /// Catches SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT for the whole process: records the signal, then lets the
  /// default action follow. One marker at a time. Runs on a stack of its own in the thread that calls this.
  void install_handlers();

private:
  struct layout;
  crash_marker(layout* l, previous_run p) : layout_(l), previous_(std::move(p)) {}
  layout* layout_;
  previous_run previous_;
  bool installed_ = false;
};

}  // namespace horizons::shutdown
