// Imaging beside Debian's wsclean with its w-gridder: the same Measurement Set, the same cores, the same accuracy as
// measured against a direct Fourier transform. The gridding alone, the whole job to a dirty image, and to a cleaned
// one.
//
//     bench-imaging [--json FILE] [--quick] [--integrations 144] [--channels 32] [--size 2048] [--repeats 3]
//
// A whole job is, of ours, a run of the agent in this process (reading, checksum, imaging, source finding, all result
// files); of wsclean, its process. Ours is warm, as in a node: kernels and FFT plans are remembered between jobs.
// Runs of both take turns, so that a change of the machine's speed meets both; processor time tells of the work on a
// machine that others use, too.
#include <complex>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <stdexcept>

#include "actors/agents/agent.hpp"
#include "actors/agents/version.hpp"
#include "bench/actors/imaging_subject.hpp"
#include "bench/actors/wsclean.hpp"
#include "bench/report.hpp"
#include "gpu/imaging/gridder.hpp"
#include "gpu/imaging/gridder_kernels.hpp"
#include "gpu/parallel.hpp"

namespace {

using namespace horizons;
using bench::must;
using bench::subject;
namespace fs = std::filesystem;

constexpr double accuracy_of_wsclean = 1e-4;  // its default
constexpr std::size_t size_min = 640;         // pixels: the simulated sources lie within 600

struct arguments {
  std::string json;
  int integrations = 144, channels = 32, repeats = 3;
  std::size_t size = 2048;
};

arguments parse(int argc, char** argv) {
  arguments a;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--quick") {
      a.integrations = 24, a.channels = 8, a.repeats = 1, a.size = 1024;
      continue;
    }
    const char* value = i + 1 < argc ? argv[++i] : "";
    if (name == "--json")
      a.json = value;
    else if (name == "--integrations")
      a.integrations = std::atoi(value);
    else if (name == "--channels")
      a.channels = std::atoi(value);
    else if (name == "--repeats")
      a.repeats = std::max(1, std::atoi(value));
    else if (name == "--size")
      a.size = std::max(size_min, std::strtoul(value, nullptr, 10) / (2 * bench::dft_side) * 2 * bench::dft_side);
    else
      std::fprintf(stderr, "%s is unknown; see the top of imaging_bench.cpp\n", name.c_str()), std::exit(2);
  }
  return a;
}

std::string cpu_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name")) return line.substr(line.find(": ") + 2);
  return "unknown";
}

double load_average() {
  double load = 0;
  return ::getloadavg(&load, 1) == 1 ? load : -1;
}

double own_cpu_seconds() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  return bench::cpu_seconds_of(used);
}

imaging::gridder<float> plan_of(const subject& s, double accuracy) {
  return must(imaging::gridder<float>::make(s.image, s.block().coverage(), {}, {.accuracy = accuracy}));
}

double our_error(const subject& s, const bench::pixel_sample& pixels, double accuracy) {
  const auto dirty = must(plan_of(s, accuracy).grid(s.block().vis, s.block().weight));
  return pixels.error_of(dirty, s.image.nx, 1 / s.weight_sum());
}

struct matched_accuracy {
  double requested = 1e-4, measured = 0;
};

/// The loosest request whose measured error is not above wsclean's.
matched_accuracy match(const subject& s, const bench::pixel_sample& pixels, std::optional<double> error_of_wsclean) {
  matched_accuracy m;
  for (const double request : {5e-4, 3e-4, 2e-4, 1e-4, 5e-5, 3e-5, 2e-5, 1e-5, 5e-6, 2e-6}) {
    if (!error_of_wsclean && request > 1e-4) continue;
    m = {request, our_error(s, pixels, request)};
    if (!error_of_wsclean || m.measured <= *error_of_wsclean) break;
  }
  return m;
}

// -- whole jobs -----------------------------------------------------------------------------------------------------

/// What is asked of both.
struct job {
  std::string name;
  std::string weighting = "briggs";
  int niter = 0;
};

struct our_run {
  double seconds = 0, cpu_seconds = 0;
  json metrics;
};

our_run run_ours(const subject& s, const job& j, double accuracy, const fs::path& out_dir) {
  fs::remove_all(out_dir);
  fs::create_directories(out_dir);
  const json params{{"size", s.image.nx},         {"cell_arcsec", s.cell_arcsec},
                    {"weighting", j.weighting},   {"accuracy", accuracy},
                    {"niter", j.niter},           {"mgain", 0.8},
                    {"auto_threshold_sigma", 3.0}};
  our_run run;
  const double cpu_before = own_cpu_seconds();
  run.seconds = bench::seconds_of([&] {
    const auto* agent = agents::find_agent("image-reconstruction");
    const agents::agent_input input{"bench", s.measurement_set, "file://bench.ms", params, out_dir};
    run.metrics = must(agent->run(input, {}, {})).metrics;
  });
  run.cpu_seconds = own_cpu_seconds() - cpu_before;
  return run;
}

