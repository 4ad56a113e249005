// The truth of a simulated observation as JSON, and how a list of found sources compares with it.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "actors/observations/simulate.hpp"
#include "messages/result.hpp"

namespace horizons::observations {

struct source_match {
  std::size_t truth = 0, found = 0;  // indices into the two lists
  double offset_arcsec = 0, offset_beams = 0;
  double flux_error = 0;  // (found - true) / true
  double flux_sigma = 0;  // |found - true| / the found source's own error, 0 where it has none
};

struct truth_comparison {
  std::size_t sources = 0;                              // of the truth
  std::vector<source_match> matches;                    // each source at most once, nearest first
  std::size_t unexpected = 0;                           // found, but no source there
  double worst_offset_beams = 0, worst_flux_error = 0;  // of the matches; the latter without sign
};

/// `found`: a GeoJSON FeatureCollection of points (ICRS degrees, longitudes of either sign) with properties flux_jy
/// and, if known, flux_error_jy. `truth`: to_json(simulation_truth). `beam_arcsec`: the restoring beam (mean of both
/// axes); 0: the truth's estimate. A match lies within two beams. Errors: unreadable, naming what is missing where.
result<truth_comparison> compare_with_truth(const nlohmann::json& found, const nlohmann::json& truth,
                                            double beam_arcsec = 0);

/// {"sources", "matched", "unexpected", "worst_offset_beams", "worst_flux_error", "matches": […]}
nlohmann::json to_json(const truth_comparison& comparison);

}  // namespace horizons::observations
