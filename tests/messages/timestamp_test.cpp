#include "messages/timestamp.hpp"

#include <gtest/gtest.h>

#include <random>

namespace horizons {
namespace {

timestamp at(std::int64_t ms) { return timestamp{std::chrono::milliseconds{ms}}; }

TEST(timestamp, is_written_in_utc_with_milliseconds) {
  EXPECT_EQ(to_string(at(0)), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(to_string(at(1'795'248'930'123)), "2026-11-21T08:15:30.123Z");
  EXPECT_EQ(to_string(at(253'402'300'799'999)), "9999-12-31T23:59:59.999Z");
}

TEST(timestamp, reads_zones_and_cuts_fractions) {
  const struct {
    const char* text;
    std::int64_t ms;
  } table[] = {
      {"2026-11-21T08:15:30.123Z", 1'795'248'930'123},
      {"2026-11-21t08:15:30.123z", 1'795'248'930'123},
      {"2026-11-21T09:15:30.123+01:00", 1'795'248'930'123},
      {"2026-11-20T22:45:30.123-09:30", 1'795'248'930'123},
      {"2026-11-21T08:15:30.1239999999Z", 1'795'248'930'123},
      {"2026-11-21T08:15:30.1Z", 1'795'248'930'100},
      {"2026-11-21T08:15:30Z", 1'795'248'930'000},
      {"1970-01-01T00:00:00-00:00", 0},
      {"2024-02-29T00:00:00Z", 1'709'164'800'000},
      {"2016-12-31T23:59:60Z", 1'483'228'800'000},
      {"2017-01-01T00:59:60+01:00", 1'483'228'800'000},
  };
  for (const auto& [text, ms] : table) {
    const auto read = parse_timestamp(text);
    ASSERT_TRUE(read) << text << ": " << read.error().text;
    EXPECT_EQ(read->time_since_epoch().count(), ms) << text;
  }
}

TEST(timestamp, refuses_what_is_not_rfc_3339) {
  const struct {
    const char* text;
    const char* reason;
  } table[] = {
      {"", "form"},
      {"yesterday", "form"},
      {"2026-11-21", "form"},
      {"2026-11-21 08:15:30Z", "form"},
      {"2026-11-21T08:15Z", "form"},
      {"26-11-21T08:15:30Z", "form"},
      {"2026-11-21T08:15:30", "zone is missing"},
      {"2026-11-21T08:15:30.", "no digits"},
      {"2026-11-21T08:15:30.Z", "no digits"},
      {"2026-11-21T08:15:30+0100", "zone is wrong"},
      {"2026-11-21T08:15:30+24:00", "zone is wrong"},
      {"2026-11-21T08:15:30 Z", "zone is wrong"},
      {"2026-11-21T08:15:30+01", "zone is wrong"},
      {"2026-11-21T08:15:30Zx", "follows the zone"},
      {"2026-02-29T08:15:30Z", "no such day"},
      {"2026-13-01T08:15:30Z", "no such day"},
      {"2026-11-00T08:15:30Z", "no such day"},
      {"2026-11-21T24:00:00Z", "no such time"},
      {"2026-11-21T08:60:00Z", "no such time"},
      {"2026-11-21T08:15:60Z", "no such time"},
      {"1969-12-31T23:59:59Z", "1970 to 9999"},
      {"1970-01-01T00:00:00+00:01", "1970 to 9999"},
      {"9999-12-31T23:59:59-00:01", "1970 to 9999"},
  };
  for (const auto& [text, reason] : table) {
    const auto read = parse_timestamp(text);
    ASSERT_FALSE(read) << text;
    EXPECT_NE(read.error().text.find(reason), std::string::npos) << read.error().text;
    EXPECT_EQ(read.error().code, error_code::invalid_argument);
  }
}

TEST(timestamp, every_time_reads_back) {
  std::mt19937_64 generator{7};
  for (int i = 0; i < 20'000; ++i) {
    const timestamp t = at(static_cast<std::int64_t>(generator() % 253'402'300'800'000));
    const auto read = parse_timestamp(to_string(t));
    ASSERT_TRUE(read) << read.error().text;
    ASSERT_EQ(*read, t) << to_string(t);
  }
}

}  // namespace
}  // namespace horizons
