// Reads UVFITS. cfitsio reads headers and tables; the groups, which are nearly all of the file, are read in large
// pieces and decoded here: cfitsio's group calls cost about as much as decoding itself.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <numbers>

#include "actors/observations/civil_time.hpp"
#include "actors/observations/formats.hpp"
#include "actors/observations/uvfits_layout.hpp"
#include "actors/observations/uvfits_tables.hpp"

namespace horizons::observations {

namespace {

constexpr double degree = std::numbers::pi / 180;
constexpr std::size_t piece_bytes = std::size_t{8}
                                    << 20;  // per read call: past 1 MiB the speed is flat, 8 polls stop often

template <class Word, class Value>
double swapped(const unsigned char* p) {
  Word word;
  std::memcpy(&word, p, sizeof word);
  if constexpr (sizeof(Word) == 2) word = __builtin_bswap16(word);
  if constexpr (sizeof(Word) == 4) word = __builtin_bswap32(word);
  if constexpr (sizeof(Word) == 8) word = __builtin_bswap64(word);
  return static_cast<double>(std::bit_cast<Value>(word));
}

using decoder = double (*)(const unsigned char*);

decoder decoder_for(int bitpix) {
  switch (bitpix) {
    case 16:
      return swapped<std::uint16_t, std::int16_t>;
    case 32:
      return swapped<std::uint32_t, std::int32_t>;
    case -64:
      return swapped<std::uint64_t, double>;
    default:
      return swapped<std::uint32_t, float>;
  }
}

class open_file {
public:
  explicit open_file(const std::filesystem::path& path) : descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
  open_file(const open_file&) = delete;
  open_file& operator=(const open_file&) = delete;
  ~open_file() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }

  bool read(unsigned char* to, std::size_t bytes, std::size_t offset) const {
    while (bytes > 0) {
      auto got = ::pread(descriptor_, to, bytes, static_cast<off_t>(offset));
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return false;
      to += got, offset += static_cast<std::size_t>(got), bytes -= static_cast<std::size_t>(got);
    }
    return true;
  }

private:
  int descriptor_;
};

class group_reader {
public:
  group_reader(const std::filesystem::path& path, uvfits_layout layout, uvfits_tables tables)
      : path_(path),
        layout_(std::move(layout)),
        tables_(std::move(tables)),
        decode_(decoder_for(layout_.bitpix)),
        word_(static_cast<std::size_t>(std::abs(layout_.bitpix)) / 8) {}

  result<imaging::observation> read(const std::stop_token& stop, const gpu::progress_sink& progress);
  imaging::observation& observation() { return out_; }

private:
  tl::unexpected<error> wrong(const std::string& text) const {
    return failure(error_code::unreadable, path_.string() + ": " + text);
  }
  double parameter(const unsigned char* group, int index) const {
    const auto& p = layout_.parameters[static_cast<std::size_t>(index)];
    return decode_(group + static_cast<std::size_t>(index) * word_) * p.scale + p.zero;
  }
  result<void> take(const unsigned char* group, std::size_t number);
  void take_samples(const unsigned char* array, imaging::visibility_block& block);
  result<imaging::visibility_block*> block_of(int freqsel);
  std::int32_t antenna_of(int subarray, int station);
  result<std::int32_t> field_of(int source);