bench::wsclean_run run_theirs(const subject& s, const job& j, const fs::path& prefix) {
  std::vector<std::string> words{"-name", prefix, "-j", std::to_string(gpu::thread_count())};
  const auto add = [&](std::initializer_list<std::string> more) {
    words.insert(words.end(), more.begin(), more.end());
  };
  add({"-use-wgridder", "-wgridder-accuracy", std::to_string(accuracy_of_wsclean), "-no-small-inversion"});
  add({"-reorder", "-no-update-model-required", "-data-column", "DATA"});  // reordered, it needs a tenth less time
  add({"-size", std::to_string(s.image.nx), std::to_string(s.image.ny)});
  add({"-scale", std::to_string(s.cell_arcsec) + "asec"});
  add({"-weight", j.weighting});
  if (j.weighting == "briggs") add({"0", "-make-psf"});  // ours always makes the PSF
  if (j.niter > 0) add({"-niter", std::to_string(j.niter), "-gain", "0.1", "-mgain", "0.8", "-auto-threshold", "3"});
  words.push_back(s.measurement_set);
  return must(bench::run_wsclean(words, prefix.string() + ".log"));
}

/// Runs of both in turns.
struct job_figures {
  bench::timing ours, theirs, our_cpu, their_cpu;
  bench::timing their_inversion;
  our_run our_last;
  bench::wsclean_run their_last;
};

job_figures measure(const subject& s, const job& j, double accuracy, bool with_peer, int repeats,
                    const bench::temporary_folder& folder) {
  job_figures f;
  std::vector<double> ours, theirs, our_cpu, their_cpu, inversion;
  for (int i = 0; i < repeats; ++i) {
    f.our_last = run_ours(s, j, accuracy, folder / ("ours-" + j.name));
    ours.push_back(f.our_last.seconds);
    our_cpu.push_back(f.our_last.cpu_seconds);
    if (!with_peer) continue;
    f.their_last = run_theirs(s, j, folder / ("theirs-" + j.name));
    theirs.push_back(f.their_last.seconds);
    their_cpu.push_back(f.their_last.cpu_seconds);
    inversion.push_back(f.their_last.inversion);
  }
  f.ours = bench::median_of(ours);
  f.our_cpu = bench::median_of(our_cpu);
  if (!with_peer) return f;
  f.theirs = bench::median_of(theirs);
  f.their_cpu = bench::median_of(their_cpu);
  f.their_inversion = bench::median_of(inversion);
  return f;
}

