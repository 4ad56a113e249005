#include "actors/observations/simulate.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>

#include "actors/observations/array_layout.hpp"
#include "actors/observations/civil_time.hpp"
#include "actors/observations/earth_rotation.hpp"
#include "actors/observations/fits_file.hpp"
#include "actors/observations/random_stream.hpp"
#include "actors/observations/writer.hpp"
#include "gpu/imaging/celestial.hpp"
#include "gpu/parallel.hpp"

namespace horizons::observations {

namespace {

constexpr double degree = std::numbers::pi / 180;
constexpr double turn = 2 * std::numbers::pi;
constexpr double speed_of_light = 299792458.0;
constexpr double centre_hz = 1.4e9, bandwidth_hz = 64e6;  // the VLA's L band between the worst interference
constexpr double duration_s = 4 * 3600, integration_s = 10;
constexpr double visibilities_max = 1e8;    // 2.4 GB as a file
constexpr double field_radius_max_deg = 5;  // sources further out need another phase centre
constexpr double elevation_min_deg = 5;
enum purpose : std::uint64_t { of_sources = 1, of_gains, of_noise, of_rfi };

tl::unexpected<error> wrong(const std::string& option, const std::string& value, const std::string& expected) {
  return failure(error_code::invalid_argument, option + " = " + value + "; expected " + expected);
}

std::string shown(double number) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.9g", number);
  return text.data();
}

result<void> check(const simulation_options& o) {
  for (auto [name, value] :
       {std::pair{"integrations", o.integrations}, {"channels", o.channels}, {"source_count", o.source_count}})
    if (value && (*value < 1 || *value > 1'000'000)) return wrong(name, std::to_string(*value), "1 to 1000000");
  if (!(o.noise_jy >= 0 && o.noise_jy <= 1e6)) return wrong("noise_jy", shown(o.noise_jy), "0 to 1e6 Jy");
  if (!(o.gain_error >= 0 && o.gain_error <= 1)) return wrong("gain_error", shown(o.gain_error), "0 to 1");
  if (!(o.rfi_rate >= 0 && o.rfi_rate <= 1)) return wrong("rfi_rate", shown(o.rfi_rate), "0 to 1");
  if (o.ra_deg && !(*o.ra_deg >= 0 && *o.ra_deg < 360)) return wrong("ra_deg", shown(*o.ra_deg), "0 to 360");
  if (o.dec_deg && !(*o.dec_deg >= -90 && *o.dec_deg <= 90)) return wrong("dec_deg", shown(*o.dec_deg), "-90 to 90");
  return {};
}

/// The sky, the clock and the receivers, before any visibility.
struct plan {
  array_layout layout;
  imaging::direction centre;
  std::vector<simulated_source> sources;
  double first_mjd = 0;  // middle of the first integration
  std::size_t integrations = 0, channels = 0;

