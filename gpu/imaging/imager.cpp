#include "gpu/imaging/imager.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <optional>

#include "gpu/imaging/restore.hpp"
#include "gpu/imaging/statistics.hpp"
#include "gpu/parallel.hpp"

namespace horizons::imaging {
namespace {

constexpr double float_accuracy_min = 2e-6;  // of gridding in float, see gridding_options

/// Adds the time between its making and its end to a figure.
class stopwatch {
public:
  explicit stopwatch(double& seconds) : seconds_(seconds) {}
  ~stopwatch() { seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }
  stopwatch(const stopwatch&) = delete;
  stopwatch& operator=(const stopwatch&) = delete;

private:
  double& seconds_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// The measurement in both directions: all blocks of one image with their weights and gridding plans.
template <class Real>
class measurement {
public:
  using complex = std::complex<Real>;

  static result<measurement> plan(std::span<const stokes_block> blocks, const imaging_options& o, std::stop_token stop,
                                  imaging_products& products) {
    stopwatch time(products.plan_seconds);
    std::vector<weighted_coverage> weighted;
    for (const auto& b : blocks) {
      if (b.vis.size() != b.coverage().samples())
        return failure(error_code::invalid_argument, "visibilities: " + std::to_string(b.vis.size()) + " values for " +
                                                         std::to_string(b.coverage().samples()) +
                                                         " samples; expected one for each");
      weighted.push_back({b.coverage(), b.weight});
    }
    auto weights = make_weights(weighted, o.geometry, o.weights, o.robust, stop);
    if (!weights) return failure(weights.error());
    products.weight_sum = weights->sum;
    products.visibilities = weights->used;
    products.outside = weights->outside;

    measurement m(blocks, o.geometry, weights->sum, weights->used);
    const double accuracy = std::is_same_v<Real, float> ? std::max(o.accuracy, float_accuracy_min) : o.accuracy;
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      const auto& w = weights->blocks[i];
      m.weights_.emplace_back(w.begin(), w.end());
      std::vector<unsigned char> mask(w.size());
      std::transform(w.begin(), w.end(), mask.begin(), [](float weight) { return weight > 0 ? 1 : 0; });
      auto g =
          gridder<Real>::make(o.geometry, blocks[i].coverage(), mask, {accuracy, o.w_terms}, o.memory_max_bytes, stop);
      if (!g) return failure(g.error());
      if (g->plan().w_planes >= products.plan.w_planes) products.plan = g->plan();
      m.gridders_.push_back(std::move(*g));
    }
    return m;
  }

  /// The image of `vis_of(block)`, in Jy/beam.
  template <class VisOf>
  result<std::vector<Real>> image_of(VisOf&& vis_of, std::stop_token stop, imaging_products& products) const {
    std::vector<Real> sum;
    for (std::size_t i = 0; i < gridders_.size(); ++i) {
      result<std::vector<complex>> vis = vis_of(i);
      if (!vis) return failure(vis.error());
      stopwatch time(products.grid_seconds);
      auto part = gridders_[i].grid(*vis, weights_[i], stop);
      if (!part) return failure(part.error());
      if (sum.empty()) {
        sum = std::move(*part);
      } else {
        std::transform(sum.begin(), sum.end(), part->begin(), sum.begin(), std::plus{});
      }
    }
    products.gridded += used_;
    const Real scale = static_cast<Real>(1 / weight_sum_);
    for (Real& value : sum) value *= scale;
    blank_beyond_horizon(std::span<Real>(sum), Real{0});
    return sum;
  }

  result<std::vector<Real>> psf(std::stop_token stop, imaging_products& products) const {
    return image_of(
        [&](std::size_t i) -> result<std::vector<complex>> {
          return std::vector<complex>(blocks_[i].vis.size(), complex(1));
        },
        stop, products);
  }

  result<std::vector<Real>> dirty(std::stop_token stop, imaging_products& products) const {
    return image_of(
        [&](std::size_t i) -> result<std::vector<complex>> {
          return std::vector<complex>(blocks_[i].vis.begin(), blocks_[i].vis.end());
        },
        stop, products);
  }

