#include "actors/agents/sha256.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <memory>
#include <vector>

namespace horizons::agents {
namespace {

class digest {
public:
  digest() : context_(EVP_MD_CTX_new(), &EVP_MD_CTX_free) { EVP_DigestInit_ex2(context_.get(), sha256(), nullptr); }
  void add(const void* bytes, std::size_t size) { EVP_DigestUpdate(context_.get(), bytes, size); }
  std::string hex() {
    std::array<unsigned char, EVP_MAX_MD_SIZE> raw{};
    unsigned size = 0;
    EVP_DigestFinal_ex(context_.get(), raw.data(), &size);
    std::string out(2 * size, '0');
    for (unsigned i = 0; i < size; ++i) {
      out[2 * i] = "0123456789abcdef"[raw[i] >> 4];
      out[2 * i + 1] = "0123456789abcdef"[raw[i] & 15];
    }
    return out;
  }

private:
  /// Looked up once: finding an algorithm by its name costs more than a short text's digest.
  static const EVP_MD* sha256() {
    static const EVP_MD* const found = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    return found;
  }

  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

result<std::string> of_file(const std::filesystem::path& path, const std::stop_token& stop) {
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), &std::fclose);
  if (!file) return failure(error_code::io, path.string() + ": cannot be opened for its checksum");
  digest d;
  std::vector<char> buffer(1U << 20);
  while (const std::size_t n = std::fread(buffer.data(), 1, buffer.size(), file.get())) {
    if (stop.stop_requested()) return failure(error_code::cancelled, "cancelled while computing the checksum");
    d.add(buffer.data(), n);
  }
  if (std::ferror(file.get())) return failure(error_code::io, path.string() + ": reading failed during its checksum");
  return d.hex();
}

}  // namespace

std::string sha256_of_text(std::string_view bytes) {
  digest d;
  d.add(bytes.data(), bytes.size());
  return d.hex();
}

result<std::string> sha256_of(const std::filesystem::path& path, std::stop_token stop) try {
  if (std::filesystem::is_regular_file(path)) return of_file(path, stop);
  if (!std::filesystem::is_directory(path)) return failure(error_code::not_found, path.string() + " does not exist");
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path))
    if (entry.is_regular_file() && entry.path().filename() != "table.lock")
      files.push_back(entry.path());  // locks change when read
  std::sort(files.begin(), files.end());
  std::string listing;
  for (const auto& file : files) {
    auto sum = of_file(file, stop);
    if (!sum) return sum;
    listing += *sum + "  " + std::to_string(std::filesystem::file_size(file)) + "  " +
               file.lexically_relative(path).generic_string() + "\n";
  }
  return sha256_of_text(listing);
} catch (const std::filesystem::filesystem_error& e) {
  return failure(error_code::io, path.string() + ": " + e.code().message());
}

}  // namespace horizons::agents
