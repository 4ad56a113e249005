#include "gpu/imaging/weighting.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace horizons::imaging {
namespace {

constexpr double c = 299'792'458.0;

/// An 8x8 image whose uv cell is one wavelength at a frequency of c Hz (so that metres are wavelengths).
const image_geometry eight{8, 8, -1.0 / 8, 1.0 / 8};
const std::vector<double> one_metre{c};

struct samples {
  std::vector<double> uvw;
  std::vector<float> weight;
  weighted_coverage block() const { return {{uvw, one_metre}, weight}; }
};

TEST(weighting, natural_keeps_the_weights_and_leaves_out_flagged_samples) {
  const samples s{{1, 2, 0, 3, 1, 0, -2, 0, 5}, {1, 0, 4}};
  const auto w = make_weights(std::vector{s.block()}, eight, weighting::natural, 0);
  ASSERT_TRUE(w) << w.error().text;
  EXPECT_EQ(w->blocks[0], (std::vector<float>{1, 0, 4}));
  EXPECT_DOUBLE_EQ(w->sum, 5);
  EXPECT_EQ(w->used, 2);
}

TEST(weighting, uniform_shares_a_cell_between_samples_conjugates_and_blocks) {
  // (1, 2) and its conjugate (-1, -2) with weights 1 and 3 in one block, 4 more in another: W = 8. (3, 0) is alone.
  const samples a{{1, 2, 0, -1, -2, 0, 3, 0, 0}, {1, 3, 5}};
  const samples b{{1.2, 1.9, 0}, {4}};
  const auto w = make_weights(std::vector{a.block(), b.block()}, eight, weighting::uniform, 0);
  ASSERT_TRUE(w) << w.error().text;
  EXPECT_FLOAT_EQ(w->blocks[0][0], 1.0F / 8);
  EXPECT_FLOAT_EQ(w->blocks[0][1], 3.0F / 8);
  EXPECT_FLOAT_EQ(w->blocks[0][2], 1.0F);
  EXPECT_FLOAT_EQ(w->blocks[1][0], 4.0F / 8);
  EXPECT_NEAR(w->sum, 2, 1e-6);
}

TEST(weighting, conjugates_on_the_u_axis_share_a_cell) {
  const samples s{{2, 0.1, 0, -2, 0.1, 0}, {1, 1}};
  const auto w = make_weights(std::vector{s.block()}, eight, weighting::uniform, 0);
  ASSERT_TRUE(w);
  EXPECT_FLOAT_EQ(w->blocks[0][0], 0.5F);
  EXPECT_FLOAT_EQ(w->blocks[0][1], 0.5F);
}

TEST(weighting, briggs_by_hand) {
  // Cells with W = 4 (1 + 3) and W = 2: sum W^2 / sum w = 20 / 6; robust 1: f^2 = 0.5^2 / (20 / 6) = 0.075.
  const samples s{{1, 2, 0, 1, 2, 0, 0, 3, 0}, {1, 3, 2}};
  const auto w = make_weights(std::vector{s.block()}, eight, weighting::briggs, 1);
  ASSERT_TRUE(w);
  EXPECT_NEAR(w->blocks[0][0], 1 / (1 + 0.075 * 4), 1e-6);
  EXPECT_NEAR(w->blocks[0][1], 3 / (1 + 0.075 * 4), 1e-6);
  EXPECT_NEAR(w->blocks[0][2], 2 / (1 + 0.075 * 2), 1e-6);
}

TEST(weighting, briggs_runs_from_uniform_to_natural) {
  const samples s{{1, 2, 0, 1, 2, 0, 0, 3, 0}, {1, 3, 2}};
  const auto low = make_weights(std::vector{s.block()}, eight, weighting::briggs, -4);
  const auto high = make_weights(std::vector{s.block()}, eight, weighting::briggs, 6);
  ASSERT_TRUE(low && high);
  EXPECT_NEAR(low->blocks[0][1] / low->blocks[0][2], (3.0 / 4) / (2.0 / 2), 1e-4);
  EXPECT_NEAR(high->blocks[0][1] / high->blocks[0][2], 3.0 / 2, 1e-4);
}

TEST(weighting, frequency_scales_metres_into_wavelengths) {
  // At twice the frequency (1, 1) m is (2, 2) wavelengths: the cell of the second row at the first channel.
  const std::vector<double> two{c, 2 * c}, uvw{1, 1, 0, 2, 2, 0};
  const std::vector<float> weight{1, 1, 1, 0};
  const auto w = make_weights(std::vector{weighted_coverage{{uvw, two}, weight}}, eight, weighting::uniform, 0);
  ASSERT_TRUE(w);
  EXPECT_EQ(w->blocks[0], (std::vector<float>{1, 0.5F, 0.5F, 0}));
}

TEST(weighting, samples_beyond_the_grid_are_counted_and_not_used) {
  const samples s{{1, 0, 0, 100, 0, 0}, {1, 1}};
  const auto w = make_weights(std::vector{s.block()}, eight, weighting::natural, 0);
  ASSERT_TRUE(w);
  EXPECT_EQ(w->outside, 1);
  EXPECT_EQ(w->blocks[0][1], 0);
}

TEST(weighting, refuses_what_cannot_be_imaged) {
  const samples flagged{{1, 0, 0}, {0}}, far{{100, 0, 0}, {1}};
  EXPECT_NE(make_weights(std::vector{flagged.block()}, eight, weighting::natural, 0).error().text.find("no unflagged"),
            std::string::npos);
  EXPECT_NE(make_weights(std::vector{far.block()}, eight, weighting::briggs, 0).error().text.find("cell_arcsec"),
            std::string::npos);
  EXPECT_FALSE(make_weights(std::vector{far.block()}, image_geometry{8, 8, 0, 1}, weighting::briggs, 0));
}

}  // namespace
}  // namespace horizons::imaging