  /// What is left when the model is subtracted from the visibilities.
  result<std::vector<Real>> residual(const std::vector<Real>& model, std::stop_token stop,
                                     imaging_products& products) const {
    auto image = image_of(
        [&](std::size_t i) -> result<std::vector<complex>> {
          stopwatch time(products.degrid_seconds);
          auto vis = gridders_[i].degrid(model, stop);
          if (!vis) return vis;
          const auto& measured = blocks_[i].vis;
          gpu::parallel_for(vis->size(), 65'536, stop, [&](std::size_t first, std::size_t last, std::size_t) {
            for (std::size_t k = first; k < last; ++k) (*vis)[k] = complex(measured[k]) - (*vis)[k];
          });
          return vis;
        },
        stop, products);
    products.degridded += used_;
    return image;
  }

  template <class T>
  void blank_beyond_horizon(std::span<T> pixels, T blank) const {
    const double corner_l = static_cast<double>(geometry_.nx / 2) * geometry_.cell_x;
    const double corner_m = static_cast<double>(geometry_.ny / 2) * geometry_.cell_y;
    if (corner_l * corner_l + corner_m * corner_m < 1) return;
    for (std::size_t y = 0; y < geometry_.ny; ++y)
      for (std::size_t x = 0; x < geometry_.nx; ++x) {
        const double l = (static_cast<double>(x) - static_cast<double>(geometry_.nx / 2)) * geometry_.cell_x;
        const double m = (static_cast<double>(y) - static_cast<double>(geometry_.ny / 2)) * geometry_.cell_y;
        if (l * l + m * m >= 1) pixels[y * geometry_.nx + x] = blank;
      }
  }

private:
  measurement(std::span<const stokes_block> blocks, image_geometry g, double weight_sum, std::int64_t used)
      : blocks_(blocks), geometry_(g), weight_sum_(weight_sum), used_(used) {}

