#include "messages/schema/history.hpp"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <iterator>
#include <optional>

namespace horizons {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t files_max = 10'000;  // a folder that is not ours should not be read to its end

result<std::string> read_text(const fs::path& file) {
  std::error_code failed;
  const auto size = fs::file_size(file, failed);
  if (failed) return failure(error_code::io, file.string() + ": " + failed.message());
  if (size > avro::schema::bytes_max)
    return failure(error_code::limit_exceeded, file.string() + ": " + std::to_string(size) + " bytes is no schema");
  std::ifstream in(file, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(in), {}};
  if (!in) return failure(error_code::io, file.string() + ": cannot be read");
  return text;
}

std::optional<int> version_of(const fs::path& file) {
  const auto stem = file.stem().string();
  int version = 0;
  const auto [end, fault] = std::from_chars(stem.data(), stem.data() + stem.size(), version);
  if (fault != std::errc{} || end != stem.data() + stem.size() || version < 1) return std::nullopt;
  return version;
}

fs::path file_of(const fs::path& folder, const avro::message_schema& s) {
  return folder / s.type / (std::to_string(s.version) + ".avsc");
}

}  // namespace

result<schema_history> load_schema_history(const fs::path& folder) {
  schema_history history;
  std::error_code failed;
  if (!fs::exists(folder, failed)) return history;
  std::size_t files = 0;
  fs::recursive_directory_iterator each(folder, failed);
  for (; !failed && each != fs::recursive_directory_iterator(); each.increment(failed)) {
    if (++files > files_max) return failure(error_code::limit_exceeded, folder.string() + ": too many files");
    const auto& file = each->path();
    if (file.extension() != ".avsc") continue;
    const auto version = version_of(file);
    if (!version)
      return failure(error_code::unreadable, file.string() + ": the name is no version; expected like '1.avsc'");
    auto text = read_text(file);
    if (!text) return failure(std::move(text.error()));
    auto parsed = avro::schema::parse(*text);
    if (!parsed) return failure(parsed.error().code, file.string() + ": " + parsed.error().text);
    history[file.parent_path().filename().string()].push_back({*version, std::move(*text), std::move(*parsed)});
  }
  if (failed) return failure(error_code::io, folder.string() + ": " + failed.message());
  for (auto& [type, versions] : history)
    std::sort(versions.begin(), versions.end(), [](const auto& a, const auto& b) { return a.version < b.version; });
  return history;
}

result<int> commit_schemas(const fs::path& folder) {
  int written = 0;
  for (const auto& s : avro::message_schemas()) {
    const auto file = file_of(folder, s);
    std::error_code failed;
    if (fs::exists(file, failed)) {
      auto text = read_text(file);
      if (!text) return failure(std::move(text.error()));
      if (*text == s.text) continue;
      auto committed = avro::schema::parse(*text);
      if (!committed || committed->canonical() != s.schema.canonical())
        return failure(error_code::conflict,
                       file.string() + ": " + s.type + " looks different now; raise its version in the description");
    }
    fs::create_directories(file.parent_path(), failed);
    std::ofstream out(file, std::ios::binary);
    if (!(out << s.text).flush()) return failure(error_code::io, file.string() + ": cannot be written");
    ++written;
  }
  return written;
}

}  // namespace horizons
