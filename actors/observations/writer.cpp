#include "actors/observations/writer.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <numbers>
#include <numeric>

#include "actors/observations/civil_time.hpp"
#include "actors/observations/fits_file.hpp"

namespace horizons::observations {

namespace {

constexpr double speed_of_light = 299792458.0;
constexpr double degree = std::numbers::pi / 180;

/// How a block maps to the regular axes of a UVFITS file.
struct regular_axes {
  std::vector<std::size_t> polarisation_order;  // file position -> block's index
  int stokes_first = 0, stokes_step = -1;
  std::size_t ifs = 1, channels = 0;  // per IF
  std::vector<double> offset_hz, step_hz;
};

tl::unexpected<error> cannot(const std::string& text) {
  return failure(error_code::invalid_argument, "UVFITS cannot hold this observation: " + text);
}

result<regular_axes> axes_of(const imaging::visibility_block& b) {
  regular_axes axes;
  if (b.channels() == 0 || b.polarisations.empty()) return cannot("it has no channels or no polarisations");
  if (b.spw.size() != b.channels() || b.channel_width_hz.size() != b.channels())
    return cannot("spw, channel_width_hz and frequency_hz differ in length");

  axes.polarisation_order.resize(b.polarisations.size());
  std::iota(axes.polarisation_order.begin(), axes.polarisation_order.end(), std::size_t{0});
  auto code = [&](std::size_t i) { return static_cast<int>(b.polarisations[axes.polarisation_order[i]]); };
  std::sort(axes.polarisation_order.begin(), axes.polarisation_order.end(), [&](std::size_t i, std::size_t j) {
    return std::abs(static_cast<int>(b.polarisations[i])) < std::abs(static_cast<int>(b.polarisations[j]));
  });
  axes.stokes_first = code(0);
  axes.stokes_step = b.polarisations.size() > 1 ? code(1) - code(0) : (code(0) < 0 ? -1 : 1);
  for (std::size_t i = 0; i < b.polarisations.size(); ++i)
    if (code(i) != axes.stokes_first + static_cast<int>(i) * axes.stokes_step)
      return cannot("its polarisations are not evenly spaced Stokes codes");

  axes.ifs = 1 + static_cast<std::size_t>(
                     std::count_if(b.spw.begin() + 1, b.spw.end(), [&](const int& s) { return s != *(&s - 1); }));
  axes.channels = b.channels() / axes.ifs;
  for (std::size_t i = 0; i < b.channels(); ++i)
    if (axes.channels * axes.ifs != b.channels() || b.spw[i] != b.spw[i / axes.channels * axes.channels])
      return cannot("its spectral windows have different numbers of channels");
  for (std::size_t i = 0; i < axes.ifs; ++i) {
    const double* f = b.frequency_hz.data() + i * axes.channels;
    double step = axes.channels > 1 ? (f[axes.channels - 1] - f[0]) / static_cast<double>(axes.channels - 1)
                                    : b.channel_width_hz[i];
    for (std::size_t c = 0; c < axes.channels; ++c)
      if (!(std::abs(f[c] - (f[0] + static_cast<double>(c) * step)) <= 1e-3 * std::abs(step)))
        return cannot("the channels of spectral window " + std::to_string(i) + " are not evenly spaced");
    axes.offset_hz.push_back(f[0] - b.frequency_hz[0]);
    axes.step_hz.push_back(step);
  }
  return axes;
}

void write_header(fitsfile* f, const imaging::observation& o, const regular_axes& axes, bool many_antennas, double day,
                  const std::vector<std::string>& history, int* status) {
  const auto& b = o.blocks[0];
  std::array<LONGLONG, 7> size = {0,
                                  3,
                                  static_cast<LONGLONG>(b.polarisations.size()),
                                  static_cast<LONGLONG>(axes.channels),
                                  static_cast<LONGLONG>(axes.ifs),
                                  1,
                                  1};
  const int parameters = many_antennas ? 9 : 7;
  fits_write_grphdrll(f, 1, FLOAT_IMG, static_cast<int>(size.size()), size.data(), parameters,
                      static_cast<LONGLONG>(b.rows()), 1, status);
  const auto& field = o.fields[static_cast<std::size_t>(b.field[0])];
  struct axis {
    const char* type;
    double value, step;
  };
  const std::array<axis, 6> world = {
      {{"COMPLEX", 1, 1},
       {"STOKES", static_cast<double>(axes.stokes_first), static_cast<double>(axes.stokes_step)},
       {"FREQ", b.frequency_hz[0], axes.step_hz[0]},
       {"IF", 1, 1},
       {"RA", field.ra_rad / degree, 1},
       {"DEC", field.dec_rad / degree, 1}}};
  for (std::size_t i = 0; i < world.size(); ++i) {
    auto n = std::to_string(i + 2);
    write_key(f, ("CTYPE" + n).c_str(), world[i].type, status);
    write_key(f, ("CRVAL" + n).c_str(), world[i].value, status);
    write_key(f, ("CDELT" + n).c_str(), world[i].step, status);
    write_key(f, ("CRPIX" + n).c_str(), 1.0, status);
    write_key(f, ("CROTA" + n).c_str(), 0.0, status);
  }
  std::vector<const char*> types = {"UU---SIN", "VV---SIN", "WW---SIN", "DATE", "DATE", "INTTIM"};
  if (many_antennas)
    types.insert(types.end(), {"ANTENNA1", "ANTENNA2", "SUBARRAY"});
  else
    types.push_back("BASELINE");
  for (std::size_t i = 0; i < types.size(); ++i) {
    auto n = std::to_string(i + 1);
    write_key(f, ("PTYPE" + n).c_str(), types[i], status);
    write_key(f, ("PSCAL" + n).c_str(), 1.0, status);
    write_key(f, ("PZERO" + n).c_str(), i == 3 ? day + 2400000.5 : 0.0, status);
  }
  write_key(f, "OBJECT", o.object_name.empty() ? field.name : o.object_name, status);
  write_key(f, "TELESCOP", o.telescope, status);
  write_key(f, "INSTRUME", o.telescope, status);
  write_key(f, "OBSERVER", o.observer, status);
  write_key(f, "DATE-OBS", civil_date(day), status);
  write_key(f, "BUNIT", "JY", status);
  write_key(f, "BSCALE", 1.0, status);
  write_key(f, "BZERO", 0.0, status);
  write_key(f, "EPOCH", 2000.0, status);
  write_key(f, "EQUINOX", 2000.0, status);
  write_key(f, "OBSRA", field.ra_rad / degree, status);
  write_key(f, "OBSDEC", field.dec_rad / degree, status);
  for (const auto& line : history) fits_write_history(f, line.c_str(), status);
}

void write_groups(fitsfile* f, const imaging::visibility_block& b, const regular_axes& axes, bool many_antennas,
                  double day, int* status) {
  const std::size_t polarisations = b.polarisations.size(), samples = b.channels() * polarisations;
  std::vector<float> array(3 * samples);
  for (std::size_t row = 0; row < b.rows() && *status == 0; ++row) {
    double since = b.time_mjd_s[row] / 86400 - day;
    auto coarse = static_cast<float>(since);  // two floats hold a time of day to nanoseconds
    auto second = [&](int axis) {
      return static_cast<float>(-b.uvw[3 * row + static_cast<std::size_t>(axis)] / speed_of_light);
    };
    std::vector<float> parameters = {
        second(0), second(1), second(2), coarse, static_cast<float>(since - coarse), b.integration_s[row]};
    auto first = static_cast<float>(b.antenna1[row] + 1), last = static_cast<float>(b.antenna2[row] + 1);
    if (many_antennas)
      parameters.insert(parameters.end(), {first, last, 1.0F});
    else
      parameters.push_back(256 * first + last);
    for (std::size_t c = 0; c < b.channels(); ++c)
      for (std::size_t p = 0; p < polarisations; ++p) {
        const std::size_t from = row * samples + c * polarisations + axes.polarisation_order[p];
        float* to = array.data() + 3 * (c * polarisations + p);
        to[0] = b.vis[from].real(), to[1] = b.vis[from].imag(), to[2] = b.weight[from];
      }
    const auto group = static_cast<long>(row + 1);
    fits_write_grppar_flt(f, group, 1, static_cast<long>(parameters.size()), parameters.data(), status);
    fits_write_img_flt(f, group, 1, static_cast<LONGLONG>(array.size()), array.data(), status);
  }
}

void write_frequencies(fitsfile* f, const regular_axes& axes, int* status) {
  auto n = std::to_string(axes.ifs);
  std::array<std::string, 5> form = {"1J", n + "D", n + "E", n + "E", n + "J"};
  std::array<const char*, 5> types = {"FRQSEL", "IF FREQ", "CH WIDTH", "TOTAL BANDWIDTH", "SIDEBAND"},
                             units = {"", "HZ", "HZ", "HZ", ""}, forms{};
  for (std::size_t i = 0; i < form.size(); ++i) forms[i] = form[i].c_str();
  fits_create_tbl(f, BINARY_TBL, 1, 5, const_cast<char**>(types.data()), const_cast<char**>(forms.data()),
                  const_cast<char**>(units.data()), "AIPS FQ", status);
  int one = 1;
  fits_update_key(f, TINT, "EXTVER", &one, nullptr, status);
  auto number = static_cast<LONGLONG>(axes.ifs);
  std::vector<double> offset = axes.offset_hz, step = axes.step_hz, total;
  for (double s : step) total.push_back(std::abs(s) * static_cast<double>(axes.channels));
  std::vector<int> side;
  for (double s : step) side.push_back(s < 0 ? -1 : 1);
  fits_write_col(f, TINT, 1, 1, 1, 1, &one, status);
  fits_write_col(f, TDOUBLE, 2, 1, 1, number, offset.data(), status);
  fits_write_col(f, TDOUBLE, 3, 1, 1, number, step.data(), status);
  fits_write_col(f, TDOUBLE, 4, 1, 1, number, total.data(), status);
  fits_write_col(f, TINT, 5, 1, 1, number, side.data(), status);
  int ifs = static_cast<int>(axes.ifs);
  fits_update_key(f, TINT, "NO_IF", &ifs, nullptr, status);
}

void write_antennas(fitsfile* f, const imaging::observation& o, const regular_axes& axes, double day, int* status) {
  const std::array<const char*, 12> types = {"ANNAME", "STABXYZ", "NOSTA",   "MNTSTA", "STAXOF", "DIAMETER",
                                             "POLTYA", "POLAA",   "POLCALA", "POLTYB", "POLAB",  "POLCALB"},
                                    forms = {"16A", "3D", "1J", "1J", "1E", "1E", "1A", "1E", "4E", "1A", "1E", "4E"},
                                    units = {"", "METERS",  "", "", "METERS",  "METERS",
                                             "", "DEGREES", "", "", "DEGREES", ""};
  fits_create_tbl(f, BINARY_TBL, 0, 12, const_cast<char**>(types.data()), const_cast<char**>(forms.data()),
                  const_cast<char**>(units.data()), "AIPS AN", status);
  auto whole = [&](const char* key, int value) { fits_update_key(f, TINT, key, &value, nullptr, status); };
  whole("EXTVER", 1);
  // No centre: STABXYZ are geocentric themselves, the one form that no reader rotates.
  for (const char* key : {"ARRAYX", "ARRAYY", "ARRAYZ"}) write_key(f, key, 0.0, status);
  write_key(f, "GSTIA0", sidereal_degrees(day), status);
  write_key(f, "DEGPDY", 360.98564736629, status);
  write_key(f, "FREQ", o.blocks[0].frequency_hz[0], status);
  write_key(f, "RDATE", civil_date(day), status);
  for (const char* key : {"POLARX", "POLARY", "UT1UTC", "DATUTC"}) write_key(f, key, 0.0, status);
  write_key(f, "IATUTC", leap_seconds(day), status);
  write_key(f, "TIMSYS", "UTC", status);
  write_key(f, "ARRNAM", o.telescope, status);
  write_key(f, "FRAME", "ITRF", status);
  write_key(f, "XYZHAND", "RIGHT", status);
  write_key(f, "POLTYPE", "", status);
  whole("NUMORB", 0), whole("NOPCAL", 2), whole("FREQID", -1), whole("NO_IF", static_cast<int>(axes.ifs));
  const bool linear = axes.stokes_first <= -5;
  for (std::size_t i = 0; i < o.antennas.size() && *status == 0; ++i) {
    const auto& a = o.antennas[i];
    const auto row = static_cast<LONGLONG>(i + 1);
    std::string name = a.name.substr(0, 16), x = linear ? "X" : "R", y = linear ? "Y" : "L";
    char *name_text = name.data(), *x_text = x.data(), *y_text = y.data();
    std::array<double, 3> xyz = {a.x_m, a.y_m, a.z_m};
    std::array<float, 4> zeros{};
    int number = static_cast<int>(i + 1), mount = 0;
    double diameter = a.diameter_m;
    fits_write_col(f, TSTRING, 1, row, 1, 1, &name_text, status);
    fits_write_col(f, TDOUBLE, 2, row, 1, 3, xyz.data(), status);
    fits_write_col(f, TINT, 3, row, 1, 1, &number, status);
    fits_write_col(f, TINT, 4, row, 1, 1, &mount, status);
    fits_write_col(f, TFLOAT, 5, row, 1, 1, zeros.data(), status);
    fits_write_col(f, TDOUBLE, 6, row, 1, 1, &diameter, status);
    fits_write_col(f, TSTRING, 7, row, 1, 1, &x_text, status);
    fits_write_col(f, TFLOAT, 8, row, 1, 1, zeros.data(), status);
    fits_write_col(f, TFLOAT, 9, row, 1, 4, zeros.data(), status);
    fits_write_col(f, TSTRING, 10, row, 1, 1, &y_text, status);
    fits_write_col(f, TFLOAT, 11, row, 1, 1, zeros.data(), status);
    fits_write_col(f, TFLOAT, 12, row, 1, 4, zeros.data(), status);
  }
}

result<void> check_shapes(const imaging::observation& o) {
  if (o.blocks.size() != 1) return cannot("it has " + std::to_string(o.blocks.size()) + " blocks; expected 1");
  const auto& b = o.blocks[0];
  const std::size_t rows = b.rows(), samples = rows * b.channels() * b.polarisations.size();
  if (rows == 0) return cannot("it has no rows");
  if (b.uvw.size() != 3 * rows || b.integration_s.size() != rows || b.antenna1.size() != rows ||
      b.antenna2.size() != rows || b.field.size() != rows || b.vis.size() != samples || b.weight.size() != samples)
    return cannot("its columns differ in length");
  for (std::size_t i = 0; i < rows; ++i) {
    if (b.field[i] != b.field[0]) return cannot("it has several fields; expected 1");
    for (auto a : {b.antenna1[i], b.antenna2[i]})
      if (a < 0 || static_cast<std::size_t>(a) >= o.antennas.size())
        return cannot("antenna " + std::to_string(a) + " of row " + std::to_string(i) + " is not in its antenna list");
  }
  if (b.field[0] < 0 || static_cast<std::size_t>(b.field[0]) >= o.fields.size())
    return cannot("field " + std::to_string(b.field[0]) + " is not in its field list");
  return {};
}

}  // namespace

result<void> write_uvfits(const imaging::observation& o, const std::filesystem::path& path,
                          const std::vector<std::string>& history) {
  if (auto good = check_shapes(o); !good) return good;
  const auto& b = o.blocks[0];
  auto axes = axes_of(b);
  if (!axes) return failure(axes.error());
  const bool many_antennas = o.antennas.size() > 255;  // more than 256 a1 + a2 can say
  const double day = std::floor(*std::min_element(b.time_mjd_s.begin(), b.time_mjd_s.end()) / 86400);

  auto file = fits_output::create(path);
  if (!file) return failure(file.error());
  int status = 0;
  errno = 0;
  write_header(file->get(), o, *axes, many_antennas, day, history, &status);
  write_groups(file->get(), b, *axes, many_antennas, day, &status);
  write_frequencies(file->get(), *axes, &status);
  write_antennas(file->get(), o, *axes, day, &status);
  if (auto good = file->check(status); !good) return good;
  return file->commit();
}

}  // namespace horizons::observations
