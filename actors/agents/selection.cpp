#include "actors/agents/selection.hpp"

#include <algorithm>
#include <charconv>

namespace horizons::agents {
namespace {

constexpr std::size_t ranges_max = 4096;  // more than any spectral set-up has; bounds the work on hostile input

std::vector<std::string_view> split(std::string_view text, std::string_view separators) {
  std::vector<std::string_view> parts;
  for (std::size_t start = 0; start <= text.size();) {
    const std::size_t end = std::min(text.find_first_of(separators, start), text.size());
    parts.push_back(text.substr(start, end - start));
    start = end + 1;
  }
  return parts;
}

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(' ');
  return first == text.npos ? std::string_view() : text.substr(first, text.find_last_not_of(' ') - first + 1);
}

std::optional<int> number(std::string_view text) {
  text = trimmed(text);
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

std::optional<index_range> range(std::string_view text) {
  const auto tilde = text.find('~');
  const auto first = number(text.substr(0, tilde));
  const auto last = tilde == text.npos ? first : number(text.substr(tilde + 1));
  if (!first || !last || *first > *last) return std::nullopt;
  return index_range{*first, *last};
}

/// `*` or an empty text is everything.
std::optional<index_set> index_set_of(std::string_view text, std::string_view separators) {
  index_set out;
  if (trimmed(text).empty() || trimmed(text) == "*") return out;
  for (const auto part : split(text, separators)) {
    const auto r = range(part);
    if (!r || out.ranges.size() >= ranges_max) return std::nullopt;
    out.ranges.push_back(*r);
  }
  return out;
}

/// Numbers and lists of numbers as the same text.
std::optional<std::string> as_text(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_integer()) return value.dump();
  if (!value.is_array() || value.empty()) return std::nullopt;
  std::string text;
  for (const auto& item : value) {
    if (!item.is_number_integer()) return std::nullopt;
    text += (text.empty() ? "" : ",") + item.dump();
  }
  return text;
}

tl::unexpected<error> wrong(std::string_view name, const json& value, std::string_view right) {
  std::string shown = value.dump(-1, ' ', false, json::error_handler_t::replace);
  if (shown.size() > 80) shown.resize(80);
  return failure(error_code::invalid_argument,
                 "params." + std::string(name) + " = " + shown + "; expected " + std::string(right));
}

}  // namespace

bool index_set::contains(int i) const {
  return ranges.empty() ||
         std::any_of(ranges.begin(), ranges.end(), [&](auto& r) { return r.first <= i && i <= r.last; });
}

bool spw_selection::contains(int spw, int channel) const {
  return choices.empty() || std::any_of(choices.begin(), choices.end(), [&](auto& c) {
           return c.windows.contains(spw) && c.channels.contains(channel);
         });
}

bool spw_selection::names(int spw) const {
  return choices.empty() ||
         std::any_of(choices.begin(), choices.end(), [&](auto& c) { return c.windows.contains(spw); });
}

result<spw_selection> parse_spw(std::string_view name, const json& value) {
  constexpr auto right =
      "spectral windows from 0 with optional channels, like 0 or \"0,2\" or \"0~3\" or \"0:3~10;12,1:5\"";
  const auto text = as_text(value);
  if (!text) return wrong(name, value, right);
  spw_selection out;
  if (trimmed(*text).empty() || trimmed(*text) == "*") return out;
  for (const auto part : split(*text, ",")) {
    const auto colon = part.find(':');
    const auto windows = index_set_of(part.substr(0, colon), ";");
    const auto channels = colon == part.npos ? std::optional(index_set{}) : index_set_of(part.substr(colon + 1), ";");
    const bool empty =
        trimmed(part.substr(0, colon)).empty() || (colon != part.npos && trimmed(part.substr(colon + 1)).empty());
    if (empty || !windows || !channels || out.choices.size() >= ranges_max) return wrong(name, value, right);
    out.choices.push_back({*windows, *channels});
  }
  return out;
}

result<index_set> parse_indices(std::string_view name, const json& value) {
  const auto text = as_text(value);
  const auto set = text ? index_set_of(*text, ",;") : std::nullopt;
  if (!set) return wrong(name, value, "channel numbers from 0, like 5 or \"3~10,12\"");
  return *set;
}

}  // namespace horizons::agents
