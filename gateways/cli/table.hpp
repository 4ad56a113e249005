// Rows in aligned columns for a terminal. Widths count characters, not bytes.
#pragma once

#include <algorithm>
#include <ostream>
#include <string>
#include <vector>

namespace horizons::cli {

/// Characters of UTF-8 text (continuation bytes do not count).
inline std::size_t width_of(const std::string& text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

class table {
public:
  explicit table(std::vector<std::string> headings) { add(std::move(headings)); }

  void add(std::vector<std::string> row) {
    widths_.resize(std::max(widths_.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths_[i] = std::max(widths_[i], width_of(row[i]));
    rows_.push_back(std::move(row));
  }

  void print(std::ostream& out) const {
    for (const auto& row : rows_) {
      std::string line;
      for (std::size_t i = 0; i < row.size(); ++i)
        line += row[i] + (i + 1 < row.size() ? std::string(widths_[i] - width_of(row[i]) + 2, ' ') : "");
      out << line << '\n';
    }
  }

  std::size_t size() const { return rows_.size() - 1; }

private:
  std::vector<std::vector<std::string>> rows_;
  std::vector<std::size_t> widths_;
};

}  // namespace horizons::cli
