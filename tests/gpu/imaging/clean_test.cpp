#include "gpu/imaging/clean.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "gpu/imaging/statistics.hpp"

namespace horizons::imaging {
namespace {

/// A PSF with a Gaussian main lobe, a ripple that decays with distance, and a peak of exactly 1 at the centre.
std::vector<double> rippled_psf(std::size_t nx, std::size_t ny, double ripple) {
  std::vector<double> out(nx * ny);
  for (std::size_t y = 0; y < ny; ++y)
    for (std::size_t x = 0; x < nx; ++x) {
      const double r = std::hypot(static_cast<double>(x) - static_cast<double>(nx / 2),
                                  static_cast<double>(y) - static_cast<double>(ny / 2));
      out[y * nx + x] = (1 - ripple) * std::exp(-r * r / 6) + ripple * std::cos(0.8 * r) / (1 + 0.05 * r);
    }
  return out;
}

struct point {
  std::size_t x, y;
  double flux;
};

std::vector<double> observe(const std::vector<double>& psf, std::size_t nx, std::size_t ny,
                            const std::vector<point>& sky) {
  std::vector<double> out(nx * ny);
  for (const auto& s : sky)
    for (std::size_t y = 0; y < ny; ++y)
      for (std::size_t x = 0; x < nx; ++x) {
        const auto px = static_cast<std::ptrdiff_t>(x + nx / 2) - static_cast<std::ptrdiff_t>(s.x);
        const auto py = static_cast<std::ptrdiff_t>(y + ny / 2) - static_cast<std::ptrdiff_t>(s.y);
        if (px < 0 || py < 0 || px >= static_cast<std::ptrdiff_t>(nx) || py >= static_cast<std::ptrdiff_t>(ny))
          continue;
        out[y * nx + x] += s.flux * psf[static_cast<std::size_t>(py) * nx + static_cast<std::size_t>(px)];
      }
  return out;
}

/// The slow, obvious twin: the whole image searched and the whole PSF subtracted in every iteration.
std::int64_t plain_hogbom(std::vector<double>& residual, std::vector<double>& model, const std::vector<double>& psf,
                          std::size_t nx, std::size_t ny, double gain, double threshold, std::int64_t niter) {
  std::int64_t i = 0;
  for (; i < niter; ++i) {
    const auto at =
        static_cast<std::size_t>(std::max_element(residual.begin(), residual.end(),
                                                  [](double a, double b) { return std::abs(a) < std::abs(b); }) -
                                 residual.begin());
    if (std::abs(residual[at]) <= threshold) break;
    const double flux = gain * residual[at];
    model[at] += flux;
    const auto sub = observe(psf, nx, ny, {{at % nx, at / nx, flux}});
    for (std::size_t k = 0; k < residual.size(); ++k) residual[k] -= sub[k];
  }
  return i;
}

TEST(clean, does_what_plain_hogbom_does) {
  constexpr std::size_t nx = 90, ny = 70;  // no multiples of the tile
  const image_geometry g{nx, ny, -1e-5, 1e-5};
  const auto psf = rippled_psf(nx, ny, 0.2);
  const auto dirty = observe(psf, nx, ny, {{20, 30, 1.0}, {70, 10, -0.4}, {45, 35, 0.8}, {0, 69, 0.6}});
  auto plain = dirty, fast = dirty;
  std::vector<double> plain_model(nx * ny), fast_model(nx * ny);
  const auto iterations = plain_hogbom(plain, plain_model, psf, nx, ny, 0.1, 0.02, 300);
  const auto out = minor_cycle<double>(g, psf).run(fast, fast_model, {0.1, 0.02, 300, 0});
  ASSERT_TRUE(out);
  EXPECT_EQ(out->patch_half, 45U);  // the ripple reaches everywhere: the whole PSF
  EXPECT_EQ(out->iterations, iterations);
  for (std::size_t k = 0; k < plain.size(); ++k) {
    ASSERT_NEAR(fast_model[k], plain_model[k], 1e-12);
    ASSERT_NEAR(fast[k], plain[k], 1e-12);
  }
}

TEST(clean, a_single_source_comes_back_with_its_flux) {
  const image_geometry g{256, 256, -1e-5, 1e-5};
  const auto psf = rippled_psf(256, 256, 0.1);
  std::vector<float> psf_f(psf.begin(), psf.end());
  const auto dirty = observe(psf, 256, 256, {{100, 140, 2.5}});
  std::vector<float> residual(dirty.begin(), dirty.end()), model(256 * 256);
  const auto out = minor_cycle<float>(g, psf_f).run(residual, model, {0.1, 0.005, 10'000, 0});
  ASSERT_TRUE(out);
  EXPECT_EQ(out->why, clean_end::threshold);
  EXPECT_NEAR(model[140 * 256 + 100], 2.5, 0.02);
  EXPECT_LE(out->peak_last, 0.005 + 1e-6);
}

TEST(clean, a_decaying_psf_is_cut_and_limits_the_depth) {
  const image_geometry g{512, 512, -1e-5, 1e-5};
  std::vector<double> psf(512 * 512);
  for (int y = 0; y < 512; ++y)
    for (int x = 0; x < 512; ++x) {
      const double r = std::hypot(x - 256, y - 256);
      psf[static_cast<std::size_t>(y) * 512 + static_cast<std::size_t>(x)] = 1 / (1 + r * r * r / 8);
    }
  auto residual = observe(psf, 512, 512, {{200, 300, 1}});
  std::vector<double> model(512 * 512);
  const auto out = minor_cycle<double>(g, psf).run(residual, model, {0.2, 0.1, 1000, 0});
  ASSERT_TRUE(out);
  EXPECT_LT(out->patch_half, 100U);
  EXPECT_LE(out->sidelobe_outside, 0.025);
  EXPECT_LE(out->peak_last, 0.1);
}

TEST(clean, keeps_components_out_of_the_border) {
  const image_geometry g{64, 64, -1e-5, 1e-5};
  const auto psf = rippled_psf(64, 64, 0.05);
  auto residual = observe(psf, 64, 64, {{3, 3, 5}, {32, 32, 1}});
  std::vector<double> model(64 * 64);
  ASSERT_TRUE(minor_cycle<double>(g, psf).run(residual, model, {0.1, 0.1, 500, 8}));
  for (std::size_t y = 0; y < 64; ++y)
    for (std::size_t x = 0; x < 64; ++x)
      if (x < 8 || y < 8 || x >= 56 || y >= 56) {
        ASSERT_EQ(model[y * 64 + x], 0) << x << ' ' << y;
      }
  EXPECT_GT(model[32 * 64 + 32], 0.5);
}

TEST(clean, stops_at_the_number_of_iterations) {
  const image_geometry g{64, 64, -1e-5, 1e-5};
  const auto psf = rippled_psf(64, 64, 0.05);
  auto residual = observe(psf, 64, 64, {{32, 32, 1}});
  std::vector<double> model(64 * 64);
  const auto out = minor_cycle<double>(g, psf).run(residual, model, {0.1, 0, 7, 0});
  ASSERT_TRUE(out);
  EXPECT_EQ(out->why, clean_end::iterations);
  EXPECT_EQ(out->iterations, 7);
}

TEST(clean, notices_divergence) {
  // With a "PSF" whose sidelobe exceeds its peak every subtraction makes things worse.
  const image_geometry g{64, 64, -1e-5, 1e-5};
  auto psf = rippled_psf(64, 64, 0.05);
  psf[32 * 64 + 40] = -3;
  auto residual = observe(rippled_psf(64, 64, 0.05), 64, 64, {{32, 32, 1}});
  std::vector<double> model(64 * 64);
  const auto out = minor_cycle<double>(g, psf).run(residual, model, {0.5, 1e-6, 100'000, 0});
  ASSERT_TRUE(out);
  EXPECT_EQ(out->why, clean_end::diverged);
  EXPECT_LT(out->iterations, 1000);
}

TEST(clean, an_empty_image_needs_no_iteration) {
  const image_geometry g{64, 64, -1e-5, 1e-5};
  const auto psf = rippled_psf(64, 64, 0.05);
  std::vector<double> residual(64 * 64), model(64 * 64);
  const auto out = minor_cycle<double>(g, psf).run(residual, model, {0.1, 0, 100, 0});
  ASSERT_TRUE(out);
  EXPECT_EQ(out->iterations, 0);
}

TEST(clean, can_be_cancelled) {
  const image_geometry g{64, 64, -1e-5, 1e-5};
  const auto psf = rippled_psf(64, 64, 0.05);
  auto residual = observe(psf, 64, 64, {{32, 32, 1}});
  std::vector<double> model(64 * 64);
  std::stop_source stop;
  stop.request_stop();
  const auto out = minor_cycle<double>(g, psf).run(residual, model, {0.1, 0, 1'000'000, 0}, stop.get_token());
  ASSERT_FALSE(out);
  EXPECT_EQ(out.error().code, error_code::cancelled);
}

TEST(statistics, are_not_upset_by_sources_and_blanks) {
  std::mt19937 random(7);
  std::normal_distribution<float> noise(0.5F, 2.0F);
  std::vector<float> pixels(200'000);
  for (auto& p : pixels) p = noise(random);
  for (std::size_t i = 0; i < pixels.size(); i += 200) pixels[i] = 1e4F;
  for (std::size_t i = 1; i < pixels.size(); i += 7) pixels[i] = std::nanf("");
  const auto s = robust_of(std::span<const float>(pixels));
  EXPECT_NEAR(s.median, 0.5, 0.03);
  EXPECT_NEAR(s.rms, 2, 0.03);
  const auto sampled = robust_of(std::span<const float>(pixels), 20'000);
  EXPECT_NEAR(sampled.rms, 2, 0.08);
  EXPECT_EQ(robust_of(std::span<const float>{}).rms, 0);
}

TEST(statistics, quantiles_of_a_ramp) {
  std::vector<float> ramp(101);
  std::iota(ramp.begin(), ramp.end(), 0.0F);
  EXPECT_EQ(quantiles(ramp, std::vector<double>{0, 0.25, 1}), (std::vector<float>{0, 25, 100}));
}

}  // namespace
}  // namespace horizons::imaging
