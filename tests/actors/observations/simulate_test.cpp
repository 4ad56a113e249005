#include "actors/observations/simulate.hpp"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <numbers>

#include "actors/observations/array_layout.hpp"
#include "actors/observations/civil_time.hpp"
#include "actors/observations/earth_rotation.hpp"
#include "actors/observations/random_stream.hpp"
#include "gpu/imaging/celestial.hpp"
#include "tests/actors/observations/observation_fixture.hpp"

namespace horizons::observations {
namespace {

using testing::HasSubstr;

constexpr double degree = std::numbers::pi / 180;

TEST(array_layout, the_arrays_look_like_themselves) {
  auto vla = layout_named("vla");
  ASSERT_TRUE(vla);
  EXPECT_EQ(vla->antennas.size(), 27U);
  EXPECT_NEAR(vla->baseline_max_m(), 11.1e3, 200);    // B configuration
  EXPECT_NEAR(vla->antennas[0].x_m, -1601185, 1000);  // the VLA's ITRF position
  EXPECT_NEAR(vla->antennas[0].y_m, -5041977, 1000);
  EXPECT_NEAR(vla->antennas[0].z_m, 3554876, 1000);
  auto ngvla = layout_named("ngvla");
  ASSERT_TRUE(ngvla);
  EXPECT_EQ(ngvla->antennas.size(), 214U);
  EXPECT_GT(ngvla->baseline_max_m(), 700e3);
  for (const auto* layout : {&*vla, &*ngvla}) {
    double shortest = 1e9;
    for (std::size_t i = 0; i < layout->antennas.size(); ++i)
      for (std::size_t j = 0; j < i; ++j) {
        const auto &a = layout->antennas[i], &b = layout->antennas[j];
        shortest = std::min(shortest, std::hypot(a.x_m - b.x_m, a.y_m - b.y_m, a.z_m - b.z_m));
      }
    EXPECT_GT(shortest, 1.5 * layout->diameter_m) << layout->name << ": dishes would touch";
  }
  auto other = layout_named("alma");
  ASSERT_FALSE(other);
  EXPECT_THAT(other.error().text, HasSubstr("array = 'alma'; expected small, vla or ngvla"));
}

TEST(earth_rotation, sidereal_time_and_precession) {
  EXPECT_NEAR(sidereal_degrees(51544.5), 280.46061837, 1e-8);
  // Meeus, Astronomical Algorithms, example 12.a: 1987 April 10, 0h UT: 13h 10m 46.3668s
  EXPECT_NEAR(sidereal_degrees(46895.0), 15 * (13 + 10 / 60.0 + 46.3668 / 3600), 1e-5);
  // Meeus, example 21.b: theta Persei (proper motion applied) at 2028-11-13.19 has RA 41.547214, Dec 49.348483 of date
  // and 41.054063, 49.227750 in J2000. Turned back through sidereal time it must come out there.
  const double mjd = 62088.19, ra = 41.547214 * degree - sidereal_degrees(mjd) * degree, dec = 49.348483 * degree;
  auto v = earth_to_celestial({std::cos(dec) * std::cos(ra), std::cos(dec) * std::sin(ra), std::sin(dec)}, mjd);
  EXPECT_NEAR(std::atan2(v[1], v[0]) / degree, 41.054063, 3e-5);
  EXPECT_NEAR(std::asin(v[2]) / degree, 49.227750, 3e-5);
  EXPECT_EQ(civil_time(51965.25), "2001-02-25T06:00:00.000");
  EXPECT_EQ(civil_date(61041.99), "2026-01-01");
  EXPECT_EQ(leap_seconds(51965), 32);
  EXPECT_EQ(leap_seconds(61041), 37);
}

TEST(earth_rotation, agrees_with_the_uvw_of_a_real_observation) {
  if (!std::filesystem::exists(shared_data("vla-3c286-2001.uvfits")))
    GTEST_SKIP() << "the shared data folder is not beside the checkout";
  auto o = read_observation(shared_data("vla-3c286-2001.uvfits"));
  ASSERT_TRUE(o) << o.error().text;
  const auto& b = o->blocks[0];
  for (std::size_t row = 0; row < b.rows(); row += 500) {
    const auto &p = o->antennas[static_cast<std::size_t>(b.antenna1[row])],
               &q = o->antennas[static_cast<std::size_t>(b.antenna2[row])];
    auto uvw = uvw_of(earth_to_celestial({q.x_m - p.x_m, q.y_m - p.y_m, q.z_m - p.z_m}, b.time_mjd_s[row] / 86400),
                      {o->fields[0].ra_rad, o->fields[0].dec_rad});
    const double length = std::hypot(uvw[0], uvw[1], uvw[2]);
    for (std::size_t axis = 0; axis < 3; ++axis) EXPECT_NEAR(uvw[axis], b.uvw[3 * row + axis], 3e-3 * length) << row;
  }
}

TEST(random_stream, fixed_for_ever) {
  random_stream a(1, 2), b(1, 2), c(2, 2), d(1, 3);
  const double first = a.normal();
  EXPECT_EQ(first, b.normal());
  EXPECT_NE(first, c.normal());
  EXPECT_NE(first, d.normal());
  double sum = 0, squares = 0;
  constexpr int n = 200'000;
  for (int i = 0; i < n; ++i) {
    const double x = a.normal();
    sum += x, squares += x * x;
  }
  EXPECT_NEAR(sum / n, 0, 0.01);
  EXPECT_NEAR(squares / n, 1, 0.02);
}

TEST(simulate, the_default_is_small_and_repeats_itself) {
  temporary_folder folder;
  auto truth = simulate({}, folder / "a.uvfits");
  ASSERT_TRUE(truth) << truth.error().text;
  EXPECT_LE(truth->visibilities, 60'000U);
  EXPECT_LT(std::filesystem::file_size(folder / "a.uvfits"), 5'000'000U);
  EXPECT_EQ(truth->sources.size(), 20U);
  EXPECT_LT(truth->image_noise_jy, 0.15e-3);
  for (const auto& s : truth->sources) {
    EXPECT_GE(s.flux_jy, 0.001);
    EXPECT_LE(s.flux_jy, 1);
    for (const auto& t : truth->sources) {
      if (&s == &t) continue;
      const double apart =
          imaging::separation({s.ra_deg * degree, s.dec_deg * degree}, {t.ra_deg * degree, t.dec_deg * degree});
      EXPECT_GT(apart / degree * 3600, 5 * truth->beam_arcsec);
    }
  }
  for (const auto& g : truth->gains) EXPECT_EQ(g[0], 1.0);
  ASSERT_TRUE(simulate({}, folder / "b.uvfits"));
  EXPECT_EQ(bytes_of(folder / "a.uvfits").size(), bytes_of(folder / "b.uvfits").size());
  auto a = read_observation(folder / "a.uvfits"), b = read_observation(folder / "b.uvfits");
  ASSERT_TRUE(a && b);
  EXPECT_EQ(a->blocks[0].vis, b->blocks[0].vis);
  EXPECT_EQ(a->blocks[0].uvw, b->blocks[0].uvw);
  EXPECT_EQ(a->blocks[0].rows() * a->blocks[0].channels(), truth->visibilities);
  auto json = nlohmann::json::parse(bytes_of(folder / "a.uvfits.truth.json"));
  EXPECT_EQ(json, to_json(*truth));
  EXPECT_EQ(json["sources"].size(), 20U);
  EXPECT_EQ(simulate_summary(*truth)["visibilities"], truth->visibilities);
  simulation_options other;
  other.seed = 2;
  auto c = simulate_observation(other);
  ASSERT_TRUE(c);
  EXPECT_NE(c->observation.blocks[0].vis, a->blocks[0].vis);
}

TEST(simulate, one_source_has_the_analytic_phase) {
  temporary_folder folder;
  write_bytes(folder / "one.txt", "# ra dec flux\n150.1 34.05 2.5\n");
  simulation_options o;
  o.array = "small";
  o.integrations = 3, o.channels = 2, o.noise_jy = 0;
  o.sources = folder / "one.txt";
  o.ra_deg = 150, o.dec_deg = 34;
  auto s = simulate_observation(o);
  ASSERT_TRUE(s) << s.error().text;
  const auto& b = s->observation.blocks[0];
  const auto c = imaging::project({150.1 * degree, 34.05 * degree}, {150 * degree, 34 * degree});
  const double n = std::sqrt(1 - c.l * c.l - c.m * c.m);
  for (std::size_t row = 0; row < b.rows(); ++row)
    for (std::size_t ch = 0; ch < 2; ++ch) {
      const double* uvw = b.uvw.data() + 3 * row;
      auto expected = std::polar(2.5, -2 * std::numbers::pi * (uvw[0] * c.l + uvw[1] * c.m + uvw[2] * (n - 1)) *
                                          b.frequency_hz[ch] / 299792458.0);
      for (std::size_t p = 0; p < 2; ++p)
        EXPECT_LT(std::abs(std::complex<double>(b.vis[(row * 2 + ch) * 2 + p]) - expected), 1e-6);
    }
  // A baseline keeps its length while the Earth turns.
  const auto &p = s->observation.antennas[0], &q = s->observation.antennas[1];
  EXPECT_NEAR(std::hypot(b.uvw[0], b.uvw[1], b.uvw[2]), std::hypot(p.x_m - q.x_m, p.y_m - q.y_m, p.z_m - q.z_m), 1e-6);
  EXPECT_NE(b.uvw[0], b.uvw[3 * 28]);
}

TEST(simulate, noise_gains_and_interference_are_what_the_truth_says) {
  simulation_options quiet;
  quiet.array = "small";
  quiet.noise_jy = 0;
  auto clean = simulate_observation(quiet);
  ASSERT_TRUE(clean);
  auto noisy_options = quiet;
  noisy_options.noise_jy = 0.2;
  auto noisy = simulate_observation(noisy_options);
  ASSERT_TRUE(noisy);
  const auto &a = clean->observation.blocks[0], &b = noisy->observation.blocks[0];
  double squares = 0;
  for (std::size_t i = 0; i < a.vis.size(); ++i) squares += std::norm(std::complex<double>(b.vis[i] - a.vis[i]));
  EXPECT_NEAR(std::sqrt(squares / 2 / static_cast<double>(a.vis.size())), 0.2, 0.002);
  EXPECT_FLOAT_EQ(b.weight[0], 25);

  auto bent = quiet;
  bent.gain_error = 0.1;
  auto gains = simulate_observation(bent);
  ASSERT_TRUE(gains);
  const auto& g = gains->observation.blocks[0];
  double spread = 0;
  for (std::size_t row = 0; row < g.rows(); row += 7)
    for (std::size_t p = 0; p < 2; ++p) {
      auto at = row * g.channels() * 2 + p;
      auto g1 = gains->truth.gains[static_cast<std::size_t>(g.antenna1[row])][p],
           g2 = gains->truth.gains[static_cast<std::size_t>(g.antenna2[row])][p];
      EXPECT_LT(std::abs(std::complex<double>(g.vis[at]) - g1 * std::conj(g2) * std::complex<double>(a.vis[at])), 1e-5);
      spread = std::max(spread, std::abs(g1 - 1.0));
    }
  EXPECT_GT(spread, 0.02);

  auto disturbed_options = quiet;
  disturbed_options.rfi_rate = 0.1;
  auto disturbed = simulate_observation(disturbed_options);
  ASSERT_TRUE(disturbed);
  const auto& d = disturbed->observation.blocks[0];
  const double pairs = static_cast<double>(disturbed->truth.integrations * disturbed->truth.channels);
  EXPECT_NEAR(static_cast<double>(disturbed->truth.rfi.size()) / pairs, 0.1, 0.04);
  std::size_t hit = 0;
  for (std::size_t i = 0; i < d.vis.size(); ++i) hit += std::abs(d.vis[i] - a.vis[i]) > 1 ? 1 : 0;
  EXPECT_EQ(hit, disturbed->truth.rfi.size() * 28 * 2);
  const auto& first = disturbed->truth.rfi.front();
  auto at =
      (static_cast<std::size_t>(first.integration) * 28 * d.channels() + static_cast<std::size_t>(first.channel)) * 2;
  EXPECT_NEAR(std::abs(d.vis[at] - a.vis[at]), first.amplitude_jy, 1e-3);
}

TEST(simulate, options_that_cannot_be) {
  auto refused = [](auto&& change, const std::string& text, error_code code = error_code::invalid_argument) {
    simulation_options o;
    change(o);
    auto made = simulate_observation(o);
    ASSERT_FALSE(made) << text;
    EXPECT_EQ(made.error().code, code);
    EXPECT_THAT(made.error().text, HasSubstr(text));
  };
  refused([](auto& o) { o.array = "meerkat"; }, "array = 'meerkat'");
  refused([](auto& o) { o.integrations = 0; }, "integrations = 0; expected 1 to 1000000");
  refused([](auto& o) { o.channels = -4; }, "channels = -4");
  refused([](auto& o) { o.noise_jy = -1; }, "noise_jy = -1");
  refused([](auto& o) { o.noise_jy = std::nan(""); }, "noise_jy = nan");
  refused([](auto& o) { o.gain_error = 3; }, "gain_error = 3; expected 0 to 1");
  refused([](auto& o) { o.rfi_rate = 1.5; }, "rfi_rate = 1.5");
  refused([](auto& o) { o.dec_deg = 91; }, "dec_deg = 91");
  refused([](auto& o) { o.dec_deg = -70; }, "degrees elevation");
  refused([](auto& o) { o.integrations = 1'000'000; }, "visibilities; at most 1e8", error_code::limit_exceeded);
  refused([](auto& o) { o.sources = "/nonexistent.txt"; }, "/nonexistent.txt: no such file", error_code::not_found);
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(simulate_observation({}, stop.get_token()).error().code, error_code::cancelled);
}

TEST(read_source_list, lines_and_json) {
  temporary_folder folder;
  auto file = folder / "sources";
  write_bytes(file, "# comment\n\n10.5, -3 0.25\n 11 4 1e-3 # faint\n");
  auto lines = read_source_list(file);
  ASSERT_TRUE(lines) << lines.error().text;
  ASSERT_EQ(lines->size(), 2U);
  EXPECT_EQ((*lines)[1].flux_jy, 1e-3);
  write_bytes(file, R"([{"ra_deg": 10.5, "dec_deg": -3, "flux_jy": 0.25}])");
  auto json = read_source_list(file);
  ASSERT_TRUE(json) << json.error().text;
  EXPECT_EQ((*json)[0].dec_deg, -3);
  auto refused = [&](const std::string& content, const std::string& text) {
    write_bytes(file, content);
    auto read = read_source_list(file);
    ASSERT_FALSE(read) << text;
    EXPECT_THAT(read.error().text, HasSubstr(text));
  };
  refused("1 2 3\n1 2\n", "sources:2: expected three numbers");
  refused("1 2 3 4\n", "sources:1: expected three numbers");
  refused("1 95 3\n", "sources:1: dec_deg = 95");
  refused("\n# nothing\n", "names no source");
  refused("[{\"ra_deg\": 1, \"dec_deg\": 2}]", "source 1: flux_jy missing or not a number");
  refused("[{\"ra_deg\": 1,", "is not a JSON array");
}

TEST(simulate, a_list_of_sources_gives_the_phase_centre) {
  temporary_folder folder;
  write_bytes(folder / "two.txt", "359.9 40 1\n0.1 40.2 1\n");
  simulation_options o;
  o.sources = folder / "two.txt";
  o.integrations = 2;
  auto s = simulate_observation(o);
  ASSERT_TRUE(s) << s.error().text;
  EXPECT_NEAR(imaging::separation({s->truth.ra_deg * degree, s->truth.dec_deg * degree}, {0, 40.1 * degree}) / degree,
              0, 0.01);
  o.dec_deg = 20;
  auto far = simulate_observation(o);
  ASSERT_FALSE(far);
  EXPECT_THAT(far.error().text, HasSubstr("source 1 is"));
}

}  // namespace
}  // namespace horizons::observations
