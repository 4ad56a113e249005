#include "actors/observations/writer.hpp"

#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <csignal>
#include <cstdlib>

#include "tests/actors/observations/observation_fixture.hpp"
#include "tests/actors/observations/uvfits_to_ms.hpp"

namespace horizons::observations {
namespace {

using testing::HasSubstr;

TEST(write_uvfits, comes_back_as_it_was) {
  temporary_folder folder;
  auto written = small_observation();
  ASSERT_TRUE(write_uvfits(written, folder / "a.uvfits", {"first line", "second line"}));
  EXPECT_EQ(folder.files(), 1U) << "a temporary file was left";
  auto read = read_observation(folder / "a.uvfits");
  ASSERT_TRUE(read) << read.error().text;
  ASSERT_EQ(read->blocks.size(), 1U);
  const auto &a = written.blocks[0], &b = read->blocks[0];
  EXPECT_EQ(a.vis, b.vis);  // bit for bit, the flagged ones too
  EXPECT_EQ(a.weight, b.weight);
  EXPECT_EQ(a.antenna1, b.antenna1);
  EXPECT_EQ(a.antenna2, b.antenna2);
  EXPECT_EQ(a.polarisations, b.polarisations);
  EXPECT_EQ(a.spw, b.spw);
  EXPECT_EQ(a.integration_s, b.integration_s);
  ASSERT_EQ(a.uvw.size(), b.uvw.size());
  for (std::size_t i = 0; i < a.uvw.size(); ++i) EXPECT_NEAR(a.uvw[i], b.uvw[i], 1e-7 * std::abs(a.uvw[i])) << i;
  for (std::size_t i = 0; i < a.rows(); ++i) EXPECT_NEAR(a.time_mjd_s[i], b.time_mjd_s[i], 2e-6) << i;
  for (std::size_t i = 0; i < a.channels(); ++i) {
    EXPECT_NEAR(a.frequency_hz[i], b.frequency_hz[i], 1e-3);
    EXPECT_DOUBLE_EQ(a.channel_width_hz[i], b.channel_width_hz[i]);
  }
  ASSERT_EQ(read->antennas.size(), 4U);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(read->antennas[i].name, written.antennas[i].name);
    EXPECT_DOUBLE_EQ(read->antennas[i].x_m, written.antennas[i].x_m);
    EXPECT_DOUBLE_EQ(read->antennas[i].y_m, written.antennas[i].y_m);
    EXPECT_DOUBLE_EQ(read->antennas[i].z_m, written.antennas[i].z_m);
    EXPECT_EQ(read->antennas[i].diameter_m, 25);
  }
  EXPECT_EQ(read->telescope, "TEST");
  EXPECT_EQ(read->observer, "somebody");
  EXPECT_EQ(read->object_name, "3C286");
  EXPECT_NEAR(read->fields[0].ra_rad, written.fields[0].ra_rad, 1e-14);
  EXPECT_NEAR(read->fields[0].dec_rad, written.fields[0].dec_rad, 1e-14);
  EXPECT_THAT(bytes_of(folder / "a.uvfits"), HasSubstr("HISTORY second line"));
}

TEST(write_uvfits, is_read_by_casacore_with_the_same_visibilities) {
  temporary_folder folder;
  auto written = small_observation();
  ASSERT_TRUE(write_uvfits(written, folder / "a.uvfits"));
  ASSERT_EQ(uvfits_to_ms(folder / "a.uvfits", folder / "a.ms"), "");
  auto read = read_observation(folder / "a.ms");
  ASSERT_TRUE(read) << read.error().text;
  ASSERT_EQ(read->blocks.size(), 2U);  // an IF is a spectral window of its own there
  using enum imaging::polarisation;
  const std::vector<imaging::polarisation> casa_order = {RR, RL, LR, LL};
  const auto& a = written.blocks[0];
  for (std::size_t window = 0; window < 2; ++window) {
    const auto& b = read->blocks[window];
    ASSERT_EQ(b.rows(), a.rows());
    ASSERT_EQ(b.channels(), 3U);
    for (std::size_t row = 0; row < b.rows(); ++row)
      for (std::size_t axis = 0; axis < 3; ++axis) EXPECT_NEAR(b.uvw[3 * row + axis], a.uvw[3 * row + axis], 1e-4);
    for (std::size_t c = 0; c < 3; ++c) EXPECT_NEAR(b.frequency_hz[c], a.frequency_hz[3 * window + c], 1);
    for (std::size_t row = 0; row < b.rows(); ++row)
      for (std::size_t c = 0; c < 3; ++c)
        for (std::size_t p = 0; p < 4; ++p) {
          auto there = static_cast<std::size_t>(
              std::find(b.polarisations.begin(), b.polarisations.end(), a.polarisations[p]) - b.polarisations.begin());
          ASSERT_LT(there, 4U);
          auto from = (row * 6 + 3 * window + c) * 4 + p, to = (row * 3 + c) * 4 + there;
          EXPECT_EQ(a.vis[from], b.vis[to]);
          EXPECT_EQ(a.weight[from] > 0, b.weight[to] > 0);
        }
    EXPECT_THAT(b.polarisations, testing::UnorderedElementsAreArray(casa_order));
    for (std::size_t row = 0; row < b.rows(); ++row) EXPECT_NEAR(b.time_mjd_s[row], a.time_mjd_s[row], 1e-3);
  }
  EXPECT_NEAR(read->antennas[2].x_m, written.antennas[2].x_m, 1e-3);
  EXPECT_NEAR(read->antennas[2].y_m, written.antennas[2].y_m, 1e-3);
  // A Measurement Set's polarisations are not in FITS order; the writer sorts them.
  read->blocks.resize(1);
  ASSERT_TRUE(write_uvfits(*read, folder / "b.uvfits"));
  auto again = read_observation(folder / "b.uvfits");
  ASSERT_TRUE(again) << again.error().text;
  EXPECT_EQ(again->blocks[0].polarisations, a.polarisations);
  EXPECT_EQ(again->blocks[0].vis[1], a.vis[1]);
}

TEST(write_uvfits, more_antennas_than_a_baseline_number_holds) {
  temporary_folder folder;
  auto o = small_observation();
  while (o.antennas.size() < 300) o.antennas.push_back({"X" + std::to_string(o.antennas.size())});
  o.blocks[0].antenna2[3] = 299;
  ASSERT_TRUE(write_uvfits(o, folder / "a.uvfits"));
  auto read = read_observation(folder / "a.uvfits");
  ASSERT_TRUE(read) << read.error().text;
  EXPECT_EQ(read->blocks[0].antenna2, o.blocks[0].antenna2);
}

TEST(write_uvfits, refuses_what_the_format_cannot_hold) {
  temporary_folder folder;
  auto refused = [&](auto&& change, const std::string& text) {
    auto o = small_observation();
    change(o);
    auto written = write_uvfits(o, folder / "a.uvfits");
    ASSERT_FALSE(written);
    EXPECT_EQ(written.error().code, error_code::invalid_argument);
    EXPECT_THAT(written.error().text, HasSubstr(text));
    EXPECT_EQ(folder.files(), 0U);
  };
  refused([](auto& o) { o.blocks.push_back(o.blocks[0]); }, "it has 2 blocks; expected 1");
  refused([](auto& o) { o.blocks[0].spw[2] = 1; }, "different numbers of channels");
  refused([](auto& o) { o.blocks[0].frequency_hz[1] += 1e6; }, "not evenly spaced");
  refused([](auto& o) { o.blocks[0].antenna2[0] = 4; }, "antenna 4 of row 0");
  refused([](auto& o) { o.blocks[0].vis.pop_back(); }, "differ in length");
  refused([](auto& o) { o.fields.push_back(o.fields[0]), o.blocks[0].field[1] = 1; }, "several fields");
}

TEST(write_uvfits, into_a_folder_that_is_not_there) {
  auto written = write_uvfits(small_observation(), "/nonexistent/folder/a.uvfits");
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, error_code::io);
  EXPECT_THAT(written.error().text, HasSubstr("/nonexistent/folder/a.uvfits"));
}

// A limit on file size stands in for a full disk: both are a write that the kernel refuses half way.
TEST(write_uvfits, a_full_disk_is_named_and_leaves_nothing) {
  temporary_folder folder;
  auto o = small_observation();
  pid_t child = ::fork();
  if (child == 0) {
    std::signal(SIGXFSZ, SIG_IGN);
    rlimit limit{20'000, 20'000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    auto written = write_uvfits(o, folder / "a.uvfits");
    bool right = !written && written.error().code == error_code::disk_full && folder.files() == 0;
    std::_Exit(right ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

}  // namespace
}  // namespace horizons::observations
