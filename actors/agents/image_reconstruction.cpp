#include "actors/agents/image_reconstruction.hpp"

#include <chrono>
#include <cmath>
#include <cstdio>
#include <new>
#include <numbers>

#include "actors/agents/checkpoint.hpp"
#include "actors/agents/imaging_parameters.hpp"
#include "actors/agents/imaging_report.hpp"
#include "actors/agents/memory_limit.hpp"
#include "actors/agents/preview.hpp"
#include "actors/agents/sha256.hpp"
#include "actors/agents/stokes.hpp"
#include "actors/agents/version.hpp"
#include "actors/observations/civil_time.hpp"
#include "actors/observations/fits_file.hpp"
#include "actors/observations/fits_image.hpp"
#include "actors/observations/reader.hpp"
#include "runtime/telemetry/log.hpp"

namespace horizons::agents {
namespace {

constexpr double arcsec = 3600 * 180 / std::numbers::pi;

/// Seconds since the last call, or since it was made.
class lap_timer {
public:
  double lap() {
    const auto now = std::chrono::steady_clock::now();
    return std::chrono::duration<double>(now - std::exchange(last_, now)).count();
  }

private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

/// A stage that owns the share [from, to] of the whole.
gpu::progress_sink share(const gpu::progress_sink& whole, double from, double to, std::string prefix = {}) {
  return [&whole, from, to, prefix](double fraction, std::string_view stage) {
    if (whole) whole(from + (to - from) * fraction, prefix.empty() ? stage : std::string_view(prefix));
  };
}

imaging::imaging_options options_of(const imaging_parameters& p, const imaging::image_geometry& g) {
  imaging::imaging_options o;
  o.geometry = g;
  o.weights = p.weighting;
  o.robust = p.robust;
  o.accuracy = p.accuracy;
  o.double_precision = p.precision == numeric_precision::double_;
  o.niter = p.niter;
  o.gain = p.gain;
  o.mgain = p.mgain;
  o.threshold_jy = p.threshold_jy;
  o.auto_threshold_sigma = p.auto_threshold_sigma;
  return o;
}

/// Refuses before anything is allocated, and names a size that would fit.
result<void> check_memory(const imaging::imaging_options& o, std::size_t samples, std::size_t held_bytes) {
  const std::size_t limit = memory_limit_bytes(), needed = imaging::imaging_memory_bytes(o, samples) + held_bytes;
  if (needed <= limit) return {};
  auto smaller = o;
  const auto &nx = o.geometry.nx, &ny = o.geometry.ny;
  double factor = 1;
  while (factor > 0.01 && imaging::imaging_memory_bytes(smaller, samples) + held_bytes > limit) {
    factor *= 0.9;
    smaller.geometry.nx = static_cast<std::size_t>(static_cast<double>(nx) * factor) / 2 * 2;
    smaller.geometry.ny = static_cast<std::size_t>(static_cast<double>(ny) * factor) / 2 * 2;
  }
  char text[256];
  std::snprintf(text, sizeof text,
                "params.size = [%zu, %zu] with %zu visibilities needs about %.1f GB, %.1f GB may be used here; ", nx,
                ny, samples, static_cast<double>(needed) / 1e9, static_cast<double>(limit) / 1e9);
  return failure(error_code::limit_exceeded,
                 factor > 0.01 ? std::string(text) + "size [" + std::to_string(smaller.geometry.nx) + ", " +
                                     std::to_string(smaller.geometry.ny) + "] would fit"
                               : std::string(text) +
                                     "no image of these visibilities fits: select fewer with spw, channels or field");
}

std::string human_flux(double jy) {
  char text[32];
  if (std::abs(jy) >= 1)
    std::snprintf(text, sizeof text, "%.3g Jy/beam", jy);
  else if (std::abs(jy) >= 1e-3)
    std::snprintf(text, sizeof text, "%.3g mJy/beam", jy * 1e3);
  else
    std::snprintf(text, sizeof text, "%.3g uJy/beam", jy * 1e6);
  return text;
}

preview_caption caption_of(const imaging_story& s) {
  const auto& name = s.observation.fields[s.selection.field].name;
  char band[64], beam[96];
  std::snprintf(band, sizeof band, "%.4g GHz", s.selection.extent.frequency_hz / 1e9);
  double pa = std::fmod(s.products.beam.pa_rad * 180 / std::numbers::pi, 180);
  if (pa < 0) pa += 180;
  std::snprintf(beam, sizeof beam, "%.3g x %.3g arcsec, PA %.0f deg", s.products.beam.major_rad * arcsec,
                s.products.beam.minor_rad * arcsec, pa);
  return {(name.empty() ? s.observation.object_name : name) + "  " + s.observation.telescope + "  " + band +
              "  Stokes " + s.selection.stokes,
          "rms " + human_flux(s.products.rms_jy) + "  beam " + beam};
}

/// A pointing's files, each complete or absent.
result<void> write_results(const std::filesystem::path& out_dir, const imaging_story& s, std::stop_token stop,
                           const gpu::progress_sink& progress) {
  const auto& o = s.observation;
  const auto& field = o.fields[s.selection.field];
  observations::fits_image_header header;
  header.geometry = s.geometry;
  header.ra_rad = field.ra_rad;
  header.dec_rad = field.dec_rad;
  header.frequency_hz = s.selection.extent.frequency_hz;
  header.bandwidth_hz = s.selection.frequency_high_hz - s.selection.frequency_low_hz;
  header.stokes = s.selection.stokes;
  header.object_name = field.name.empty() ? o.object_name : field.name;
  header.telescope = o.telescope;
  header.observer = o.observer;
  header.date_obs = observations::civil_time(s.selection.start_mjd_s / 86'400);
  header.history = fits_history(s);

  struct picture {
    const char* name;
    const std::vector<float>& pixels;
    const char* unit;
    bool beam;
  };
  const auto& p = s.products;
  for (const auto& file :
       {picture{"image.fits", p.image, "JY/BEAM", true}, picture{"residual.fits", p.residual, "JY/BEAM", true},
        picture{"model.fits", p.model, "JY/PIXEL", false}, picture{"psf.fits", p.psf, "", true}}) {
    if (stop.stop_requested()) return failure(error_code::cancelled, "cancelled while writing results");
    header.unit = file.unit;
    header.restoring_beam = file.beam ? std::optional(p.beam) : std::nullopt;
    if (auto done = observations::write_fits_image(out_dir / file.name, header, file.pixels, stop); !done) return done;
  }
  if (progress) progress(0.98, "preview");
  auto png = draw_preview(p.image, s.geometry, p.beam, p.rms_jy, caption_of(s), stop);
  if (!png) return failure(png.error());
  if (auto done = observations::write_text_file(out_dir / "preview.png", *png); !done) return done;
  auto text = [](const json& value) { return value.dump(1, ' ', false, json::error_handler_t::replace) + "\n"; };
  if (auto done = observations::write_text_file(out_dir / "sources.json", text(sources_geojson(s))); !done) return done;
  return observations::write_text_file(out_dir / "report.json", text(imaging_report(s)));
}

/// Frees what imaging no longer needs: the visibilities are in the selection now.
void drop_visibilities(imaging::observation& o) {
  o.blocks.clear();
  o.blocks.shrink_to_fit();
}

/// What the work depends on besides the machine.
std::string checkpoint_key(const std::string& dataset_sha256, const json& params) {
  return std::string("image-reconstruction ") + std::string(software_version) + " " + dataset_sha256 + " " +
         params.dump();
}

json head_of(const imaging::cleaning_state& state) {
  json cycles = json::array();
  for (const auto& c : state.cycles) cycles.push_back({c.major, c.iterations, c.peak_jy, c.rms_jy});
  return {{"cycles", std::move(cycles)}, {"residual_bytes", state.residual.size()}};
}

/// `kept` must outlive the state. A head of another shape is as good as none.
std::optional<imaging::cleaning_state> state_of(const checkpoint::content& kept) try {
  imaging::cleaning_state state;
  for (const auto& c : kept.head.at("cycles"))
    state.cycles.push_back(
        {c.at(0).get<int>(), c.at(1).get<std::int64_t>(), c.at(2).get<double>(), c.at(3).get<double>()});
  const auto pixels = std::as_bytes(std::span(kept.data));
  const auto residual_bytes = kept.head.at("residual_bytes").get<std::size_t>();
  if (state.cycles.empty() || residual_bytes > pixels.size()) return {};
  state.residual = pixels.first(residual_bytes);
  state.model = pixels.subspan(residual_bytes);
  return state;
} catch (const json::exception&) {
  return {};
}

/// Keeps a state now and then: writing it costs a moment, losing it some work. Without it the image still comes.
std::function<void(const imaging::cleaning_state&)> keeper(const checkpoint& kept, const std::string& job_id) {
  if (!kept) return {};
  static constexpr std::chrono::seconds between{5};
  return
      [&kept, &job_id, last = std::chrono::steady_clock::time_point()](const imaging::cleaning_state& state) mutable {
        const auto now = std::chrono::steady_clock::now();
        if (now - last < between) return;
        last = now;
        const std::span<const std::byte> parts[] = {state.residual, state.model};
        if (auto done = kept.save(head_of(state), parts); !done)
          log::warn("no checkpoint could be kept", {{"job_id", job_id}, {"reason", done.error().text}});
      };
}

result<agent_output> reconstruct(const agent_input& input, std::stop_token stop, const gpu::progress_sink& progress) {
  const auto p = parse_imaging_parameters(input.params);
  if (!p) return failure(p.error());

  lap_timer timer;
  const std::size_t memory = memory_limit_bytes();
  auto observation = observations::read_observation(input.dataset, {memory}, stop, share(progress, 0, 0.08, "read"));
  if (!observation) return failure(observation.error());
  const double read_seconds = timer.lap();
  if (progress) progress(0.08, "checksum");
  auto sum = sha256_of(input.dataset, stop);
  if (!sum) return failure(sum.error());
  const double checksum_seconds = timer.lap();

  if (progress) progress(0.09, "stokes");
  auto selection = select_stokes(*observation, *p, stop);
  if (!selection) return failure(selection.error());
  drop_visibilities(*observation);
  if (stop.stop_requested()) return failure(error_code::cancelled, "cancelled before imaging");
  const auto geometry = default_geometry(*p, selection->extent);
  auto options = options_of(*p, geometry);
  std::size_t samples = 0, held = 0;
  for (const auto& b : selection->blocks) {
    samples += b.vis.size();
    held += b.vis.size() * 12 + b.uvw.size() * 8;
  }
  if (auto fits = check_memory(options, samples, held); !fits) return failure(fits.error());
  options.memory_max_bytes = memory > held ? memory - held : 0;

  const checkpoint kept(input.checkpoint_dir, checkpoint_key(*sum, input.params));
  const auto earlier = kept.load();
  if (earlier) options.resume_from = state_of(*earlier);
  options.keep = keeper(kept, input.job_id);

  timer.lap();
  const auto products = imaging::make_image(selection->blocks, options, stop, share(progress, 0.1, 0.9));
  if (!products) return failure(products.error());
  const double image_seconds = timer.lap();

  if (progress) progress(0.9, "sources");
  const auto& field = observation->fields[selection->field];
  const auto found =
      imaging::find_sources(products->image, geometry, products->beam, {field.ra_rad, field.dec_rad}, {}, stop);
  if (!found) return failure(found.error());
  const double find_seconds = timer.lap();

  if (progress) progress(0.94, "write");
  const json used =
      describe_parameters(*p, geometry, selection->stokes,
                          field.name.empty() ? std::to_string(selection->field) : field.name, input.params);
  const imaging_story story{*observation,      *selection, geometry,     *products,    *found,           used,
                            input.dataset_uri, *sum,       input.job_id, read_seconds, checksum_seconds, image_seconds,
                            find_seconds};
  if (auto done = write_results(input.out_dir, story, stop, progress); !done) return failure(done.error());
  agent_output out{imaging_metrics(story)};
  out.metrics["timings_s"]["write"] = timer.lap();
  if (progress) progress(1, "write");
  return out;
}

}  // namespace

json image_reconstruction::parameter_schema() const { return imaging_schema(); }

result<void> image_reconstruction::check(const json& params) const {
  const auto p = parse_imaging_parameters(params);
  if (!p) return failure(p.error());
  return {};
}

result<agent_output> image_reconstruction::run(const agent_input& input, std::stop_token stop,
                                               const gpu::progress_sink& progress) const try {
  return reconstruct(input, stop, progress);
} catch (const std::bad_alloc&) {
  return failure(error_code::limit_exceeded,
                 "out of memory while imaging; a smaller size or fewer channels would need less");
}

}  // namespace horizons::agents
