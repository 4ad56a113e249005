#include "actors/agents/imaging_parameters.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace horizons::agents {
namespace {

constexpr std::size_t size_min = 32,
                      size_max = 32'768;      // below nothing can be cleaned; above no machine we know has the memory
constexpr double single_accuracy_min = 2e-6;  // of gridding in single precision
constexpr double radians_per_arcsec = std::numbers::pi / 180 / 3600;
constexpr std::array stokes_names{"I", "Q", "U", "V", "RR", "LL", "XX", "YY"};

json number_schema(double low, double high, json fallback, std::string text) {
  json s{{"type", "number"}, {"minimum", low}, {"maximum", high}, {"description", std::move(text)}};
  if (!fallback.is_null()) s["default"] = std::move(fallback);
  return s;
}

std::string shown(const json& value) {
  std::string text = value.dump(-1, ' ', false, json::error_handler_t::replace);
  if (text.size() > 80) text.resize(80);
  return text;
}

tl::unexpected<error> wrong(const std::string& name, const json& value, const std::string& right) {
  return failure(error_code::invalid_argument, "params." + name + " = " + shown(value) + "; expected " + right);
}

std::string plain(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", value);
  return text;
}

/// Takes values out of the object one by one and keeps the first complaint.
class reader {
public:
  explicit reader(const json& params) : params_(params) {}

  /// `above`: the lower limit itself is not allowed.
  void number(const char* name, double& into, double low, double high, bool above = false) {
    const auto at = params_.find(name);
    if (at == params_.end() || problem_) return;
    const double value = at->is_number() ? at->get<double>() : std::nan("");
    if (!std::isfinite(value) || value < low || value > high || (above && value == low)) {
      complain(name, *at,
               std::string("a number ") + (above ? "above " : "from ") + plain(low) + (above ? ", at most " : " to ") +
                   plain(high));
      return;
    }
    into = value;
  }

  template <class F>
  void with(const char* name, F&& f) {
    const auto at = params_.find(name);
    if (at == params_.end() || problem_) return;
    if (result<void> done = f(*at); !done) problem_ = done.error();
  }

  void complain(const char* name, const json& value, const std::string& right) {
    problem_ = wrong(name, value, right).value();
  }
  const std::optional<error>& problem() const { return problem_; }

private:
  const json& params_;
  std::optional<error> problem_;
};

bool is_size(const json& v) {
  return v.is_number_integer() && v >= static_cast<std::int64_t>(size_min) && v <= static_cast<std::int64_t>(size_max);
}

template <class T>
result<void> choose(const char* name, const json& value, const std::vector<std::pair<std::string, T>>& choices,
                    T& into) {
  std::string names;
  for (const auto& [word, meaning] : choices) {
    if (value == word) {
      into = meaning;
      return {};
    }
    names += (names.empty() ? "\"" : ", \"") + word + "\"";
  }
  return wrong(name, value, "one of " + names);
}

}  // namespace

