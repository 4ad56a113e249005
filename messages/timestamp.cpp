#include "messages/timestamp.hpp"

#include "messages/text.hpp"

namespace horizons {

namespace {

/// Reads exactly `count` digits at `text[at]`; -1 when they are not there.
int digits(std::string_view text, std::size_t at, std::size_t count) {
  if (at + count > text.size()) return -1;
  int value = 0;
  for (std::size_t i = at; i < at + count; ++i) {
    if (text[i] < '0' || text[i] > '9') return -1;
    value = value * 10 + (text[i] - '0');
  }
  return value;
}

char* put(char* p, unsigned value, int width) {
  for (int i = width - 1; i >= 0; --i, value /= 10) p[i] = static_cast<char>('0' + value % 10);
  return p + width;
}

tl::unexpected<error> refused(std::string_view text, const char* reason) {
  return failure(error_code::invalid_argument,
                 quote(text) + " is not a time: " + reason + R"(; expected RFC 3339 like "2026-11-21T08:15:30.123Z")");
}

}  // namespace

timestamp_text text_of(timestamp t) {
  using namespace std::chrono;
  const auto day = floor<days>(t);
  const year_month_day date{day};
  const auto ms = static_cast<unsigned>((t - day).count());
  timestamp_text text;
  char* p = put(text.data(), static_cast<unsigned>(static_cast<int>(date.year())), 4);
  *p++ = '-';
  p = put(p, static_cast<unsigned>(date.month()), 2);
  *p++ = '-';
  p = put(p, static_cast<unsigned>(date.day()), 2);
  *p++ = 'T';
  p = put(p, ms / 3'600'000, 2);
  *p++ = ':';
  p = put(p, ms / 60'000 % 60, 2);
  *p++ = ':';
  p = put(p, ms / 1000 % 60, 2);
  *p++ = '.';
  p = put(p, ms % 1000, 3);
  *p = 'Z';
  return text;
}

std::string to_string(timestamp t) {
  const auto text = text_of(t);
  return {text.data(), text.size()};
}

result<timestamp> parse_timestamp(std::string_view text) {
  using namespace std::chrono;
  const int y = digits(text, 0, 4), mo = digits(text, 5, 2), d = digits(text, 8, 2);
  const int h = digits(text, 11, 2), mi = digits(text, 14, 2), s = digits(text, 17, 2);
  if (y < 0 || mo < 0 || d < 0 || h < 0 || mi < 0 || s < 0 || text[4] != '-' || text[7] != '-' ||
      (text[10] != 'T' && text[10] != 't') || text[13] != ':' || text[16] != ':')
    return refused(text, "not of the form date, T, time, zone");
  const year_month_day date{year{y}, month{static_cast<unsigned>(mo)}, day{static_cast<unsigned>(d)}};
  if (!date.ok()) return refused(text, "no such day");
  if (h > 23 || mi > 59 || s > 60) return refused(text, "no such time of day");

  std::size_t at = 19;
  int ms = 0;
  if (at < text.size() && text[at] == '.') {
    const std::size_t first = ++at;
    for (int scale = 100; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at, scale /= 10)
      ms += scale * (text[at] - '0');
    if (at == first) return refused(text, "no digits after the point");
  }

  if (at == text.size()) return refused(text, "the zone is missing");
  minutes offset{0};
  if (text[at] == 'Z' || text[at] == 'z') {
    ++at;
  } else if (text[at] == '+' || text[at] == '-') {
    const int oh = digits(text, at + 1, 2), om = digits(text, at + 4, 2);
    if (oh < 0 || om < 0 || text[at + 3] != ':' || oh > 23 || om > 59) return refused(text, "the zone is wrong");
    offset = (text[at] == '-' ? -1 : 1) * minutes{oh * 60 + om};
    at += 6;
  } else {
    return refused(text, "the zone is wrong");
  }
  if (at != text.size()) return refused(text, "something follows the zone");

  const timestamp t = sys_days{date} + hours{h} + minutes{mi} + seconds{s} + milliseconds{ms} - offset;
  // A leap second exists only at the end of a UTC day; it becomes the second that follows.
  if (s == 60 && floor<seconds>(t) != floor<days>(t)) return refused(text, "no such time of day");
  if (t < timestamp{} || t >= sys_days{year{10'000} / 1 / 1}) return refused(text, "outside the years 1970 to 9999");
  return t;
}

}  // namespace horizons
