#include "actors/observations/earth_rotation.hpp"

#include <cmath>
#include <numbers>

#include "actors/observations/civil_time.hpp"

namespace horizons::observations {

namespace {

constexpr double degree = std::numbers::pi / 180;

vector3 about_z(const vector3& v, double angle) {
  const double c = std::cos(angle), s = std::sin(angle);
  return {c * v[0] - s * v[1], s * v[0] + c * v[1], v[2]};
}

vector3 about_y(const vector3& v, double angle) {
  const double c = std::cos(angle), s = std::sin(angle);
  return {c * v[0] + s * v[2], v[1], c * v[2] - s * v[0]};
}

}  // namespace

vector3 earth_to_celestial(const vector3& v, double mjd) {
  auto of_date = about_z(v, sidereal_degrees(mjd) * degree);
  // Lieske et al. 1977: J2000 to date is Rz(-z) Ry(theta) Rz(-zeta) in frame rotations; here its inverse, turning the
  // vector.
  const double t = (mjd - 51544.5) / 36525, arcsec = degree / 3600;
  const double zeta = (2306.2181 * t + 0.30188 * t * t) * arcsec, z = (2306.2181 * t + 1.09468 * t * t) * arcsec;
  const double theta = (2004.3109 * t - 0.42665 * t * t) * arcsec;
  return about_z(about_y(about_z(of_date, -z), theta), -zeta);
}

vector3 uvw_of(const vector3& v, const imaging::direction& centre) {
  const double sa = std::sin(centre.ra_rad), ca = std::cos(centre.ra_rad), sd = std::sin(centre.dec_rad),
               cd = std::cos(centre.dec_rad);
  return {-sa * v[0] + ca * v[1], -sd * ca * v[0] - sd * sa * v[1] + cd * v[2],
          cd * ca * v[0] + cd * sa * v[1] + sd * v[2]};
}

}  // namespace horizons::observations
