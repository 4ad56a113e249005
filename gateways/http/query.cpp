#include "gateways/http/query.hpp"

#include <charconv>

#include "messages/text.hpp"

namespace horizons::http {

std::string text_of(const request& r, const std::string& name) {
  const auto found = r.query.find(name);
  return found == r.query.end() ? std::string() : found->second;
}

result<std::uint64_t> number_of(const request& r, const std::string& name, std::uint64_t otherwise, std::uint64_t low,
                                std::uint64_t high) {
  const auto text = text_of(r, name);
  if (text.empty() && !r.query.contains(name)) return otherwise;
  std::uint64_t number = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (code == std::errc{} && end == text.data() + text.size() && number >= low && number <= high) return number;
  return failure(error_code::unreadable, name + ": " + quote(text) + " is not possible; expected a whole number from " +
                                             std::to_string(low) + " to " + std::to_string(high));
}

result<std::optional<timestamp>> time_of(const request& r, const std::string& name, bool is_end) {
  const auto text = text_of(r, name);
  if (!r.query.contains(name)) return std::nullopt;
  const bool is_date = text.size() == 10;
  const auto time = parse_timestamp(is_date ? text + "T00:00:00Z" : text);
  if (!time)
    return failure(error_code::unreadable,
                   name + ": " + quote(text) +
                       " is not a time; expected RFC 3339 like 2026-11-21T08:00:00Z, or a date like 2026-11-21");
  return is_date && is_end ? *time + std::chrono::days(1) : *time;
}

result<std::string> event_type_of(const request& r, const std::string& name) {
  const auto text = text_of(r, name);
  if (!r.query.contains(name)) return std::string();
  bool found = false;
  std::string all;
  for_each_event_type([&]<class T>() {
    found |= name_of<T>() == text;
    all += (all.empty() ? "" : ", ") + std::string(name_of<T>());
  });
  if (found) return text;
  return failure(error_code::unreadable, name + ": " + quote(text) + " is not a type of event; expected one of " + all);
}

}  // namespace horizons::http
