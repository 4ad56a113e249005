#include "gpu/imaging/source_finder.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <random>

#include "gpu/imaging/restore.hpp"
#include "gpu/imaging/statistics.hpp"

namespace horizons::imaging {
namespace {

constexpr double arcsec = std::numbers::pi / 180 / 3600;
const gaussian_beam beam{4.5 * arcsec, 3.5 * arcsec, 0.5};
const direction centre{3.5, 0.6};

struct source {
  double x, y, flux;
  gaussian_beam shape = beam;  // as seen, flux is the peak
};

void add(std::vector<float>& image, const image_geometry& g, const source& s) {
  const gaussian_form f = form_of(s.shape, g);
  for (std::size_t y = 0; y < g.ny; ++y)
    for (std::size_t x = 0; x < g.nx; ++x)
      image[y * g.nx + x] += static_cast<float>(
          s.flux * std::exp(-f.exponent(static_cast<double>(x) - s.x, static_cast<double>(y) - s.y)));
}

/// Noise with the beam's correlation and the given rms.
std::vector<float> noise_image(const image_geometry& g, double rms, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> white(g.pixels()), image(g.pixels());
  for (auto& v : white) v = normal(random);
  const gaussian_beam narrower{beam.major_rad / std::sqrt(2.0), beam.minor_rad / std::sqrt(2.0), beam.pa_rad};
  restore(white, narrower, g, image);  // noise smoothed by g has the autocorrelation g*g: the beam
  double sum = 0;
  for (float v : image) sum += static_cast<double>(v) * v;
  const auto scale = static_cast<float>(rms / std::sqrt(sum / static_cast<double>(image.size())));
  for (auto& v : image) v *= scale;
  return image;
}

TEST(source_finder, finds_places_and_fluxes_of_points) {
  const image_geometry g{400, 300, -arcsec, arcsec};
  auto image = noise_image(g, 1e-3, 3);
  const std::vector<source> truth{{100.3, 80.6, 1.0}, {250.5, 200.5, 0.1}, {320.1, 60.9, 0.02}, {30.7, 270.2, 0.3}};
  for (const auto& s : truth) add(image, g, s);
  const auto found = find_sources(image, g, beam, centre);
  ASSERT_TRUE(found) << found.error().text;
  ASSERT_EQ(found->sources.size(), truth.size());
  EXPECT_EQ(found->negative_islands, 0);
  EXPECT_NEAR(found->rms_jy, 1e-3, 1e-4);
  for (const auto& t : truth) {
    const auto s = std::find_if(found->sources.begin(), found->sources.end(),
                                [&](const auto& f) { return std::hypot(f.x - t.x, f.y - t.y) < 2; });
    ASSERT_NE(s, found->sources.end()) << t.x << ' ' << t.y;
    EXPECT_LT(std::abs(s->flux_jy - t.flux), 4 * s->flux_error_jy + 1e-4 * t.flux);
    EXPECT_NEAR(s->peak_error_jy, 1e-3, 4e-4);  // a point's amplitude is as uncertain as the noise
    EXPECT_FALSE(s->resolved);
    const direction_cosines c = project(s->position, centre);
    EXPECT_LT(std::abs(c.l - (t.x - 200) * g.cell_x), 4 * s->ra_error_rad + 1e-3 * arcsec);
    EXPECT_LT(std::abs(c.m - (t.y - 150) * g.cell_y), 4 * s->dec_error_rad + 1e-3 * arcsec);
  }
}

TEST(source_finder, errors_are_what_repeated_measurements_show) {
  const image_geometry g{128, 128, -arcsec, arcsec};
  double flux2 = 0, place2 = 0, flux_error = 0, place_error = 0;
  constexpr int runs = 60;
  for (unsigned run = 0; run < runs; ++run) {
    auto image = noise_image(g, 1e-3, 100 + run);
    add(image, g, {64.2, 63.7, 0.02});
    const auto found = find_sources(image, g, beam, centre);
    ASSERT_TRUE(found);
    ASSERT_FALSE(found->sources.empty());
    const auto& s = found->sources[0];
    flux2 += std::pow(s.peak_jy - 0.02, 2) / runs;
    place2 += std::pow((s.x - 64.2) * arcsec, 2) / runs;
    flux_error += s.peak_error_jy / runs;
    place_error += s.ra_error_rad / runs;
  }
  EXPECT_NEAR(std::sqrt(flux2) / flux_error, 1, 0.4);
  EXPECT_NEAR(std::sqrt(place2) / place_error, 1, 0.4);
}

TEST(source_finder, measures_an_extended_source) {
  const image_geometry g{256, 256, -arcsec, arcsec};
  auto image = noise_image(g, 1e-3, 5);
  const gaussian_beam seen{9 * arcsec, 6 * arcsec, 1.2};
  add(image, g, {130.4, 120.2, 0.5, seen});
  const auto found = find_sources(image, g, beam, centre);
  ASSERT_TRUE(found);
  ASSERT_GE(found->sources.size(), 1U);
  const auto& s = found->sources[0];
  EXPECT_TRUE(s.resolved);
  EXPECT_NEAR(s.shape.major_rad, seen.major_rad, 0.02 * seen.major_rad);
  EXPECT_NEAR(s.flux_jy, 0.5 * seen.area_pixels(g) / beam.area_pixels(g), 0.02 * s.flux_jy);
  EXPECT_GT(s.deconvolved.major_rad, 7 * arcsec);
}

TEST(source_finder, splits_two_blended_points) {
  const image_geometry g{128, 128, -arcsec, arcsec};
  auto image = noise_image(g, 1e-4, 6);
  add(image, g, {60, 64, 0.5});
  add(image, g, {66.5, 64.3, 0.3});
  const auto found = find_sources(image, g, beam, centre);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->islands, 1);
  ASSERT_EQ(found->sources.size(), 2U);
  EXPECT_NEAR(found->sources[0].flux_jy, 0.5, 0.01);
  EXPECT_NEAR(found->sources[1].flux_jy, 0.3, 0.01);
  EXPECT_NEAR(found->sources[1].x, 66.5, 0.1);
  EXPECT_EQ(found->sources[0].island, found->sources[1].island);
}

TEST(source_finder, counts_negative_islands_and_ignores_blanks) {
  const image_geometry g{128, 128, -arcsec, arcsec};
  auto image = noise_image(g, 1e-3, 8);
  add(image, g, {30, 30, -0.05});
  add(image, g, {90, 30, -0.05});
  add(image, g, {64, 100, 0.05});
  for (std::size_t x = 0; x < 128; ++x) image[x] = std::nanf("");
  const auto found = find_sources(image, g, beam, centre);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->negative_islands, 2);
  EXPECT_EQ(found->islands, 1);
}

