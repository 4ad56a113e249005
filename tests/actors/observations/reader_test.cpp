#include "actors/observations/reader.hpp"

#include <gmock/gmock.h>

#include <bit>
#include <cstring>
#include <limits>
#include <numbers>
#include <random>

#include "gpu/imaging/celestial.hpp"
#include "tests/actors/observations/observation_fixture.hpp"

namespace horizons::observations {
namespace {

using testing::HasSubstr;

constexpr double degree = std::numbers::pi / 180;

#define NEEDS_SHARED(name)                         \
  if (!std::filesystem::exists(shared_data(name))) \
  GTEST_SKIP() << "the shared data folder is not beside the checkout: " << (name)

/// Mean flux that arrives from a direction, after the field's centre is taken off: bright only where a source really
/// is.
double flux_from(const imaging::observation& o, double l, double m) {
  double sum = 0, count = 0;
  for (const auto& b : o.blocks)
    for (std::size_t c = 0; c < b.channels(); ++c)
      for (std::size_t p = 0; p < b.polarisations.size(); ++p) {
        auto at = [&](std::size_t row) { return (row * b.channels() + c) * b.polarisations.size() + p; };
        std::complex<double> mean = 0;
        double good = 0;
        for (std::size_t row = 0; row < b.rows(); ++row)
          if (b.weight[at(row)] > 0) mean += std::complex<double>(b.vis[at(row)]), good += 1;
        if (good == 0) continue;
        mean /= good;
        for (std::size_t row = 0; row < b.rows(); ++row) {
          if (b.weight[at(row)] == 0) continue;
          double path =
              b.uvw[3 * row] * l + b.uvw[3 * row + 1] * m + b.uvw[3 * row + 2] * (std::sqrt(1 - l * l - m * m) - 1);
          sum += ((std::complex<double>(b.vis[at(row)]) - mean) *
                  std::polar(1.0, 2 * std::numbers::pi * path * b.frequency_hz[c] / 299792458.0))
                     .real();
          count += 1;
        }
      }
  return sum / count;
}

TEST(read_observation, the_vla_field_of_3c286) {
  NEEDS_SHARED("vla-3c286-2001.uvfits");
  double last = 0;
  auto o = read_observation(shared_data("vla-3c286-2001.uvfits"), {}, {},
                            [&](double fraction, std::string_view) { last = fraction; });
  ASSERT_TRUE(o) << o.error().text;
  EXPECT_EQ(last, 1);
  ASSERT_EQ(o->blocks.size(), 1U);
  const auto& b = o->blocks[0];
  EXPECT_EQ(b.rows(), 15156U);
  EXPECT_EQ(b.channels(), 14U);
  EXPECT_EQ(o->samples_total, 424368);
  EXPECT_EQ(std::count_if(b.weight.begin(), b.weight.end(), [](float w) { return w > 0; }), 420182);
  EXPECT_EQ(o->samples_flagged, 424368 - 420182);
  EXPECT_EQ(o->samples_non_finite + o->samples_absurd + o->rows_autocorrelation + o->rows_unusable, 0);
  EXPECT_NEAR(b.frequency_hz[3], 1364.9e6, 1);
  EXPECT_NEAR(b.frequency_hz[10] - b.frequency_hz[3], 70.2e6, 1);
  EXPECT_EQ(b.spw, (std::vector<int>{0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1}));
  EXPECT_EQ(o->telescope, "VLA");
  EXPECT_EQ(o->object_name, "1331+305");
  EXPECT_EQ(o->antennas.size(), 29U);
  EXPECT_EQ(std::floor(b.time_mjd_s[0] / 86400), 51965);  // 2001-02-25
  EXPECT_NEAR(o->fields[0].ra_rad / degree, 202.784533, 1e-6);
  // The distance of two antennas is the length of their baseline, whatever frame either is in.
  const auto &p = o->antennas[static_cast<std::size_t>(b.antenna1[0])],
             &q = o->antennas[static_cast<std::size_t>(b.antenna2[0])];
  EXPECT_NEAR(std::hypot(p.x_m - q.x_m, p.y_m - q.y_m, p.z_m - q.z_m), std::hypot(b.uvw[0], b.uvw[1], b.uvw[2]), 0.05);
}

TEST(read_observation, sources_come_out_at_their_catalogue_places) {
  NEEDS_SHARED("vla-3c286-2001.uvfits");
  auto o = read_observation(shared_data("vla-3c286-2001.uvfits"));
  ASSERT_TRUE(o) << o.error().text;
  imaging::direction centre{o->fields[0].ra_rad, o->fields[0].dec_rad};
  auto nvss =
      imaging::project({202.9523 * degree, 30.5300 * degree}, centre);  // 264 mJy, 203 of it within the primary beam
  EXPECT_NEAR(flux_from(*o, nvss.l, nvss.m), 0.19, 0.03);
  EXPECT_LT(flux_from(*o, -nvss.l, nvss.m), 0.05);  // mirrored in either axis there is nothing
  EXPECT_LT(flux_from(*o, nvss.l, -nvss.m), 0.05);
  EXPECT_LT(flux_from(*o, -nvss.l, -nvss.m), 0.05);
}

TEST(read_observation, hera_without_its_autocorrelations) {
  NEEDS_SHARED("hera-2016-unflagged.uvfits");
  auto o = read_observation(shared_data("hera-2016-unflagged.uvfits"));
  ASSERT_TRUE(o) << o.error().text;
  EXPECT_EQ(o->blocks[0].rows(), 171U);
  EXPECT_EQ(o->rows_autocorrelation, 19);
  EXPECT_EQ(o->blocks[0].channels(), 1024U);
  EXPECT_EQ(o->blocks[0].polarisations, std::vector{imaging::polarisation::XX});
  EXPECT_NEAR(o->blocks[0].frequency_hz[1023], 100e6 + 1023 * 97656.25, 1e-3);
  EXPECT_NEAR(o->blocks[0].integration_s[0], 10.737, 1e-3);
  EXPECT_EQ(o->antennas[static_cast<std::size_t>(o->blocks[0].antenna1[0])].diameter_m, 14);
}

TEST(read_observation, vlba_with_two_ifs_and_four_polarisations) {
  NEEDS_SHARED("vlba-m87-2006.uvfits");
  auto o = read_observation(shared_data("vlba-m87-2006.uvfits"));
  ASSERT_TRUE(o) << o.error().text;
  const auto& b = o->blocks[0];
  EXPECT_EQ(b.rows(), 3150U);
  EXPECT_EQ(o->antennas.size(), 10U);
  using enum imaging::polarisation;
  EXPECT_EQ(b.polarisations, (std::vector{RR, LL, RL, LR}));
  EXPECT_NEAR(b.frequency_hz[0], 8104.45875e6, 1);
  EXPECT_NEAR(b.frequency_hz[1], 8112.45875e6, 1);
  EXPECT_EQ(o->observer, "BL137");
  // uvw are stored in wavelengths with a PSCAL that makes them seconds: the longest baseline is Mauna Kea to Saint
  // Croix.
  double longest = 0;
  for (std::size_t row = 0; row < b.rows(); ++row)
    longest = std::max(longest, std::hypot(b.uvw[3 * row], b.uvw[3 * row + 1], b.uvw[3 * row + 2]));
  EXPECT_NEAR(longest, 8.611e6, 5e3);
}

class bad_uvfits : public testing::Test {
protected:
  void SetUp() override {
    ASSERT_TRUE(write_uvfits(small_observation(), good()));
    bytes_ = bytes_of(good());
    data_ = bytes_.find("END" + std::string(77, ' ')) / 2880 * 2880 + 2880;
  }
  std::filesystem::path good() const { return folder_ / "good.uvfits"; }
  std::filesystem::path bad() const { return folder_ / "bad.uvfits"; }
  void refused(const std::string& bytes, const std::string& text, error_code code = error_code::unreadable) {
    write_bytes(bad(), bytes);
    auto read = read_observation(bad());
    ASSERT_FALSE(read) << "expected: " << text;
    EXPECT_EQ(read.error().code, code);
    EXPECT_THAT(read.error().text, HasSubstr(text));
    EXPECT_THAT(read.error().text, HasSubstr(bad().string()));
  }
  /// Overwrites the value of index `word` of group `group` (7 parameters, 72 array values).
  std::string with_word(std::string bytes, std::size_t group, std::size_t word, float value) const {
    auto raw = __builtin_bswap32(std::bit_cast<std::uint32_t>(value));
    std::memcpy(bytes.data() + data_ + (group * 79 + word) * 4, &raw, 4);
    return bytes;
  }

