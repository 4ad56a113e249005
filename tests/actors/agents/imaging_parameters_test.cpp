#include "actors/agents/imaging_parameters.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "actors/agents/agent.hpp"
#include "actors/agents/stokes.hpp"

namespace horizons::agents {
namespace {

constexpr double arcsec = std::numbers::pi / 180 / 3600;

const agent& imager() { return *find_agent("image-reconstruction"); }

// -- parameters -------------------------------------------------------------------------------------------------

struct bad_parameter {
  const char* params;
  std::vector<const char*> words;  // the error must name parameter, value and what would be right
};

class bad_parameters : public testing::TestWithParam<bad_parameter> {};

TEST_P(bad_parameters, are_refused_with_name_value_and_what_would_be_right) {
  const auto checked = imager().check(json::parse(GetParam().params));
  ASSERT_FALSE(checked) << GetParam().params;
  EXPECT_EQ(checked.error().code, error_code::invalid_argument);
  for (const char* word : GetParam().words)
    EXPECT_NE(checked.error().text.find(word), std::string::npos) << checked.error().text;
}

INSTANTIATE_TEST_SUITE_P(
    table, bad_parameters,
    testing::Values(bad_parameter{R"([1])", {"params = [1]", "object"}},
                    bad_parameter{R"({"cell": 1})", {"params.cell", "unknown", "cell_arcsec"}},
                    bad_parameter{R"({"size": 31})", {"params.size = 31", "32 to 32768"}},
                    bad_parameter{R"({"size": -5})", {"params.size = -5"}},
                    bad_parameter{R"({"size": 99999999999999999999})", {"params.size"}},
                    bad_parameter{R"({"size": 512.5})", {"params.size = 512.5"}},
                    bad_parameter{R"({"size": "big"})", {"params.size = \"big\"", "[x, y]"}},
                    bad_parameter{R"({"size": [512]})", {"params.size = [512]"}},
                    bad_parameter{R"({"size": [512, 40000]})", {"params.size"}},
                    bad_parameter{R"({"cell_arcsec": 0})", {"params.cell_arcsec = 0", "above 0"}},
                    bad_parameter{R"({"cell_arcsec": "1"})", {"params.cell_arcsec = \"1\"", "number"}},
                    bad_parameter{R"({"weighting": "robust"})", {"params.weighting = \"robust\"", "\"briggs\""}},
                    bad_parameter{R"({"weighting": 3})", {"params.weighting = 3"}},
                    bad_parameter{R"({"robust": 3})", {"params.robust = 3", "-2 to 2"}},
                    bad_parameter{R"({"robust": 1, "weighting": "natural"})", {"params.robust", "briggs"}},
                    bad_parameter{R"({"accuracy": 0})", {"params.accuracy = 0"}},
                    bad_parameter{R"({"accuracy": 0.5})", {"params.accuracy = 0.5", "0.01"}},
                    bad_parameter{R"({"precision": "half"})", {"params.precision = \"half\"", "\"double\""}},
                    bad_parameter{R"({"precision": "single", "accuracy": 1e-8})",
                                  {"params.precision", "double", "2e-6"}},
                    bad_parameter{R"({"niter": -1})", {"params.niter = -1", "whole number"}},
                    bad_parameter{R"({"niter": 1.5})", {"params.niter = 1.5"}},
                    bad_parameter{R"({"niter": 1e12})", {"params.niter"}},
                    bad_parameter{R"({"gain": 0})", {"params.gain = 0", "above 0"}},
                    bad_parameter{R"({"gain": 1.1})", {"params.gain = 1.1"}},
                    bad_parameter{R"({"mgain": -0.1})", {"params.mgain"}},
                    bad_parameter{R"({"threshold_jy": -1})", {"params.threshold_jy = -1"}},
                    bad_parameter{R"({"auto_threshold_sigma": null})", {"params.auto_threshold_sigma = null"}},
                    bad_parameter{R"({"stokes": "W"})", {"params.stokes = \"W\"", "I, Q, U, V"}},
                    bad_parameter{R"({"field": -1})", {"params.field = -1"}},
                    bad_parameter{R"({"field": true})", {"params.field = true", "name"}},
                    bad_parameter{R"({"spw": "0:"})", {"params.spw", "0:3~10"}},
                    bad_parameter{R"({"spw": "5~3"})", {"params.spw = \"5~3\""}},
                    bad_parameter{R"({"spw": {}})", {"params.spw = {}"}},
                    bad_parameter{R"({"channels": "a"})", {"params.channels = \"a\"", "3~10"}},
                    bad_parameter{R"({"channels": "-3"})", {"params.channels"}},
                    bad_parameter{R"({"channels": "1", "spw": "0:3"})", {"params.channels", "not in both"}}));

TEST(imaging_parameters, good_ones_are_taken) {
  const auto p = parse_imaging_parameters(json::parse(
      R"({"size": [512, 256], "cell_arcsec": 0.5, "weighting": "briggs", "robust": -0.5, "accuracy": 1e-6, "precision": "double",
          "niter": 1e3, "gain": 0.2, "mgain": 0.7, "threshold_jy": 0.001, "auto_threshold_sigma": 0, "stokes": "V", "field": "3C286", "spw": "0~1:2~4;6,3"})"));
  ASSERT_TRUE(p) << p.error().text;
  EXPECT_EQ((*p->size)[1], 256U);
  EXPECT_EQ(p->niter, 1000);
  EXPECT_TRUE(p->spw.contains(1, 6));
  EXPECT_FALSE(p->spw.contains(1, 5));
  EXPECT_TRUE(p->spw.contains(3, 5));
  EXPECT_FALSE(p->spw.contains(2, 2));
  EXPECT_TRUE(imager().check(json::object()));
  for (const char* channels : {R"({"channels": 3})", R"({"channels": [3, 4]})", R"({"channels": "3~4, 9"})"}) {
    const auto q = parse_imaging_parameters(json::parse(channels));
    ASSERT_TRUE(q) << q.error().text;
    EXPECT_TRUE(q->channels.contains(3));
    EXPECT_FALSE(q->channels.contains(5));
  }
}

TEST(imaging_parameters, the_schema_lists_every_parameter_of_the_contract) {
  const json schema = imager().parameter_schema();
  for (const char* name : {"size", "cell_arcsec", "weighting", "robust", "accuracy", "precision", "niter", "gain",
                           "mgain", "threshold_jy", "auto_threshold_sigma", "stokes", "field", "spw", "channels"})
    EXPECT_TRUE(schema["properties"].contains(name) && schema["properties"][name].contains("description")) << name;
  EXPECT_EQ(schema["additionalProperties"], false);
}

TEST(imaging_parameters, defaults_follow_the_data) {
  // VLA B configuration at 1.4 GHz: 52,000 wavelengths, 25 m: cell 0.99 arcsec, 1.2 x 35 arcmin.
  const auto vla = default_geometry({}, {52'000, 1.4e9, 3e6, 10, 25});
  EXPECT_NEAR(vla.cell_y / arcsec, 0.99, 1e-9);
  EXPECT_LT(vla.cell_x, 0);
  EXPECT_NEAR(static_cast<double>(vla.nx), 1.2 * 1.2 * 0.2141 / 25 / vla.cell_y, 60);
  // A VLBI field is never filled; wide channels narrow a field; a small array gets a usable picture.
  EXPECT_EQ(default_geometry({}, {2e8, 8e9, 8e6, 2, 25}).nx, 1024U);
  EXPECT_LT(default_geometry({}, {52'000, 1.4e9, 30e6, 10, 25}).nx, vla.nx / 2);
  EXPECT_EQ(default_geometry({}, {50, 1.5e8, 1e5, 10, 14}).nx, 256U);
  EXPECT_EQ(fft_friendly(2046), 2048U);
  EXPECT_EQ(fft_friendly(11), 12U);
}

// -- selection --------------------------------------------------------------------------------------------------

/// Two fields, two windows, one row each way, four linear correlations.
imaging::observation linear() {
  imaging::observation o;
  o.telescope = "MeerKAT";
  o.fields = {{"target", 1, 0.5}, {"calibrator", 2, 0.5}};
  imaging::visibility_block b;
  b.frequency_hz = {1e9, 1.1e9, 2e9, 2.1e9};
  b.channel_width_hz = {1e6, 1e6, 1e6, 1e6};
  b.spw = {0, 0, 1, 1};
  using enum imaging::polarisation;
  b.polarisations = {XX, YY, XY, YX};
  b.uvw = {10, 20, 30, 40, 50, 60, 0, 0, 0};
  b.time_mjd_s = {1e9, 1e9, 1e9};
  b.integration_s = {1, 1, 1};
  b.antenna1 = {0, 0, 1};
  b.antenna2 = {1, 2, 1};  // the last row is an autocorrelation
  b.field = {0, 1, 0};
  for (int i = 0; i < 12; ++i) {
    b.vis.insert(b.vis.end(), {{5, 1}, {3, -1}, {2, 4}, {1, -2}});
    b.weight.insert(b.weight.end(), {1, 3, 2, 2});
  }
  o.blocks = {b};
  return o;
}

imaging_parameters with(const char* params) { return *parse_imaging_parameters(json::parse(params)); }

TEST(stokes, are_formed_from_linear_feeds) {
  const auto o = linear();
  const std::vector<std::pair<const char*, std::complex<float>>> truth{
      {R"({"stokes": "I"})", {4, 0}},
      {R"({"stokes": "Q"})", {1, 1}},
      {R"({"stokes": "U"})", {1.5, 1}},
      {R"({"stokes": "V"})", std::complex<float>(1, 6) * std::complex<float>(0, -0.5F)},
      {R"({"stokes": "YY"})", {3, -1}}};
  for (const auto& [params, value] : truth) {
    const auto s = select_stokes(o, with(params));
    ASSERT_TRUE(s) << s.error().text;
    EXPECT_EQ(s->blocks[0].vis[0], value) << params;
  }
  // The mean of weights 1 and 3 has variance (1 + 1/3)/4: weight 3.
  EXPECT_FLOAT_EQ(select_stokes(o, {})->blocks[0].weight[0], 3);
  EXPECT_EQ(select_stokes(o, {})->extent.dish_diameter_m, 13.5);
}

TEST(stokes, need_both_hands_unflagged) {
  auto o = linear();
  o.blocks[0].weight[1] = 0;  // YY of the first channel
  const auto s = select_stokes(o, with(R"({"stokes": "I"})"));
  ASSERT_TRUE(s);
  EXPECT_EQ(s->samples, 3U);
  EXPECT_EQ(select_stokes(o, with(R"({"stokes": "XX"})"))->samples, 4U);
}

TEST(stokes, only_one_hand_is_imaged_as_such) {
  auto o = linear();
  o.blocks[0].polarisations = {imaging::polarisation::LL};
  o.blocks[0].vis.resize(12);
  o.blocks[0].weight.resize(12);
  EXPECT_EQ(select_stokes(o, {})->stokes, "LL");
  const auto refused = select_stokes(o, with(R"({"stokes": "I"})"));
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().text.find("LL"), std::string::npos);
}

TEST(stokes, field_windows_and_channels_are_chosen) {
  const auto o = linear();
  const auto target = select_stokes(o, {});
  ASSERT_TRUE(target);
  EXPECT_EQ(target->blocks[0].uvw, (std::vector<double>{10, 20, 30}));  // without the autocorrelation
  const auto other = select_stokes(o, with(R"({"field": "calibrator", "spw": "1:1"})"));
  ASSERT_TRUE(other);
  EXPECT_EQ(other->blocks[0].uvw, (std::vector<double>{40, 50, 60}));
  EXPECT_EQ(other->blocks[0].frequency_hz, std::vector<double>{2.1e9});
  EXPECT_EQ(select_stokes(o, with(R"({"channels": 0})"))->blocks[0].frequency_hz, (std::vector<double>{1e9, 2e9}));
  for (const auto& [params, word] :
       std::vector<std::pair<const char*, const char*>>{{R"({"field": 7})", "calibrator"},
                                                        {R"({"field": "x"})", "target"},
                                                        {R"({"spw": 4})", "0 with channels 0~1"},
                                                        {R"({"channels": 9})", "channels"}}) {
    const auto refused = select_stokes(o, with(params));
    ASSERT_FALSE(refused) << params;
    EXPECT_NE(refused.error().text.find(word), std::string::npos) << refused.error().text;
  }
}

}  // namespace
}  // namespace horizons::agents
