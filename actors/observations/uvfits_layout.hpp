// What the primary header of a UVFITS file says about how its groups lie on disk. Reads no group.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "actors/observations/fits_file.hpp"
#include "gpu/imaging/visibilities.hpp"

namespace horizons::observations {

/// value = raw * scale + zero
struct group_parameter {
  std::string name;
  double scale = 1, zero = 0;
};

/// An axis of the array in a group: world value of index i is value + (i + 1 - pixel) * step.
struct group_axis {
  std::size_t length = 1;
  std::size_t stride = 0;  // in array elements
  double value = 0, step = 1, pixel = 1;
  bool present = false;
};

struct uvfits_layout {
  int bitpix = -32;
  double scale = 1, zero = 0;  // BSCALE, BZERO
  std::size_t groups = 0, array_length = 0;
  std::vector<group_parameter> parameters;
  group_axis complex_axis, stokes, freq, band, ra, dec;
  std::vector<imaging::polarisation> polarisations;
  std::size_t data_start = 0;  // byte offset in the file

  // Where in `parameters`; -1: absent
  std::array<int, 3> uvw{-1, -1, -1};
  std::array<double, 3> uvw_to_metres{};
  std::vector<int> date;
  int baseline = -1, antenna1 = -1, antenna2 = -1, subarray = -1, inttim = -1, source = -1, freqsel = -1;

  std::size_t bytes_per_group() const {
    return (parameters.size() + array_length) * static_cast<std::size_t>(bitpix < 0 ? -bitpix : bitpix) / 8;
  }
};

/// Errors: unreadable, naming path, keyword, its value and what would be right; a file shorter than its header
/// promises.
result<uvfits_layout> read_uvfits_layout(fitsfile* file, const std::filesystem::path& path);

}  // namespace horizons::observations