  temporary_folder folder_;
  std::string bytes_;
  std::size_t data_ = 0;
};

TEST_F(bad_uvfits, files_that_are_no_uvfits) {
  auto missing = read_observation(folder_ / "nothing.uvfits");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, error_code::not_found);
  EXPECT_THAT(missing.error().text, HasSubstr("no such file"));
  refused("", "is empty (0 bytes)");
  refused("hello, world, this is not FITS", "is not FITS");
  refused("\x1f\x8b\x08 compressed", "is compressed with gzip");
  refused(bytes_.substr(0, 1000), "truncated: 1000 bytes");
  refused(bytes_.substr(0, data_ + 5000), "truncated: its header promises 30 groups, at least " +
                                              std::to_string(data_ + 30 * 79 * 4) + " bytes; the file has " +
                                              std::to_string(data_ + 5000));
  refused(with_card(bytes_, "GROUPS", "                   F"), "not random groups");
  refused(with_card(bytes_, "NAXIS1", "                  16"), "not random groups");
  auto folder = read_observation(folder_ / "");
  ASSERT_FALSE(folder);
  EXPECT_THAT(folder.error().text, HasSubstr("folder without table.dat, not a Measurement Set"));
}

TEST_F(bad_uvfits, headers_that_lack_or_contradict) {
  refused(with_card(bytes_, "PTYPE3", "'ZZ      '"),
          "PTYPE 'WW' missing (found UU---SIN, VV---SIN, ZZ, DATE, DATE, INTTIM, BASELINE); w-terms need it");
  refused(with_card(bytes_, "PTYPE7", "'NOTHING '"), "PTYPE 'BASELINE' missing");
  refused(with_card(with_card(bytes_, "PTYPE4", "'X       '"), "PTYPE5", "'Y       '"), "PTYPE 'DATE' missing");
  refused(with_card(bytes_, "CTYPE3", "'WHAT    '"), "axis 3 ('WHAT') has 4 values; expected 1");
  refused(with_card(bytes_, "CTYPE4", "'STOKES  '"), "two axes of type 'STOKES'");
  refused(with_card(bytes_, "CRVAL3", "-7."), "STOKES code -9");
  refused(with_card(bytes_, "CRVAL4", "-1.4E9"), "CRVAL = -1400000000 Hz; expected a positive frequency");
  refused(with_card(bytes_, "CRPIX4", "1000.0"), "IF 1, channel 1 has frequency -1721875000");
  refused(with_card(bytes_, "CRVAL7", "95.0"), "DEC 95.0");
  refused(with_card(bytes_, "EQUINOX", "1950.0"), "only J2000");
  refused(with_card(bytes_, "GCOUNT", "1000000000000000"), "GCOUNT = 1e+15");
  refused(with_card(bytes_, "NAXIS4", "-3"), "illegal NAXISn");
  refused(with_card(bytes_, "PCOUNT", "1000"), "PCOUNT = 1000");
  auto no_table = bytes_;
  no_table.replace(no_table.find("AIPS FQ"), 7, "AIPS QF");
  refused(no_table, "the IF axis has 2 values, but there is no AIPS FQ or CH table");
}

TEST_F(bad_uvfits, samples_that_cannot_be_used_are_counted_and_weigh_nothing) {
  const float nan = std::numeric_limits<float>::quiet_NaN(), infinite = std::numeric_limits<float>::infinity();
  auto bytes = with_word(bytes_, 0, 7 + 3, nan);     // sample 1: real part
  bytes = with_word(bytes, 0, 7 + 6 + 1, infinite);  // sample 2: imaginary part
  bytes = with_word(bytes, 0, 7 + 9 + 2, nan);       // sample 3: weight
  bytes = with_word(bytes, 0, 7 + 12, 3e9F);         // sample 4: absurd
  bytes = with_word(bytes, 0, 7 + 15 + 2, -1.0F);    // sample 5: flagged the AIPS way
  bytes = with_word(bytes, 1, 0, nan);               // row 1: u
  bytes = with_word(bytes, 2, 3, infinite);          // row 2: time
  bytes = with_word(bytes, 3, 6, 256 * 2 + 2);       // row 3: an antenna with itself
  write_bytes(bad(), bytes);
  auto read = read_observation(bad());
  ASSERT_TRUE(read) << read.error().text;
  EXPECT_EQ(read->samples_non_finite, 3);
  EXPECT_EQ(read->samples_absurd, 1);
  EXPECT_EQ(read->rows_unusable, 2);
  EXPECT_EQ(read->rows_autocorrelation, 1);
  EXPECT_EQ(read->blocks[0].rows(), 27U);
  for (std::size_t i : {1, 2, 3, 4, 5}) EXPECT_EQ(read->blocks[0].weight[i], 0) << i;
  for (const auto& v : read->blocks[0].vis) EXPECT_TRUE(std::isfinite(v.real()) && std::isfinite(v.imag()));
}

TEST_F(bad_uvfits, nothing_left_to_image) {
  auto o = small_observation();
  for (auto& w : o.blocks[0].weight) w = 0;
  ASSERT_TRUE(write_uvfits(o, bad()));
  auto read = read_observation(bad());
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, error_code::unreadable);
  EXPECT_THAT(read.error().text,
              HasSubstr("no unflagged visibility (720 samples: 720 flagged, 0 not finite, 0 absurd)"));

