#include "actors/observations/uvfits_layout.hpp"

#include <algorithm>
#include <cmath>
#include <system_error>

namespace horizons::observations {

namespace {

constexpr double speed_of_light = 299792458.0;  // m/s, exact
constexpr double groups_max = 1e12, axis_max = 1e8,
                 parameters_max = 100;  // corrupt headers must not become allocations

std::string shown(double number) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.10g", number);
  return text.data();
}

struct header {
  fitsfile* file;
  std::string path;

  tl::unexpected<error> wrong(const std::string& text) const {
    return failure(error_code::unreadable, path + ": " + text);
  }

  /// A whole number within [low, high].
  result<double> whole(const std::string& key, double low, double high) const {
    auto value = header_number(file, key);
    if (!value) return wrong(key + " missing");
    if (!(*value >= low && *value <= high) || *value != std::floor(*value))
      return wrong(key + " = " + shown(*value) + "; expected a whole number from " + shown(low) + " to " + shown(high));
    return *value;
  }
};

result<void> read_axes(const header& h, uvfits_layout& out) {
  auto naxis = h.whole("NAXIS", 2, 20);
  if (!naxis) return failure(naxis.error());
  double length = 1;
  for (int i = 2; i <= static_cast<int>(*naxis); ++i) {
    auto n = std::to_string(i);
    auto size = h.whole("NAXIS" + n, 1, axis_max);
    if (!size) return failure(size.error());
    auto type = header_text(h.file, "CTYPE" + n);
    group_axis axis{static_cast<std::size_t>(*size),
                    static_cast<std::size_t>(length),
                    header_number(h.file, "CRVAL" + n).value_or(0),
                    header_number(h.file, "CDELT" + n).value_or(1),
                    header_number(h.file, "CRPIX" + n).value_or(1),
                    true};
    length *= *size;
    if (length > axis_max) return h.wrong("one group has more than 1e8 values");
    group_axis* known = type == "COMPLEX"             ? &out.complex_axis
                        : type == "STOKES"            ? &out.stokes
                        : type.substr(0, 4) == "FREQ" ? &out.freq
                        : type == "IF"                ? &out.band
                        : type.substr(0, 2) == "RA"   ? &out.ra
                        : type.substr(0, 3) == "DEC"  ? &out.dec
                                                      : nullptr;
    if (known != nullptr && known->present) return h.wrong("two axes of type '" + type + "'");
    if (known != nullptr) *known = axis;
    bool may_be_long = known != nullptr && known != &out.ra && known != &out.dec;
    if (!may_be_long && axis.length != 1)
      return h.wrong("axis " + n + " ('" + type + "') has " + shown(*size) + " values; expected 1");
  }
  out.array_length = static_cast<std::size_t>(length);
  for (auto [axis, name] : {std::pair{&out.complex_axis, "COMPLEX"}, {&out.stokes, "STOKES"}, {&out.freq, "FREQ"}})
    if (!axis->present) return h.wrong(std::string("no axis of type '") + name + "'");
  if (out.complex_axis.length != 2 && out.complex_axis.length != 3)
    return h.wrong("the COMPLEX axis has " + std::to_string(out.complex_axis.length) +
                   " values; expected 2 (re, im) or 3 (re, im, weight)");
  if (out.stokes.length > 8)
    return h.wrong("the STOKES axis has " + std::to_string(out.stokes.length) + " values; expected at most 8");
  for (std::size_t i = 0; i < out.stokes.length; ++i) {
    double code = out.stokes.value + (static_cast<double>(i) + 1 - out.stokes.pixel) * out.stokes.step;
    double whole = std::round(code);
    if (!(whole >= -8 && whole <= 4 && whole != 0))
      return h.wrong("STOKES code " + shown(code) +
                     "; expected 1 to 4 (I Q U V), -1 to -4 (RR LL RL LR) or -5 to -8 (XX YY XY YX)");
    out.polarisations.push_back(static_cast<imaging::polarisation>(static_cast<int>(whole)));
  }
  return {};
}

result<void> read_parameters(const header& h, uvfits_layout& out) {
  auto count = h.whole("PCOUNT", 1, parameters_max);
  if (!count) return failure(count.error());
  std::string found;
  for (int i = 0; i < static_cast<int>(*count); ++i) {
    auto n = std::to_string(i + 1);
    group_parameter p{header_text(h.file, "PTYPE" + n), header_number(h.file, "PSCAL" + n).value_or(1),
                      header_number(h.file, "PZERO" + n).value_or(0)};
    found += (i > 0 ? ", " : "") + p.name;
    for (int axis = 0; axis < 3; ++axis) {
      // "UU", "UU--", "UU---SIN", "UU---NCP": seconds; "UU-L", "UU-L-SIN": wavelengths at the reference frequency.
      constexpr std::array<const char*, 3> names = {"UU", "VV", "WW"};
      if (p.name.substr(0, 2) != names[static_cast<std::size_t>(axis)]) continue;
      bool wavelengths = p.name.size() >= 4 && p.name.substr(2, 2) == "-L";
      auto slot = static_cast<std::size_t>(axis);
      if (out.uvw[slot] >= 0) continue;
      out.uvw[slot] = i;
      out.uvw_to_metres[slot] = wavelengths ? speed_of_light / out.freq.value : speed_of_light;
    }
    if (p.name == "DATE" || p.name == "_DATE") out.date.push_back(i);
    for (auto [name, where] : {std::pair{"BASELINE", &out.baseline},
                               {"ANTENNA1", &out.antenna1},
                               {"ANTENNA2", &out.antenna2},
                               {"SUBARRAY", &out.subarray},
                               {"INTTIM", &out.inttim},
                               {"SOURCE", &out.source},
                               {"FREQSEL", &out.freqsel}})
      if (p.name == name && *where < 0) *where = i;
    out.parameters.push_back(std::move(p));
  }
  auto missing = [&](const std::string& what, const std::string& why) {
    return h.wrong("PTYPE '" + what + "' missing (found " + found + "); " + why);
  };
  if (out.uvw[0] < 0) return missing("UU", "without u there is no image");
  if (out.uvw[1] < 0) return missing("VV", "without v there is no image");
  if (out.uvw[2] < 0) return missing("WW", "w-terms need it");
  if (out.date.empty()) return missing("DATE", "every group needs a time");
  if (out.baseline < 0 && (out.antenna1 < 0 || out.antenna2 < 0))
    return missing("BASELINE", "or ANTENNA1 and ANTENNA2 must say which antennas a group belongs to");
  return {};
}

}  // namespace

