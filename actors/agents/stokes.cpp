#include "actors/agents/stokes.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "gpu/parallel.hpp"

namespace horizons::agents {
namespace {

using imaging::polarisation;
using complex = std::complex<float>;

struct named_polarisation {
  polarisation code;
  const char* name;
};
constexpr named_polarisation names[]{{polarisation::I, "I"},   {polarisation::Q, "Q"},   {polarisation::U, "U"},
                                     {polarisation::V, "V"},   {polarisation::RR, "RR"}, {polarisation::LL, "LL"},
                                     {polarisation::RL, "RL"}, {polarisation::LR, "LR"}, {polarisation::XX, "XX"},
                                     {polarisation::YY, "YY"}, {polarisation::XY, "XY"}, {polarisation::YX, "YX"}};

std::string name_of(polarisation p) {
  for (const auto& n : names)
    if (n.code == p) return n.name;
  return "code " + std::to_string(static_cast<int>(p));
}

/// One way to make a Stokes parameter: factor_a * a (+ factor_b * b).
struct recipe {
  const char* stokes;
  polarisation a;
  complex factor_a;
  polarisation b;  // the same as a: taken alone
  complex factor_b{};
};

const recipe recipes[]{
    {"I", polarisation::I, 1, polarisation::I},
    {"Q", polarisation::Q, 1, polarisation::Q},
    {"U", polarisation::U, 1, polarisation::U},
    {"V", polarisation::V, 1, polarisation::V},
    {"RR", polarisation::RR, 1, polarisation::RR},
    {"LL", polarisation::LL, 1, polarisation::LL},
    {"XX", polarisation::XX, 1, polarisation::XX},
    {"YY", polarisation::YY, 1, polarisation::YY},
    {"I", polarisation::RR, 0.5F, polarisation::LL, 0.5F},
    {"I", polarisation::XX, 0.5F, polarisation::YY, 0.5F},
    {"V", polarisation::RR, 0.5F, polarisation::LL, -0.5F},
    {"V", polarisation::XY, {0, -0.5F}, polarisation::YX, {0, 0.5F}},
    {"Q", polarisation::RL, 0.5F, polarisation::LR, 0.5F},
    {"Q", polarisation::XX, 0.5F, polarisation::YY, -0.5F},
    {"U", polarisation::RL, {0, -0.5F}, polarisation::LR, {0, 0.5F}},
    {"U", polarisation::XY, 0.5F, polarisation::YX, 0.5F},
};

struct recipe_in_block {
  std::size_t a, b;  // places among the block's polarisations
  complex factor_a, factor_b;
};

std::optional<recipe_in_block> find_recipe(const imaging::visibility_block& block, const std::string& stokes) {
  auto place = [&](polarisation p) {
    return static_cast<std::size_t>(std::find(block.polarisations.begin(), block.polarisations.end(), p) -
                                    block.polarisations.begin());
  };
  for (const auto& r : recipes) {
    if (stokes != r.stokes) continue;
    const std::size_t a = place(r.a), b = place(r.b);
    if (a < block.polarisations.size() && b < block.polarisations.size())
      return recipe_in_block{a, b, r.factor_a, r.factor_b};
  }
  return std::nullopt;
}

/// I when it can be formed, else the only parallel hand.
std::string default_stokes(const imaging::observation& o) {
  for (const char* stokes : {"I", "RR", "LL", "XX", "YY"})
    if (std::any_of(o.blocks.begin(), o.blocks.end(), [&](auto& b) { return find_recipe(b, stokes).has_value(); }))
      return stokes;
  return "I";
}

error cancelled() { return {error_code::cancelled, "cancelled while forming Stokes parameters"}; }
tl::unexpected<error> wrong(const std::string& text) { return failure(error_code::invalid_argument, text); }

result<std::size_t> choose_field(const imaging::observation& o, const imaging_parameters& p) {
  std::string list;
  for (std::size_t i = 0; i < std::min<std::size_t>(o.fields.size(), 20); ++i)
    list += (i ? ", " : "") + std::to_string(i) + " \"" + o.fields[i].name + "\"";
  if (o.fields.empty()) return wrong("dataset: it has no field");
  if (const auto* number = std::get_if<int>(&p.field)) {
    if (static_cast<std::size_t>(*number) >= o.fields.size())
      return wrong("params.field = " + std::to_string(*number) + "; the dataset has " + list);
    return static_cast<std::size_t>(*number);
  }
  if (const auto* name = std::get_if<std::string>(&p.field)) {
    for (std::size_t i = 0; i < o.fields.size(); ++i)
      if (o.fields[i].name == *name) return i;
    return wrong("params.field = \"" + *name + "\"; the dataset has " + list);
  }
  std::vector<std::size_t> rows(o.fields.size());
  for (const auto& b : o.blocks)
    for (auto f : b.field)
      if (static_cast<std::size_t>(f) < rows.size()) ++rows[static_cast<std::size_t>(f)];
  return static_cast<std::size_t>(std::max_element(rows.begin(), rows.end()) - rows.begin());
}

/// A channel's number within its spectral window.
std::vector<int> channel_numbers(const imaging::visibility_block& b) {
  std::vector<int> out(b.channels());
  for (std::size_t c = 0; c < out.size(); ++c) out[c] = c > 0 && b.spw[c] == b.spw[c - 1] ? out[c - 1] + 1 : 0;
  return out;
}

}  // namespace

result<stokes_selection> select_stokes(const imaging::observation& o, const imaging_parameters& p,
                                       const std::stop_token& stop) {
  stokes_selection out;
  auto field = choose_field(o, p);
  if (!field) return failure(field.error());
  out.field = *field;
  out.stokes = p.stokes.value_or(default_stokes(o));
  out.frequency_low_hz = out.start_mjd_s = std::numeric_limits<double>::infinity();
  out.end_mjd_s = -out.start_mjd_s;

  bool some_channel = false, some_rows = false, some_recipe = false;
  std::string held, windows;
  double frequency_sum = 0;
  for (const auto& b : o.blocks) {
    std::vector<std::size_t> channels, rows;
    const auto numbers = channel_numbers(b);
    for (std::size_t c = 0; c < b.channels(); ++c)
      if (p.spw.contains(b.spw[c], numbers[c]) && p.channels.contains(numbers[c])) channels.push_back(c);
    for (std::size_t c = 0; c < b.channels() && windows.size() < 300; ++c)
      if (c + 1 == b.channels() || b.spw[c + 1] != b.spw[c])
        windows +=
            (windows.empty() ? "" : ", ") + std::to_string(b.spw[c]) + " with channels 0~" + std::to_string(numbers[c]);
    if (channels.empty()) continue;
    some_channel = true;
    for (std::size_t r = 0; r < b.rows(); ++r)
      if (static_cast<std::size_t>(b.field[r]) == out.field && b.antenna1[r] != b.antenna2[r]) rows.push_back(r);
    if (rows.empty()) continue;
    some_rows = true;
    const auto how = find_recipe(b, out.stokes);
    if (!how) {
      held.clear();
      for (auto pol : b.polarisations) held += (held.empty() ? "" : ", ") + name_of(pol);
      continue;
    }
    some_recipe = true;

    const std::size_t np = b.polarisations.size();
    auto weight_at = [&](std::size_t row, std::size_t channel) -> float {
      const float* w = b.weight.data() + (row * b.channels() + channel) * np;
      if (!(w[how->a] > 0) || !(w[how->b] > 0)) return 0;
      return how->a == how->b ? w[how->a] : 4 * w[how->a] * w[how->b] / (w[how->a] + w[how->b]);
    };
    std::erase_if(rows, [&](std::size_t r) {
      return stop.stop_requested() ||
             std::none_of(channels.begin(), channels.end(), [&](std::size_t c) { return weight_at(r, c) > 0; });
    });
    std::erase_if(channels, [&](std::size_t c) {
      return stop.stop_requested() ||
             std::none_of(rows.begin(), rows.end(), [&](std::size_t r) { return weight_at(r, c) > 0; });
    });
    if (stop.stop_requested()) return failure(cancelled());
    if (rows.empty()) continue;

    auto& block = out.blocks.emplace_back();
    const std::size_t nc = channels.size();
    for (std::size_t c : channels) {
      block.frequency_hz.push_back(b.frequency_hz[c]);
      const double half = std::abs(b.channel_width_hz[c]) / 2;
      out.frequency_low_hz = std::min(out.frequency_low_hz, b.frequency_hz[c] - half);
      out.frequency_high_hz = std::max(out.frequency_high_hz, b.frequency_hz[c] + half);
      out.extent.channel_width_hz = std::max(out.extent.channel_width_hz, 2 * half);
    }
    block.uvw.resize(3 * rows.size());
    block.vis.resize(rows.size() * nc);
    block.weight.resize(rows.size() * nc);
    gpu::parallel_for(rows.size(), 2048, stop, [&](std::size_t first, std::size_t last, std::size_t) {
      for (std::size_t i = first; i < last; ++i) {
        std::copy_n(b.uvw.begin() + static_cast<std::ptrdiff_t>(3 * rows[i]), 3,
                    block.uvw.begin() + static_cast<std::ptrdiff_t>(3 * i));
        for (std::size_t k = 0; k < nc; ++k) {
          const complex* v = b.vis.data() + (rows[i] * b.channels() + channels[k]) * np;
          const float w = weight_at(rows[i], channels[k]);
          block.weight[i * nc + k] = w;
          if (w > 0)
            block.vis[i * nc + k] =
                how->a == how->b ? v[how->a] : how->factor_a * v[how->a] + how->factor_b * v[how->b];
        }
      }
    });
    const double wavelengths_per_metre =
        1 / 299'792'458.0 * *std::max_element(block.frequency_hz.begin(), block.frequency_hz.end());
    for (std::size_t i = 0; i < rows.size() && !stop.stop_requested(); ++i) {
      const double length = std::hypot(block.uvw[3 * i], block.uvw[3 * i + 1]);
      out.extent.uv_wavelengths_max = std::max(out.extent.uv_wavelengths_max, length * wavelengths_per_metre);
      out.start_mjd_s = std::min(out.start_mjd_s, b.time_mjd_s[rows[i]] - b.integration_s[rows[i]] / 2.0);
      out.end_mjd_s = std::max(out.end_mjd_s, b.time_mjd_s[rows[i]] + b.integration_s[rows[i]] / 2.0);
      out.extent.integration_s = std::max(out.extent.integration_s, static_cast<double>(b.integration_s[rows[i]]));
    }
    for (std::size_t i = 0; i < rows.size() && !stop.stop_requested(); ++i)
      for (std::size_t k = 0; k < nc; ++k)
        if (block.weight[i * nc + k] > 0) ++out.samples, frequency_sum += block.frequency_hz[k];
    if (stop.stop_requested()) return failure(cancelled());
  }

  if (!some_channel) return wrong("params.spw / params.channels select nothing; the dataset has windows " + windows);
  if (!some_rows)
    return wrong("params.field: field " + std::to_string(out.field) +
                 " has no cross-correlations in the selected windows");
  if (!some_recipe) return wrong("params.stokes = \"" + out.stokes + "\" cannot be formed; the dataset has " + held);
  if (out.samples == 0)
    return wrong("dataset: all visibilities of the selection are flagged (" + std::to_string(o.samples_flagged) +
                 " flagged, " + std::to_string(o.samples_non_finite) + " not finite, " +
                 std::to_string(o.samples_absurd) + " absurd of " + std::to_string(o.samples_total) +
                 " read); nothing is left to image");
  out.extent.frequency_hz = frequency_sum / static_cast<double>(out.samples);
  for (const auto& a : o.antennas)
    if (a.diameter_m > 0 && (out.extent.dish_diameter_m == 0 || a.diameter_m < out.extent.dish_diameter_m))
      out.extent.dish_diameter_m = a.diameter_m;
  if (out.extent.dish_diameter_m == 0) out.extent.dish_diameter_m = usual_dish_diameter_m(o.telescope);
  return out;
}

}  // namespace horizons::agents
