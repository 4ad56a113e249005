#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cmath>
#include <csignal>
#include <fstream>
#include <limits>
#include <numbers>
#include <random>

#include "actors/agents/agent.hpp"
#include "actors/agents/sha256.hpp"
#include "actors/observations/fits_image.hpp"
#include "actors/observations/reader.hpp"
#include "actors/observations/writer.hpp"
#include "gpu/imaging/celestial.hpp"
#include "gpu/imaging/dft.hpp"

namespace horizons::agents {
namespace {

namespace fs = std::filesystem;
constexpr double degree = std::numbers::pi / 180, arcsec = degree / 3600;

class scratch_folder {
public:
  scratch_folder() {
    std::string form = (fs::temp_directory_path() / "horizons-agents-XXXXXX").string();
    path_ = mkdtemp(form.data());
  }
  ~scratch_folder() { fs::remove_all(path_); }
  fs::path operator/(const std::string& name) const { return path_ / name; }
  const fs::path& path() const { return path_; }

private:
  fs::path path_;
};

std::string text_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

const agent& imager() { return *find_agent("image-reconstruction"); }

result<agent_output> image(const fs::path& dataset, const fs::path& out, const json& params, std::stop_token stop = {},
                           const gpu::progress_sink& progress = {}) {
  fs::create_directories(out);
  return imager().run({"job-1", dataset, "file://" + dataset.string(), params, out}, stop, progress);
}

/// A field of three points seen by ten 25 m dishes at 1.4 GHz, RR and LL.
struct simulated {
  imaging::observation observation;
  std::vector<double> flux{1.0, 0.4, 0.2}, l{0, 300 * arcsec, -500 * arcsec}, m{0, 200 * arcsec, 350 * arcsec};
};

simulated simulate(double noise_jy = 0.02) {
  simulated s;
  auto& o = s.observation;
  o.telescope = "TEST";
  o.observer = "nobody";
  o.object_name = "three points";
  o.fields = {{"three points", 3.5, 0.6}};
  std::mt19937 random(11);
  std::normal_distribution<double> place(0, 1500), noise(0, noise_jy);
  for (int a = 0; a < 10; ++a)
    o.antennas.push_back({"A" + std::to_string(a), place(random), place(random), 6.37e6, 25});
  imaging::visibility_block b;
  b.frequency_hz = {1.39e9, 1.40e9, 1.41e9, 1.42e9};
  b.channel_width_hz = {1e6, 1e6, 1e6, 1e6};
  b.spw = {0, 0, 0, 0};
  b.polarisations = {imaging::polarisation::RR, imaging::polarisation::LL};
  for (int t = 0; t < 60; ++t)
    for (int i = 0; i < 10; ++i)
      for (int j = i + 1; j < 10; ++j) {
        const double turn = 0.08 * t, x = o.antennas[j].x_m - o.antennas[i].x_m,
                     y = o.antennas[j].y_m - o.antennas[i].y_m;
        b.uvw.insert(b.uvw.end(),
                     {x * std::cos(turn) + y * std::sin(turn), y * std::cos(turn) - x * std::sin(turn), 0.2 * x});
        b.time_mjd_s.push_back(51'965.0 * 86'400 + 60.0 * t);
        b.integration_s.push_back(10);
        b.antenna1.push_back(i);
        b.antenna2.push_back(j);
        b.field.push_back(0);
      }
  const auto vis = imaging::dft_point_sources(b.coverage(), s.flux, s.l, s.m);
  for (const auto& v : vis)
    for (int p = 0; p < 2; ++p) b.vis.emplace_back(v + std::complex<double>(noise(random), noise(random)));
  b.weight.assign(b.vis.size(), 1.0F);
  o.blocks.push_back(std::move(b));
  return s;
}

fs::path simulated_file(const scratch_folder& folder) {
  const fs::path path = folder / "three.uvfits";
  const auto done = observations::write_uvfits(simulate().observation, path);
  EXPECT_TRUE(done) << done.error().text;
  return path;
}

// -- whole runs -------------------------------------------------------------------------------------------------

TEST(image_reconstruction, writes_every_result_of_a_simulated_field) {
  const scratch_folder folder;
  const auto dataset = simulated_file(folder);
  double last = 0;
  const auto out =
      image(dataset, folder / "out", {{"size", 768}, {"cell_arcsec", 2.5}}, {}, [&](double f, std::string_view) {
        EXPECT_GE(f, last);
        last = f;
      });
  ASSERT_TRUE(out) << out.error().text;
  EXPECT_EQ(last, 1);
  for (const char* name :
       {"image.fits", "residual.fits", "model.fits", "psf.fits", "preview.png", "sources.json", "report.json"})
    EXPECT_GT(fs::file_size(folder / "out" / name), 0U) << name;
  EXPECT_EQ(std::distance(fs::directory_iterator(folder / "out"), {}), 7);

  const auto truth = simulate();
  const json sources = json::parse(text_of(folder / "out" / "sources.json"));
  EXPECT_EQ(sources["type"], "FeatureCollection");
  ASSERT_GE(sources["features"].size(), 3U);
  const json report = json::parse(text_of(folder / "out" / "report.json"));
  const double beam = report["beam"]["minor_arcsec"].get<double>() * arcsec;
  for (std::size_t i = 0; i < 3; ++i) {
    const json& f = sources["features"][i];
    const imaging::direction at{f["geometry"]["coordinates"][0].get<double>() * degree,
                                f["geometry"]["coordinates"][1].get<double>() * degree};
    EXPECT_LT(imaging::separation(at, imaging::deproject({truth.l[i], truth.m[i]}, {3.5, 0.6})), 0.1 * beam) << i;
    EXPECT_NEAR(f["properties"]["flux_jy"].get<double>(), truth.flux[i], 0.02 * truth.flux[i]) << i;
  }
  EXPECT_EQ(report["provenance"]["sha256"], *sha256_of(dataset));
  EXPECT_EQ(report["provenance"]["parameters"]["robust"], 0.0);
  EXPECT_EQ(report["provenance"]["parameters"]["size"], json({768, 768}));
  EXPECT_EQ(report["visibilities"]["imaged"].get<int>() + report["visibilities"]["beyond_uv_grid"].get<int>(),
            60 * 45 * 4);
  EXPECT_GT(report["dynamic_range"].get<double>(), 100);
  EXPECT_GT(out->metrics["gridding_mvis_per_s"].get<double>(), 0);

  const auto fits = observations::read_fits_image(folder / "out" / "image.fits");
  ASSERT_TRUE(fits) << fits.error().text;
  EXPECT_TRUE(fits->header.restoring_beam);
  EXPECT_NEAR(fits->header.ra_rad, 3.5, 1e-9);
  EXPECT_FALSE(fits->header.history.empty());
}

TEST(image_reconstruction, a_dirty_image_has_no_model) {
  const scratch_folder folder;
  const auto out = image(simulated_file(folder), folder / "out", {{"size", 512}, {"cell_arcsec", 2}, {"niter", 0}});
  ASSERT_TRUE(out) << out.error().text;
  const auto model = observations::read_fits_image(folder / "out" / "model.fits");
  ASSERT_TRUE(model) << model.error().text;
  for (float v : model->pixels) ASSERT_EQ(v, 0);
  EXPECT_EQ(out->metrics["major_cycles"], 0);
}

TEST(image_reconstruction, bad_datasets_fail_with_what_is_wrong) {
  const scratch_folder folder;
  EXPECT_EQ(image(folder / "none.uvfits", folder / "a", json::object()).error().code, error_code::not_found);
  std::ofstream(folder / "empty.uvfits");
  EXPECT_FALSE(image(folder / "empty.uvfits", folder / "b", json::object()));

  auto flagged = simulate().observation;
  flagged.blocks[0].weight.assign(flagged.blocks[0].weight.size(), 0);
  ASSERT_TRUE(observations::write_uvfits(flagged, folder / "flagged.uvfits"));
  const auto all_flagged = image(folder / "flagged.uvfits", folder / "c", json::object());
  ASSERT_FALSE(all_flagged);
  EXPECT_NE(all_flagged.error().text.find("flagged"), std::string::npos) << all_flagged.error().text;

  // A few NaN and absurd values are left out, counted, and do no harm.
  auto dirty = simulate().observation;
  dirty.blocks[0].vis[10] = {std::numeric_limits<float>::quiet_NaN(), 0};
  dirty.blocks[0].vis[20] = {1e30F, 0};
  ASSERT_TRUE(observations::write_uvfits(dirty, folder / "dirty.uvfits"));
  const auto out = image(folder / "dirty.uvfits", folder / "d", {{"size", 512}, {"cell_arcsec", 2}});
  ASSERT_TRUE(out) << out.error().text;
  const json report = json::parse(text_of(folder / "d" / "report.json"));
  EXPECT_EQ(report["visibilities"]["non_finite"], 1);
  EXPECT_EQ(report["visibilities"]["absurd"], 1);
  EXPECT_NEAR(report["peak_jy_beam"].get<double>(), 1, 0.05);
}

TEST(image_reconstruction, an_image_beyond_memory_is_refused_with_one_that_fits) {
  const scratch_folder folder;
  const auto dataset = simulated_file(folder);
  const auto out = image(dataset, folder / "out", {{"size", 32768}, {"precision", "double"}, {"accuracy", 1e-9}});
  ASSERT_FALSE(out);
  EXPECT_EQ(out.error().code, error_code::limit_exceeded);
  EXPECT_NE(out.error().text.find("would fit"), std::string::npos) << out.error().text;
}

TEST(image_reconstruction, a_full_disk_is_told) {
  // A limit on the size of files is the one way to run out of room without a file system of one's own.
  const scratch_folder folder;
  const auto dataset = simulated_file(folder);
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit old{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &old), 0);
  rlimit low{100'000, old.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &low), 0);
  const auto out = image(dataset, folder / "out", {{"size", 512}, {"cell_arcsec", 2}, {"niter", 10}});
  setrlimit(RLIMIT_FSIZE, &old);
  ASSERT_FALSE(out);
  EXPECT_TRUE(out.error().code == error_code::disk_full || out.error().code == error_code::io) << out.error().text;
  EXPECT_FALSE(fs::exists(folder / "out" / "image.fits"));
}

TEST(image_reconstruction, can_be_cancelled_anywhere) {
  const scratch_folder folder;
  const auto dataset = simulated_file(folder);
  int number = 0;
  for (const std::string_view where : {"read", "checksum", "plan", "psf", "clean", "sources", "write"}) {
    std::stop_source stop;
    const auto out = image(dataset, folder / ("out" + std::to_string(number++)), {{"size", 512}, {"cell_arcsec", 2}},
                           stop.get_token(), [&](double, std::string_view stage) {
                             if (stage.starts_with(where)) stop.request_stop();
                           });
    ASSERT_FALSE(out) << where;
    EXPECT_EQ(out.error().code, error_code::cancelled) << where << ": " << out.error().text;
  }
}

TEST(image_reconstruction, goes_on_from_its_checkpoint) {
  const scratch_folder f;
  const auto dataset = simulated_file(f);
  const json params = {{"size", 512}, {"cell_arcsec", 1.8}, {"niter", 2000}, {"mgain", 0.3}};
  const auto whole = image(dataset, f / "whole", params);
  ASSERT_TRUE(whole) << whole.error().text;

  const auto run = [&](const std::string& out, const json& with, std::stop_token stop,
                       const gpu::progress_sink& progress) {
    fs::create_directories(f / out);
    fs::create_directories(f / "kept");
    return imager().run({"job-1", dataset, "file://" + dataset.string(), with, f / out, f / "kept"}, stop, progress);
  };
  std::stop_source stop;
  const auto stopped = run("first", params, stop.get_token(), [&](double, std::string_view stage) {
    if (stage.starts_with("clean 3 of")) stop.request_stop();
  });
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code, error_code::cancelled);
  ASSERT_TRUE(fs::exists(f / "kept" / "checkpoint"));