TEST(source_finder, pure_noise_gives_next_to_nothing) {
  const image_geometry g{512, 512, -arcsec, arcsec};
  const auto found = find_sources(noise_image(g, 1, 9), g, beam, centre);
  ASSERT_TRUE(found);
  EXPECT_LE(found->sources.size(), 1U);
}

TEST(source_finder, the_noise_map_follows_the_noise) {
  const image_geometry g{640, 640, -arcsec, arcsec};
  auto image = noise_image(g, 1, 10);
  for (std::size_t y = 0; y < 640; ++y)
    for (std::size_t x = 320; x < 640; ++x) image[y * 640 + x] *= 5;
  const auto map = noise_map(image, g, beam);
  EXPECT_NEAR(map[320 * 640 + 100], 1, 0.2);
  EXPECT_NEAR(map[320 * 640 + 540], 5, 1);
}

TEST(source_finder, an_island_too_large_to_fit_is_summed) {
  const image_geometry g{400, 400, -arcsec, arcsec};
  auto image = noise_image(g, 1e-3, 11);
  for (std::size_t y = 100; y < 300; ++y)
    for (std::size_t x = 100; x < 300; ++x) image[y * 400 + x] += 0.1F;
  const auto found = find_sources(image, g, beam, centre);
  ASSERT_TRUE(found);
  ASSERT_GE(found->sources.size(), 1U);
  EXPECT_FALSE(found->sources[0].fitted);
  const double expected = 0.1 * 200 * 200 / beam.area_pixels(g);
  EXPECT_NEAR(found->sources[0].flux_jy, expected, 0.05 * expected);
}

TEST(source_finder, limits_the_number_of_sources) {
  const image_geometry g{200, 200, -arcsec, arcsec};
  auto image = noise_image(g, 1e-3, 12);
  for (int i = 0; i < 9; ++i) add(image, g, {30.0 + 60 * (i % 3), 30.0 + 60 * (i / 3), 0.1 * (i + 1)});
  finder_options few;
  few.sources_max = 4;
  const auto found = find_sources(image, g, beam, centre, few);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->sources.size(), 4U);
  EXPECT_EQ(found->islands, 9);
  EXPECT_NEAR(found->sources[0].flux_jy, 0.9, 0.01);
}

TEST(celestial, projection_there_and_back) {
  for (double dec : {-1.2, 0.0, 0.6, 1.55})
    for (double ra : {0.001, 3.0, 6.28}) {
      const direction c{ra, dec};
      for (auto [l, m] : {std::pair{0.0, 0.0}, {0.01, -0.02}, {-0.3, 0.2}}) {
        const auto back = project(deproject({l, m}, c), c);
        EXPECT_NEAR(back.l, l, 1e-14);
        EXPECT_NEAR(back.m, m, 1e-14);
      }
    }
  EXPECT_NEAR(separation({0.1, 0.5}, {0.1, 0.500001}), 1e-6, 1e-12);
  EXPECT_GT(project({1.01, 0}, {1.0, 0}).l, 0);  // RA grows to the east
}

}  // namespace
}  // namespace horizons::imaging