  double mjd(std::size_t i) const {
    const double step = integrations > 1 ? duration_s / static_cast<double>(integrations - 1) : 0;
    return first_mjd + static_cast<double>(i) * step / 86400;
  }
  double span_s() const { return integrations > 1 ? duration_s : 0; }
  double beam_rad() const { return speed_of_light / centre_hz / layout.baseline_max_m(); }
};

imaging::direction middle_of(const std::vector<simulated_source>& sources) {
  vector3 sum{};
  for (const auto& s : sources) {
    const double ra = s.ra_deg * degree, dec = s.dec_deg * degree;
    sum[0] += std::cos(dec) * std::cos(ra), sum[1] += std::cos(dec) * std::sin(ra), sum[2] += std::sin(dec);
  }
  double ra = std::atan2(sum[1], sum[0]);
  return {ra < 0 ? ra + turn : ra, std::atan2(sum[2], std::hypot(sum[0], sum[1]))};
}

/// Log-uniform fluxes from 1 mJy (10 mJy of the small array) to 1 Jy within the inner part of the primary beam, where
/// the beam that is not simulated would be above 0.9; at least ten synthesized beams apart where there is room.
std::vector<simulated_source> random_sources(const simulation_options& o, const plan& p) {
  const bool small = p.layout.name == "small";
  const int count = o.source_count.value_or(small ? 5 : 20);
  const double primary = 1.02 * speed_of_light / centre_hz / p.layout.diameter_m;  // FWHM
  const double radius = std::min(0.15 * primary, 300 * p.beam_rad());
  double apart = 10 * p.beam_rad();
  random_stream random(o.seed, of_sources);
  std::vector<imaging::direction_cosines> placed;
  std::vector<simulated_source> sources;
  for (int tries = 0; static_cast<int>(sources.size()) < count; ++tries) {
    constexpr int patience = 100;  // then the field is too crowded for this distance
    if (tries > patience) apart *= 0.7, tries = 0;
    const double r = radius * std::sqrt(random.uniform()), angle = turn * random.uniform();
    imaging::direction_cosines at{r * std::cos(angle), r * std::sin(angle)};
    auto near = [&](const imaging::direction_cosines& other) {
      return std::hypot(at.l - other.l, at.m - other.m) < apart;
    };
    if (std::any_of(placed.begin(), placed.end(), near)) continue;
    tries = 0;
    placed.push_back(at);
    auto d = imaging::deproject(at, p.centre);
    const double faintest = small ? 0.01 : 0.001;
    sources.push_back({d.ra_rad / degree, d.dec_rad / degree, faintest * std::pow(1 / faintest, random.uniform())});
  }
  return sources;
}

double transit_on(double mjd, double ra_rad, double longitude_rad) {
  const double wait_deg = std::fmod(ra_rad / degree - longitude_rad / degree - sidereal_degrees(mjd) + 720, 360);
  return mjd + wait_deg / 360.98564736629;
}

result<plan> plan_of(const simulation_options& o) {
  if (auto good = check(o); !good) return failure(good.error());
  auto layout = layout_named(o.array);
  if (!layout) return failure(layout.error());
  plan p{*layout, {}, {}, 0, 0, 0};
  const bool small = p.layout.name == "small", ngvla = p.layout.name == "ngvla";
  p.channels = static_cast<std::size_t>(o.channels.value_or(small ? 8 : ngvla ? 1 : 4));
  p.integrations = static_cast<std::size_t>(o.integrations.value_or(small ? 120 : ngvla ? 2 : 42));
  const double antennas = static_cast<double>(p.layout.antennas.size());
  const double visibilities =
      antennas * (antennas - 1) / 2 * static_cast<double>(p.integrations) * static_cast<double>(p.channels);
  if (visibilities > visibilities_max)
    return failure(error_code::limit_exceeded, "integrations = " + std::to_string(p.integrations) +
                                                   ", channels = " + std::to_string(p.channels) + ": " +
                                                   shown(visibilities) + " visibilities; at most 1e8 can be simulated");

  if (o.sources) {
    auto read = read_source_list(*o.sources);
    if (!read) return failure(read.error());
    p.sources = std::move(*read);
    p.centre = middle_of(p.sources);
  } else {
    p.centre.dec_rad = 34 * degree;
  }
  if (o.dec_deg) p.centre.dec_rad = *o.dec_deg * degree;
  const double new_year = 61041;  // 2026-01-01 as MJD
  const double half = p.span_s() / 2 / 86400;
  const double start =
      o.start ? 40587 + static_cast<double>(o.start->time_since_epoch().count()) / 86'400'000 : new_year;
  if (o.ra_deg)
    p.centre.ra_rad = *o.ra_deg * degree;
  else if (!o.sources)
    p.centre.ra_rad = std::fmod(sidereal_degrees(start + half) * degree + p.layout.longitude_rad + turn, turn);
  p.first_mjd = o.start ? start : transit_on(start + half, p.centre.ra_rad, p.layout.longitude_rad) - half;
  if (!o.sources) p.sources = random_sources(o, p);

  for (std::size_t i = 0; i < p.sources.size(); ++i) {
    const double away =
        imaging::separation({p.sources[i].ra_deg * degree, p.sources[i].dec_deg * degree}, p.centre) / degree;
    if (away > field_radius_max_deg)
      return failure(error_code::invalid_argument, "source " + std::to_string(i + 1) + " is " + shown(away) +
                                                       " degrees from the phase centre; expected at most 5");
  }
  const double lat = p.layout.latitude_rad, lon = p.layout.longitude_rad;
  const vector3 up = {std::cos(lat) * std::cos(lon), std::cos(lat) * std::sin(lon), std::sin(lat)};
  for (std::size_t i : {std::size_t{0}, p.integrations / 2, p.integrations - 1}) {
    const double elevation = std::asin(uvw_of(earth_to_celestial(up, p.mjd(i)), p.centre)[2]) / degree;
    if (elevation < elevation_min_deg)
      return failure(error_code::invalid_argument, "the field at ra_deg = " + shown(p.centre.ra_rad / degree) +
                                                       ", dec_deg = " + shown(p.centre.dec_rad / degree) +
                                                       " stands at " + shown(elevation) + " degrees elevation at " +
                                                       civil_time(p.mjd(i)) +
                                                       "; expected at least 5 (choose another dec, ra or start)");
  }
  return p;
}

imaging::observation empty_observation(const plan& p) {
  imaging::observation o;
  o.telescope = p.layout.telescope;
  o.observer = "horizons";
  o.object_name = "SIMULATED";
  o.antennas = p.layout.antennas;
  o.fields = {{"SIMULATED", p.centre.ra_rad, p.centre.dec_rad}};
  imaging::visibility_block b;
  b.polarisations = {imaging::polarisation::RR, imaging::polarisation::LL};
  const double width = bandwidth_hz / static_cast<double>(p.channels);
  for (std::size_t c = 0; c < p.channels; ++c) {
    b.frequency_hz.push_back(centre_hz - bandwidth_hz / 2 + (static_cast<double>(c) + 0.5) * width);
    b.channel_width_hz.push_back(width);
    b.spw.push_back(0);
  }
  for (std::size_t i = 0; i < p.integrations; ++i) {
    std::vector<vector3> at;
    for (const auto& a : o.antennas)
      at.push_back(uvw_of(earth_to_celestial({a.x_m, a.y_m, a.z_m}, p.mjd(i)), p.centre));
    for (std::size_t a1 = 0; a1 < at.size(); ++a1)
      for (std::size_t a2 = a1 + 1; a2 < at.size(); ++a2) {
        for (std::size_t axis = 0; axis < 3; ++axis) b.uvw.push_back(at[a2][axis] - at[a1][axis]);  // sign: uv_coverage
        b.time_mjd_s.push_back(p.mjd(i) * 86400);
        b.integration_s.push_back(static_cast<float>(integration_s));
        b.antenna1.push_back(static_cast<std::int32_t>(a1));
        b.antenna2.push_back(static_cast<std::int32_t>(a2));
        b.field.push_back(0);
      }
  }
  o.blocks.push_back(std::move(b));
  return o;
}

/// Fills vis with the sum of the sources, the same in both polarisations (unpolarised sky: RR = LL = I).
result<void> add_sources(imaging::visibility_block& b, const plan& p, const std::stop_token& stop,
                         const gpu::progress_sink& progress) {
  struct wave {
    double l, m, n_minus_1, flux;
  };
  std::vector<wave> waves;
  for (const auto& s : p.sources) {
    auto c = imaging::project({s.ra_deg * degree, s.dec_deg * degree}, p.centre);
    const double r2 = c.l * c.l + c.m * c.m;
    waves.push_back({c.l, c.m, -r2 / (1 + std::sqrt(1 - r2)), s.flux_jy});
  }
  const std::size_t channels = b.channels(), polarisations = b.polarisations.size();
  b.vis.resize(b.rows() * channels * polarisations);
  constexpr std::size_t slab = 65'536;  // rows between two polls of the stop token
  for (std::size_t from = 0; from < b.rows(); from += slab) {
    if (stop.stop_requested()) return failure(error_code::cancelled, "the simulation was cancelled");
    const std::size_t count = std::min(slab, b.rows() - from);
    gpu::parallel_for(count, 256, [&](std::size_t begin, std::size_t end, std::size_t) {
      for (std::size_t row = from + begin; row < from + end; ++row)
        for (std::size_t c = 0; c < channels; ++c) {
          const double scale = -turn * b.frequency_hz[c] / speed_of_light;
          const double* uvw = b.uvw.data() + 3 * row;
          std::complex<double> sum = 0;
          for (const auto& s : waves)
            sum += std::polar(s.flux, scale * (uvw[0] * s.l + uvw[1] * s.m + uvw[2] * s.n_minus_1));
          for (std::size_t q = 0; q < polarisations; ++q)
            b.vis[(row * channels + c) * polarisations + q] = std::complex<float>(sum);
        }
    });
    if (progress) progress(static_cast<double>(from + count) / static_cast<double>(b.rows()), "simulate");
  }
  return {};
}

std::vector<std::array<std::complex<double>, 2>> apply_gains(imaging::visibility_block& b, std::size_t antennas,
                                                             const simulation_options& o) {
  random_stream random(o.seed, of_gains);
  std::vector<std::array<std::complex<double>, 2>> gains(antennas, {1.0, 1.0});
  if (o.gain_error == 0) return gains;
  for (auto& antenna : gains)
    for (auto& g : antenna) {
      const double amplitude = std::max(0.05, 1 + o.gain_error * random.normal());
      g = std::polar(amplitude, o.gain_error * random.normal());
    }
  for (std::size_t row = 0; row < b.rows(); ++row) {
    const auto& g1 = gains[static_cast<std::size_t>(b.antenna1[row])];
    const auto& g2 = gains[static_cast<std::size_t>(b.antenna2[row])];
    for (std::size_t i = 0; i < 2 * b.channels(); ++i) {
      auto& v = b.vis[row * 2 * b.channels() + i];
      v = std::complex<float>(g1[i % 2] * std::conj(g2[i % 2]) * std::complex<double>(v));
    }
  }
  return gains;
}

std::vector<simulated_rfi> add_rfi(imaging::visibility_block& b, const plan& p, const simulation_options& o) {
  std::vector<simulated_rfi> events;
  if (o.rfi_rate == 0) return events;
  random_stream random(o.seed, of_rfi);
  const std::size_t baselines = b.rows() / p.integrations;
  for (std::size_t i = 0; i < p.integrations; ++i)
    for (std::size_t c = 0; c < p.channels; ++c) {
      if (random.uniform() >= o.rfi_rate) continue;
      const double amplitude = 5 * std::pow(20, random.uniform());  // 5 to 100 Jy: above every source, below saturation
      events.push_back({static_cast<int>(i), static_cast<int>(c), amplitude});
      for (std::size_t row = i * baselines; row < (i + 1) * baselines; ++row)
        for (std::size_t q = 0; q < 2; ++q)
          b.vis[(row * p.channels + c) * 2 + q] += std::complex<float>(std::polar(amplitude, turn * random.uniform()));
    }
  return events;
}

void add_noise(imaging::visibility_block& b, const simulation_options& o) {
  b.weight.assign(b.vis.size(), static_cast<float>(o.noise_jy > 0 ? 1 / (o.noise_jy * o.noise_jy) : 1));
  if (o.noise_jy == 0) return;
  random_stream random(o.seed, of_noise);
  for (auto& v : b.vis) {
    const double re = random.normal(), im = random.normal();  // in this order everywhere: arguments have none
    v += std::complex<float>(static_cast<float>(o.noise_jy * re), static_cast<float>(o.noise_jy * im));
  }
}

}  // namespace