bool compare_both(const arguments& a) {
  const double load_before = load_average();
  const bench::temporary_folder folder;
  const auto version = bench::wsclean_version(folder / "version.log");
  if (!version)
    std::fprintf(stderr, "wsclean is not installed (Debian: apt-get install wsclean): its column stays empty\n");
  const auto s = bench::make_subject(a.integrations, a.channels, a.size, folder);
  std::printf("%.2f M visibilities of Stokes I (VLA, %d integrations, %d channels), %zu x %zu, cell %.2g arcsec\n",
              s.mega(), a.integrations, a.channels, s.image.nx, s.image.ny, s.cell_arcsec);

  const auto theirs = [&](double value) { return version ? std::optional(value) : std::nullopt; };
  const std::string peer = "wsclean w-gridder";
  std::vector<bench::row> rows;
  using enum bench::better;

  const bench::pixel_sample pixels(s);
  double their_error = 0;
  if (version) {
    run_theirs(s, {"natural", "natural", 0}, folder / "natural");
    const auto image = must(observations::read_fits_image(folder / "natural-dirty.fits"));
    their_error = pixels.error_of(image.pixels, s.image.nx, 1);
  }
  const auto accuracy = match(s, pixels, theirs(their_error));
  rows.push_back(bench::compare("rms error against the direct transform", "relative", lower, accuracy.measured, peer,
                                theirs(their_error), nullptr));

  const auto dirty = measure(s, {"dirty", "briggs", 0}, accuracy.requested, version.has_value(), a.repeats, folder);
  const auto& b = s.block();
  const auto planning = bench::median_seconds(a.repeats, [&] { plan_of(s, accuracy.requested); });
  const auto plan = plan_of(s, accuracy.requested);
  const std::vector<std::complex<float>> ones(b.vis.size(), 1);
  const auto gridding = bench::median_seconds(a.repeats, [&] {
    (void)must(plan.grid(ones, b.weight));
    (void)must(plan.grid(b.vis, b.weight));
  });
  const auto rate = [&](double passes, double seconds) { return seconds > 0 ? passes * s.mega() / seconds : 0; };
  const auto their_gridding = theirs(rate(2, dirty.their_inversion.seconds));
  const double grid_spread = std::max({planning.spread, gridding.spread, dirty.their_inversion.spread});
  rows.push_back(bench::compare("plan and grid, PSF and dirty image (theirs with reading)", "Mvis/s", higher,
                                rate(2, planning.seconds + gridding.seconds), peer, their_gridding, 1.0, grid_spread));
  rows.push_back(bench::compare("read, plan and grid, PSF and dirty image", "Mvis/s", higher,
                                rate(2, s.read_seconds + planning.seconds + gridding.seconds), peer, their_gridding,
                                1.0, grid_spread));
  rows.push_back(bench::compare("grid, planned before", "Mvis/s", higher, rate(2, gridding.seconds), "", {}, nullptr,
                                gridding.spread));

  const auto add_job = [&](const std::string& what, const job_figures& f) {
    const auto add = [&](const std::string& figure, const std::string& unit, bench::better which, double our_value,
                         double their_value, double spread) {
      rows.push_back(bench::compare(what + figure, unit, which, our_value, peer, theirs(their_value), 1.0, spread));
    };
    const double spread = std::max(f.ours.spread, f.theirs.spread);
    add("", "Mvis/s", higher, rate(1, f.ours.seconds), rate(1, f.theirs.seconds), spread);
    add(", wall time", "s", lower, f.ours.seconds, f.theirs.seconds, spread);
    add(", processor time", "s", lower, f.our_cpu.seconds, f.their_cpu.seconds,
        std::max(f.our_cpu.spread, f.their_cpu.spread));
  };
  add_job("whole job, dirty image", dirty);
  const auto clean = measure(s, {"clean", "briggs", 2000}, accuracy.requested, version.has_value(), a.repeats, folder);
  add_job("whole job, CLEAN", clean);

  const auto our_quality = bench::quality_of(s, folder / "ours-clean/image.fits", folder / "ours-clean/residual.fits");
  const auto their_quality =
      version ? bench::quality_of(s, folder / "theirs-clean-image.fits", folder / "theirs-clean-residual.fits")
              : bench::image_quality{};
  const auto add_quality = [&](const std::string& what, const std::string& unit, double bench::image_quality::*figure) {
    rows.push_back(
        bench::compare(what, unit, lower, our_quality.*figure, peer, theirs(their_quality.*figure), nullptr));
  };
  add_quality("CLEAN residual, rms", "Jy/beam", &bench::image_quality::residual_rms);
  add_quality("CLEAN residual, peak", "Jy/beam", &bench::image_quality::residual_peak);
  add_quality("brightest source, position error", "arcsec", &bench::image_quality::position_error_arcsec);
  add_quality("brightest source, flux error", "%", &bench::image_quality::flux_error_percent);

  const auto their_stages = [&](const bench::wsclean_run& r) {
    return version ? json{{"inversion", r.inversion}, {"prediction", r.prediction}, {"deconvolution", r.deconvolution}}
                   : json();
  };
  const json conditions{
      {"cpu", cpu_name()},
      {"threads", gpu::thread_count()},
      {"simd", imaging::kernels_for_this_cpu<float>().name},
      {"load_before", load_before},
      {"load_after", load_average()},
      {"repeats", a.repeats},
      {"horizons", std::string(software_version)},
      {"wsclean", version ? json(*version) : json()},
      {"compiler", __VERSION__},
      {"visibilities", s.selection.samples},
      {"integrations", a.integrations},
      {"channels", a.channels},
      {"image", {s.image.nx, s.image.ny}},
      {"cell_arcsec", s.cell_arcsec},
      {"accuracy_asked", {{"ours", accuracy.requested}, {"wsclean", accuracy_of_wsclean}}},
      {"accuracy_checked_pixels", (bench::dft_side - 1) * (bench::dft_side - 1)},
      {"clean", {{"niter", 2000}, {"gain", 0.1}, {"mgain", 0.8}, {"auto_threshold_sigma", 3}, {"robust", 0}}},
      {"plan", {{"kernel_support", plan.plan().kernel_support}, {"w_planes", plan.plan().w_planes}}},
      {"ours_dirty", dirty.our_last.metrics},
      {"ours_clean", clean.our_last.metrics},
      {"wsclean_dirty_s", their_stages(dirty.their_last)},
      {"wsclean_clean_s", their_stages(clean.their_last)}};
  std::printf(
      "%s, %zu threads, %s; wsclean %s; accuracy asked: ours %.0e, wsclean %.0e; load %.1f before, %.1f after\n",
      cpu_name().c_str(), gpu::thread_count(), imaging::kernels_for_this_cpu<float>().name,
      version.value_or("absent").c_str(), accuracy.requested, accuracy_of_wsclean, load_before, load_average());
  bench::print(rows);
  std::printf("stages in s, CLEAN: ours %s\n                    wsclean %s\n",
              clean.our_last.metrics["timings_s"].dump().c_str(), their_stages(clean.their_last).dump().c_str());
  return bench::write_json(a.json, conditions, rows);
}

}  // namespace

int main(int argc, char** argv) try {
  return compare_both(parse(argc, argv)) ? 0 : 1;
} catch (const std::exception& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 1;
}
