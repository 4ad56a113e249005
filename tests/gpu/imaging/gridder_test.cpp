// The gridder against the direct Fourier transform, term by term in double.
#include "gpu/imaging/gridder.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <numbers>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "gpu/imaging/dft.hpp"

namespace horizons::imaging {
namespace {

constexpr double degree = std::numbers::pi / 180;
constexpr double speed_of_light_m_s = 299'792'458.0;

template <class Real>
std::vector<std::complex<Real>> as(const std::vector<std::complex<double>>& from) {
  return {from.begin(), from.end()};
}

template <class Real>
std::vector<Real> as(const std::vector<double>& from) {
  return {from.begin(), from.end()};
}

/// ||a - b|| / ||b||
template <class A, class B>
double relative_rms(const std::vector<A>& a, const std::vector<B>& b) {
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    difference += std::norm(std::complex<double>(a[i]) - std::complex<double>(b[i]));
    norm += std::norm(std::complex<double>(b[i]));
  }
  return std::sqrt(difference / norm);
}

/// Random baselines that fill the uv plane of the image and reach as far in w, with noise for visibilities.
struct observation {
  image_geometry image;
  std::vector<double> uvw;
  std::vector<double> frequency_hz;
  std::vector<std::complex<double>> vis;
  std::vector<double> weight;
  std::vector<double> sky;

  observation(image_geometry geometry, std::size_t rows, std::size_t channels, double w_wavelengths, unsigned seed = 7)
      : image(geometry) {
    std::mt19937_64 random(seed);
    std::uniform_real_distribution<double> uniform(-1, 1);
    const double hz = 1.4e9, metres = speed_of_light_m_s / hz;
    for (std::size_t row = 0; row < rows; ++row) {
      uvw.push_back(uniform(random) * 0.47 * metres / std::abs(image.cell_x));
      uvw.push_back(uniform(random) * 0.47 * metres / std::abs(image.cell_y));
      uvw.push_back(uniform(random) * w_wavelengths * metres);
    }
    for (std::size_t c = 0; c < channels; ++c) frequency_hz.push_back(hz * (1 + 0.05 * double(c) / double(channels)));
    for (std::size_t s = 0; s < rows * channels; ++s) {
      vis.emplace_back(uniform(random), uniform(random));
      weight.push_back(1 + uniform(random) / 2);
    }
    for (std::size_t p = 0; p < image.pixels(); ++p) sky.push_back(uniform(random));
  }

