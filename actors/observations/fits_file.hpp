// Opens FITS files for reading, and creates them so that they appear complete or not at all (cfitsio).
// Knows nothing of visibilities or images.
#pragma once

#include <fitsio.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "messages/result.hpp"

namespace horizons::observations {

struct fits_closer {
  void operator()(fitsfile* file) const;
};
using fits_handle = std::unique_ptr<fitsfile, fits_closer>;

/// Opens `path` literally (cfitsio's filters and URLs in names are off). Errors name the path: missing, a folder,
/// empty, compressed, no FITS.
result<fits_handle> open_fits(const std::filesystem::path& path);

/// A header value; empty when the key is absent or of another type.
std::optional<double> header_number(fitsfile* file, const std::string& key);
std::string header_text(fitsfile* file, const std::string& key);  // trailing blanks cut

/// cfitsio's words for a status and its last message, and clears its message stack.
std::string fits_words(int status);

/// A FITS file that is being written under a temporary name beside `path`.
class fits_output {
public:
  static result<fits_output> create(const std::filesystem::path& path);
  fits_output(fits_output&&) noexcept = default;
  fits_output& operator=(fits_output&&) = delete;
  ~fits_output();  // without commit: nothing is left

  fitsfile* get() const { return file_.get(); }
  /// Turns the status of the calls since the last check into an error: disk_full, else io.
  result<void> check(int status) const;
  /// Brings what was written so far to the disk, as far as that works: so much less for the commit, which cannot be
  /// interrupted.
  void flush() const;
  /// Closes, fsyncs, renames, fsyncs the folder.
  result<void> commit();

private:
  fits_output(std::filesystem::path path, std::filesystem::path temporary, fits_handle file);
  std::filesystem::path path_, temporary_;
  fits_handle file_;
};

/// Keys of up to 68 characters of text; longer text is cut (a FITS card has no more room).
int write_key(fitsfile* file, const char* key, const std::string& text, int* status);
int write_key(fitsfile* file, const char* key, double number, int* status);

/// Writes small text files the same way: complete or absent.
result<void> write_text_file(const std::filesystem::path& path, const std::string& text);

}  // namespace horizons::observations
