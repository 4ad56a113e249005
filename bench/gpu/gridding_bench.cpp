// Millions of visibilities per second through the gridder: a VLA-like observation, 27 antennas x 500 times x 64
// channels (11.2 M visibilities), on a 2048 x 2048 image of 0.6 degrees, single precision, accuracy 1e-4.
// The peer's figures are those of ducc0 0.35 on two cores, measured elsewhere on the same problem; they include its
// sorting, so ours are given with planning, too.
#include <algorithm>
#include <cmath>
#include <complex>
#include <cstdio>
#include <cstdlib>
#include <numbers>
#include <random>
#include <string>
#include <vector>

#include "bench/report.hpp"
#include "gpu/imaging/gridder.hpp"
#include "gpu/imaging/gridder_kernels.hpp"
#include "gpu/parallel.hpp"

using namespace horizons;
using namespace horizons::imaging;

namespace {

constexpr double degree = std::numbers::pi / 180;

/// Earth rotation tracks of a Y-shaped array, B configuration (11 km), source at declination 30 degrees, 8 hours.
std::vector<double> vla_like_uvw(int antennas, int times) {
  std::vector<double> x, y, z;  // metres: towards (H=0, dec=0), (H=-6h), the pole
  const double latitude = 34.08 * degree;
  for (int a = 0; a < antennas; ++a) {
    const double azimuth = (a % 3) * 120 * degree + 5 * degree;
    const double radius_m = 6800 * std::pow((a / 3 + 1) / (antennas / 3.0), 1.716);
    const double east = radius_m * std::sin(azimuth), north = radius_m * std::cos(azimuth);
    x.push_back(-north * std::sin(latitude));
    y.push_back(east);
    z.push_back(north * std::cos(latitude));
  }
  const double declination = 30 * degree;
  std::vector<double> uvw;
  for (int t = 0; t < times; ++t) {
    const double h = (double(t) / times - 0.5) * 120 * degree;
    for (int a = 0; a < antennas; ++a)
      for (int b = a + 1; b < antennas; ++b) {
        const double dx = x[b] - x[a], dy = y[b] - y[a], dz = z[b] - z[a];
        uvw.push_back(std::sin(h) * dx + std::cos(h) * dy);
        uvw.push_back(-std::sin(declination) * (std::cos(h) * dx - std::sin(h) * dy) + std::cos(declination) * dz);
        uvw.push_back(std::cos(declination) * (std::cos(h) * dx - std::sin(h) * dy) + std::sin(declination) * dz);
      }
  }
  return uvw;
}

}  // namespace

int main(int argc, char** argv) {
  std::string json;
  int repeats = 3;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::string(argv[i]) == "--json") json = argv[i + 1];
    if (std::string(argv[i]) == "--repeats") repeats = std::max(1, std::atoi(argv[i + 1]));
  }

  const auto uvw = vla_like_uvw(27, 500);
  std::vector<double> frequency_hz;
  for (int c = 0; c < 64; ++c) frequency_hz.push_back(1.4e9 + 1e6 * c);
  const uv_coverage coverage{uvw, frequency_hz};
  const double cell = 0.6 * degree / 2048;
  const image_geometry image{.nx = 2048, .ny = 2048, .cell_x = -cell, .cell_y = cell};
  const double mega = static_cast<double>(coverage.samples()) / 1e6;

  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<std::complex<float>> vis(coverage.samples());
  for (auto& v : vis) v = {normal(random), normal(random)};
  const std::vector<float> weight(coverage.samples(), 1.0f);

  std::vector<bench::row> rows;
  const auto add = [&](const std::string& what, double seconds, double theirs, double spread) {
    rows.push_back(bench::compare(what, "Mvis/s", bench::better::higher, mega / seconds, "ducc0", theirs,
                                  ">= 4 Mvis/s on 2 cores", spread));
  };
  std::string plans;
  for (const bool w_terms : {true, false}) {
    const auto make = [&] {
      auto made = gridder<float>::make(image, coverage, {}, {.accuracy = 1e-4, .w_terms = w_terms});
      if (!made) {
        std::fprintf(stderr, "%s\n", made.error().text.c_str());
        std::exit(1);
      }
      return std::move(*made);
    };
    make();  // the kernel search is remembered
    const auto [planning, planning_spread] = bench::median_seconds(repeats, make);
    const auto plan = make();
    std::vector<float> dirty;
    const auto [gridding, grid_spread] = bench::median_seconds(repeats, [&] { dirty = *plan.grid(vis, weight); });
    const auto [degridding, degrid_spread] = bench::median_seconds(repeats, [&] { (void)*plan.degrid(dirty); });
    const std::string kind = w_terms ? " with w" : " without w";
    add("grid" + kind, gridding, w_terms ? 5.95 : 27.4, grid_spread);
    add("degrid" + kind, degridding, w_terms ? 7.64 : 29.0, degrid_spread);
    add("plan + grid" + kind, planning + gridding, w_terms ? 5.95 : 27.4, planning_spread + grid_spread);
    char text[160];
    std::snprintf(text, sizeof text, "%s%s: W %d, grid %zu x %zu, %zu planes, plan %.2f s", plans.empty() ? "" : "; ",
                  kind.c_str() + 1, plan.plan().kernel_support, plan.plan().grid_nx, plan.plan().grid_ny,
                  plan.plan().w_planes, planning);
    plans += text;
  }

  const char* simd = kernels_for_this_cpu<float>().name;
  std::printf("%.1f M visibilities, 2048 x 2048, 0.6 deg, float, accuracy 1e-4, %zu threads, %s\n%s\n", mega,
              gpu::thread_count(), simd, plans.c_str());
  bench::print(rows);
  const nlohmann::json conditions{{"threads", gpu::thread_count()},
                                  {"simd", simd},
                                  {"repeats", repeats},
                                  {"visibilities", coverage.samples()},
                                  {"image", {2048, 2048}},
                                  {"field_deg", 0.6},
                                  {"accuracy", 1e-4},
                                  {"precision", "float"},
                                  {"plans", plans},
                                  {"peer_measured", "ducc0 0.35, 2 cores, recorded figures"}};
  return bench::write_json(json, conditions, rows) ? 0 : 1;
}
