// Between directions on the sky and direction cosines around a phase centre (SIN projection;
// Calabretta & Greisen 2002, section 5.1.5). No precession: everything is ICRS/J2000.
#pragma once

#include <cmath>
#include <numbers>

namespace horizons::imaging {

struct direction {
  double ra_rad = 0;  // 0 … 2 pi
  double dec_rad = 0;
};

struct direction_cosines {
  double l = 0;  // towards the east
  double m = 0;  // towards the north
};

/// Valid for directions less than 90 degrees from the centre.
inline direction_cosines project(const direction& d, const direction& centre) {
  const double dra = d.ra_rad - centre.ra_rad;
  return {std::cos(d.dec_rad) * std::sin(dra), std::sin(d.dec_rad) * std::cos(centre.dec_rad) -
                                                   std::cos(d.dec_rad) * std::sin(centre.dec_rad) * std::cos(dra)};
}

/// Needs l^2 + m^2 <= 1.
inline direction deproject(const direction_cosines& c, const direction& centre) {
  const double n = std::sqrt(std::fmax(0.0, 1 - c.l * c.l - c.m * c.m));
  const double sin0 = std::sin(centre.dec_rad), cos0 = std::cos(centre.dec_rad);
  double ra = centre.ra_rad + std::atan2(c.l, n * cos0 - c.m * sin0);
  ra = std::fmod(ra, 2 * std::numbers::pi);
  if (ra < 0) ra += 2 * std::numbers::pi;
  return {ra, std::asin(std::fmin(1.0, std::fmax(-1.0, c.m * cos0 + n * sin0)))};
}

/// Great-circle distance in radians (haversine: exact for small angles).
inline double separation(const direction& a, const direction& b) {
  const double sd = std::sin((a.dec_rad - b.dec_rad) / 2), sr = std::sin((a.ra_rad - b.ra_rad) / 2);
  return 2 * std::asin(std::sqrt(sd * sd + std::cos(a.dec_rad) * std::cos(b.dec_rad) * sr * sr));
}

}  // namespace horizons::imaging