result<simulation> simulate_observation(const simulation_options& options, const std::stop_token& stop,
                                        const gpu::progress_sink& progress) {
  auto p = plan_of(options);
  if (!p) return failure(p.error());
  simulation out;
  out.observation = empty_observation(*p);
  auto& b = out.observation.blocks[0];
  if (auto done = add_sources(b, *p, stop, progress); !done) return failure(done.error());
  auto& t = out.truth;
  t.gains = apply_gains(b, p->layout.antennas.size(), options);
  t.rfi = add_rfi(b, *p, options);
  add_noise(b, options);
  out.observation.samples_total = static_cast<std::int64_t>(b.vis.size());

  t.array = p->layout.name;
  t.seed = options.seed;
  t.ra_deg = p->centre.ra_rad / degree;
  t.dec_deg = p->centre.dec_rad / degree;
  t.start_mjd = p->first_mjd;
  t.duration_s = p->span_s();
  t.antennas = p->layout.antennas.size();
  t.integrations = p->integrations;
  t.channels = p->channels;
  t.polarisations = b.polarisations.size();
  t.visibilities = b.rows() * b.channels();
  t.frequency_hz = centre_hz;
  t.channel_width_hz = b.channel_width_hz[0];
  t.baseline_max_m = p->layout.baseline_max_m();
  t.beam_arcsec = p->beam_rad() / degree * 3600;
  t.noise_jy = options.noise_jy;
  t.image_noise_jy = options.noise_jy / std::sqrt(static_cast<double>(b.vis.size()));
  t.gain_error = options.gain_error;
  t.rfi_rate = options.rfi_rate;
  t.sources = p->sources;
  return out;
}

result<simulation_truth> simulate(const simulation_options& options, const std::filesystem::path& out,
                                  std::stop_token stop, const gpu::progress_sink& progress) {
  auto made = simulate_observation(options, stop, progress);
  if (!made) return failure(made.error());
  made->truth.file = out.filename().string();
  auto written =
      write_uvfits(made->observation, out,
                   {"Simulated by horizons: array " + made->truth.array + ", seed " + std::to_string(options.seed) +
                        ", " + std::to_string(made->truth.sources.size()) + " point sources",
                    "The truth is in " + out.filename().string() + ".truth.json"});
  if (!written) return failure(written.error());
  auto beside = write_text_file(out.string() + ".truth.json", to_json(made->truth).dump(2) + "\n");
  if (!beside) return failure(beside.error());
  return made->truth;
}

}  // namespace horizons::observations
