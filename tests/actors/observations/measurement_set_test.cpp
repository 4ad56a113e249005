#include <gmock/gmock.h>

#include <cstdlib>

#include "tests/actors/observations/observation_fixture.hpp"
#include "tests/actors/observations/uvfits_to_ms.hpp"

namespace horizons::observations {
namespace {

using testing::HasSubstr;

TEST(measurement_set, evla_j1008_as_casa_wrote_it) {
  auto archive = shared_data("evla-j1008-2010.ms.tar.gz");
  if (!std::filesystem::exists(archive))
    GTEST_SKIP() << "the shared data folder is not beside the checkout: " << archive;
  temporary_folder folder;
  auto command = "/bin/tar -xzf '" + archive.string() + "' -C '" + (folder / "").string() + "' 2>/dev/null";
  ASSERT_EQ(std::system(command.c_str()), 0);
  double last = 0;
  auto o = read_observation(folder / "day2_TDEM0003_10s_norx_1src_1spw.ms", {}, {},
                            [&](double fraction, std::string_view) { last = fraction; });
  ASSERT_TRUE(o) << o.error().text;
  EXPECT_EQ(last, 1);
  ASSERT_EQ(o->blocks.size(), 1U);
  const auto& b = o->blocks[0];
  EXPECT_EQ(b.rows(), 1360U);
  EXPECT_EQ(b.channels(), 64U);
  using enum imaging::polarisation;
  EXPECT_EQ(b.polarisations, (std::vector{RR, RL, LR, LL}));
  EXPECT_EQ(o->telescope, "EVLA");
  EXPECT_EQ(o->object_name, "J1008+0730");
  EXPECT_NEAR(b.frequency_hz[0], 36.3045e9, 1e6);
  EXPECT_EQ(o->samples_total, 1360 * 64 * 4);
  EXPECT_EQ(std::floor(b.time_mjd_s[0] / 86400), 55312);  // 2010-04-26
  const auto &p = o->antennas[static_cast<std::size_t>(b.antenna1[0])],
             &q = o->antennas[static_cast<std::size_t>(b.antenna2[0])];
  EXPECT_NEAR(std::hypot(p.x_m - q.x_m, p.y_m - q.y_m, p.z_m - q.z_m), std::hypot(b.uvw[0], b.uvw[1], b.uvw[2]), 0.05);
}

class measurement_set_of_ours : public testing::Test {
protected:
  void SetUp() override { make(small_observation()); }
  void make(const imaging::observation& o) {
    std::filesystem::remove_all(ms());
    ASSERT_TRUE(write_uvfits(o, folder_ / "a.uvfits"));
    ASSERT_EQ(uvfits_to_ms(folder_ / "a.uvfits", ms()), "");
  }
  std::filesystem::path ms() const { return folder_ / "a.ms"; }
  void refused(const std::string& text, error_code code = error_code::unreadable) {
    auto read = read_observation(ms());
    ASSERT_FALSE(read) << "expected: " << text;
    EXPECT_EQ(read.error().code, code);
    EXPECT_THAT(read.error().text, HasSubstr(text));
    EXPECT_THAT(read.error().text, HasSubstr(ms().string()));
  }
  temporary_folder folder_;
};

TEST_F(measurement_set_of_ours, parts_that_are_missing) {
  std::filesystem::remove_all(ms() / "SPECTRAL_WINDOW");
  refused("its table SPECTRAL_WINDOW is missing");
}

TEST_F(measurement_set_of_ours, a_table_that_is_another_one) {
  std::filesystem::copy(ms() / "ANTENNA", folder_ / "b.ms", std::filesystem::copy_options::recursive);
  auto read = read_observation(folder_ / "b.ms");
  ASSERT_FALSE(read);
  EXPECT_THAT(read.error().text, HasSubstr("neither a DATA nor a CORRECTED_DATA column"));
}

TEST_F(measurement_set_of_ours, garbage_in_place_of_the_table) {
  write_bytes(ms() / "table.dat", "this was a table once");
  refused("cannot be read as a Measurement Set");
}

TEST_F(measurement_set_of_ours, all_flagged) {
  auto o = small_observation();
  for (auto& w : o.blocks[0].weight) w = 0;
  make(o);
  refused("no unflagged visibility");
}

TEST_F(measurement_set_of_ours, memory_and_cancellation) {
  auto tight = read_observation(ms(), {.memory_max_bytes = 1000});
  ASSERT_FALSE(tight);
  EXPECT_EQ(tight.error().code, error_code::limit_exceeded);
  std::stop_source stop;
  stop.request_stop();
  auto stopped = read_observation(ms(), {}, stop.get_token());
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code, error_code::cancelled);
}

TEST_F(measurement_set_of_ours, every_file_cut_short) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(ms()))
    if (entry.is_regular_file() && entry.file_size() > 0) files.push_back(entry.path());
  ASSERT_GT(files.size(), 20U);
  int refusals = 0;
  for (const auto& file : files) {
    auto bytes = bytes_of(file);
    write_bytes(file, bytes.substr(0, bytes.size() / 2));
    auto read = read_observation(ms());
    if (!read) {
      ++refusals;
      EXPECT_THAT(read.error().text, HasSubstr(ms().string()));
    }
    write_bytes(file, bytes);
  }
  EXPECT_GT(refusals, 5);
  auto whole = read_observation(ms());
  EXPECT_TRUE(whole) << whole.error().text;
}

}  // namespace
}  // namespace horizons::observations