  const std::filesystem::path& path_;
  uvfits_layout layout_;
  uvfits_tables tables_;
  decoder decode_;
  std::size_t word_;
  imaging::observation out_;
  std::map<int, std::size_t> block_index_;  // by FREQSEL
};

result<imaging::visibility_block*> group_reader::block_of(int freqsel) {
  if (auto known = block_index_.find(freqsel); known != block_index_.end()) return &out_.blocks[known->second];
  const std::size_t ifs = layout_.band.length, channels = layout_.freq.length;
  auto setup = tables_.frequencies.find(freqsel);
  // Files with one set-up often leave FREQSEL out or at an arbitrary number.
  if (setup == tables_.frequencies.end() && tables_.frequencies.size() == 1) setup = tables_.frequencies.begin();
  if (setup == tables_.frequencies.end() && !tables_.frequencies.empty())
    return wrong("FREQSEL " + std::to_string(freqsel) + " is not in the AIPS FQ table");
  if (setup == tables_.frequencies.end() && ifs > 1)
    return wrong("the IF axis has " + std::to_string(ifs) +
                 " values, but there is no AIPS FQ or CH table with their frequencies");
  if (setup != tables_.frequencies.end() && setup->second.offset_hz.size() < ifs)
    return wrong("the IF axis has " + std::to_string(ifs) + " values, the AIPS FQ table " +
                 std::to_string(setup->second.offset_hz.size()));

  imaging::visibility_block block;
  block.polarisations = layout_.polarisations;
  for (std::size_t i = 0; i < ifs; ++i) {
    double offset = 0, step = layout_.freq.step;
    if (setup != tables_.frequencies.end()) {
      offset = setup->second.offset_hz[i];
      double given = setup->second.step_hz[i];
      // CH WIDTH is a float in most files: where it only rounds CDELT, CDELT is the better value.
      if (given != 0 && std::abs(given - step) > 1e-6 * std::abs(given)) step = given;
    }
    for (std::size_t c = 0; c < channels; ++c) {
      double hz = layout_.freq.value + offset + (static_cast<double>(c) + 1 - layout_.freq.pixel) * step;
      if (!std::isfinite(hz) || hz <= 0)
        return wrong("IF " + std::to_string(i + 1) + ", channel " + std::to_string(c + 1) + " has frequency " +
                     std::to_string(hz) + " Hz; expected a positive one");
      block.frequency_hz.push_back(hz);
      block.channel_width_hz.push_back(std::abs(step));
      block.spw.push_back(static_cast<int>(i));
    }
  }
  if (block_index_.size() >= 1000) return wrong("more than 1000 values of FREQSEL");
  if (block_index_.empty()) {
    block.vis.reserve(layout_.groups * block.channels() * block.polarisations.size());
    block.weight.reserve(layout_.groups * block.channels() * block.polarisations.size());
    block.uvw.reserve(layout_.groups * 3);
  }
  block_index_.emplace(freqsel, out_.blocks.size());
  out_.blocks.push_back(std::move(block));
  return &out_.blocks.back();
}

std::int32_t group_reader::antenna_of(int subarray, int station) {
  auto known = tables_.antenna_index.find({subarray, station});
  // A station missing from its own AN table, or a file without one: imaging needs no positions, so it gets a name only.
  if (known != tables_.antenna_index.end()) return known->second;
  auto index = static_cast<std::int32_t>(out_.antennas.size());
  tables_.antenna_index.emplace(std::pair{subarray, station}, index);
  out_.antennas.push_back({"antenna " + std::to_string(station)});
  return index;
}

result<std::int32_t> group_reader::field_of(int source) {
  if (layout_.source < 0 || tables_.field_index.empty()) return 0;
  auto known = tables_.field_index.find(source);
  if (known == tables_.field_index.end())
    return wrong("SOURCE " + std::to_string(source) + " is not in the AIPS SU table");
  return known->second;
}

void group_reader::take_samples(const unsigned char* array, imaging::visibility_block& block) {
  const bool has_weight = layout_.complex_axis.length == 3;
  const std::size_t part = layout_.complex_axis.stride * word_;
  auto value = [&](const unsigned char* p) { return static_cast<float>(decode_(p) * layout_.scale + layout_.zero); };
  for (std::size_t i = 0; i < layout_.band.length; ++i)
    for (std::size_t c = 0; c < layout_.freq.length; ++c) {
      const auto* channel = array + (i * layout_.band.stride + c * layout_.freq.stride) * word_;
      for (std::size_t p = 0; p < layout_.stokes.length; ++p) {
        const auto* sample = channel + p * layout_.stokes.stride * word_;
        std::complex<float> vis(value(sample), value(sample + part));
        float weight = has_weight ? value(sample + 2 * part) : 1.0F;
        screen(out_, vis, weight);
        block.vis.push_back(vis);
        block.weight.push_back(weight);
      }
    }
}

result<void> group_reader::take(const unsigned char* group, std::size_t number) {
  constexpr double station_max = 1e6;
  int subarray = 1;
  double first = 0, second = 0;
  if (layout_.antenna1 >= 0 && layout_.antenna2 >= 0) {
    first = parameter(group, layout_.antenna1);
    second = parameter(group, layout_.antenna2);
    if (layout_.subarray >= 0) subarray = bounded_int(parameter(group, layout_.subarray), 1, 1000);
  } else {
    double baseline = parameter(group, layout_.baseline);
    double whole = std::floor(baseline + 0.005);
    subarray = 1 + bounded_int((baseline - whole) * 100, 0, 99);
    // 256 a1 + a2; arrays of more than 255 antennas write 65536 + 2048 a1 + a2.
    double base = whole > 65536 ? 2048 : 256;
    double rest = whole > 65536 ? whole - 65536 : whole;
    first = std::floor(rest / base);
    second = rest - first * base;
  }
  if (!(first >= 0 && first <= station_max && second >= 0 && second <= station_max))
    return wrong("group " + std::to_string(number + 1) + ": baseline of antennas " + std::to_string(first) + " and " +
                 std::to_string(second) + " is impossible");
  if (first == second) {
    ++out_.rows_autocorrelation;
    return {};
  }
  double uvw[3], days = 0;
  for (std::size_t axis = 0; axis < 3; ++axis)
    uvw[axis] = parameter(group, layout_.uvw[axis]) * layout_.uvw_to_metres[axis];
  for (int date : layout_.date) days += parameter(group, date) - (date == layout_.date.front() ? 2400000.5 : 0.0);
  constexpr double metres_max = 1e12, days_max = 1e7;  // further than any orbit and any date: garbage, however finite
  if (!(std::abs(uvw[0]) < metres_max && std::abs(uvw[1]) < metres_max && std::abs(uvw[2]) < metres_max &&
        std::abs(days) < days_max)) {
    ++out_.rows_unusable;
    return {};
  }
  auto number_of = [&](int index) {
    return index < 0 ? 1 : bounded_int(parameter(group, index), -1'000'000, 1'000'000);
  };
  auto block = block_of(number_of(layout_.freqsel));
  if (!block) return failure(block.error());
  auto field = field_of(number_of(layout_.source));
  if (!field) return failure(field.error());
  double seconds = days * 86400;
  if (tables_.atomic_time) seconds -= tables_.iat_utc_s != 0 ? tables_.iat_utc_s : leap_seconds(days);
  double inttim = layout_.inttim < 0 ? 0 : parameter(group, layout_.inttim);

  auto& b = **block;
  // AIPS: u, v, w point from antenna 2 to antenna 1 and a source adds exp(+2 pi i (ul+vm+w(n-1))) (seen on VLA data:
  // NVSS sources come out at their places only with this sign). uv_coverage has the other sign of both.
  for (double along : uvw) b.uvw.push_back(-along);
  b.time_mjd_s.push_back(seconds);
  b.integration_s.push_back(std::isfinite(inttim) && inttim > 0 && inttim < 1e6 ? static_cast<float>(inttim) : 0.0F);
  b.antenna1.push_back(antenna_of(subarray, static_cast<int>(first)));
  b.antenna2.push_back(antenna_of(subarray, static_cast<int>(second)));
  b.field.push_back(*field);
  take_samples(group + layout_.parameters.size() * word_, b);
  return {};
}

result<imaging::observation> group_reader::read(const std::stop_token& stop, const gpu::progress_sink& progress) {
  open_file file(path_);
  const std::size_t group_bytes = layout_.bytes_per_group();
  const std::size_t piece = std::max<std::size_t>(1, piece_bytes / group_bytes);
  std::vector<unsigned char> buffer;
  for (std::size_t first = 0; first < layout_.groups; first += piece) {
    if (stop.stop_requested()) return failure(error_code::cancelled, path_.string() + ": reading was cancelled");
    const std::size_t groups = std::min(piece, layout_.groups - first);
    buffer.resize(groups * group_bytes);
    if (!file.read(buffer.data(), buffer.size(), layout_.data_start + first * group_bytes))
      return failure(error_code::io, path_.string() + ": reading groups " + std::to_string(first + 1) + " to " +
                                         std::to_string(first + groups) + " failed");
    for (std::size_t g = 0; g < groups; ++g)
      if (auto taken = take(buffer.data() + g * group_bytes, first + g); !taken) return failure(taken.error());
    if (progress) progress(static_cast<double>(first + groups) / static_cast<double>(layout_.groups), "read");
  }
  if (out_.blocks.empty())
    return wrong("no usable group: " + std::to_string(out_.rows_autocorrelation) + " autocorrelations, " +
                 std::to_string(out_.rows_unusable) + " without finite uvw and time");
  return std::move(out_);
}

}  // namespace

