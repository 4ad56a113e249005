#include "actors/observations/fits_image.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <numbers>

#include "actors/observations/fits_file.hpp"
#include "gpu/imaging/celestial.hpp"

namespace horizons::observations {

namespace {

constexpr double degree = std::numbers::pi / 180;
constexpr std::size_t pixels_per_write = std::size_t{4} << 20;  // 16 MiB between two looks at the stop token
constexpr double side_max = 65'536;                             // pixels: a corrupt NAXIS must not become an allocation

double stokes_code(const std::string& name) {
  constexpr std::array<const char*, 4> positive = {"I", "Q", "U", "V"};
  constexpr std::array<const char*, 8> negative = {"RR", "LL", "RL", "LR", "XX", "YY", "XY", "YX"};
  for (std::size_t i = 0; i < positive.size(); ++i)
    if (name == positive[i]) return static_cast<double>(i + 1);
  for (std::size_t i = 0; i < negative.size(); ++i)
    if (name == negative[i]) return -static_cast<double>(i + 1);
  return 1;
}

std::string stokes_name(double code) {
  for (const char* name : {"I", "Q", "U", "V", "RR", "LL", "RL", "LR", "XX", "YY", "XY", "YX"})
    if (stokes_code(name) == code) return name;
  return "I";
}

tl::unexpected<error> unreadable(const std::filesystem::path& path, const std::string& text) {
  return failure(error_code::unreadable, path.string() + ": " + text);
}

std::vector<std::string> read_history(fitsfile* file) {
  std::vector<std::string> lines;
  int status = 0, cards = 0;
  fits_get_hdrspace(file, &cards, nullptr, &status);
  std::array<char, FLEN_CARD> card{};
  for (int i = 1; i <= cards && status == 0; ++i) {
    fits_read_record(file, i, card.data(), &status);
    std::string text = card.data();
    if (text.rfind("HISTORY ", 0) == 0) lines.push_back(text.substr(8));
  }
  fits_clear_errmsg();
  return lines;
}

/// RA and Dec of the pixel (nx/2, ny/2), which need not be the reference pixel exactly (Obit's lies one beside).
result<void> read_direction(fitsfile* file, const std::filesystem::path& path, fits_image_header& header) {
  const auto& g = header.geometry;
  auto number = [&](const char* key) { return header_number(file, key); };
  auto ra = number("CRVAL1"), dec = number("CRVAL2");
  if (!ra || !dec || header_text(file, "CTYPE1") != "RA---SIN" || header_text(file, "CTYPE2") != "DEC--SIN")
    return unreadable(path, "CTYPE1, CTYPE2 = '" + header_text(file, "CTYPE1") + "', '" + header_text(file, "CTYPE2") +
                                "'; expected RA---SIN, DEC--SIN with CRVAL");
  double off_x = static_cast<double>(g.nx / 2) + 1 - number("CRPIX1").value_or(0),
         off_y = static_cast<double>(g.ny / 2) + 1 - number("CRPIX2").value_or(0);
  constexpr double off_max = 2;  // pixels; further away the tangent point would be a different one
  if (!(std::abs(off_x) <= off_max && std::abs(off_y) <= off_max))
    return unreadable(path, "CRPIX is not the centre of the image (" + std::to_string(g.nx / 2 + 1) + ", " +
                                std::to_string(g.ny / 2 + 1) + ")");
  auto at = imaging::deproject({off_x * g.cell_x, off_y * g.cell_y}, {*ra * degree, *dec * degree});
  header.ra_rad = at.ra_rad;
  header.dec_rad = at.dec_rad;
  return {};
}

}  // namespace

result<void> write_fits_image(const std::filesystem::path& path, const fits_image_header& header,
                              std::span<const float> pixels, const std::stop_token& stop) {
  const auto& g = header.geometry;
  if (pixels.size() != g.pixels() || pixels.empty())
    return failure(error_code::invalid_argument, path.string() + ": " + std::to_string(pixels.size()) +
                                                     " pixels for an image of " + std::to_string(g.nx) + " x " +
                                                     std::to_string(g.ny));
  auto file = fits_output::create(path);
  if (!file) return failure(file.error());
  auto* f = file->get();
  int status = 0;
  errno = 0;
  std::array<LONGLONG, 4> size = {static_cast<LONGLONG>(g.nx), static_cast<LONGLONG>(g.ny), 1, 1};
  fits_create_imgll(f, FLOAT_IMG, 4, size.data(), &status);
  struct axis {
    const char *type, *unit;
    double value, step, pixel;
  };
  const std::array<axis, 4> world = {
      {{"RA---SIN", "deg", header.ra_rad / degree, g.cell_x / degree, static_cast<double>(g.nx / 2 + 1)},
       {"DEC--SIN", "deg", header.dec_rad / degree, g.cell_y / degree, static_cast<double>(g.ny / 2 + 1)},
       {"FREQ", "Hz", header.frequency_hz, header.bandwidth_hz, 1},
       {"STOKES", "", stokes_code(header.stokes), 1, 1}}};
  for (std::size_t i = 0; i < world.size(); ++i) {
    auto n = std::to_string(i + 1);
    write_key(f, ("CTYPE" + n).c_str(), world[i].type, &status);
    write_key(f, ("CRVAL" + n).c_str(), world[i].value, &status);
    write_key(f, ("CDELT" + n).c_str(), world[i].step, &status);
    write_key(f, ("CRPIX" + n).c_str(), world[i].pixel, &status);
    write_key(f, ("CUNIT" + n).c_str(), world[i].unit, &status);
  }
  write_key(f, "BUNIT", header.unit, &status);
  write_key(f, "RADESYS", "FK5", &status);  // J2000 catalogues of the VLA era; ICRS differs by less than 0.03 arcsec
  write_key(f, "EQUINOX", 2000.0, &status);
  write_key(f, "SPECSYS", "TOPOCENT", &status);
  if (header.restoring_beam) {
    write_key(f, "BMAJ", header.restoring_beam->major_rad / degree, &status);
    write_key(f, "BMIN", header.restoring_beam->minor_rad / degree, &status);
    write_key(f, "BPA", header.restoring_beam->pa_rad / degree, &status);
  }
  for (auto [key, text] : {std::pair{"OBJECT", &header.object_name},
                           {"TELESCOP", &header.telescope},
                           {"OBSERVER", &header.observer},
                           {"DATE-OBS", &header.date_obs}})
    if (!text->empty()) write_key(f, key, *text, &status);
  for (const auto& line : header.history) fits_write_history(f, line.c_str(), &status);
  for (std::size_t first = 0; first < pixels.size(); first += pixels_per_write) {
    if (stop.stop_requested()) return failure(error_code::cancelled, path.string() + ": writing was cancelled");
    auto part = pixels.subspan(first, std::min(pixels_per_write, pixels.size() - first));
    fits_write_img(f, TFLOAT, static_cast<LONGLONG>(first + 1), static_cast<LONGLONG>(part.size()),
                   const_cast<float*>(part.data()), &status);
    if (status == 0 && first > 0) file->flush();
  }
  if (auto good = file->check(status); !good) return good;
  return file->commit();
}

result<fits_image> read_fits_image(const std::filesystem::path& path) {
  auto file = open_fits(path);
  if (!file) return failure(file.error());
  auto* f = file->get();
  auto number = [&](const std::string& key) { return header_number(f, key); };
  fits_image image;
  auto& header = image.header;
  double axes = number("NAXIS").value_or(0);
  if (!(axes >= 2 && axes <= 20))
    return unreadable(path, "NAXIS = " + std::to_string(axes) + "; expected an image of 2 to 4 axes");
  for (int i = 1; i <= static_cast<int>(axes); ++i) {
    double side = number("NAXIS" + std::to_string(i)).value_or(0);
    if (!(side >= 1 && side <= side_max && side == std::floor(side)) || (i > 2 && side != 1))
      return unreadable(path, "NAXIS" + std::to_string(i) + " = " + std::to_string(side) +
                                  "; expected one plane of at most 65536 x 65536 pixels");
    if (i == 1) header.geometry.nx = static_cast<std::size_t>(side);
    if (i == 2) header.geometry.ny = static_cast<std::size_t>(side);
    auto n = std::to_string(i);
    if (header_text(f, "CTYPE" + n).substr(0, 4) == "FREQ") {
      header.frequency_hz = number("CRVAL" + n).value_or(0);
      header.bandwidth_hz = number("CDELT" + n).value_or(0);
    }
    if (header_text(f, "CTYPE" + n) == "STOKES") header.stokes = stokes_name(number("CRVAL" + n).value_or(1));
  }
  header.geometry.cell_x = number("CDELT1").value_or(0) * degree;
  header.geometry.cell_y = number("CDELT2").value_or(0) * degree;
  if (header.geometry.cell_x == 0 || header.geometry.cell_y == 0)
    return unreadable(path, "CDELT1 or CDELT2 missing or 0");
  if (auto direction = read_direction(f, path, header); !direction) return failure(direction.error());
  header.unit = header_text(f, "BUNIT");
  header.object_name = header_text(f, "OBJECT");
  header.telescope = header_text(f, "TELESCOP");
  header.observer = header_text(f, "OBSERVER");
  header.date_obs = header_text(f, "DATE-OBS");
  if (auto major = number("BMAJ"), minor = number("BMIN"); major && minor && *major > 0 && *minor > 0)
    header.restoring_beam =
        imaging::gaussian_beam{*major * degree, *minor * degree, number("BPA").value_or(0) * degree};
  header.history = read_history(f);

  int status = 0;
  std::error_code bad;
  LONGLONG start = 0, data = 0, end = 0;
  fits_get_hduaddrll(f, &start, &data, &end, &status);
  double bits = std::abs(number("BITPIX").value_or(0));
  double expected = static_cast<double>(data) + static_cast<double>(header.geometry.pixels()) * bits / 8;
  double size = static_cast<double>(std::filesystem::file_size(path, bad));
  if (bad || status != 0 || size < expected) {
    std::array<char, 120> text{};
    std::snprintf(text.data(), text.size(), "truncated: its header promises at least %.0f bytes; the file has %.0f",
                  expected, size);
    return unreadable(path, text.data());
  }
  image.pixels.resize(header.geometry.pixels());
  fits_read_img(f, TFLOAT, 1, static_cast<LONGLONG>(image.pixels.size()), nullptr, image.pixels.data(), nullptr,
                &status);
  if (status != 0) return unreadable(path, fits_words(status));
  return image;
}

}  // namespace horizons::observations
