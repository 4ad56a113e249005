#include "gpu/imaging/beam.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <vector>

namespace horizons::imaging {
namespace {

constexpr double arcsec = std::numbers::pi / 180 / 3600;
constexpr double degree = std::numbers::pi / 180;

/// A Gaussian written out from the definition: u along the major axis, which points `pa` from north (+m) to east (+l).
std::vector<float> gaussian(const image_geometry& g, const gaussian_beam& b, double pedestal = 0) {
  std::vector<float> out(g.pixels());
  for (std::size_t y = 0; y < g.ny; ++y)
    for (std::size_t x = 0; x < g.nx; ++x) {
      const double l = (static_cast<double>(x) - static_cast<double>(g.nx / 2)) * g.cell_x;
      const double m = (static_cast<double>(y) - static_cast<double>(g.ny / 2)) * g.cell_y;
      const double u = l * std::sin(b.pa_rad) + m * std::cos(b.pa_rad),
                   v = l * std::cos(b.pa_rad) - m * std::sin(b.pa_rad);
      const double r2 = u * u / (b.major_rad * b.major_rad) + v * v / (b.minor_rad * b.minor_rad);
      out[y * g.nx + x] = static_cast<float>((1 - pedestal) * std::exp(-4 * std::numbers::ln2 * r2) + pedestal);
    }
  return out;
}

double angle_between(double a, double b) {  // of two axes: modulo 180 degrees
  return std::abs(std::remainder(a - b, std::numbers::pi));
}

class beam_angles : public testing::TestWithParam<int> {};

TEST_P(beam_angles, are_found_from_north_through_east_with_ra_to_the_left) {
  const image_geometry g{64, 80, -1.5 * arcsec, 1.0 * arcsec};
  const gaussian_beam truth{9 * arcsec, 5 * arcsec, GetParam() * degree};
  const auto fit = fit_beam(gaussian(g, truth), g);
  ASSERT_TRUE(fit) << fit.error().text;
  EXPECT_NEAR(fit->major_rad, truth.major_rad, 1e-4 * truth.major_rad);
  EXPECT_NEAR(fit->minor_rad, truth.minor_rad, 1e-4 * truth.minor_rad);
  EXPECT_LT(angle_between(fit->pa_rad, truth.pa_rad), 1e-3);
}

INSTANTIATE_TEST_SUITE_P(all_round, beam_angles, testing::Range(-90, 91, 15));

TEST(beam, position_angle_45_points_to_north_east) {
  // North-east is up and left in the picture: the pixel up-left of the centre must be brighter than up-right.
  const image_geometry g{32, 32, -arcsec, arcsec};
  const auto psf = gaussian(g, {8 * arcsec, 4 * arcsec, 45 * degree});
  EXPECT_GT(psf[18 * 32 + 14], psf[18 * 32 + 18]);
  EXPECT_NEAR(fit_beam(psf, g)->pa_rad, 45 * degree, 1e-4);
}

TEST(beam, sidelobes_and_other_lobes_do_not_enter) {
  const image_geometry g{64, 64, -arcsec, arcsec};
  const gaussian_beam truth{6 * arcsec, 5 * arcsec, 0.3};
  auto psf = gaussian(g, truth);
  for (std::size_t x = 0; x < 64; ++x)
    psf[3 * 64 + x] = 0.9F;  // a bright grating lobe, not connected with the main lobe
  const auto fit = fit_beam(psf, g);
  ASSERT_TRUE(fit);
  EXPECT_NEAR(fit->major_rad, truth.major_rad, 1e-4 * truth.major_rad);
}

TEST(beam, a_coarse_cell_is_refused_with_one_that_would_do) {
  const image_geometry g{32, 32, -10 * arcsec, 10 * arcsec};
  const auto fit = fit_beam(gaussian(g, {12 * arcsec, 12 * arcsec, 0}), g);
  ASSERT_FALSE(fit);
  EXPECT_EQ(fit.error().code, error_code::invalid_argument);
  EXPECT_NE(fit.error().text.find("cell_arcsec = 10 is too coarse"), std::string::npos) << fit.error().text;
}

TEST(beam, a_psf_without_a_peak_is_refused) {
  const image_geometry g{8, 8, -arcsec, arcsec};
  EXPECT_FALSE(fit_beam(std::vector<float>(64, 0.0F), g));
  EXPECT_FALSE(fit_beam(std::vector<float>(63, 1.0F), g));
  EXPECT_FALSE(fit_beam(std::vector<float>(64, std::nanf("")), g));
}

TEST(beam, area_and_forms) {
  const image_geometry g{64, 64, -arcsec, 2 * arcsec};
  const gaussian_beam b{9 * arcsec, 5 * arcsec, 0.7};
  double sum = 0;
  for (float v : gaussian({256, 256, -arcsec, 2 * arcsec}, b)) sum += v;
  EXPECT_NEAR(b.area_pixels(g), sum, 1e-4 * sum);
  const gaussian_beam back = beam_of(form_of(b, g), g);
  EXPECT_NEAR(back.major_rad, b.major_rad, 1e-9 * b.major_rad);
  EXPECT_NEAR(back.pa_rad, b.pa_rad, 1e-9);
}

TEST(beam, deconvolution_takes_squares_along_common_axes) {
  const gaussian_beam d = deconvolve({5, 13, 0.2}, {4, 12, 0.2});
  EXPECT_NEAR(d.major_rad, 5, 1e-9);
  EXPECT_NEAR(d.minor_rad, 3, 1e-9);
  EXPECT_EQ(deconvolve({5, 3, 0.2}, {6, 4, 0.2}).major_rad, 0);
}

}  // namespace
}  // namespace horizons::imaging
