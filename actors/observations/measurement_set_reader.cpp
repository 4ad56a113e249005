// Reads a CASA Measurement Set (version 2, CASA Memo 229) with casacore. Raw columns only: no measures conversion, so
// no leap second or observatory tables are needed. Exceptions stay inside this file.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <stop_token>

#include "actors/observations/casacore_table.hpp"
#include "actors/observations/formats.hpp"

namespace horizons::observations {

namespace {

constexpr std::size_t piece_bytes = std::size_t{16} << 20;  // of visibilities per read call

// casacore 3.5 keeps its open tables in one process-wide cache that is not safe to use from several threads.
class turn {
public:
  /// Waits until nobody else reads, or until it is asked to stop.
  explicit turn(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    is_mine_ = free_.wait(lock, stop, [] { return !taken_; });
    taken_ = taken_ || is_mine_;
  }
  ~turn() {
    if (!is_mine_) return;
    const std::lock_guard lock(mutex_);
    taken_ = false;
    free_.notify_one();
  }
  turn(const turn&) = delete;
  bool is_mine() const { return is_mine_; }

private:
  static inline std::mutex mutex_;
  static inline std::condition_variable_any free_;
  static inline bool taken_ = false;
  bool is_mine_ = false;
};

/// Errors on the way, thrown inside this file only.
struct refused {
  error what;
};

[[noreturn]] void refuse(const std::filesystem::path& path, const std::string& text,
                         error_code code = error_code::unreadable) {
  throw refused{{code, path.string() + ": " + text}};
}

casacore_table open_part(const std::filesystem::path& path, const char* name) {
  if (!is_casacore_table((path / name).string())) refuse(path, std::string("its table ") + name + " is missing");
  return casacore_table((path / name).string());
}

// casacore Stokes::StokesTypes: 1…4 I Q U V, 5…8 RR RL LR LL, 9…12 XX XY YX YY.
std::optional<imaging::polarisation> polarisation_of(int code) {
  using enum imaging::polarisation;
  static const std::map<int, imaging::polarisation> known = {{1, I},  {2, Q},  {3, U},  {4, V},   {5, RR},  {6, RL},
                                                             {7, LR}, {8, LL}, {9, XX}, {10, XY}, {11, YX}, {12, YY}};
  auto found = known.find(code);
  if (found == known.end()) return std::nullopt;
  return found->second;
}

class set_reader {
public:
  set_reader(const std::filesystem::path& path, const read_options& options, const std::stop_token& stop,
             const gpu::progress_sink& progress)
      : path_(path), options_(options), stop_(stop), progress_(progress), main_(path.string()) {}

  imaging::observation read();

private:
  void read_antennas();
  void read_fields();
  void read_names();
  imaging::visibility_block block_header(int description);
  void read_block(int description, const std::vector<std::uint64_t>& rows);
  void take_piece(imaging::visibility_block& block, const std::vector<std::uint64_t>& rows, bool spectrum);