  auto bytes = bytes_;
  for (std::size_t group = 0; group < 30; ++group) bytes = with_word(bytes, group, 6, 257);
  refused(bytes, "no usable group: 30 autocorrelations");
  refused(with_word(bytes_, 4, 6, -3e30F), "group 5: baseline of antennas");
}

TEST_F(bad_uvfits, memory_and_cancellation) {
  auto tight = read_observation(good(), {.memory_max_bytes = 1000});
  ASSERT_FALSE(tight);
  EXPECT_EQ(tight.error().code, error_code::limit_exceeded);
  EXPECT_THAT(tight.error().text, HasSubstr("30 rows of 24 samples need"));
  std::stop_source stop;
  stop.request_stop();
  auto stopped = read_observation(good(), {}, stop.get_token());
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code, error_code::cancelled);
}

TEST_F(bad_uvfits, other_forms_of_the_same_content) {
  // Wavelengths instead of seconds: the factor is the reference wavelength.
  auto in_wavelengths = with_card(bytes_, "PTYPE1", "'UU-L-SIN'");
  write_bytes(bad(), in_wavelengths);
  auto read = read_observation(bad());
  ASSERT_TRUE(read) << read.error().text;
  EXPECT_NEAR(read->blocks[0].uvw[0], 100.0 / 1.4e9, 1e-12);
  // Without antenna table: names only.
  auto no_antennas = bytes_;
  no_antennas.replace(no_antennas.find("AIPS AN"), 7, "AIPS NA");
  write_bytes(bad(), no_antennas);
  read = read_observation(bad());
  ASSERT_TRUE(read) << read.error().text;
  EXPECT_EQ(read->antennas.size(), 4U);
  EXPECT_EQ(read->antennas[0].name, "antenna 1");
  // PSCAL and PZERO apply.
  write_bytes(bad(), with_card(bytes_, "PSCAL2", "2.0"));
  read = read_observation(bad());
  ASSERT_TRUE(read) << read.error().text;
  EXPECT_NEAR(read->blocks[0].uvw[3 * 18 + 1], 2 * small_observation().blocks[0].uvw[3 * 18 + 1], 1e-5);
  // Atomic time: 32 leap seconds in 2001.
  auto atomic = bytes_;
  auto at = atomic.find("TIMSYS  = 'UTC     '");
  ASSERT_NE(at, std::string::npos);
  atomic.replace(at, 20, "TIMSYS  = 'IAT     '");
  write_bytes(bad(), atomic);
  read = read_observation(bad());
  ASSERT_TRUE(read) << read.error().text;
  EXPECT_NEAR(read->blocks[0].time_mjd_s[0], small_observation().blocks[0].time_mjd_s[0] - 32, 1e-5);
}