result<imaging::observation> read_uvfits(const std::filesystem::path& path, const read_options& options,
                                         const std::stop_token& stop, const gpu::progress_sink& progress) {
  auto file = open_fits(path);
  if (!file) return failure(file.error());
  auto layout = read_uvfits_layout(file->get(), path);
  if (!layout) return failure(layout.error());
  if (auto fits = check_memory(path, static_cast<double>(layout->groups),
                               static_cast<double>(layout->array_length / layout->complex_axis.length), options);
      !fits)
    return failure(fits.error());
  auto tables = read_uvfits_tables(file->get(), path);
  if (!tables) return failure(tables.error());

  double equinox = header_number(file->get(), "EQUINOX").value_or(header_number(file->get(), "EPOCH").value_or(2000));
  if (equinox != 2000 && equinox != 0)
    return failure(error_code::unreadable, path.string() + ": EQUINOX = " + std::to_string(equinox) +
                                               "; only J2000 coordinates (2000.0) can be imaged");
  group_reader reader(path, *layout, *tables);
  auto& o = reader.observation();
  o.telescope = header_text(file->get(), "TELESCOP");
  if (o.telescope.empty()) o.telescope = tables->telescope;
  o.observer = header_text(file->get(), "OBSERVER");
  o.object_name = header_text(file->get(), "OBJECT");
  o.antennas = tables->antennas;
  o.fields = tables->fields;
  if (o.fields.empty() || layout->source < 0) {
    if (!layout->ra.present || !layout->dec.present)
      return failure(error_code::unreadable,
                     path.string() + ": no RA and DEC axes and no AIPS SU table: the phase centre is unknown");
    if (!std::isfinite(layout->ra.value) || !(std::abs(layout->dec.value) <= 90))
      return failure(error_code::unreadable, path.string() + ": phase centre RA " + std::to_string(layout->ra.value) +
                                                 ", DEC " + std::to_string(layout->dec.value) +
                                                 " degrees is impossible");
    o.fields = {{o.object_name, layout->ra.value * degree, layout->dec.value * degree}};
  }
  return reader.read(stop, progress);
}

}  // namespace horizons::observations
