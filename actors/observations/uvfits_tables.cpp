#include "actors/observations/uvfits_tables.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "actors/observations/formats.hpp"

namespace horizons::observations {

namespace {

constexpr double degree = std::numbers::pi / 180;
constexpr LONGLONG table_rows_max = 100'000;  // a corrupt NAXIS2 must not become an allocation; no array comes near
constexpr LONGLONG repeat_max = 10'000;       // IFs per row

/// The extension cfitsio is positioned at, with its name for errors.
struct table {
  fitsfile* file;
  std::string where;  // "path: AIPS AN"
  LONGLONG rows = 0;

  result<int> column(const char* name) const {
    int status = 0, number = 0;
    fits_get_colnum(file, CASEINSEN, const_cast<char*>(name), &number, &status);
    if (status == 0 || status == COL_NOT_UNIQUE) return number;
    fits_clear_errmsg();
    return failure(error_code::unreadable, where + ": column '" + name + "' missing");
  }

  /// All rows of a numeric column, [rows][repeat]; `repeat` 0: as the table has it.
  result<std::vector<double>> numbers(const char* name, LONGLONG repeat) const {
    auto number = column(name);
    if (!number) return failure(number.error());
    int status = 0, type = 0;
    LONGLONG has = 0, width = 0;
    fits_get_coltypell(file, *number, &type, &has, &width, &status);
    if (repeat == 0) repeat = has;
    if (status != 0 || type < 0 || type == TSTRING || type >= TCOMPLEX || has < repeat || repeat < 1 ||
        repeat > repeat_max)
      return failure(error_code::unreadable,
                     where + ": column '" + name + "' is not " + std::to_string(repeat) + " numbers per row");
    std::vector<double> values(static_cast<std::size_t>(rows * repeat));
    for (LONGLONG row = 0; row < rows && status == 0; ++row)
      fits_read_col(file, TDOUBLE, *number, row + 1, 1, repeat, nullptr, values.data() + row * repeat, nullptr,
                    &status);
    if (status != 0) return failure(error_code::unreadable, where + ": column '" + name + "': " + fits_words(status));
    return values;
  }

