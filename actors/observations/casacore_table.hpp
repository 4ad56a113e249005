// A casacore table, opened for reading, as plain vectors. Knows nothing of Measurement Sets.
// A border of its own because the headers of casacore 3.5 do not compile as C++20 (they name std::allocator::pointer):
// this header and its source are C++17, and no casacore header is seen by anybody else.
#pragma once

#include <complex>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace horizons::observations {

class casacore_table {
public:
  /// Every call may throw std::exception, whose text casacore chose. Not safe to use from two threads at a time, not
  /// even on two tables: casacore keeps a process-wide cache of them.
  explicit casacore_table(const std::string& path);
  casacore_table(casacore_table&&) noexcept;
  ~casacore_table();

  std::uint64_t rows() const;
  bool has(const std::string& column) const;
  /// The reference frame of a measures column ("J2000"); empty when it names none.
  std::string frame(const std::string& column) const;

  std::vector<std::string> texts(const std::string& column) const;  // a whole scalar column
  template <class T>
  std::vector<T> scalars(const std::string& column) const;  // a whole scalar column
  template <class T>
  std::vector<T> cell(const std::string& column, std::uint64_t row) const;  // one array, first axis fastest
  std::vector<std::size_t> cell_shape(const std::string& column, std::uint64_t row) const;  // empty: not defined

  /// Consecutive cells of the rows named; arrays must have one shape. T: double, float, bool (as char), int,
  /// complex<float>.
  template <class T>
  struct cells {
    std::vector<std::size_t> shape;  // of one cell
    std::vector<T> values;
  };
  template <class T>
  cells<T> arrays(const std::string& column, const std::vector<std::uint64_t>& rows) const;
  template <class T>
  std::vector<T> scalars(const std::string& column, const std::vector<std::uint64_t>& rows) const;

private:
  struct opened;
  std::unique_ptr<opened> table_;
};

bool is_casacore_table(const std::string& path);

}  // namespace horizons::observations
