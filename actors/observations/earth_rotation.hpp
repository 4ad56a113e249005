// Baselines of a rotating Earth as u, v, w: good to seconds of arc (no nutation, polar motion or UT1-UTC), which a
// simulation is consistent with by construction. Not for real data, whose uvw come from the correlator.
#pragma once

#include <array>

#include "gpu/imaging/celestial.hpp"

namespace horizons::observations {

using vector3 = std::array<double, 3>;

/// An Earth-fixed vector in J2000 axes at a UTC date: sidereal rotation, then IAU 1976 precession.
vector3 earth_to_celestial(const vector3& v, double mjd);

/// Components of a J2000 vector along east, north and towards `centre`.
vector3 uvw_of(const vector3& v, const imaging::direction& centre);

}  // namespace horizons::observations