  std::span<const stokes_block> blocks_;
  image_geometry geometry_;
  double weight_sum_;
  std::int64_t used_;
  std::vector<std::vector<Real>> weights_;
  std::vector<gridder<Real>> gridders_;
};

template <class Real>
double highest(const std::vector<Real>& pixels, const image_geometry& g, std::size_t border) {
  double top = 0;
  for (std::size_t y = border; y + border < g.ny; ++y)
    for (std::size_t x = border; x + border < g.nx; ++x)
      top = std::max(top, static_cast<double>(std::abs(pixels[y * g.nx + x])));
  return top;
}

/// Progress that never goes back; stages share 0…1: plan, psf and dirty a quarter, cleaning most of the rest.
class stages {
public:
  explicit stages(const gpu::progress_sink& sink) : sink_(sink) {}
  void at(double fraction, std::string_view stage) {
    reached_ = std::max(reached_, std::min(fraction, 1.0));
    if (sink_) sink_(reached_, stage);
  }

private:
  const gpu::progress_sink& sink_;
  double reached_ = 0;
};

/// Major cycles until a limit is reached. `residual` comes as the dirty image; both come back in their final state.
template <class Real>
result<void> clean(const measurement<Real>& m, const std::vector<Real>& psf, const imaging_options& o,
                   std::vector<Real>& residual, std::vector<Real>& model, imaging_products& out, std::stop_token stop,
                   stages& progress) {
  const minor_cycle<Real> minor(o.geometry, psf);
  const std::size_t border = std::min(o.border, (std::min(o.geometry.nx, o.geometry.ny) - 1) / 2);
  if (o.resume_from)
    out.cycles = o.resume_from->cycles;
  else
    out.cycles.push_back({0, 0, highest(residual, o.geometry, border), robust_of(std::span<const Real>(residual)).rms});
  double peak = out.cycles.back().peak_jy;
  double rms = out.cycles.back().rms_jy;
  std::int64_t iterations = out.cycles.back().iterations;
  int majors_expected = 1;
  for (int major = out.cycles.back().major + 1;; ++major) {
    const double limit = std::max(o.threshold_jy, o.auto_threshold_sigma * rms);
    // A cycle that cleaned down to the limit comes back from the visibilities a little above it: chasing those last
    // per cent would cost a major cycle each.
    const double close_enough = major == 1 ? limit : 1.05 * limit;
    if (!(peak > close_enough))
      out.end = cleaning_end::threshold;
    else if (iterations >= o.niter)
      out.end = cleaning_end::iterations;
    else if (major > o.major_cycles_max)
      out.end = cleaning_end::major_cycles;
    else
      out.end = cleaning_end::not_asked;
    if (out.end != cleaning_end::not_asked) return {};

    // Each cycle lowers the peak by mgain at best, so this many are still to come.
    const double cycles_left =
        o.mgain < 1 && limit > 0 ? std::ceil(std::log(peak / limit) / -std::log(1 - o.mgain)) : 1;
    majors_expected = std::clamp(major - 1 + static_cast<int>(std::min(cycles_left, 100.0)), major,
                                 std::max(major, std::min(o.major_cycles_max, std::max(majors_expected, 100))));
    const std::string stage = "clean " + std::to_string(major) + " of " + std::to_string(majors_expected);
    progress.at(0.25 + 0.7 * (major - 1) / majors_expected, stage);

    const std::vector<Real> residual_before = residual, model_before = model;
    result<clean_outcome> outcome;
    {
      stopwatch time(out.clean_seconds);
      outcome = minor.run(residual, model,
                          {o.gain, std::max(limit, (1 - o.mgain) * peak), o.niter - iterations, border}, stop);
    }
    if (!outcome) return failure(outcome.error());
    progress.at(0.25 + 0.7 * (major - 0.5) / majors_expected, stage);
    auto fresh = m.residual(model, stop, out);
    if (!fresh) return failure(fresh.error());
    const double fresh_peak = highest(*fresh, o.geometry, border);
    if (!std::isfinite(fresh_peak) || fresh_peak > 1.1 * peak) {  // worse than before: take this cycle back
      residual = residual_before;
      model = model_before;
      out.end = cleaning_end::diverged;
      return {};
    }
    residual = std::move(*fresh);
    iterations += outcome->iterations;
    const bool stalled = outcome->iterations == 0 || fresh_peak > 0.98 * peak;
    peak = fresh_peak;
    rms = robust_of(std::span<const Real>(residual)).rms;
    out.cycles.push_back({major, iterations, peak, rms});
    if (stalled && peak > 1.05 * std::max(o.threshold_jy, o.auto_threshold_sigma * rms) && iterations < o.niter) {
      out.end = cleaning_end::stalled;
      return {};
    }
    if (o.keep) o.keep({out.cycles, std::as_bytes(std::span(residual)), std::as_bytes(std::span(model))});
  }
}

/// The pixels of a kept state.
template <class Real>
result<std::vector<Real>> pixels_of(std::span<const std::byte> bytes, const image_geometry& g) {
  if (bytes.size() != g.pixels() * sizeof(Real))
    return failure(error_code::invalid_argument, "resume_from: " + std::to_string(bytes.size()) + " bytes for " +
                                                     std::to_string(g.pixels()) + " pixels of " +
                                                     std::to_string(sizeof(Real)) + " bytes");
  std::vector<Real> pixels(g.pixels());
  std::memcpy(pixels.data(), bytes.data(), bytes.size());
  return pixels;
}

template <class Real>
result<imaging_products> make_image_in(std::span<const stokes_block> blocks, const imaging_options& o,
                                       std::stop_token stop, const gpu::progress_sink& sink) {
  imaging_products out;
  stages progress(sink);
  progress.at(0, "plan");
  auto m = measurement<Real>::plan(blocks, o, stop, out);
  if (!m) return failure(m.error());
  progress.at(0.05, "psf");
  auto psf = m->psf(stop, out);
  if (!psf) return failure(psf.error());
  out.psf.assign(psf->begin(), psf->end());
  auto beam = fit_beam(out.psf, o.geometry);
  if (!beam) return failure(beam.error());
  out.beam = *beam;

  progress.at(0.15, o.resume_from ? "resume" : "dirty");
  auto residual = o.resume_from ? pixels_of<Real>(o.resume_from->residual, o.geometry) : m->dirty(stop, out);
  if (!residual) return failure(residual.error());
  auto model = o.resume_from ? pixels_of<Real>(o.resume_from->model, o.geometry)
                             : result<std::vector<Real>>(std::vector<Real>(o.geometry.pixels()));
  if (!model) return failure(model.error());
  if (o.niter > 0) {
    if (auto done = clean(*m, *psf, o, *residual, *model, out, stop, progress); !done) return failure(done.error());
  }

  progress.at(0.95, "restore");
  out.residual.assign(residual->begin(), residual->end());
  out.model.assign(model->begin(), model->end());
  out.rms_jy = robust_of(std::span<const float>(out.residual)).rms;
  if (o.niter <= 0) out.cycles.push_back({0, 0, highest(*residual, o.geometry, 0), out.rms_jy});
  out.image = out.residual;
  restore(out.model, out.beam, o.geometry, out.image, stop);
  if (stop.stop_requested()) return failure(error_code::cancelled, "cancelled while restoring");
  const float blank = std::numeric_limits<float>::quiet_NaN();
  for (auto* pixels : {&out.image, &out.residual, &out.psf}) m->blank_beyond_horizon(std::span<float>(*pixels), blank);
  progress.at(1, "restore");
  return out;
}

result<void> check(const imaging_options& o) {
  auto refuse = [](const std::string& text) { return failure(error_code::invalid_argument, text); };
  if (!(o.gain > 0 && o.gain <= 1)) return refuse("gain = " + std::to_string(o.gain) + "; expected above 0, at most 1");
  if (o.resume_from && (o.resume_from->cycles.empty() || o.niter <= 0))
    return refuse("resume_from: nothing was cleaned; expected the state of a major cycle, and niter above 0");
  if (!(o.mgain > 0 && o.mgain <= 1))
    return refuse("mgain = " + std::to_string(o.mgain) + "; expected above 0, at most 1");
  if (!(o.threshold_jy >= 0))
    return refuse("threshold_jy = " + std::to_string(o.threshold_jy) + "; expected 0 or more");
  if (!(o.auto_threshold_sigma >= 0))
    return refuse("auto_threshold_sigma = " + std::to_string(o.auto_threshold_sigma) + "; expected 0 or more");
  return {};
}

}  // namespace

