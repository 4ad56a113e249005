// Structured log lines to stderr: one event per line, human or JSON, with fields that can be searched for.
//
//   log::warn("a job waits for a device", {{"job_id", id}, {"path", self.path()}});
//
// Configure once, before other threads start. Thread safe.
#pragma once

#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>

#include "messages/result.hpp"

namespace horizons::log {

enum class level : std::uint8_t { debug, info, warn, error, off };
enum class format : std::uint8_t { human, json };

/// "debug" … "off"; the error says what would be right.
result<level> parse_level(std::string_view text);

struct field {
  std::string_view name;  // job_id, trace_id, path … ; at most 16 per line, the rest is left out
  std::string value;
};
using fields = std::initializer_list<field>;

struct options {
  log::level level = log::level::info;
  log::format format = log::format::human;
  std::function<void(std::string_view line)> sink{};  // empty: stderr
};
void configure(options o);

/// Cut off at 8 KiB: a log line is not a place for data.
void write(level l, std::string_view text, fields f = {});
inline void debug(std::string_view text, fields f = {}) { write(level::debug, text, f); }
inline void info(std::string_view text, fields f = {}) { write(level::info, text, f); }
inline void warn(std::string_view text, fields f = {}) { write(level::warn, text, f); }
inline void error(std::string_view text, fields f = {}) { write(level::error, text, f); }

}  // namespace horizons::log
