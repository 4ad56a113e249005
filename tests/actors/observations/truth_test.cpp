#include "actors/observations/truth.hpp"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

namespace horizons::observations {
namespace {

using nlohmann::json;
using testing::HasSubstr;

json point(double ra, double dec, double flux, double error = 0) {
  json properties = {{"flux_jy", flux}};
  if (error > 0) properties["flux_error_jy"] = error;
  return {
      {"type", "Feature"}, {"geometry", {{"type", "Point"}, {"coordinates", {ra, dec}}}}, {"properties", properties}};
}

json truth_of(std::vector<simulated_source> sources) {
  simulation_truth truth;
  truth.sources = std::move(sources);
  truth.beam_arcsec = 4;
  return to_json(truth);
}

TEST(compare_with_truth, matches_offsets_and_fluxes) {
  const double arcsec = 1 / 3600.0;
  auto truth = truth_of({{10, 0, 1.0}, {10.1, 0, 0.5}, {10.2, 0, 0.1}, {359.99, 60, 0.2}});
  json found = {{"type", "FeatureCollection"},
                {"features",
                 {point(10.1, 1 * arcsec, 0.51, 0.02), point(10 + 0.4 * arcsec, 0, 0.95),
                  point(10 + 5 * arcsec, 0, 0.01), point(-0.01, 60, 0.2), point(12, 3, 1)}}};
  auto c = compare_with_truth(found, truth);
  ASSERT_TRUE(c) << c.error().text;
  EXPECT_EQ(c->sources, 4U);
  EXPECT_EQ(c->matches.size(), 3U);  // the third source was not found
  EXPECT_EQ(c->unexpected, 2U);      // a side lobe beside the first source, and one far away
  EXPECT_NEAR(c->worst_offset_beams, 0.25, 1e-6);
  EXPECT_NEAR(c->worst_flux_error, 0.05, 1e-9);
  EXPECT_EQ(c->matches.back().truth, 1U);
  EXPECT_NEAR(c->matches.back().flux_sigma, 0.5, 1e-9);
  EXPECT_EQ(to_json(*c)["matched"], 3);
  auto coarse = compare_with_truth(found, truth, 8);
  ASSERT_TRUE(coarse);
  EXPECT_NEAR(coarse->worst_offset_beams, 0.125, 1e-6);
}

TEST(compare_with_truth, what_is_missing_is_named) {
  auto truth = truth_of({{10, 0, 1.0}});
  auto refused = [](const json& found, const json& real, const std::string& text) {
    auto c = compare_with_truth(found, real);
    ASSERT_FALSE(c) << text;
    EXPECT_EQ(c.error().code, error_code::unreadable);
    EXPECT_THAT(c.error().text, HasSubstr(text));
  };
  refused(json::array(), truth, "no features");
  refused({{"features", {json::object()}}}, truth, "feature 0: geometry.coordinates");
  refused({{"features", {{{"geometry", {{"coordinates", {1, 2}}}}}}}}, truth, "feature 0: properties.flux_jy missing");
  refused({{"features", json::array()}}, json::object(), "no list 'sources'");
  refused({{"features", json::array()}}, {{"sources", {{{"ra_deg", 1}}}}}, "truth: source 0 lacks");
  auto none = compare_with_truth({{"features", json::array()}}, truth);
  ASSERT_TRUE(none);
  EXPECT_EQ(none->matches.size(), 0U);
}

}  // namespace
}  // namespace horizons::observations