  std::vector<std::string> stages;
  const auto note = [&](double, std::string_view stage) { stages.emplace_back(stage); };
  ASSERT_TRUE(run("second", params, {}, note));
  EXPECT_TRUE(std::ranges::none_of(stages, [](auto& s) { return s == "dirty" || s.starts_with("clean 1 of"); }));
  const auto pixels = [&](const std::string& out, const char* name) {
    return observations::read_fits_image(f / out / name).value().pixels;
  };
  for (const char* name : {"image.fits", "model.fits", "residual.fits"})
    EXPECT_EQ(pixels("second", name), pixels("whole", name)) << name;

  stages.clear();
  auto others = params;
  others["robust"] = 1;
  ASSERT_TRUE(run("third", others, {}, note));
  EXPECT_TRUE(std::ranges::any_of(stages, [](auto& s) { return s.starts_with("clean 1 of"); }))
      << "what was kept belongs to other parameters";
}

TEST(registry, finds_agents_by_name) {
  EXPECT_EQ(imager().name(), "image-reconstruction");
  EXPECT_EQ(find_agent("image"), nullptr);
  EXPECT_GE(all_agents().size(), 1U);
}

TEST(sha256, of_files_and_folders) {
  EXPECT_EQ(sha256_of_text("abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");  // FIPS 180-2, B.1
  const scratch_folder folder;
  fs::create_directories(folder / "ms/sub");
  std::ofstream(folder / "ms/b") << "abc";
  std::ofstream(folder / "ms/sub/a") << "x";
  EXPECT_EQ(*sha256_of(folder / "ms/b"), sha256_of_text("abc"));
  const std::string expected =
      sha256_of_text(sha256_of_text("abc") + "  3  b\n" + sha256_of_text("x") + "  1  sub/a\n");
  EXPECT_EQ(*sha256_of(folder / "ms"), expected);
  std::ofstream(folder / "ms/table.lock") << "changes";
  EXPECT_EQ(*sha256_of(folder / "ms"), expected);
  EXPECT_EQ(sha256_of(folder / "none").error().code, error_code::not_found);
}

// -- real data --------------------------------------------------------------------------------------------------

class vla_3c286 : public testing::Test {
protected:
  void SetUp() override {
    if (!fs::exists(dataset)) GTEST_SKIP() << "shared data folder absent: " << dataset << " is not there";
  }
  const fs::path dataset = fs::path(HORIZONS_SHARED_DATA) / "vla-3c286-2001.uvfits";
  const fs::path reference = fs::path(HORIZONS_SHARED_DATA) / "vla-3c286-2001-reference-dirty.fits";
};

TEST_F(vla_3c286, the_dirty_image_matches_the_reference) {
  const scratch_folder folder;
  const auto out = image(dataset, folder / "out", {{"size", 1200}, {"cell_arcsec", 1}, {"robust", 0}, {"niter", 0}});
  ASSERT_TRUE(out) << out.error().text;
  const auto ours = observations::read_fits_image(folder / "out/image.fits");
  const auto theirs = observations::read_fits_image(reference);
  ASSERT_TRUE(ours) << ours.error().text;
  ASSERT_TRUE(theirs) << theirs.error().text;
  ASSERT_EQ(theirs->pixels.size(), ours->pixels.size());
  EXPECT_NEAR(ours->header.ra_rad, theirs->header.ra_rad, 0.01 * arcsec);
  EXPECT_NEAR(ours->header.dec_rad, theirs->header.dec_rad, 0.01 * arcsec);
  EXPECT_NEAR(ours->header.geometry.cell_x, theirs->header.geometry.cell_x, 1e-6 * arcsec);
  double peak = 0, their_peak = 0, difference2 = 0;
  for (std::size_t i = 0; i < ours->pixels.size(); ++i) {
    peak = std::max(peak, static_cast<double>(ours->pixels[i]));
    their_peak = std::max(their_peak, static_cast<double>(theirs->pixels[i]));
    difference2 += std::pow(ours->pixels[i] - theirs->pixels[i], 2);
  }
  const double rms = std::sqrt(difference2 / static_cast<double>(ours->pixels.size()));
  RecordProperty("peak", std::to_string(peak));
  RecordProperty("rms_of_peak", std::to_string(rms / their_peak));
  EXPECT_NEAR(peak, 13.493, 0.005 * 13.493);
  EXPECT_LT(rms, 0.01 * their_peak) << "peak " << peak << " theirs " << their_peak;
}

TEST_F(vla_3c286, clean_finds_the_calibrator_at_its_catalogue_position) {
  const scratch_folder folder;
  const auto out = image(dataset, folder / "out", {{"size", 1200}, {"cell_arcsec", 1}});
  ASSERT_TRUE(out) << out.error().text;
  const json sources = json::parse(text_of(folder / "out/sources.json"));
  ASSERT_GE(sources["features"].size(), 1U);
  const json& at = sources["features"][0]["geometry"]["coordinates"];
  const imaging::direction found{at[0].get<double>() * degree, at[1].get<double>() * degree};
  const imaging::direction catalogue{(13 + 31 / 60.0 + 8.2881 / 3600) * 15 * degree,
                                     (30 + 30 / 60.0 + 32.959 / 3600) * degree};
  EXPECT_LT(imaging::separation(found, catalogue), 0.3 * arcsec)
      << imaging::separation(found, catalogue) / arcsec << " arcsec away";
  EXPECT_GT(out->metrics["dynamic_range"].get<double>(), 800);  // as delivered, without self-calibration
}

}  // namespace
}  // namespace horizons::agents
