// Dates and Earth rotation at the precision that headers and simulated observations need (seconds of arc). Not a
// replacement for IERS data.
#pragma once

#include <string>

namespace horizons::observations {

/// "2001-02-25" for a Modified Julian Date.
std::string civil_date(double mjd);

/// "2001-02-25T08:15:30.123", the form of DATE-OBS.
std::string civil_time(double mjd);

/// TAI - UTC in seconds at a UTC date (IERS Bulletin C, from 1972 to 2017, the last leap second so far).
double leap_seconds(double mjd);

/// Greenwich mean sidereal time in degrees, 0…360, taking UT1 for UTC (IAU 1982).
double sidereal_degrees(double mjd);

}  // namespace horizons::observations
