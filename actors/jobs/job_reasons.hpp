// The texts of a job's reasons that both its decisions write and its fold understands.
#pragma once

#include <string>
#include <string_view>

namespace horizons::jobs {

// They say what a job.queued after RUNNING counts as.
inline constexpr std::string_view interrupted = "interrupted";
inline constexpr std::string_view crashed = "crashed";

/// "paused by ada: the disk is full"; who and why may be empty.
inline std::string with_reason(std::string_view what, const std::string& by, const std::string& reason) {
  std::string text = std::string(what) + (by.empty() ? "" : " by " + by);
  return reason.empty() ? text : text + ": " + reason;
}

}  // namespace horizons::jobs