  uv_coverage coverage() const { return {uvw, frequency_hz}; }
};

/// 2 degrees across, not square, an odd side, RA to the left; w of several tens of planes.
observation wide_field(std::size_t channels = 1) {
  const double cell = 2 * degree / 64;
  return observation({.nx = 64, .ny = 51, .cell_x = -cell, .cell_y = cell}, 2000 / channels, channels, 60'000);
}

template <class Real>
gridder<Real> plan_for(const observation& o, double accuracy, bool w_terms = true,
                       std::span<const unsigned char> mask = {}) {
  auto made = gridder<Real>::make(o.image, o.coverage(), mask, {.accuracy = accuracy, .w_terms = w_terms});
  EXPECT_TRUE(made.has_value()) << made.error().text;
  return std::move(*made);
}

template <class Real>
void expect_accuracy(const observation& o, std::initializer_list<double> accuracies, bool w_terms = true) {
  observation flat = o;
  if (!w_terms)
    for (std::size_t i = 2; i < flat.uvw.size(); i += 3) flat.uvw[i] = 0;
  const auto true_image = dft_grid(o.image, flat.coverage(), o.vis, o.weight);
  const auto true_vis = dft_degrid(o.image, flat.coverage(), o.sky);
  for (const double accuracy : accuracies) {
    const auto plan = plan_for<Real>(o, accuracy, w_terms);
    const auto image = plan.grid(as<Real>(o.vis), as<Real>(o.weight));
    const auto vis = plan.degrid(as<Real>(o.sky));
    ASSERT_TRUE(image && vis);
    const double image_error = relative_rms(*image, true_image), vis_error = relative_rms(*vis, true_vis);
    EXPECT_LE(image_error, accuracy);
    EXPECT_LE(vis_error, accuracy);
    if (std::getenv("HORIZONS_PRINT"))
      std::printf("| %s | %s | %.0e | %.1e | %.1e | W %d, sigma %.2f, %zu planes |\n",
                  sizeof(Real) == 4 ? "f32" : "f64", w_terms ? "w" : "planar", accuracy, image_error, vis_error,
                  plan.plan().kernel_support, plan.plan().oversampling, plan.plan().w_planes);
    EXPECT_GE(plan.plan().w_planes, w_terms ? 20u : 1u);
  }
}

TEST(Gridder, SinglePrecisionIsAsAccurateAsAsked) {
  expect_accuracy<float>(wide_field(), {1e-2, 1e-3, 1e-4, 1e-5, 2e-6});
}

TEST(Gridder, DoublePrecisionIsAsAccurateAsAsked) {
  expect_accuracy<double>(wide_field(), {1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-11, 1e-12});
}

TEST(Gridder, ManyChannelsShareARow) { expect_accuracy<float>(wide_field(40), {1e-4}); }

TEST(Gridder, WithoutWTermsItIsThePlanarTransform) {
  expect_accuracy<float>(wide_field(), {1e-2, 1e-4, 1e-5}, false);
  expect_accuracy<double>(wide_field(), {1e-5, 1e-12}, false);
}

TEST(Gridder, BaselinesBeyondTheNyquistLimitOfTheCellStillCount) {
  auto o = wide_field();
  for (std::size_t i = 0; i < o.uvw.size(); ++i)
    if (i % 3 != 2) o.uvw[i] *= 3.3;
  expect_accuracy<double>(o, {1e-6});
}

TEST(Gridder, TinyImages) {
  for (const auto& [nx, ny] : {std::pair{1, 1}, {1, 7}, {5, 2}, {33, 1}}) {
    const observation o({.nx = std::size_t(nx), .ny = std::size_t(ny), .cell_x = 1e-3, .cell_y = -2e-3}, 300, 2,
                        30'000);
    const auto plan = plan_for<double>(o, 1e-9);
    EXPECT_LE(relative_rms(*plan.grid(o.vis, o.weight), dft_grid(o.image, o.coverage(), o.vis, o.weight)), 1e-9);
    EXPECT_LE(relative_rms(*plan.degrid(o.sky), dft_degrid(o.image, o.coverage(), o.sky)), 1e-9);
  }
}

TEST(Gridder, PixelsBeyondTheHorizonAreZero) {
  const observation o({.nx = 40, .ny = 40, .cell_x = -0.04, .cell_y = 0.04}, 200, 1, 15);  // corners at 1.13
  const auto plan = plan_for<double>(o, 1e-8);
  const auto image = *plan.grid(o.vis, o.weight);
  EXPECT_EQ(image.front(), 0.0);
  EXPECT_NE(image[20 * 40 + 20], 0.0);
  EXPECT_LE(relative_rms(image, dft_grid(o.image, o.coverage(), o.vis, o.weight)), 1e-8);
  auto sky = o.sky;
  sky.front() = std::numeric_limits<double>::quiet_NaN();  // below the horizon: must not be read
  EXPECT_LE(relative_rms(*plan.degrid(sky), dft_degrid(o.image, o.coverage(), o.sky)), 1e-8);
}

TEST(Gridder, UnitWeightsMayBeLeftOut) {
  const auto o = wide_field();
  const auto plan = plan_for<double>(o, 1e-6);
  const std::vector<double> ones(o.vis.size(), 1.0);
  EXPECT_EQ(*plan.grid(o.vis, {}), *plan.grid(o.vis, ones));
}

TEST(Gridder, RepeatsItsResultsBitForBit) {
  const auto o = wide_field(40);
  const auto vis = as<float>(o.vis);
  EXPECT_EQ(*plan_for<float>(o, 1e-4).grid(vis, {}), *plan_for<float>(o, 1e-4).grid(vis, {}));
}

template <class Real>
double adjointness(double accuracy, bool w_terms) {
  const auto o = wide_field(4);
  const auto plan = plan_for<Real>(o, accuracy, w_terms);
  const auto image = *plan.grid(as<Real>(o.vis), {});
  const auto vis = *plan.degrid(as<Real>(o.sky));
  double in_image = 0, in_vis = 0, norm_image = 0, norm_sky = 0;
  for (std::size_t p = 0; p < image.size(); ++p) {
    in_image += double(image[p]) * double(static_cast<Real>(o.sky[p]));
    norm_image += double(image[p]) * double(image[p]);
    norm_sky += o.sky[p] * o.sky[p];
  }
  for (std::size_t s = 0; s < vis.size(); ++s)
    in_vis += (std::conj(std::complex<double>(vis[s])) * std::complex<double>(std::complex<Real>(o.vis[s]))).real();
  return std::abs(in_image - in_vis) / std::sqrt(norm_image * norm_sky);
}

TEST(Gridder, DegriddingIsTheAdjoint) {
  for (const bool w_terms : {true, false}) {
    EXPECT_LE(adjointness<double>(1e-3, w_terms), 1e-12);
    EXPECT_LE(adjointness<double>(1e-10, w_terms), 1e-12);
    EXPECT_LE(adjointness<float>(1e-3, w_terms), 1e-5);
    EXPECT_LE(adjointness<float>(1e-5, w_terms), 1e-5);
  }
}

TEST(Gridder, MaskedSamplesAreIgnoredBothWays) {
  auto o = wide_field(8);
  std::vector<unsigned char> mask(o.vis.size());
  auto kept_weight = o.weight;
  for (std::size_t s = 0; s < mask.size(); ++s) {
    mask[s] = (s * 2654435761u >> 7) % 3 != 0;
    if (!mask[s]) kept_weight[s] = 0;
  }
  const auto truth = dft_grid(o.image, o.coverage(), o.vis, kept_weight);
  for (std::size_t s = 0; s < mask.size(); ++s)
    if (!mask[s]) o.vis[s] = std::numeric_limits<double>::quiet_NaN();
  const auto plan = plan_for<double>(o, 1e-7, true, mask);
  EXPECT_LE(relative_rms(*plan.grid(o.vis, o.weight), truth), 1e-7);
  const auto all = dft_degrid(o.image, o.coverage(), o.sky);
  const auto vis = *plan.degrid(o.sky);
  for (std::size_t s = 0; s < mask.size(); ++s)
    EXPECT_NEAR(std::abs(vis[s] - (mask[s] ? all[s] : 0)), 0, mask[s] ? 1e-4 : 0) << s;
}

TEST(Gridder, NoSamplesGiveAZeroImage) {
  const auto o = wide_field();
  const std::vector<unsigned char> nothing(o.vis.size(), 0);
  const auto plan = plan_for<float>(o, 1e-4, true, nothing);
  EXPECT_EQ(*plan.grid(as<float>(o.vis), {}), std::vector<float>(o.image.pixels()));
  EXPECT_EQ(*plan.degrid(as<float>(o.sky)), std::vector<std::complex<float>>(o.vis.size()));
  auto empty = gridder<float>::make(o.image, {}, {}, {});
  ASSERT_TRUE(empty);
  EXPECT_EQ(*empty->grid({}, {}), std::vector<float>(o.image.pixels()));
}

TEST(Gridder, RefusesWhatItCannotDoAndSaysWhatWouldBeRight) {
  const auto o = wide_field();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto expect_refused = [&](observation bad, gridding_options options, error_code code, const std::string& word,
                                  std::size_t memory = std::size_t{1} << 30, std::vector<unsigned char> mask = {}) {
    const auto made = gridder<float>::make(bad.image, bad.coverage(), mask, options, memory);
    ASSERT_FALSE(made.has_value()) << word;
    EXPECT_EQ(made.error().code, code);
    EXPECT_NE(made.error().text.find(word), std::string::npos) << made.error().text;
  };
  const auto invalid = error_code::invalid_argument;
  auto bad = o;
  bad.image.ny = 0;
  expect_refused(bad, {}, invalid, "image size");
  bad = o, bad.image.cell_x = 0;
  expect_refused(bad, {}, invalid, "cell");
  bad = o, bad.image.cell_y = nan;
  expect_refused(bad, {}, invalid, "cell");
  bad = o, bad.uvw[100] = nan;
  expect_refused(bad, {}, invalid, "uvw[33][1]");
  bad = o, bad.uvw[5] = 1e200;
  expect_refused(bad, {}, invalid, "unit");
  bad = o, bad.uvw.pop_back();
  expect_refused(bad, {}, invalid, "three per row");
  bad = o, bad.frequency_hz[0] = std::numeric_limits<double>::infinity();
  expect_refused(bad, {}, invalid, "frequency_hz[0]");
  bad = o, bad.frequency_hz[0] = -1;
  expect_refused(bad, {}, invalid, "positive");
  expect_refused(o, {.accuracy = 1e-7}, invalid, "use double precision");
  expect_refused(o, {.accuracy = nan}, invalid, "accuracy");
  expect_refused(o, {.accuracy = 0.5}, invalid, "0.01");
  expect_refused(o, {}, invalid, "rows x channels", 1 << 30, {1, 0});
  expect_refused(o, {}, error_code::limit_exceeded, "the limit is", 10'000);
  EXPECT_FALSE(gridder<double>::make(o.image, o.coverage(), {}, {.accuracy = 1e-13}));

  const auto plan = plan_for<float>(o, 1e-4);
  EXPECT_EQ(plan.grid({}, {}).error().code, invalid);
  EXPECT_EQ(plan.grid(as<float>(o.vis), std::vector<float>(3)).error().code, invalid);
  EXPECT_EQ(plan.degrid(std::vector<float>(3)).error().code, invalid);
}

TEST(Gridder, StopsWhenAsked) {
  const auto o = wide_field();
  const auto plan = plan_for<float>(o, 1e-4);
  std::stop_source source;
  source.request_stop();
  EXPECT_EQ(plan.grid(as<float>(o.vis), {}, source.get_token()).error().code, error_code::cancelled);
  EXPECT_EQ(plan.degrid(as<float>(o.sky), source.get_token()).error().code, error_code::cancelled);
}

TEST(Gridder, ASourceAppearsWhereItIs) {
  const auto o = wide_field();
  const std::size_t x = 45, y = 10;
  const std::vector<double> flux{2.5}, l{(45.0 - 32) * o.image.cell_x}, m{(10.0 - 25) * o.image.cell_y};
  const auto image = *plan_for<double>(o, 1e-8).grid(dft_point_sources(o.coverage(), flux, l, m), {});
  const auto peak = std::max_element(image.begin(), image.end()) - image.begin();
  EXPECT_EQ(std::size_t(peak), y * o.image.nx + x);
  EXPECT_NEAR(image[std::size_t(peak)] / double(o.vis.size()), 2.5, 1e-6);
}

}  // namespace
}  // namespace horizons::imaging