// Any damage ends in an error or in an observation whose parts fit together; never in a crash or a hang.
TEST_F(bad_uvfits, random_damage) {
  std::mt19937_64 random(20260101);
  auto below = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  int valid = 0, refusals = 0;
  for (int round = 0; round < 1000; ++round) {
    auto bytes = bytes_;
    switch (round % 4) {
      case 0:
        bytes.resize(below(bytes.size()));
        break;
      case 1:  // anywhere
        for (int i = 0; i < 8; ++i) bytes[below(bytes.size())] = static_cast<char>(random());
        break;
      case 2:  // the header, with the characters that matter there
        for (int i = 0; i < 4; ++i) bytes[below(data_)] = "0123456789-.E'= TF"[below(18)];
        break;
      default: {  // the tables' headers and content
        auto tables = bytes.find("XTENSION");
        for (int i = 0; i < 6; ++i) bytes[tables + below(bytes.size() - tables)] = "0123456789-.E'= DJA\xff"[below(20)];
      }
    }
    write_bytes(bad(), bytes);
    auto read = read_observation(bad(), {.memory_max_bytes = std::size_t{64} << 20});
    if (!read) {
      EXPECT_FALSE(read.error().text.empty());
      ++refusals;
      continue;
    }
    ++valid;
    for (const auto& b : read->blocks) {
      ASSERT_EQ(b.uvw.size(), 3 * b.rows());
      ASSERT_EQ(b.vis.size(), b.rows() * b.channels() * b.polarisations.size());
      ASSERT_EQ(b.weight.size(), b.vis.size());
      for (std::size_t i = 0; i < b.vis.size(); ++i) ASSERT_TRUE(std::isfinite(b.vis[i].real()) && b.weight[i] >= 0);
      for (auto a : b.antenna1) ASSERT_TRUE(a >= 0 && static_cast<std::size_t>(a) < read->antennas.size());
      for (auto f : b.field) ASSERT_TRUE(f >= 0 && static_cast<std::size_t>(f) < read->fields.size());
    }
  }
  EXPECT_GT(valid, 50);
  EXPECT_GT(refusals, 200);
}

}  // namespace
}  // namespace horizons::observations
