// Reads the list of sources that simulate() observes: JSON or plain lines.
#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "actors/observations/simulate.hpp"

namespace horizons::observations {

namespace {

constexpr std::size_t sources_max = 10'000, bytes_max = 4U << 20U;

std::string complaint(const simulated_source& s) {
  if (!(s.ra_deg >= 0 && s.ra_deg <= 360)) return "ra_deg = " + std::to_string(s.ra_deg) + "; expected 0 to 360";
  if (!(s.dec_deg >= -90 && s.dec_deg <= 90)) return "dec_deg = " + std::to_string(s.dec_deg) + "; expected -90 to 90";
  if (!std::isfinite(s.flux_jy) || std::abs(s.flux_jy) > 1e6)
    return "flux_jy = " + std::to_string(s.flux_jy) + "; expected a flux in Jy, at most 1e6";
  return {};
}

result<std::vector<simulated_source>> from_json(const std::string& where, const std::string& text) {
  auto list = nlohmann::json::parse(text, nullptr, false);
  if (!list.is_array())
    return failure(error_code::unreadable, where + ": is not a JSON array of {\"ra_deg\", \"dec_deg\", \"flux_jy\"}");
  std::vector<simulated_source> sources;
  for (const auto& entry : list) {
    auto place = where + ": source " + std::to_string(sources.size() + 1) + ": ";
    simulated_source s;
    for (auto [key, value] : {std::pair{"ra_deg", &s.ra_deg}, {"dec_deg", &s.dec_deg}, {"flux_jy", &s.flux_jy}}) {
      if (!entry.is_object() || !entry.contains(key) || !entry[key].is_number())
        return failure(error_code::unreadable, place + key + " missing or not a number");
      *value = entry[key].get<double>();
    }
    if (auto wrong = complaint(s); !wrong.empty()) return failure(error_code::unreadable, place + wrong);
    sources.push_back(s);
  }
  return sources;
}

result<std::vector<simulated_source>> from_lines(const std::string& where, const std::string& text) {
  std::vector<simulated_source> sources;
  std::istringstream lines(text);
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    line = line.substr(0, line.find('#'));
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    std::replace(line.begin(), line.end(), ',', ' ');
    std::istringstream fields(line);
    simulated_source s;
    std::string rest;
    auto place = where + ":" + std::to_string(number) + ": ";
    if (!(fields >> s.ra_deg >> s.dec_deg >> s.flux_jy) || (fields >> rest))
      return failure(error_code::unreadable, place + "expected three numbers: ra_deg dec_deg flux_jy");
    if (auto wrong = complaint(s); !wrong.empty()) return failure(error_code::unreadable, place + wrong);
    sources.push_back(s);
  }
  return sources;
}

}  // namespace

result<std::vector<simulated_source>> read_source_list(const std::filesystem::path& path) {
  std::error_code bad;
  if (!std::filesystem::is_regular_file(path, bad))
    return failure(error_code::not_found, path.string() + ": no such file");
  if (std::filesystem::file_size(path, bad) > bytes_max)
    return failure(error_code::limit_exceeded, path.string() + ": larger than 4 MiB");
  std::ifstream stream(path, std::ios::binary);
  std::stringstream content;
  content << stream.rdbuf();
  if (!stream) return failure(error_code::io, path.string() + ": cannot be read");
  auto text = content.str();
  auto start = text.find_first_not_of(" \t\r\n");
  bool json = start != std::string::npos && (text[start] == '[' || text[start] == '{');
  auto sources = json ? from_json(path.string(), text) : from_lines(path.string(), text);
  if (!sources) return sources;
  if (sources->empty()) return failure(error_code::unreadable, path.string() + ": names no source");
  if (sources->size() > sources_max)
    return failure(error_code::limit_exceeded,
                   path.string() + ": " + std::to_string(sources->size()) + " sources; at most 10000 can be simulated");
  return sources;
}

}  // namespace horizons::observations
