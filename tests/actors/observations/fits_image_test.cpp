#include "actors/observations/fits_image.hpp"

#include <gmock/gmock.h>

#include <numbers>

#include "tests/actors/observations/observation_fixture.hpp"

namespace horizons::observations {
namespace {

using testing::HasSubstr;

constexpr double degree = std::numbers::pi / 180;

fits_image_header some_header() {
  fits_image_header h;
  h.geometry = {31, 20, -2 * degree / 3600, 2 * degree / 3600};
  h.ra_rad = 202.784533 * degree;
  h.dec_rad = 30.509155 * degree;
  h.frequency_hz = 1.4e9;
  h.bandwidth_hz = 64e6;
  h.stokes = "V";
  h.object_name = "3C286";
  h.telescope = "VLA";
  h.observer = "somebody";
  h.date_obs = "2001-02-25T01:00:00.000";
  h.restoring_beam = imaging::gaussian_beam{4.5 * degree / 3600, 3.9 * degree / 3600, -20 * degree};
  h.history = {"one", "two words"};
  return h;
}

std::vector<float> ramp(std::size_t n) {
  std::vector<float> pixels(n);
  for (std::size_t i = 0; i < n; ++i) pixels[i] = static_cast<float>(i) * 0.37F - 5;
  return pixels;
}

TEST(fits_image, comes_back_as_it_was) {
  temporary_folder folder;
  auto header = some_header();
  auto pixels = ramp(header.geometry.pixels());
  ASSERT_TRUE(write_fits_image(folder / "a.fits", header, pixels));
  EXPECT_EQ(folder.files(), 1U);
  auto read = read_fits_image(folder / "a.fits");
  ASSERT_TRUE(read) << read.error().text;
  EXPECT_EQ(read->pixels, pixels);
  const auto& h = read->header;
  EXPECT_EQ(h.geometry.nx, 31U);
  EXPECT_EQ(h.geometry.ny, 20U);
  EXPECT_NEAR(h.geometry.cell_x, header.geometry.cell_x, 1e-18);
  EXPECT_NEAR(h.ra_rad, header.ra_rad, 1e-13);
  EXPECT_NEAR(h.dec_rad, header.dec_rad, 1e-13);
  EXPECT_EQ(h.frequency_hz, 1.4e9);
  EXPECT_EQ(h.bandwidth_hz, 64e6);
  EXPECT_EQ(h.stokes, "V");
  EXPECT_EQ(h.unit, "JY/BEAM");
  EXPECT_EQ(h.object_name, "3C286");
  EXPECT_EQ(h.telescope, "VLA");
  EXPECT_EQ(h.observer, "somebody");
  EXPECT_EQ(h.date_obs, header.date_obs);
  ASSERT_TRUE(h.restoring_beam);
  EXPECT_NEAR(h.restoring_beam->major_rad, header.restoring_beam->major_rad, 1e-17);
  EXPECT_NEAR(h.restoring_beam->pa_rad, header.restoring_beam->pa_rad, 1e-15);
  EXPECT_EQ(h.history, header.history);
}

TEST(fits_image, the_header_other_packages_read) {
  temporary_folder folder;
  auto header = some_header();
  ASSERT_TRUE(write_fits_image(folder / "a.fits", header, ramp(header.geometry.pixels())));
  auto bytes = bytes_of(folder / "a.fits");
  for (const char* card : {"CTYPE1  = 'RA---SIN'", "CTYPE2  = 'DEC--SIN'", "CTYPE3  = 'FREQ    '",
                           "CTYPE4  = 'STOKES  '", "BUNIT   = 'JY/BEAM '", "CRPIX1  =                  16.",
                           "CRPIX2  =                  11.", "EQUINOX =                2000."})
    EXPECT_THAT(bytes, HasSubstr(card));
}

TEST(fits_image, a_reference_made_by_another_package) {
  auto path = shared_data("vla-3c286-2001-reference-dirty.fits");
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "the shared data folder is not beside the checkout: " << path;
  auto read = read_fits_image(path);
  ASSERT_TRUE(read) << read.error().text;
  const auto& g = read->header.geometry;
  EXPECT_EQ(g.nx, 1200U);
  EXPECT_NEAR(g.cell_x, -degree / 3600, 1e-9 * degree);
  auto peak = std::max_element(read->pixels.begin(), read->pixels.end());
  EXPECT_NEAR(*peak, 13.493, 0.001);
  EXPECT_NEAR(read->header.ra_rad / degree, 202.784533, 2.0 / 3600);
}

TEST(fits_image, what_cannot_be_read_or_written) {
  temporary_folder folder;
  auto header = some_header();
  auto pixels = ramp(header.geometry.pixels());
  auto wrong = write_fits_image(folder / "a.fits", header, std::span(pixels).first(7));
  ASSERT_FALSE(wrong);
  EXPECT_THAT(wrong.error().text, HasSubstr("7 pixels for an image of 31 x 20"));
  auto nowhere = write_fits_image(folder / "no/such/a.fits", header, pixels);
  ASSERT_FALSE(nowhere);
  EXPECT_EQ(nowhere.error().code, error_code::io);
  EXPECT_EQ(folder.files(), 0U);

  ASSERT_TRUE(write_fits_image(folder / "a.fits", header, pixels));
  auto bytes = bytes_of(folder / "a.fits");
  auto refused = [&](const std::string& content, const std::string& text) {
    write_bytes(folder / "b.fits", content);
    auto read = read_fits_image(folder / "b.fits");
    ASSERT_FALSE(read) << text;
    EXPECT_THAT(read.error().text, HasSubstr(text));
  };
  refused(bytes.substr(0, bytes.find("END" + std::string(77, ' ')) / 2880 * 2880 + 2880 + 200), "truncated");
  refused(with_card(bytes, "CTYPE1", "'RA---TAN'"), "expected RA---SIN, DEC--SIN");
  refused(with_card(bytes, "CRPIX1", "3.0"), "CRPIX is not the centre");
  refused(with_card(bytes, "NAXIS1", "                70000"), "expected one plane of at most");
  ASSERT_TRUE(write_uvfits(small_observation(), folder / "c.uvfits"));
  EXPECT_FALSE(read_fits_image(folder / "c.uvfits"));
  EXPECT_EQ(read_fits_image(folder / "none.fits").error().code, error_code::not_found);
}

}  // namespace
}  // namespace horizons::observations
