// The AIPS tables beside random groups: antennas (AN), frequencies (FQ, or the older CH), sources (SU).
// AIPS Memo 117 is the description. Reads tables only; the visibilities are read in uvfits_reader.cpp.
#pragma once

#include <map>
#include <utility>
#include <vector>

#include "actors/observations/fits_file.hpp"
#include "gpu/imaging/visibilities.hpp"

namespace horizons::observations {

/// One row of FQ (all IFs of one FREQSEL), or all rows of CH.
struct frequency_setup {
  std::vector<double> offset_hz;  // [IFs] from the header's reference frequency
  std::vector<double> step_hz;    // [IFs] signed; 0: take the header's CDELT
};

struct uvfits_tables {
  std::vector<imaging::antenna> antennas;
  std::map<std::pair<int, int>, std::int32_t> antenna_index;  // (subarray, NOSTA) from 1
  std::map<int, frequency_setup> frequencies;                 // by FRQSEL; CH gives one under 1
  std::vector<imaging::field> fields;
  std::map<int, std::int32_t> field_index;  // by ID. NO.
  std::string telescope;                    // ARRNAM
  bool atomic_time = false;                 // TIMSYS is IAT or TAI
  double iat_utc_s = 0;                     // 0: not given
};

/// Reads what is there; a missing table is an empty member. Errors: unreadable, naming table and column.
/// `file` is left at its primary array.
result<uvfits_tables> read_uvfits_tables(fitsfile* file, const std::filesystem::path& path);

}  // namespace horizons::observations
