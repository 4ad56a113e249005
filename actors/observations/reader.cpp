#include "actors/observations/reader.hpp"

#include <array>
#include <cstdio>
#include <system_error>

#include "actors/observations/formats.hpp"

namespace horizons::observations {

double observation_bytes(double rows, double samples_per_row) {
  constexpr double row = 3 * sizeof(double) + sizeof(double) + sizeof(float) + 3 * sizeof(std::int32_t);
  constexpr double sample = sizeof(std::complex<float>) + sizeof(float);
  return rows * (row + samples_per_row * sample);
}

result<void> check_memory(const std::filesystem::path& path, double rows, double samples_per_row,
                          const read_options& options) {
  double need = observation_bytes(rows, samples_per_row);
  if (need <= static_cast<double>(options.memory_max_bytes)) return {};
  std::array<char, 160> text{};
  std::snprintf(text.data(), text.size(), ": %.0f rows of %.0f samples need %.2f GiB of memory; %.2f GiB are allowed",
                rows, samples_per_row, need / 1073741824.0,
                static_cast<double>(options.memory_max_bytes) / 1073741824.0);
  return failure(error_code::limit_exceeded, path.string() + text.data());
}

namespace {

std::string count_words(const imaging::observation& o) {
  std::string text = std::to_string(o.samples_total) + " samples: " + std::to_string(o.samples_flagged) + " flagged, " +
                     std::to_string(o.samples_non_finite) + " not finite, " + std::to_string(o.samples_absurd) +
                     " absurd";
  if (o.rows_autocorrelation > 0)
    text += "; " + std::to_string(o.rows_autocorrelation) + " autocorrelation rows dropped";
  if (o.rows_unusable > 0) text += "; " + std::to_string(o.rows_unusable) + " rows without finite uvw and time dropped";
  return text;
}

}  // namespace

result<imaging::observation> read_observation(const std::filesystem::path& path, const read_options& options,
                                              std::stop_token stop, const gpu::progress_sink& progress) {
  std::error_code bad;
  auto kind = std::filesystem::status(path, bad);
  if (!std::filesystem::exists(kind)) {
    if (bad && bad != std::errc::no_such_file_or_directory && bad != std::errc::not_a_directory)
      return failure(error_code::io, path.string() + ": " + bad.message());
    return failure(error_code::not_found, path.string() + ": no such file");
  }
  auto read = std::filesystem::is_directory(kind) ? read_measurement_set(path, options, stop, progress)
                                                  : read_uvfits(path, options, stop, progress);
  if (!read) return read;
  if (read->samples_total == read->samples_flagged + read->samples_non_finite + read->samples_absurd)
    return failure(error_code::unreadable, path.string() + ": no unflagged visibility (" + count_words(*read) + ")");
  return read;
}

}  // namespace horizons::observations
