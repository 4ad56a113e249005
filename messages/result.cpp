#include "messages/result.hpp"

namespace horizons {

std::string_view to_string(error_code code) {
  switch (code) {
    case error_code::invalid_argument:
      return "invalid_argument";
    case error_code::not_found:
      return "not_found";
    case error_code::conflict:
      return "conflict";
    case error_code::forbidden:
      return "forbidden";
    case error_code::unreadable:
      return "unreadable";
    case error_code::limit_exceeded:
      return "limit_exceeded";
    case error_code::unavailable:
      return "unavailable";
    case error_code::timed_out:
      return "timed_out";
    case error_code::cancelled:
      return "cancelled";
    case error_code::io:
      return "io";
    case error_code::disk_full:
      return "disk_full";
    case error_code::fenced:
      return "fenced";
    case error_code::internal:
      return "internal";
  }
  return "unknown";  // a value that no enumerator names, made by a cast
}

}  // namespace horizons
