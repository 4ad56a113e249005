// Reads an observation from disk: UVFITS random groups (cfitsio) or a CASA Measurement Set (casacore).
#pragma once

#include <filesystem>
#include <stop_token>

#include "gpu/imaging/visibilities.hpp"
#include "gpu/progress.hpp"
#include "messages/result.hpp"

namespace horizons::observations {

struct read_options {
  std::size_t memory_max_bytes = std::size_t{16} << 30;
};

/// A folder with table.dat is a Measurement Set (DATA, else CORRECTED_DATA when present is preferred; FLAG, FLAG_ROW,
/// WEIGHT or WEIGHT_SPECTRUM applied), a file is UVFITS. Errors name path and what is wrong:
/// missing, empty, truncated, not UVFITS, a needed PTYPE or table missing, no unflagged visibility.
result<imaging::observation> read_observation(const std::filesystem::path& path, const read_options& options = {},
                                              std::stop_token stop = {}, const gpu::progress_sink& progress = {});

}  // namespace horizons::observations
