// A folder that vanishes, and a small observation to write, corrupt and read.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "actors/observations/reader.hpp"
#include "actors/observations/writer.hpp"

namespace horizons::observations {

class temporary_folder {
public:
  temporary_folder() {
    static std::atomic<int> count{0};
    path_ = std::filesystem::temp_directory_path() /
            ("horizons-observations-" + std::to_string(::getpid()) + "-" + std::to_string(++count));
    std::filesystem::create_directories(path_);
  }
  temporary_folder(const temporary_folder&) = delete;
  temporary_folder& operator=(const temporary_folder&) = delete;
  ~temporary_folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  std::size_t files() const {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(path_), {}));
  }

private:
  std::filesystem::path path_;
};

inline std::string bytes_of(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

inline void write_bytes(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

inline std::filesystem::path shared_data(const std::string& name) {
  return std::filesystem::path(HORIZONS_SHARED_DATA) / name;
}

/// 4 antennas, 5 times, 2 spectral windows of 3 channels, RR LL RL LR; every 7th sample flagged.
inline imaging::observation small_observation() {
  imaging::observation o;
  o.telescope = "TEST";
  o.observer = "somebody";
  o.object_name = "3C286";
  o.fields = {{"3C286", 3.5392576, 0.5324850}};
  for (int i = 0; i < 4; ++i)
    o.antennas.push_back(
        {"A" + std::to_string(i), -1601185.0 + 97 * i, -5041977.0 + 131 * i * i, 3554876.0 - 53 * i, 25});
  imaging::visibility_block b;
  using enum imaging::polarisation;
  b.polarisations = {RR, LL, RL, LR};
  for (int i = 0; i < 6; ++i) {
    b.frequency_hz.push_back(1.4e9 + (i / 3) * 70.2e6 + (i % 3) * 3.125e6);
    b.channel_width_hz.push_back(3.125e6);
    b.spw.push_back(i / 3);
  }
  int n = 0;
  for (int t = 0; t < 5; ++t)
    for (int a1 = 0; a1 < 4; ++a1)
      for (int a2 = a1 + 1; a2 < 4; ++a2) {
        b.uvw.insert(b.uvw.end(), {100.0 * (a2 - a1) + t, -37.5 * a1 + 11 * t, 5.25 * a2 - t});
        b.time_mjd_s.push_back(51965.0 * 86400 + 3600 + 10.25 * t);
        b.integration_s.push_back(10);
        b.antenna1.push_back(a1);
        b.antenna2.push_back(a2);
        b.field.push_back(0);
        for (int s = 0; s < 24; ++s, ++n) {
          b.vis.emplace_back(static_cast<float>(std::sin(n) * 3.7), static_cast<float>(std::cos(n * 1.3) / 7));
          b.weight.push_back(n % 7 == 0 ? 0.0F : 1.5F + static_cast<float>(n % 11));
        }
      }
  o.blocks = {b};
  return o;
}

/// Replaces the value of a header card in place; the card must exist.
inline std::string with_card(std::string bytes, const std::string& key, const std::string& value) {
  std::string start = key + std::string(8 - key.size(), ' ') + "=";
  auto at = bytes.find(start);
  EXPECT_NE(at, std::string::npos) << key;
  std::string card = start + " " + value;
  card.resize(80, ' ');
  return at == std::string::npos ? bytes : bytes.replace(at, 80, card);
}

}  // namespace horizons::observations
