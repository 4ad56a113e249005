// From an observation to what is imaged: one field, the chosen channels, one Stokes parameter.
#pragma once

#include <stop_token>
#include <string>
#include <vector>

#include "actors/agents/imaging_parameters.hpp"
#include "gpu/imaging/imager.hpp"
#include "gpu/imaging/visibilities.hpp"
#include "messages/result.hpp"

namespace horizons::agents {

struct stokes_selection {
  std::vector<imaging::stokes_block> blocks;  // only rows and channels with something unflagged in them
  std::string stokes;                         // "I"
  std::size_t field = 0;                      // index into observation::fields
  imaging_extent extent;
  double frequency_low_hz = 0, frequency_high_hz = 0;  // band edges
  double start_mjd_s = 0, end_mjd_s = 0;
  std::size_t samples = 0;  // unflagged
};

/// Forms I = (RR + LL)/2 = (XX + YY)/2, Q = (RL + LR)/2 = (XX - YY)/2, U = (RL - LR)/2i = (XY + YX)/2, V = (RR - LL)/2
/// = (XY - YX)/2i, or takes a correlation as it is. Both parts must be unflagged; the weight is 4 ab/(a + b), that of
/// the mean. For linear feeds the parallactic angle must have been corrected. Autocorrelations are left out.
/// Fails with invalid_argument naming field, spw, channels or stokes and what the data hold, or with cancelled.
result<stokes_selection> select_stokes(const imaging::observation& o, const imaging_parameters& p,
                                       const std::stop_token& stop = {});

}  // namespace horizons::agents