json imaging_schema() {
  json properties = json::object();
  const json side{{"type", "integer"}, {"minimum", size_min}, {"maximum", size_max}};
  properties["size"] = {
      {"description", "image size in pixels: one number for a square, or [x, y]; default: about the primary beam"},
      {"oneOf", json::array({side, json{{"type", "array"}, {"items", side}, {"minItems", 2}, {"maxItems", 2}}})}};
  properties["cell_arcsec"] =
      number_schema(1e-6, 36'000, nullptr, "pixel size in seconds of arc; default: about a quarter of the beam");
  properties["cell_arcsec"]["exclusiveMinimum"] = 0;
  properties["weighting"] = {{"type", "string"},
                             {"enum", {"natural", "uniform", "briggs"}},
                             {"default", "briggs"},
                             {"description", "how visibilities count"}};
  properties["robust"] =
      number_schema(-2, 2, 0, "Briggs' robustness: -2 nearly uniform, 2 nearly natural; only with weighting briggs");
  properties["accuracy"] =
      number_schema(1e-12, 1e-2, 1e-4, "relative rms error of gridding against a direct Fourier transform");
  properties["precision"] = {{"type", "string"},
                             {"enum", {"auto", "single", "double"}},
                             {"default", "auto"},
                             {"description", "numbers used; auto takes double below an accuracy of 2e-6"}};
  properties["niter"] = {{"type", "integer"},
                         {"minimum", 0},
                         {"maximum", 100'000'000},
                         {"default", 10'000},
                         {"description", "CLEAN iterations at most; 0 is a dirty image"}};
  properties["gain"] = number_schema(0, 1, 0.1, "share of the peak that an iteration removes");
  properties["gain"]["exclusiveMinimum"] = 0;
  properties["mgain"] =
      number_schema(0, 1, 0.8, "share by which the peak falls before the visibilities are used again");
  properties["mgain"]["exclusiveMinimum"] = 0;
  properties["threshold_jy"] = number_schema(0, 1e9, 0, "stop at this residual peak in Jy/beam; 0: none");
  properties["auto_threshold_sigma"] =
      number_schema(0, 1000, 3, "stop at this multiple of the residual's robust rms; 0: none");
  properties["stokes"] = {{"type", "string"},
                          {"enum", stokes_names},
                          {"description", "what to image; default: I, or the only parallel hand there is"}};
  properties["field"] = {{"type", {"integer", "string"}},
                         {"minimum", 0},
                         {"description", "field by number from 0 or by name; default: the one with most data"}};
  properties["spw"] = {
      {"type", {"integer", "string", "array"}},
      {"description",
       "spectral windows (IFs) from 0, with channels: 0, \"0,2\", \"0~3\", \"0:3~10;12,1:5\"; default: all"}};
  properties["channels"] = {{"type", {"integer", "string", "array"}},
                            {"description", "channels from 0 in every window: 5, \"3~10,12\"; default: all"}};
  return {{"$schema", "https://json-schema.org/draft/2020-12/schema"},
          {"title", "image-reconstruction"},
          {"type", "object"},
          {"additionalProperties", false},
          {"properties", properties}};
}

result<imaging_parameters> parse_imaging_parameters(const json& params) {
  if (!params.is_object())
    return failure(error_code::invalid_argument, "params = " + shown(params) + "; expected an object of parameters");
  static const json known = imaging_schema()["properties"];
  for (const auto& [name, value] : params.items()) {
    if (known.contains(name)) continue;
    std::string names;
    for (const auto& [k, v] : known.items()) names += (names.empty() ? "" : ", ") + k;
    return failure(error_code::invalid_argument, "params." + name.substr(0, 80) + " is unknown; known are " + names);
  }

  imaging_parameters p;
  reader r(params);
  r.with("size", [&](const json& v) -> result<void> {
    if (is_size(v))
      p.size = {v.get<std::size_t>(), v.get<std::size_t>()};
    else if (v.is_array() && v.size() == 2 && is_size(v[0]) && is_size(v[1]))
      p.size = {v[0].get<std::size_t>(), v[1].get<std::size_t>()};
    else
      return wrong("size", v, "a number of pixels from 32 to 32768, or two as [x, y]");
    return {};
  });
  double cell = 0;
  r.number("cell_arcsec", cell, 0, 36'000, true);
  if (cell > 0) p.cell_arcsec = cell;
  r.with("weighting", [&](const json& v) {
    using imaging::weighting;
    return choose<weighting>(
        "weighting", v,
        {{"natural", weighting::natural}, {"uniform", weighting::uniform}, {"briggs", weighting::briggs}}, p.weighting);
  });
  r.number("robust", p.robust, -2, 2);
  r.number("accuracy", p.accuracy, 1e-12, 1e-2);
  r.with("precision", [&](const json& v) {
    return choose<numeric_precision>("precision", v,
                                     {{"auto", numeric_precision::automatic},
                                      {"single", numeric_precision::single_},
                                      {"double", numeric_precision::double_}},
                                     p.precision);
  });
  r.with("niter", [&](const json& v) -> result<void> {
    const double n = v.is_number() ? v.get<double>() : -1;
    if (!(n >= 0 && n <= 1e8) || n != std::floor(n))
      return wrong("niter", v, "a whole number from 0 (dirty image) to 100000000");
    p.niter = static_cast<std::int64_t>(n);
    return {};
  });
  r.number("gain", p.gain, 0, 1, true);
  r.number("mgain", p.mgain, 0, 1, true);
  r.number("threshold_jy", p.threshold_jy, 0, 1e9);
  r.number("auto_threshold_sigma", p.auto_threshold_sigma, 0, 1000);
  r.with("stokes", [&](const json& v) -> result<void> {
    for (const char* name : stokes_names)
      if (v == name) p.stokes = name;
    if (!p.stokes) return wrong("stokes", v, "one of I, Q, U, V, RR, LL, XX, YY");
    return {};
  });
  r.with("field", [&](const json& v) -> result<void> {
    if (v.is_number_integer() && v >= 0 && v <= 1'000'000)
      p.field = v.get<int>();
    else if (v.is_string() && !v.get_ref<const std::string&>().empty())
      p.field = v.get<std::string>();
    else
      return wrong("field", v, "a field's number from 0, or its name");
    return {};
  });
  r.with("spw", [&](const json& v) -> result<void> {
    auto s = parse_spw("spw", v);
    if (!s) return failure(s.error());
    p.spw = *s;
    return {};
  });
  r.with("channels", [&](const json& v) -> result<void> {
    auto s = parse_indices("channels", v);
    if (!s) return failure(s.error());
    p.channels = *s;
    return {};
  });
  if (r.problem()) return failure(*r.problem());

  if (p.precision == numeric_precision::single_ && p.accuracy < single_accuracy_min)
    return wrong("precision", "single",
                 "\"double\" or \"auto\" for an accuracy of " + plain(p.accuracy) + " (single reaches 2e-6)");
  if (params.contains("robust") && p.weighting != imaging::weighting::briggs)
    return wrong("robust", params["robust"],
                 "no robust with weighting " + params["weighting"].get<std::string>() + " (it belongs to briggs)");
  if (params.contains("channels") &&
      std::any_of(p.spw.choices.begin(), p.spw.choices.end(), [](auto& c) { return !c.channels.ranges.empty(); }))
    return wrong("channels", params["channels"], "channels either here or in spw, not in both");
  return p;
}

json describe_parameters(const imaging_parameters& p, const imaging::image_geometry& g, const std::string& stokes,
                         const std::string& field, const json& given) {
  json out{{"size", {g.nx, g.ny}},
           {"cell_arcsec", std::abs(g.cell_y) / radians_per_arcsec},
           {"weighting", p.weighting == imaging::weighting::natural   ? "natural"
                         : p.weighting == imaging::weighting::uniform ? "uniform"
                                                                      : "briggs"},
           {"accuracy", p.accuracy},
           {"precision",
            p.precision == numeric_precision::double_ || p.accuracy < single_accuracy_min ? "double" : "single"},
           {"niter", p.niter},
           {"gain", p.gain},
           {"mgain", p.mgain},
           {"threshold_jy", p.threshold_jy},
           {"auto_threshold_sigma", p.auto_threshold_sigma},
           {"stokes", stokes},
           {"field", field},
           {"spw", given.value("spw", json("all"))},
           {"channels", given.value("channels", json("all"))}};
  if (p.weighting == imaging::weighting::briggs) out["robust"] = p.robust;
  return out;
}

std::size_t fft_friendly(std::size_t n) {
  for (n += n % 2;; n += 2) {
    std::size_t rest = n;
    for (std::size_t prime : {2, 3, 5, 7})
      while (rest % prime == 0) rest /= prime;
    if (rest == 1) return n;
  }
}

double usual_dish_diameter_m(const std::string& telescope) {
  struct dish {
    const char* name;
    double diameter_m;
  };
  for (const auto& d : {dish{"NGVLA", 18},
                        {"ALMA", 12},
                        {"MEERKAT", 13.5},
                        {"GMRT", 45},
                        {"ATCA", 22},
                        {"ASKAP", 12},
                        {"HERA", 14},
                        {"LOFAR", 31}}) {
    std::string upper = telescope;
    std::transform(upper.begin(), upper.end(), upper.begin(), [](unsigned char c) { return std::toupper(c); });
    if (upper.find(d.name) != upper.npos) return d.diameter_m;
  }
  return 25;  // VLA, VLBA, WSRT
}

imaging::image_geometry default_geometry(const imaging_parameters& p, const imaging_extent& e) {
  double cell = 0;
  if (p.cell_arcsec) {
    cell = *p.cell_arcsec * radians_per_arcsec;
  } else {
    const double arcsec = 1 / (4 * std::max(e.uv_wavelengths_max, 1.0)) / radians_per_arcsec;
    const double digit = std::pow(10, std::floor(std::log10(arcsec)) - 1);
    cell = std::floor(arcsec / digit) * digit * radians_per_arcsec;
  }
  imaging::image_geometry g{0, 0, -cell, cell};
  if (p.size) {
    g.nx = (*p.size)[0];
    g.ny = (*p.size)[1];
    return g;
  }
  constexpr double wavelength_hz = 299'792'458.0, earth_day_s = 86'164;
  const double primary_beam = 1.2 * wavelength_hz / e.frequency_hz / e.dish_diameter_m;
  const double beam = 1 / std::max(e.uv_wavelengths_max, 1.0);
  double width = 1.2 * primary_beam;
  // Radii at which a channel or an integration smears by a beam (Bridle & Schwab 1999).
  if (e.channel_width_hz > 0) width = std::min(width, 2 * beam * e.frequency_hz / e.channel_width_hz);
  if (e.integration_s > 0) width = std::min(width, 2 * beam * earth_day_s / (2 * std::numbers::pi * e.integration_s));
  // Fields that fill tens of thousands of pixels belong to VLBI: compact sources, looked for near the centre.
  const double pixels = 1.2 * primary_beam / cell > 16'384 ? 1024 : std::clamp(width / cell, 256.0, 4096.0);
  g.nx = g.ny = std::min<std::size_t>(4096, fft_friendly(static_cast<std::size_t>(std::ceil(pixels))));
  return g;
}

}  // namespace horizons::agents