result<uvfits_layout> read_uvfits_layout(fitsfile* file, const std::filesystem::path& path) {
  header h{file, path.string()};
  uvfits_layout out;
  int status = 0, groups = 0;
  fits_read_key(file, TLOGICAL, "GROUPS", &groups, nullptr, &status);
  fits_clear_errmsg();
  if (status != 0 || groups == 0 || header_number(file, "NAXIS1").value_or(1) != 0)
    return h.wrong("is FITS but not UVFITS: its primary array is not random groups (GROUPS = T, NAXIS1 = 0)");
  auto bitpix = h.whole("BITPIX", -64, 64);
  if (!bitpix) return failure(bitpix.error());
  out.bitpix = static_cast<int>(*bitpix);
  constexpr std::array<int, 4> known = {16, 32, -32, -64};
  if (std::find(known.begin(), known.end(), out.bitpix) == known.end())
    return h.wrong("BITPIX = " + std::to_string(out.bitpix) + "; expected 16, 32, -32 or -64");
  out.scale = header_number(file, "BSCALE").value_or(1);
  out.zero = header_number(file, "BZERO").value_or(0);
  auto count = h.whole("GCOUNT", 1, groups_max);
  if (!count) return failure(count.error());
  out.groups = static_cast<std::size_t>(*count);
  if (auto axes = read_axes(h, out); !axes) return failure(axes.error());
  if (!(out.freq.value > 0) || !std::isfinite(out.freq.value))
    return h.wrong("the FREQ axis has CRVAL = " + shown(out.freq.value) + " Hz; expected a positive frequency");
  if (auto parameters = read_parameters(h, out); !parameters) return failure(parameters.error());

  LONGLONG start = 0, data = 0, end = 0;
  fits_get_hduaddrll(file, &start, &data, &end, &status);
  if (status != 0) return h.wrong(fits_words(status));
  out.data_start = static_cast<std::size_t>(data);
  std::error_code bad;
  auto size = std::filesystem::file_size(path, bad);
  double expected = static_cast<double>(data) + *count * static_cast<double>(out.bytes_per_group());
  if (bad || static_cast<double>(size) < expected) {
    std::array<char, 200> text{};
    std::snprintf(text.data(), text.size(),
                  "truncated: its header promises %.0f groups, at least %.0f bytes; the file has %.0f", *count,
                  expected, bad ? 0.0 : static_cast<double>(size));
    return h.wrong(text.data());
  }
  return out;
}

}  // namespace horizons::observations
