#include "actors/observations/civil_time.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>

namespace horizons::observations {

std::string civil_date(double mjd) { return civil_time(std::floor(mjd)).substr(0, 10); }

std::string civil_time(double mjd) {
  constexpr double day_ms = 86'400'000;
  constexpr long long mjd_of_1970 = 40587;
  auto ms = static_cast<long long>(std::llround((std::clamp(mjd, -600'000.0, 2'900'000.0) - mjd_of_1970) * day_ms));
  std::chrono::sys_time<std::chrono::milliseconds> time{std::chrono::milliseconds{ms}};
  auto midnight = std::chrono::floor<std::chrono::days>(time);
  std::chrono::year_month_day date{midnight};
  auto rest = (time - midnight).count();
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%04d-%02u-%02uT%02lld:%02lld:%02lld.%03lld", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                static_cast<long long>(rest / 3'600'000), static_cast<long long>(rest / 60'000 % 60),
                static_cast<long long>(rest / 1000 % 60), static_cast<long long>(rest % 1000));
  return text.data();
}

double leap_seconds(double mjd) {
  constexpr std::array<int, 28> since = {41317, 41499, 41683, 42048, 42413, 42778, 43144, 43509, 43874, 44239,
                                         44786, 45151, 45516, 46247, 47161, 47892, 48257, 48804, 49169, 49534,
                                         50083, 50630, 51179, 53736, 54832, 56109, 57204, 57754};
  auto later = std::upper_bound(since.begin(), since.end(), mjd);
  return later == since.begin() ? 0 : 9 + static_cast<double>(later - since.begin());
}

double sidereal_degrees(double mjd) {
  double days = mjd - 51544.5, centuries = days / 36525;
  double degrees = 280.46061837 + 360.98564736629 * days + centuries * centuries * (0.000387933 - centuries / 38710000);
  degrees = std::fmod(degrees, 360);
  return degrees < 0 ? degrees + 360 : degrees;
}

}  // namespace horizons::observations