  result<std::vector<std::string>> texts(const char* name) const {
    auto number = column(name);
    if (!number) return failure(number.error());
    int status = 0, type = 0;
    LONGLONG has = 0, width = 0;
    fits_get_coltypell(file, *number, &type, &has, &width, &status);
    if (status != 0 || type != TSTRING || has < 1 || has > 1000)
      return failure(error_code::unreadable, where + ": column '" + name + "' is not text");
    std::vector<char> buffer(static_cast<std::size_t>(has) + 1);
    std::vector<std::string> values;
    for (LONGLONG row = 0; row < rows && status == 0; ++row) {
      std::fill(buffer.begin(), buffer.end(), '\0');
      char* text = buffer.data();
      fits_read_col(file, TSTRING, *number, row + 1, 1, 1, nullptr, &text, nullptr, &status);
      std::string value = text;
      value.erase(value.find_last_not_of(' ') + 1);
      values.push_back(value);
    }
    if (status != 0) return failure(error_code::unreadable, where + ": column '" + name + "': " + fits_words(status));
    return values;
  }
};

result<void> read_antennas(const table& t, uvfits_tables& out) {
  auto number = t.numbers("NOSTA", 1);
  if (!number) return failure(number.error());
  auto position = t.numbers("STABXYZ", 3);
  if (!position) return failure(position.error());
  auto name = t.texts("ANNAME");
  if (!name) return failure(name.error());
  auto diameter = t.numbers("DIAMETER", 1);  // optional, newer than the memo

  int subarray = bounded_int(header_number(t.file, "EXTVER").value_or(1), 1, 1000);
  double x = header_number(t.file, "ARRAYX").value_or(0), y = header_number(t.file, "ARRAYY").value_or(0),
         z = header_number(t.file, "ARRAYZ").value_or(0);
  // With a centre given, STABXYZ have their x axis in the array's own meridian (memo 117, 4.1.2); else they are
  // geocentric.
  double longitude = std::atan2(y, x);
  double c = std::cos(longitude), s = std::sin(longitude);
  for (std::size_t i = 0; i < number->size(); ++i) {
    const double* p = position->data() + 3 * i;
    imaging::antenna a{(*name)[i], x + c * p[0] - s * p[1], y + s * p[0] + c * p[1], z + p[2], 0};
    if (diameter && std::isfinite((*diameter)[i]) && (*diameter)[i] > 0) a.diameter_m = (*diameter)[i];
    if (!std::isfinite(a.x_m + a.y_m + a.z_m)) a.x_m = a.y_m = a.z_m = 0;  // "position unknown" in some archives
    int station = bounded_int((*number)[i], -1, 1'000'000);
    if (out.antenna_index.emplace(std::pair{subarray, station}, static_cast<std::int32_t>(out.antennas.size())).second)
      out.antennas.push_back(std::move(a));
  }
  if (out.telescope.empty()) out.telescope = header_text(t.file, "ARRNAM");
  auto system = header_text(t.file, "TIMSYS");
  out.atomic_time = system == "IAT" || system == "TAI";
  out.iat_utc_s = header_number(t.file, "IATUTC").value_or(0);
  return {};
}

result<void> read_fq(const table& t, uvfits_tables& out) {
  auto select = t.numbers("FRQSEL", 1);
  if (!select) return failure(select.error());
  auto offset = t.numbers("IF FREQ", 0);
  if (!offset) return failure(offset.error());
  std::size_t ifs = t.rows > 0 ? offset->size() / static_cast<std::size_t>(t.rows) : 0;
  auto step = t.numbers("CH WIDTH", static_cast<LONGLONG>(ifs));
  if (!step) return failure(step.error());
  auto sideband = t.numbers("SIDEBAND", static_cast<LONGLONG>(ifs));
  for (std::size_t row = 0; row < select->size(); ++row) {
    frequency_setup setup;
    for (std::size_t i = row * ifs; i < (row + 1) * ifs; ++i) {
      bool lower = sideband && (*sideband)[i] < 0;
      setup.offset_hz.push_back((*offset)[i]);
      setup.step_hz.push_back(lower ? -std::abs((*step)[i]) : (*step)[i]);
    }
    out.frequencies.emplace(bounded_int((*select)[row], -1, 1'000'000), std::move(setup));
  }
  return {};
}

result<void> read_ch(const table& t, uvfits_tables& out) {
  auto number = t.numbers("IF NO.", 1);
  if (!number) return failure(number.error());
  auto offset = t.numbers("FREQUENCY OFFSET", 1);
  if (!offset) return failure(offset.error());
  frequency_setup setup;
  for (std::size_t i = 0; i < number->size(); ++i) {
    if ((*number)[i] != static_cast<double>(i + 1))
      return failure(error_code::unreadable,
                     t.where + ": IF NO. in row " + std::to_string(i + 1) + " is not " + std::to_string(i + 1));
    setup.offset_hz.push_back((*offset)[i]);
    setup.step_hz.push_back(0);
  }
  out.frequencies.emplace(1, std::move(setup));
  return {};
}

result<void> read_su(const table& t, uvfits_tables& out) {
  auto id = t.numbers("ID. NO.", 1);
  if (!id) return failure(id.error());
  auto name = t.texts("SOURCE");
  if (!name) return failure(name.error());
  auto ra = t.numbers("RAEPO", 1);
  if (!ra) return failure(ra.error());
  auto dec = t.numbers("DECEPO", 1);
  if (!dec) return failure(dec.error());
  for (std::size_t i = 0; i < id->size(); ++i) {
    if (!std::isfinite((*ra)[i]) || !(std::abs((*dec)[i]) <= 90))
      return failure(error_code::unreadable, t.where + ": source '" + (*name)[i] + "' has RAEPO " +
                                                 std::to_string((*ra)[i]) + ", DECEPO " + std::to_string((*dec)[i]) +
                                                 " degrees");
    int number = bounded_int((*id)[i], -1, 1'000'000);
    out.field_index.emplace(number, static_cast<std::int32_t>(out.fields.size()));
    out.fields.push_back({(*name)[i], (*ra)[i] * degree, (*dec)[i] * degree});
  }
  return {};
}

}  // namespace

result<uvfits_tables> read_uvfits_tables(fitsfile* file, const std::filesystem::path& path) {
  uvfits_tables out;
  int status = 0, type = 0;
  constexpr int extensions_max = 1000;
  for (int number = 2; number < extensions_max; ++number) {
    fits_movabs_hdu(file, number, &type, &status);
    if (status != 0)
      break;  // the end, or trailing bytes that are no HDU: what a table of use lacks is told by the caller
    if (type != BINARY_TBL) continue;
    auto name = header_text(file, "EXTNAME");
    table t{file, path.string() + ": " + name, 0};
    fits_get_num_rowsll(file, &t.rows, &status);
    if (status != 0 || t.rows < 0 || t.rows > table_rows_max) {
      status = 0;
      fits_clear_errmsg();
      continue;
    }
    result<void> read;
    if (name == "AIPS AN") read = read_antennas(t, out);
    if (name == "AIPS FQ") read = read_fq(t, out);
    if (name == "AIPS CH" && out.frequencies.empty()) read = read_ch(t, out);
    if (name == "AIPS SU") read = read_su(t, out);
    if (!read) return failure(read.error());
  }
  fits_clear_errmsg();
  status = 0;
  fits_movabs_hdu(file, 1, &type, &status);
  if (status != 0) return failure(error_code::unreadable, path.string() + ": " + fits_words(status));
  return out;
}

}  // namespace horizons::observations