std::string_view to_string(cleaning_end end) {
  switch (end) {
    case cleaning_end::not_asked:
      return "not asked";
    case cleaning_end::threshold:
      return "threshold reached";
    case cleaning_end::iterations:
      return "niter reached";
    case cleaning_end::major_cycles:
      return "limit of major cycles reached";
    case cleaning_end::stalled:
      return "no further progress";
    case cleaning_end::diverged:
      return "diverged; last major cycle taken back";
  }
  return "unknown";
}

std::size_t imaging_memory_bytes(const imaging_options& o, std::size_t samples) {
  const std::size_t real = o.double_precision || o.accuracy < float_accuracy_min ? 8 : 4;
  // Images: psf, residual, model, their copies from before the cycle, a fresh residual, and four float products. The
  // padded grid is at most twice the image along each axis; one complex plane and its transform are held at once.
  const std::size_t per_pixel = 6 * real + 4 * 4 + 4 * 2 * (2 * real);
  // Samples: a weight, a mask, a complex value and the sorted index with its coordinates.
  const std::size_t per_sample = 4 + real + 1 + 2 * real + 32;
  return o.geometry.pixels() * per_pixel + samples * per_sample;
}

result<imaging_products> make_image(std::span<const stokes_block> blocks, const imaging_options& options,
                                    std::stop_token stop, const gpu::progress_sink& progress) {
  if (auto ok = check(options); !ok) return failure(ok.error());
  if (options.double_precision || options.accuracy < float_accuracy_min)
    return make_image_in<double>(blocks, options, stop, progress);
  return make_image_in<float>(blocks, options, stop, progress);
}

}  // namespace horizons::imaging
