#include "gpu/imaging/gridder.hpp"

#include <algorithm>
#include <cmath>
#include <new>
#include <sstream>
#include <string>

#include "gpu/imaging/gridder_kernels.hpp"
#include "gpu/imaging/gridding_choice.hpp"
#include "gpu/imaging/gridding_pass.hpp"
#include "gpu/imaging/sample_index.hpp"

namespace horizons::imaging {
namespace {

constexpr double speed_of_light_m_s = 299'792'458.0;
constexpr double accuracy_max = 1e-2;            // coarser kernels save no time worth having
constexpr std::size_t image_edge_max = 1 << 20;  // pixels; also keeps sizes far from overflow
constexpr double coordinate_max = 1e10;          // cells or turns: beyond, double keeps under 1e-6 of a cell

template <class Real>
inline constexpr double accuracy_min = sizeof(Real) == 4 ? 2e-6 : 1e-12;

template <class... Parts>
std::string text(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

template <class Real>
result<void> check(const image_geometry& image, const uv_coverage& coverage, std::span<const unsigned char> mask,
                   const gridding_options& options) {
  const auto invalid = [](auto&&... parts) { return failure(error_code::invalid_argument, text(parts...)); };
  if (image.nx == 0 || image.ny == 0 || image.nx > image_edge_max || image.ny > image_edge_max)
    return invalid("image size ", image.nx, " x ", image.ny, ": each side must be 1 to ", image_edge_max, " pixels");
  for (const double cell : {image.cell_x, image.cell_y})
    if (!std::isfinite(cell) || cell == 0 || std::abs(cell) >= 1)
      return invalid("image cell ", cell, ": must be finite, not zero and below 1 in radians of direction cosine");
  if (!(options.accuracy >= accuracy_min<Real> && options.accuracy <= accuracy_max))
    return invalid("accuracy ", options.accuracy, ": ", sizeof(Real) == 4 ? "single" : "double",
                   " precision can reach ", accuracy_min<Real>, " to ", accuracy_max,
                   sizeof(Real) == 4 ? "; use double precision below that" : "");
  if (coverage.uvw.size() % 3 != 0) return invalid("uvw has ", coverage.uvw.size(), " numbers; expected three per row");
  if (coverage.rows() >= channel_run::rows_max || coverage.channels() >= channel_run::channels_max)
    return invalid("coverage of ", coverage.rows(), " rows x ", coverage.channels(), " channels: at most ",
                   channel_run::rows_max - 1, " x ", channel_run::channels_max - 1);
  if (!mask.empty() && mask.size() != coverage.samples())
    return invalid("mask has ", mask.size(), " entries; expected rows x channels = ", coverage.samples(), " or none");
  double highest_hz = 0;
  for (std::size_t c = 0; c < coverage.channels(); ++c) {
    const double f = coverage.frequency_hz[c];
    if (!std::isfinite(f) || f <= 0) return invalid("frequency_hz[", c, "] = ", f, ": must be finite and positive");
    highest_hz = std::max(highest_hz, f);
  }
  const double longest_m = coordinate_max * speed_of_light_m_s / std::max(highest_hz, 1.0);
  for (std::size_t i = 0; i < coverage.uvw.size(); ++i) {
    if (!std::isfinite(coverage.uvw[i]))
      return invalid("uvw[", i / 3, "][", i % 3, "] = ", coverage.uvw[i], ": must be finite metres");
    if (std::abs(coverage.uvw[i]) > longest_m)
      return invalid("uvw[", i / 3, "][", i % 3, "] = ", coverage.uvw[i], ": metres beyond ", coordinate_max,
                     " wavelengths; is the unit right?");
  }
  return {};
}

}  // namespace

template <class Real>
struct gridder<Real>::state : gridding_state<Real> {};

template <class Real>
result<gridder<Real>> gridder<Real>::make(image_geometry image, uv_coverage coverage,
                                          std::span<const unsigned char> mask, gridding_options options,
                                          std::size_t memory_max_bytes, std::stop_token stop) try {
  if (auto checked = check<Real>(image, coverage, mask, options); !checked) return failure(checked.error());

  auto s = std::make_unique<state>();
  s->image = image;
  s->kernels = &kernels_for_this_cpu<Real>();
  s->uvw.assign(coverage.uvw.begin(), coverage.uvw.end());
  s->flipped.resize(coverage.rows());
  for (const double f : coverage.frequency_hz) s->wavenumber.push_back(f / speed_of_light_m_s);

  // The image is real, so a sample and the conjugate of its mirror image are the same: w >= 0 halves the stack.
  double w_min = 0, w_max = 0, samples = 0;
  for (std::size_t row = 0; row < coverage.rows() && !stop.stop_requested(); ++row) {
    double* point = s->uvw.data() + 3 * row;
    s->flipped[row] = point[2] < 0;
    if (s->flipped[row])
      for (int i = 0; i < 3; ++i) point[i] = -point[i];
    for (std::size_t c = 0; c < coverage.channels(); ++c) {
      if (!mask.empty() && !mask[row * coverage.channels() + c]) continue;
      const double w = point[2] * s->wavenumber[c];
      w_min = samples == 0 ? w : std::min(w_min, w);
      w_max = std::max(w_max, w);
      ++samples;
    }
  }

  if (stop.stop_requested()) return failure(error_code::cancelled, "cancelled while planning the gridding");

  const double l = static_cast<double>(image.nx / 2) * image.cell_x,
               m = static_cast<double>(image.ny / 2) * image.cell_y;
  const double r2 = l * l + m * m;  // the farthest corner
  const double n_minus_1_least = r2 < 1 ? -r2 / (1 + std::sqrt(1 - r2)) : -1;
  s->n_half = -n_minus_1_least / 2;
  s->planar = !options.w_terms || s->n_half == 0;

  const auto choice = choose({.image = image,
                              .accuracy = options.accuracy,
                              .w_terms = !s->planar,
                              .w_extent = w_max - w_min,
                              .n_half = s->n_half,
                              .samples = samples,
                              .real_bytes = sizeof(Real),
                              .support_max = support_max<Real>,
                              .memory_max_bytes = static_cast<double>(memory_max_bytes)});
  if (choice.shape.support == 0)
    return failure(error_code::invalid_argument, text("accuracy ", options.accuracy, ": no kernel reaches it"));
  s->axes = {.cell_x = image.cell_x,
             .cell_y = image.cell_y,
             .grid_nx = static_cast<double>(choice.grid_nx),
             .grid_ny = static_cast<double>(choice.grid_ny),
             .half_support = choice.shape.support / 2.0,
             .w_first = w_min,
             .planes_per_w = choice.planes_per_w,
             .n_centre = s->planar ? 0 : n_minus_1_least / 2};
  s->plan = {.kernel_support = choice.shape.support,
             .oversampling = choice.oversampling,
             .grid_nx = choice.grid_nx,
             .grid_ny = choice.grid_ny,
             .w_planes = choice.w_planes};

  const double counters = static_cast<double>(choice.grid_nx / tile_cells) *
                          static_cast<double>(choice.grid_ny / tile_cells) * static_cast<double>(s->first_planes()) *
                          sizeof(std::uint32_t);
  if (!choice.fits || choice.memory_bytes + counters > static_cast<double>(memory_max_bytes))
    return failure(error_code::limit_exceeded,
                   text("a grid of ", choice.grid_nx, " x ", choice.grid_ny, " with ", choice.w_planes,
                        " w-planes needs ", std::llround((choice.memory_bytes + counters) / 1e6), " MB, the limit is ",
                        memory_max_bytes / 1'000'000, " MB; use a smaller image, facets or a coarser accuracy"));

  s->set_kernel(es_kernel(choice.shape));
  s->index =
      make_sample_index(s->axes, s->uvw, s->flipped, s->wavenumber, mask, s->first_planes(), s->kernels->locate, stop);
  if (stop.stop_requested()) return failure(error_code::cancelled, "cancelled while planning the gridding");
  s->mark_lines();
  return gridder(std::move(s));
} catch (const std::bad_alloc&) {
  return failure(error_code::limit_exceeded, "out of memory while planning the gridding");
}

template <class Real>
result<std::vector<Real>> gridder<Real>::grid(std::span<const std::complex<Real>> vis, std::span<const Real> weight,
                                              std::stop_token stop) const try {
  const std::size_t samples = state_->flipped.size() * state_->wavenumber.size();
  if (vis.size() != samples || (!weight.empty() && weight.size() != samples))
    return failure(error_code::invalid_argument,
                   text("vis has ", vis.size(), " and weight ", weight.size(), " samples; the plan has ", samples));
  std::vector<Real> image(state_->image.pixels());
  gridding_pass<Real> pass(*state_, stop);
  for (std::size_t p = 0; p < state_->plan.w_planes && !stop.stop_requested(); ++p) {
    if (p < state_->first_planes()) pass.grid_tiles(p, vis.data(), weight.empty() ? nullptr : weight.data());
    if (state_->used(p)) pass.plane_to_image(p, image.data());
  }
  if (stop.stop_requested()) return failure(error_code::cancelled, "gridding was cancelled");
  state_->correct(image.data(), image.data());
  return image;
} catch (const std::bad_alloc&) {
  return failure(error_code::limit_exceeded, "out of memory while gridding");
}

template <class Real>
result<std::vector<std::complex<Real>>> gridder<Real>::degrid(std::span<const Real> image, std::stop_token stop) const
    try {
  if (image.size() != state_->image.pixels())
    return failure(error_code::invalid_argument, text("image has ", image.size(), " pixels; the plan has ",
                                                      state_->image.nx, " x ", state_->image.ny));
  std::vector<Real> scaled(image.size());
  state_->correct(image.data(), scaled.data());
  std::vector<std::complex<Real>> vis(state_->flipped.size() * state_->wavenumber.size());
  gridding_pass<Real> pass(*state_, stop);
  const std::size_t behind = state_->planes_per_sample() - 1;  // a sample reads the planes from its first one on
  for (std::size_t p = 0; p < state_->plan.w_planes && !stop.stop_requested(); ++p) {
    if (state_->used(p)) pass.image_to_plane(p, scaled.data());
    if (p >= behind) pass.degrid_tiles(p - behind, vis.data());
  }
  if (stop.stop_requested()) return failure(error_code::cancelled, "degridding was cancelled");
  return vis;
} catch (const std::bad_alloc&) {
  return failure(error_code::limit_exceeded, "out of memory while degridding");
}

template <class Real>
const gridding_plan& gridder<Real>::plan() const {
  return state_->plan;
}

template <class Real>
gridder<Real>::gridder(std::unique_ptr<state> s) : state_(std::move(s)) {}
template <class Real>
gridder<Real>::gridder(gridder&&) noexcept = default;
template <class Real>
gridder<Real>& gridder<Real>::operator=(gridder&&) noexcept = default;
template <class Real>
gridder<Real>::~gridder() = default;

template class gridder<float>;
template class gridder<double>;

}  // namespace horizons::imaging