  const std::filesystem::path& path_;
  const read_options& options_;
  const std::stop_token& stop_;
  const gpu::progress_sink& progress_;
  casacore_table main_;
  std::string data_;
  imaging::observation out_;
  std::size_t rows_done_ = 0, rows_all_ = 0;
};

void set_reader::read_antennas() {
  auto table = open_part(path_, "ANTENNA");
  auto names = table.texts("NAME");
  auto diameters = table.scalars<double>("DISH_DIAMETER");
  for (std::uint64_t i = 0; i < table.rows(); ++i) {
    auto p = table.cell<double>("POSITION", i);
    if (p.size() != 3) refuse(path_, "ANTENNA: POSITION in row " + std::to_string(i) + " is not three numbers");
    double diameter = std::isfinite(diameters[i]) && diameters[i] > 0 ? diameters[i] : 0;
    out_.antennas.push_back({names[i], p[0], p[1], p[2], diameter});
  }
}

void set_reader::read_fields() {
  auto table = open_part(path_, "FIELD");
  auto names = table.texts("NAME");
  auto frame = table.frame("PHASE_DIR");
  if (frame.empty()) frame = "J2000";
  if (frame != "J2000" && frame != "ICRS" && table.rows() > 0)
    refuse(path_, "FIELD: PHASE_DIR is in " + frame + "; only J2000 and ICRS coordinates can be imaged");
  for (std::uint64_t i = 0; i < table.rows(); ++i) {
    auto direction = table.cell<double>("PHASE_DIR", i);  // [2][terms of a polynomial in time]; the first term
    if (direction.size() < 2 || !std::isfinite(direction[0]) || !(std::abs(direction[1]) < 1.5708))
      refuse(path_, "FIELD: PHASE_DIR of '" + names[i] + "' is not a direction");
    constexpr double turn = 6.283185307179586;
    double ra = direction[0] < 0 ? direction[0] + turn : direction[0];
    out_.fields.push_back({names[i], ra, direction[1]});
  }
  if (out_.fields.size() == 1) out_.object_name = out_.fields[0].name;
}

void set_reader::read_names() {
  auto table = open_part(path_, "OBSERVATION");
  if (table.rows() == 0) return;
  out_.telescope = table.texts("TELESCOPE_NAME").at(0);
  out_.observer = table.texts("OBSERVER").at(0);
}

imaging::visibility_block set_reader::block_header(int description) {
  auto descriptions = open_part(path_, "DATA_DESCRIPTION");
  auto spw_of = descriptions.scalars<int>("SPECTRAL_WINDOW_ID");
  auto polarisation_id = descriptions.scalars<int>("POLARIZATION_ID");
  auto where = "DATA_DESC_ID " + std::to_string(description);
  if (description < 0 || static_cast<std::uint64_t>(description) >= descriptions.rows())
    refuse(path_, where + " is not in DATA_DESCRIPTION");
  auto row = static_cast<std::size_t>(description);
  auto windows = open_part(path_, "SPECTRAL_WINDOW"), correlations = open_part(path_, "POLARIZATION");
  if (spw_of[row] < 0 || static_cast<std::uint64_t>(spw_of[row]) >= windows.rows())
    refuse(path_, where + " names no row of SPECTRAL_WINDOW");
  if (polarisation_id[row] < 0 || static_cast<std::uint64_t>(polarisation_id[row]) >= correlations.rows())
    refuse(path_, where + " names no row of POLARIZATION");

  imaging::visibility_block block;
  block.frequency_hz = windows.cell<double>("CHAN_FREQ", static_cast<std::uint64_t>(spw_of[row]));
  for (double width : windows.cell<double>("CHAN_WIDTH", static_cast<std::uint64_t>(spw_of[row])))
    block.channel_width_hz.push_back(std::abs(width));
  if (block.channel_width_hz.size() != block.frequency_hz.size())
    refuse(path_, "SPECTRAL_WINDOW: CHAN_WIDTH and CHAN_FREQ differ in length");
  block.spw.assign(block.frequency_hz.size(), spw_of[row]);
  for (double hz : block.frequency_hz)
    if (!(hz > 0) || !std::isfinite(hz))
      refuse(path_, "SPECTRAL_WINDOW " + std::to_string(spw_of[row]) + " has frequency " + std::to_string(hz) +
                        " Hz; expected a positive one");
  for (int code : correlations.cell<int>("CORR_TYPE", static_cast<std::uint64_t>(polarisation_id[row]))) {
    auto known = polarisation_of(code);
    if (!known)
      refuse(path_, "POLARIZATION: CORR_TYPE " + std::to_string(code) +
                        "; expected 1 to 12 (I Q U V, RR RL LR LL, XX XY YX YY)");
    block.polarisations.push_back(*known);
  }
  return block;
}

void set_reader::take_piece(imaging::visibility_block& block, const std::vector<std::uint64_t>& rows, bool spectrum) {
  auto vis = main_.arrays<std::complex<float>>(data_, rows);  // [polarisations, channels] per row, first fastest
  auto flag = main_.arrays<char>("FLAG", rows);
  auto weight = main_.arrays<float>(spectrum ? "WEIGHT_SPECTRUM" : "WEIGHT", rows);
  auto uvw = main_.arrays<double>("UVW", rows);
  auto row_flag = main_.scalars<char>("FLAG_ROW", rows);
  auto time = main_.scalars<double>("TIME", rows), interval = main_.scalars<double>("INTERVAL", rows);
  auto antenna1 = main_.scalars<int>("ANTENNA1", rows), antenna2 = main_.scalars<int>("ANTENNA2", rows);
  auto field = main_.scalars<int>("FIELD_ID", rows);

  const std::size_t count = rows.size();
  const std::size_t channels = block.channels(), polarisations = block.polarisations.size(),
                    samples = channels * polarisations;
  const std::vector<std::size_t> shape = {polarisations, channels};
  const std::vector<std::size_t> weight_shape = spectrum ? shape : std::vector<std::size_t>{polarisations};
  if (vis.shape != shape || flag.shape != shape || weight.shape != weight_shape ||
      uvw.shape != std::vector<std::size_t>{3})
    refuse(path_, data_ + ", FLAG, WEIGHT and UVW do not have the shape that SPECTRAL_WINDOW and POLARIZATION give");
  const auto antennas = static_cast<int>(out_.antennas.size()), fields = static_cast<int>(out_.fields.size());
  const auto* v = vis.values.data();
  const auto* f = flag.values.data();
  const auto* w = weight.values.data();
  const auto* position = uvw.values.data();
  for (std::size_t r = 0; r < count; ++r, position += 3) {
    int a1 = antenna1[r], a2 = antenna2[r];
    if (a1 < 0 || a2 < 0 || a1 >= antennas || a2 >= antennas)
      refuse(path_, "baseline of antennas " + std::to_string(a1) + " and " + std::to_string(a2) + "; ANTENNA has " +
                        std::to_string(antennas) + " rows");
    if (field[r] < 0 || field[r] >= fields)
      refuse(path_, "FIELD_ID " + std::to_string(field[r]) + "; FIELD has " + std::to_string(fields) + " rows");
    constexpr double metres_max = 1e12, seconds_max = 1e12;
    bool usable = std::abs(position[0]) < metres_max && std::abs(position[1]) < metres_max &&
                  std::abs(position[2]) < metres_max && std::abs(time[r]) < seconds_max;
    if (a1 == a2 || !usable) {
      ++(a1 == a2 ? out_.rows_autocorrelation : out_.rows_unusable);
      continue;
    }
    // CASA Memo 229: UVW points from ANTENNA2 to ANTENNA1, as in AIPS; uv_coverage has the other sign
    // (uvfits_reader.cpp).
    for (int axis = 0; axis < 3; ++axis) block.uvw.push_back(-position[axis]);
    block.time_mjd_s.push_back(time[r]);
    block.integration_s.push_back(std::isfinite(interval[r]) && interval[r] > 0 ? static_cast<float>(interval[r])
                                                                                : 0.0F);
    block.antenna1.push_back(a1);
    block.antenna2.push_back(a2);
    block.field.push_back(field[r]);
    for (std::size_t s = 0; s < samples; ++s) {
      std::complex<float> value = v[r * samples + s];
      float sample_weight = spectrum ? w[r * samples + s] : w[r * polarisations + s % polarisations];
      screen(out_, value, sample_weight, f[r * samples + s] != 0 || row_flag[r] != 0);
      block.vis.push_back(value);
      block.weight.push_back(sample_weight);
    }
  }
}

void set_reader::read_block(int description, const std::vector<std::uint64_t>& rows) {
  auto block = block_header(description);
  const std::size_t samples = block.channels() * block.polarisations.size();
  if (samples == 0) refuse(path_, "DATA_DESC_ID " + std::to_string(description) + " has no channels");
  block.vis.reserve(rows.size() * samples);
  block.weight.reserve(rows.size() * samples);
  block.uvw.reserve(rows.size() * 3);
  // WEIGHT_SPECTRUM is often declared but never filled; then WEIGHT holds.
  bool spectrum =
      main_.has("WEIGHT_SPECTRUM") && main_.cell_shape("WEIGHT_SPECTRUM", rows.front()) ==
                                          std::vector<std::size_t>{block.polarisations.size(), block.channels()};
  const std::size_t piece = std::max<std::size_t>(1, piece_bytes / (samples * sizeof(std::complex<float>)));
  for (std::size_t first = 0; first < rows.size(); first += piece) {
    if (stop_.stop_requested()) refuse(path_, "reading was cancelled", error_code::cancelled);
    const std::size_t count = std::min(piece, rows.size() - first);
    auto start = rows.begin() + static_cast<std::ptrdiff_t>(first);
    take_piece(block, {start, start + static_cast<std::ptrdiff_t>(count)}, spectrum);
    rows_done_ += count;
    if (progress_) progress_(static_cast<double>(rows_done_) / static_cast<double>(rows_all_), "read");
  }
  if (block.rows() > 0) out_.blocks.push_back(std::move(block));
}

imaging::observation set_reader::read() {
  for (const char* name : {"CORRECTED_DATA", "DATA"})
    if (data_.empty() && main_.has(name)) data_ = name;
  if (data_.empty())
    refuse(path_, "has neither a DATA nor a CORRECTED_DATA column: not a Measurement Set with visibilities");
  for (const char* name :
       {"UVW", "FLAG", "FLAG_ROW", "WEIGHT", "TIME", "INTERVAL", "ANTENNA1", "ANTENNA2", "FIELD_ID", "DATA_DESC_ID"})
    if (!main_.has(name)) refuse(path_, std::string("column ") + name + " is missing: not a Measurement Set");
  rows_all_ = main_.rows();
  if (rows_all_ == 0) refuse(path_, "its main table has no rows");
  read_antennas();
  read_fields();
  read_names();

  std::map<int, std::vector<std::uint64_t>> rows_of;
  auto descriptions = main_.scalars<int>("DATA_DESC_ID");
  for (std::uint64_t row = 0; row < rows_all_; ++row) rows_of[descriptions[row]].push_back(row);
  double bytes = 0;
  for (const auto& [description, rows] : rows_of) {
    auto header = block_header(description);
    double samples = static_cast<double>(header.channels() * header.polarisations.size());
    bytes += observation_bytes(static_cast<double>(rows.size()), samples);
  }
  double per_row = (bytes / static_cast<double>(rows_all_) - observation_bytes(1, 0)) /
                   (observation_bytes(1, 1) - observation_bytes(1, 0));
  if (auto fits = check_memory(path_, static_cast<double>(rows_all_), per_row, options_); !fits)
    throw refused{fits.error()};
  for (const auto& [description, rows] : rows_of) read_block(description, rows);
  if (out_.blocks.empty())
    refuse(path_, "no usable row: " + std::to_string(out_.rows_autocorrelation) + " autocorrelations, " +
                      std::to_string(out_.rows_unusable) + " without finite uvw and time");
  return std::move(out_);
}

}  // namespace

result<imaging::observation> read_measurement_set(const std::filesystem::path& path, const read_options& options,
                                                  const std::stop_token& stop, const gpu::progress_sink& progress) {
  std::error_code bad;
  if (!std::filesystem::exists(path / "table.dat", bad))
    return failure(error_code::unreadable, path.string() + ": is a folder without table.dat, not a Measurement Set");
  const turn mine(stop);
  if (!mine.is_mine()) return failure(error_code::cancelled, path.string() + ": reading was cancelled");
  try {
    return set_reader(path, options, stop, progress).read();
  } catch (const refused& r) {
    return failure(r.what);
  } catch (const std::bad_alloc&) {
    return failure(error_code::limit_exceeded, path.string() + ": not enough memory to read it");
  } catch (const std::exception& e) {  // casacore::AipsError is one
    return failure(error_code::unreadable, path.string() + ": cannot be read as a Measurement Set: " + e.what());
  }
}

}  // namespace horizons::observations
