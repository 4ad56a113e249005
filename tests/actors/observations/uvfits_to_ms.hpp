// casacore's own importer, as the referee of what we write and of what our two readers agree on. C++17 inside.
#pragma once

#include <string>

namespace horizons::observations {

/// Converts with casacore's MSFitsInput; empty when it went well, else what casacore said.
std::string uvfits_to_ms(const std::string& uvfits, const std::string& ms);

}  // namespace horizons::observations
