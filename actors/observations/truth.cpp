#include "actors/observations/truth.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>

#include "actors/observations/civil_time.hpp"
#include "gpu/imaging/celestial.hpp"

namespace horizons::observations {

namespace {

constexpr double degree = std::numbers::pi / 180;
constexpr double match_beams = 2;  // further away it is another source: simulated ones are ten beams apart

struct listed {
  imaging::direction at;
  double flux_jy = 0, error_jy = 0;
};

std::optional<double> number(const nlohmann::json& object, const char* key) {
  if (!object.is_object() || !object.contains(key) || !object[key].is_number()) return std::nullopt;
  return object[key].get<double>();
}

result<std::vector<listed>> found_list(const nlohmann::json& found) {
  if (!found.is_object() || !found.contains("features") || !found["features"].is_array())
    return failure(error_code::unreadable, "the found sources are not a GeoJSON FeatureCollection: no features");
  std::vector<listed> list;
  for (const auto& feature : found["features"]) {
    auto where = "feature " + std::to_string(list.size());
    auto point = feature.is_object() && feature.contains("geometry") && feature["geometry"].is_object()
                     ? feature["geometry"].value("coordinates", nlohmann::json())
                     : nlohmann::json();
    if (!point.is_array() || point.size() < 2 || !point[0].is_number() || !point[1].is_number())
      return failure(error_code::unreadable, where + ": geometry.coordinates is not [ra, dec] in degrees");
    auto properties = feature.value("properties", nlohmann::json());
    auto flux = number(properties, "flux_jy");
    if (!flux) return failure(error_code::unreadable, where + ": properties.flux_jy missing");
    list.push_back({{point[0].get<double>() * degree, point[1].get<double>() * degree},
                    *flux,
                    number(properties, "flux_error_jy").value_or(0)});
  }
  return list;
}

result<std::vector<listed>> true_list(const nlohmann::json& truth) {
  if (!truth.is_object() || !truth.contains("sources") || !truth["sources"].is_array())
    return failure(error_code::unreadable, "the truth has no list 'sources'");
  std::vector<listed> list;
  for (const auto& s : truth["sources"]) {
    auto ra = number(s, "ra_deg"), dec = number(s, "dec_deg"), flux = number(s, "flux_jy");
    if (!ra || !dec || !flux)
      return failure(error_code::unreadable,
                     "truth: source " + std::to_string(list.size()) + " lacks ra_deg, dec_deg or flux_jy");
    list.push_back({{*ra * degree, *dec * degree}, *flux, 0});
  }
  return list;
}

}  // namespace

result<truth_comparison> compare_with_truth(const nlohmann::json& found, const nlohmann::json& truth,
                                            double beam_arcsec) {
  auto seen = found_list(found);
  if (!seen) return failure(seen.error());
  auto real = true_list(truth);
  if (!real) return failure(real.error());
  if (!(beam_arcsec > 0)) beam_arcsec = number(truth, "beam_arcsec").value_or(0);
  if (!(beam_arcsec > 0)) return failure(error_code::unreadable, "beam_arcsec missing in the truth");

  truth_comparison out;
  out.sources = real->size();
  std::vector<source_match> pairs;
  for (std::size_t t = 0; t < real->size(); ++t)
    for (std::size_t f = 0; f < seen->size(); ++f) {
      const double offset = imaging::separation((*real)[t].at, (*seen)[f].at) / degree * 3600;
      if (offset > match_beams * beam_arcsec) continue;
      const double excess = (*seen)[f].flux_jy - (*real)[t].flux_jy, error = (*seen)[f].error_jy;
      pairs.push_back(
          {t, f, offset, offset / beam_arcsec, excess / (*real)[t].flux_jy, error > 0 ? std::abs(excess) / error : 0});
    }
  // Nearest pairs first: a side lobe beside a source does not take the source's place.
  std::stable_sort(pairs.begin(), pairs.end(),
                   [](const source_match& a, const source_match& b) { return a.offset_arcsec < b.offset_arcsec; });
  std::vector<bool> truth_taken(real->size()), found_taken(seen->size());
  for (const auto& pair : pairs) {
    if (truth_taken[pair.truth] || found_taken[pair.found]) continue;
    truth_taken[pair.truth] = found_taken[pair.found] = true;
    out.worst_offset_beams = std::max(out.worst_offset_beams, pair.offset_beams);
    out.worst_flux_error = std::max(out.worst_flux_error, std::abs(pair.flux_error));
    out.matches.push_back(pair);
  }
  out.unexpected = static_cast<std::size_t>(std::count(found_taken.begin(), found_taken.end(), false));
  return out;
}

nlohmann::json to_json(const truth_comparison& c) {
  nlohmann::json matches = nlohmann::json::array();
  for (const auto& m : c.matches)
    matches.push_back({{"truth", m.truth},
                       {"found", m.found},
                       {"offset_arcsec", m.offset_arcsec},
                       {"offset_beams", m.offset_beams},
                       {"flux_error", m.flux_error},
                       {"flux_sigma", m.flux_sigma}});
  return {{"sources", c.sources},
          {"matched", c.matches.size()},
          {"unexpected", c.unexpected},
          {"worst_offset_beams", c.worst_offset_beams},
          {"worst_flux_error", c.worst_flux_error},
          {"matches", matches}};
}

nlohmann::json to_json(const simulation_truth& t) {
  nlohmann::json sources = nlohmann::json::array(), gains = nlohmann::json::array(), rfi = nlohmann::json::array();
  for (const auto& s : t.sources)
    sources.push_back({{"ra_deg", s.ra_deg}, {"dec_deg", s.dec_deg}, {"flux_jy", s.flux_jy}});
  for (const auto& g : t.gains)
    gains.push_back({{"RR", {g[0].real(), g[0].imag()}}, {"LL", {g[1].real(), g[1].imag()}}});
  for (const auto& r : t.rfi)
    rfi.push_back({{"integration", r.integration}, {"channel", r.channel}, {"amplitude_jy", r.amplitude_jy}});
  return {{"array", t.array},
          {"file", t.file},
          {"seed", t.seed},
          {"ra_deg", t.ra_deg},
          {"dec_deg", t.dec_deg},
          {"start", civil_time(t.start_mjd) + "Z"},
          {"duration_s", t.duration_s},
          {"antennas", t.antennas},
          {"integrations", t.integrations},
          {"channels", t.channels},
          {"polarisations", t.polarisations},
          {"visibilities", t.visibilities},
          {"frequency_hz", t.frequency_hz},
          {"channel_width_hz", t.channel_width_hz},
          {"baseline_max_m", t.baseline_max_m},
          {"beam_arcsec", t.beam_arcsec},
          {"noise_jy", t.noise_jy},
          {"image_noise_jy", t.image_noise_jy},
          {"gain_error", t.gain_error},
          {"rfi_rate", t.rfi_rate},
          {"sources", sources},
          {"gains", gains},
          {"rfi", rfi}};
}

nlohmann::json simulate_summary(const simulation_truth& t) {
  return {{"file", t.file},
          {"array", t.array},
          {"antennas", t.antennas},
          {"sources", t.sources.size()},
          {"visibilities", t.visibilities},
          {"beam_arcsec", t.beam_arcsec},
          {"image_noise_jy", t.image_noise_jy},
          {"rfi", t.rfi.size()},
          {"seed", t.seed}};
}

}  // namespace horizons::observations
