// Errors as values. A room's border returns result<T>; exceptions stay inside the room that wraps a
// throwing library.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include <tl/expected.hpp>

namespace horizons {

/// What kind of failure it is: decides the HTTP status, the exit status and whether a retry makes sense.
enum class error_code {
  invalid_argument,  // the caller's value is wrong; the text names field, value and what would be right
  not_found,         // the thing named does not exist
  conflict,          // exists with other content, or an illegal transition
  forbidden,         // not allowed for this identity
  unreadable,        // data cannot be decoded: truncated, wrong format, wrong type
  limit_exceeded,    // a declared limit was hit: size, depth, count
  unavailable,       // try again later: overloaded, not connected, not owner
  timed_out,         // no answer in time; the outcome may be unknown
  cancelled,         // the caller asked to stop
  io,                // reading or writing failed
  disk_full,         // no space left: nothing was stored
  fenced,            // a newer owner exists (stale epoch)
  internal,          // a defect of ours
};

std::string_view to_string(error_code code);

struct error {
  error_code code = error_code::internal;
  std::string text;

  friend bool operator==(const error&, const error&) = default;
};

template <class T>
using result = tl::expected<T, error>;

/// `return failure(error_code::not_found, "job x does not exist");`
inline tl::unexpected<error> failure(error_code code, std::string text) {
  return tl::unexpected<error>(error{code, std::move(text)});
}

inline tl::unexpected<error> failure(error e) { return tl::unexpected<error>(std::move(e)); }

}  // namespace horizons
