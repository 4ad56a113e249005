#include "actors/agents/imaging_report.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "actors/agents/version.hpp"
#include "actors/observations/civil_time.hpp"

namespace horizons::agents {
namespace {

constexpr double degrees = 180 / std::numbers::pi, arcsec = 3600 * degrees;

double position_angle_deg(double pa_rad) {  // 0 … 180
  const double pa = std::fmod(pa_rad * degrees, 180);
  return pa < 0 ? pa + 180 : pa;
}

json shape(const imaging::gaussian_beam& b) {
  return {{"major_arcsec", b.major_rad * arcsec},
          {"minor_arcsec", b.minor_rad * arcsec},
          {"pa_deg", position_angle_deg(b.pa_rad)}};
}

json timings(const imaging_story& s) {
  const auto& p = s.products;
  return {{"read", s.read_seconds},   {"checksum", s.checksum_seconds}, {"plan", p.plan_seconds},
          {"grid", p.grid_seconds},   {"degrid", p.degrid_seconds},     {"clean", p.clean_seconds},
          {"image", s.image_seconds}, {"find_sources", s.find_seconds}};
}

std::string utc(double mjd_s) { return observations::civil_time(mjd_s / 86'400) + "Z"; }

}  // namespace

double imaging_story::peak_jy() const {
  float peak = 0;
  for (float v : products.image)
    if (v > peak) peak = v;
  return peak;
}

double imaging_story::dynamic_range() const { return products.rms_jy > 0 ? peak_jy() / products.rms_jy : 0; }

double imaging_story::grid_mvis_per_s() const {
  const double seconds = products.grid_seconds + products.degrid_seconds;
  return seconds > 0 ? static_cast<double>(products.gridded + products.degridded) / seconds / 1e6 : 0;
}

json sources_geojson(const imaging_story& s) {
  json features = json::array();
  int number = 0;
  for (const auto& f : s.found.sources) {
    json properties{{"flux_jy", f.flux_jy},
                    {"flux_error_jy", f.flux_error_jy},
                    {"peak_jy_beam", f.peak_jy},
                    {"peak_error_jy_beam", f.peak_error_jy},
                    {"ra_error_arcsec", f.ra_error_rad * arcsec},
                    {"dec_error_arcsec", f.dec_error_rad * arcsec},
                    {"rms_jy_beam", f.rms_jy},
                    {"signal_to_noise", f.peak_jy / f.rms_jy},
                    {"shape", shape(f.shape)},
                    {"resolved", f.resolved},
                    {"fitted", f.fitted},
                    {"pixel", {f.x, f.y}},
                    {"island", f.island}};
    if (f.resolved && f.deconvolved.major_rad > 0) properties["deconvolved"] = shape(f.deconvolved);
    features.push_back(
        {{"type", "Feature"},
         {"id", ++number},
         {"geometry",
          {{"type", "Point"}, {"coordinates", {f.position.ra_rad * degrees, f.position.dec_rad * degrees}}}},
         {"properties", std::move(properties)}});
  }
  return {{"type", "FeatureCollection"},  {"features", std::move(features)},
          {"frame", "ICRS, degrees"},     {"frequency_hz", s.selection.extent.frequency_hz},
          {"stokes", s.selection.stokes}, {"flux_scale", "apparent (not corrected for the primary beam)"},
          {"islands", s.found.islands},   {"negative_islands", s.found.negative_islands}};
}

json imaging_report(const imaging_story& s) {
  const auto& p = s.products;
  const auto& o = s.observation;
  json cycles = json::array();
  for (const auto& c : p.cycles)
    cycles.push_back(
        {{"major", c.major}, {"iterations", c.iterations}, {"peak_jy_beam", c.peak_jy}, {"rms_jy_beam", c.rms_jy}});
  double model = 0;
  for (float v : p.model) model += v;
  const auto& field = o.fields[s.selection.field];
  return {{"agent", "image-reconstruction"},
          {"job_id", s.job_id},
          {"dynamic_range", s.dynamic_range()},
          {"rms_jy_beam", p.rms_jy},
          {"peak_jy_beam", s.peak_jy()},
          {"model_flux_jy", model},
          {"beam", shape(p.beam)},
          {"sources",
           {{"found", s.found.sources.size()},
            {"islands", s.found.islands},
            {"negative_islands", s.found.negative_islands}}},
          {"clean", {{"ended", to_string(p.end)}, {"cycles", std::move(cycles)}}},
          {"gridding",
           {{"kernel_support", p.plan.kernel_support},
            {"oversampling", p.plan.oversampling},
            {"w_planes", p.plan.w_planes},
            {"grid", {p.plan.grid_nx, p.plan.grid_ny}},
            {"million_visibilities_per_s", s.grid_mvis_per_s()}}},
          {"visibilities",
           {{"read", o.samples_total},
            {"flagged", o.samples_flagged},
            {"non_finite", o.samples_non_finite},
            {"absurd", o.samples_absurd},
            {"selected", s.selection.samples},
            {"imaged", p.visibilities},
            {"beyond_uv_grid", p.outside},
            {"weight_sum", p.weight_sum}}},
          {"observation",
           {{"telescope", o.telescope},
            {"observer", o.observer},
            {"object", o.object_name},
            {"field", field.name},
            {"phase_centre_deg", {field.ra_rad * degrees, field.dec_rad * degrees}},
            {"antennas", o.antennas.size()},
            {"start", utc(s.selection.start_mjd_s)},
            {"end", utc(s.selection.end_mjd_s)},
            {"frequency_hz", s.selection.extent.frequency_hz},
            {"band_hz", {s.selection.frequency_low_hz, s.selection.frequency_high_hz}}}},
          {"timings_s", timings(s)},
          {"provenance",
           {{"dataset", s.dataset_uri},
            {"sha256", s.sha256},
            {"software", "horizons"},
            {"version", software_version},
            {"parameters", s.parameters}}}};
}

json imaging_metrics(const imaging_story& s) {
  return {{"rms_jy_beam", s.products.rms_jy},
          {"peak_jy_beam", s.peak_jy()},
          {"dynamic_range", s.dynamic_range()},
          {"sources", s.found.sources.size()},
          {"negative_islands", s.found.negative_islands},
          {"gridding_mvis_per_s", s.grid_mvis_per_s()},
          {"major_cycles", s.products.cycles.empty() ? 0 : s.products.cycles.back().major},
          {"iterations", s.products.cycles.empty() ? 0 : s.products.cycles.back().iterations},
          {"visibilities", s.products.visibilities},
          {"timings_s", timings(s)}};
}

std::vector<std::string> fits_history(const imaging_story& s) {
  std::vector<std::string> lines{"horizons " + std::string(software_version) + " image-reconstruction",
                                 "dataset " + s.dataset_uri, "sha256 " + s.sha256};
  for (const auto& [name, value] : s.parameters.items()) lines.push_back(name + " = " + value.dump());
  lines.push_back("fluxes are apparent: not corrected for the primary beam");
  return lines;
}

}  // namespace horizons::agents
