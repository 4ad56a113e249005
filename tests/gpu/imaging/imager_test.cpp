#include "gpu/imaging/imager.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <random>

#include "gpu/imaging/celestial.hpp"
#include "gpu/imaging/dft.hpp"
#include "gpu/imaging/source_finder.hpp"

namespace horizons::imaging {
namespace {

constexpr double arcsec = std::numbers::pi / 180 / 3600;
const image_geometry g{512, 512, -3 * arcsec, 3 * arcsec};

/// Random baselines of up to ~4 km at 1.4 GHz: a beam of about 12 arcsec. w as large as u and v.
stokes_block observe(std::size_t rows, std::uint32_t seed, const std::vector<double>& flux,
                     const std::vector<double>& l, const std::vector<double>& m, double noise_jy) {
  std::mt19937 random(seed);
  std::normal_distribution<double> baseline(0, 1400), noise(0, noise_jy > 0 ? noise_jy : 1);
  stokes_block b;
  b.frequency_hz = {1.39e9, 1.40e9, 1.41e9};
  for (std::size_t i = 0; i < 3 * rows; ++i) b.uvw.push_back(std::clamp(baseline(random), -4000.0, 4000.0));
  const auto vis = dft_point_sources(b.coverage(), flux, l, m);
  for (const auto& v : vis)
    b.vis.emplace_back(v +
                       (noise_jy > 0 ? std::complex<double>(noise(random), noise(random)) : std::complex<double>()));
  b.weight.assign(b.vis.size(), 1.0F);
  return b;
}

imaging_options options() {
  imaging_options o;
  o.geometry = g;
  o.accuracy = 1e-4;
  return o;
}

struct sky {
  std::vector<double> flux{1.0, 0.5, 0.25, 0.12, 0.06}, l, m;
  sky() {
    for (auto [x, y] : {std::pair{0.0, 0.0}, {100.3, -80.6}, {-150.5, 120.2}, {-60.4, -170.7}, {190.1, 180.6}}) {
      l.push_back(x * g.cell_x);
      m.push_back(y * g.cell_y);
    }
  }
};

TEST(imager, goes_on_from_a_kept_state_as_if_it_had_never_stopped) {
  const sky truth;
  const std::vector blocks{observe(3000, 3, truth.flux, truth.l, truth.m, 0.05)};
  for (const bool in_double : {false, true}) {
    auto o = options();
    o.double_precision = in_double;
    struct copy {
      std::vector<cycle_report> cycles;
      std::vector<std::byte> residual, model;
    };
    std::vector<copy> kept;
    o.keep = [&](const cleaning_state& s) {
      kept.push_back({s.cycles, {s.residual.begin(), s.residual.end()}, {s.model.begin(), s.model.end()}});
    };
    const auto whole = make_image(blocks, o, {}, {});
    ASSERT_TRUE(whole) << whole.error().text;
    ASSERT_GE(kept.size(), 2u);
    EXPECT_EQ(kept.size() + 1, whole->cycles.size());
    for (const auto& k : std::vector(kept)) {
      o.resume_from = cleaning_state{k.cycles, k.residual, k.model};
      const auto rest = make_image(blocks, o, {}, {});
      ASSERT_TRUE(rest) << rest.error().text;
      EXPECT_EQ(rest->image, whole->image);
      EXPECT_EQ(rest->model, whole->model);
      EXPECT_EQ(rest->residual, whole->residual);
      EXPECT_EQ(rest->cycles.size(), whole->cycles.size());
      EXPECT_EQ(rest->end, whole->end);
    }
    o.resume_from->model = o.resume_from->model.first(8);
    EXPECT_EQ(make_image(blocks, o, {}, {}).error().code, error_code::invalid_argument);
  }
}

TEST(imager, recovers_fluxes_and_places_of_points) {
  const sky truth;
  // Two blocks, as two spectral windows: their sum is the image.
  const std::vector blocks{observe(6000, 1, truth.flux, truth.l, truth.m, 0.05),
                           observe(5000, 2, truth.flux, truth.l, truth.m, 0.05)};
  double last = 0;
  bool monotone = true;
  std::vector<std::string> stages;
  const auto p = make_image(blocks, options(), {}, [&](double f, std::string_view stage) {
    monotone = monotone && f >= last && f <= 1;
    last = f;
    if (stages.empty() || stages.back() != stage) stages.emplace_back(stage);
  });
  ASSERT_TRUE(p) << p.error().text;
  EXPECT_TRUE(monotone);
  EXPECT_EQ(last, 1);
  EXPECT_EQ(stages[0], "plan");
  EXPECT_EQ(stages[3].substr(0, 10), "clean 1 of");
  EXPECT_EQ(stages.back(), "restore");
  EXPECT_NEAR(p->psf[256 * 512 + 256], 1, 1e-4);
  EXPECT_EQ(p->end, cleaning_end::threshold);
  EXPECT_EQ(p->visibilities, 33'000);

  const auto found = find_sources(p->image, g, p->beam, {1.0, 0.5});
  ASSERT_TRUE(found);
  ASSERT_GE(found->sources.size(), truth.flux.size());
  for (std::size_t i = 0; i < truth.flux.size(); ++i) {
    const auto& s = found->sources[i];
    const auto c = project(s.position, {1.0, 0.5});
    EXPECT_NEAR(s.flux_jy, truth.flux[i], 0.01 * truth.flux[i] + 3 * s.flux_error_jy) << i;
    EXPECT_LT(std::hypot(c.l - truth.l[i], c.m - truth.m[i]), 0.1 * p->beam.minor_rad) << i;
  }
  // Thermal noise of natural weights: sigma / sqrt(samples) = 0.05 / sqrt(33000) (real part); robust 0 is a little
  // noisier.
  const double thermal = 0.05 / std::sqrt(33'000.0);
  EXPECT_GT(p->rms_jy, 0.9 * thermal);
  EXPECT_LT(p->rms_jy, 2.0 * thermal);
}

TEST(imager, without_noise_the_fluxes_are_exact_to_a_percent) {
  const sky truth;
  const std::vector blocks{observe(6000, 3, truth.flux, truth.l, truth.m, 0)};
  auto o = options();
  o.auto_threshold_sigma = 0;
  o.threshold_jy = 5e-4;
  o.niter = 20'000;
  const auto p = make_image(blocks, o, {}, {});
  ASSERT_TRUE(p) << p.error().text;
  const auto found = find_sources(p->image, g, p->beam, {1.0, 0.5});
  ASSERT_TRUE(found);
  ASSERT_GE(found->sources.size(), truth.flux.size());
  for (std::size_t i = 0; i < truth.flux.size(); ++i) {
    const auto c = project(found->sources[i].position, {1.0, 0.5});
    EXPECT_NEAR(found->sources[i].flux_jy, truth.flux[i], 0.01 * truth.flux[i]) << i;
    EXPECT_LT(std::hypot(c.l - truth.l[i], c.m - truth.m[i]), 0.1 * p->beam.minor_rad) << i;
  }
  EXPECT_LT(p->cycles.back().peak_jy, 6e-4);
}

TEST(imager, the_dirty_image_is_the_weighted_direct_transform) {
  const sky truth;
  const std::vector blocks{observe(300, 4, truth.flux, truth.l, truth.m, 0.1)};
  auto o = options();
  o.geometry = {64, 48, -7 * arcsec, 7 * arcsec};
  o.weights = weighting::natural;
  o.niter = 0;
  for (const bool in_double : {false, true}) {
    o.double_precision = in_double;
    o.accuracy = in_double ? 1e-9 : 1e-5;
    const auto p = make_image(blocks, o, {}, {});
    ASSERT_TRUE(p) << p.error().text;
    EXPECT_EQ(p->end, cleaning_end::not_asked);
    const std::vector<std::complex<double>> vis(blocks[0].vis.begin(), blocks[0].vis.end());
    std::vector<double> weight(vis.size(), 1.0);
    // What lies beyond the coarse grid takes no part.
    const double u_max = 1 / (2 * 7 * arcsec);
    for (std::size_t r = 0; r < 300; ++r)
      for (std::size_t ch = 0; ch < 3; ++ch) {
        const double scale = blocks[0].frequency_hz[ch] / 299'792'458.0;
        if (std::abs(blocks[0].uvw[3 * r] * scale) > u_max || std::abs(blocks[0].uvw[3 * r + 1] * scale) > u_max)
          weight[3 * r + ch] = 0;
      }
    double sum = 0;
    for (double w : weight) sum += w;
    EXPECT_EQ(p->weight_sum, sum);
    EXPECT_GT(p->outside, 0);
    const auto dft = dft_grid(o.geometry, blocks[0].coverage(), vis, weight);
    double difference2 = 0, norm2 = 0;
    for (std::size_t i = 0; i < dft.size(); ++i) {
      difference2 += std::pow(p->image[i] - dft[i] / sum, 2);
      norm2 += std::pow(dft[i] / sum, 2);
    }
    EXPECT_LT(std::sqrt(difference2 / norm2), in_double ? 2e-7 : 2e-5);  // products are float
  }
}

TEST(imager, pixels_beyond_the_horizon_are_blank) {
  const std::vector blocks{observe(300, 5, {1.0}, {0.0}, {0.0}, 0.01)};
  auto o = options();
  std::vector shrunk = blocks;
  for (auto& u : shrunk[0].uvw) u *= 2e-4;  // a metre-sized array sees the whole sky
  o.geometry = {64, 64, -0.05, 0.05};
  o.niter = 50;
  const auto p = make_image(shrunk, o, {}, {});
  ASSERT_TRUE(p) << p.error().text;
  EXPECT_TRUE(std::isnan(p->image[0]));
  EXPECT_FALSE(std::isnan(p->image[32 * 64 + 32]));
  for (float v : p->model) ASSERT_TRUE(std::isfinite(v));
}

TEST(imager, refuses_what_makes_no_sense) {
  std::vector blocks{observe(100, 6, {1.0}, {0.0}, {0.0}, 0)};
  auto wrong = [&](auto change) {
    auto o = options();
    change(o);
    const auto p = make_image(blocks, o, {}, {});
    EXPECT_FALSE(p);
    return p ? std::string() : p.error().text;
  };
  EXPECT_NE(wrong([](auto& o) { o.gain = 0; }).find("gain"), std::string::npos);
  EXPECT_NE(wrong([](auto& o) { o.mgain = 1.5; }).find("mgain"), std::string::npos);
  EXPECT_NE(wrong([](auto& o) { o.threshold_jy = std::nan(""); }).find("threshold_jy"), std::string::npos);
  EXPECT_NE(wrong([](auto& o) { o.geometry.nx = 0; }), "");
  EXPECT_NE(wrong([](auto& o) { o.geometry.cell_x = -40 * arcsec, o.geometry.cell_y = 40 * arcsec; }), "");
  blocks[0].weight.assign(blocks[0].weight.size(), 0.0F);
  EXPECT_NE(wrong([](auto&) {}).find("no unflagged"), std::string::npos);
}

TEST(imager, can_be_cancelled_in_every_stage) {
  const sky truth;
  const std::vector blocks{observe(2000, 7, truth.flux, truth.l, truth.m, 0.05)};
  for (const std::string_view where : {"psf", "dirty", "clean"}) {
    std::stop_source stop;
    const auto p = make_image(blocks, options(), stop.get_token(), [&](double, std::string_view stage) {
      if (stage.starts_with(where)) stop.request_stop();
    });
    ASSERT_FALSE(p) << where;
    EXPECT_EQ(p.error().code, error_code::cancelled) << where;
  }
}

}  // namespace
}  // namespace horizons::imaging
