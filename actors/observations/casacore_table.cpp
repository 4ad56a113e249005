#include "actors/observations/casacore_table.hpp"

#include <casacore/casa/Arrays/Array.h>
#include <casacore/casa/Logging/LogIO.h>
#include <casacore/casa/Logging/LogSink.h>
#include <casacore/casa/Logging/NullLogSink.h>
#include <casacore/tables/Tables/ArrayColumn.h>
#include <casacore/tables/Tables/RefRows.h>
#include <casacore/tables/Tables/ScalarColumn.h>
#include <casacore/tables/Tables/Table.h>
#include <casacore/tables/Tables/TableRecord.h>

#include <algorithm>
#include <type_traits>

namespace horizons::observations {

namespace cc = casacore;

namespace {

// std::vector<bool> has no data(): flags travel as char.
template <class T>
using stored = std::conditional_t<std::is_same_v<T, char>, bool, T>;

cc::RefRows reference(const std::vector<std::uint64_t>& rows) {
  cc::Vector<cc::rownr_t> numbers(rows.size());
  std::copy(rows.begin(), rows.end(), numbers.begin());
  return cc::RefRows(numbers, false, true);
}

template <class T>
std::vector<T> plain(const cc::Array<stored<T>>& array) {
  return std::vector<T>(array.begin(), array.end());
}

}  // namespace

struct casacore_table::opened {
  cc::Table table;
};

casacore_table::casacore_table(const std::string& path) {
  // casacore logs to stderr by itself; what matters comes as an exception.
  static const bool silenced = [] {
    cc::LogSinkInterface* quiet = new cc::NullLogSink;  // casacore takes it over
    cc::LogSink::globalSink(quiet);
    return true;
  }();
  (void)silenced;
  // No read locks: the table may be on a read-only medium, and nobody writes while it is read.
  table_ = std::make_unique<opened>(
      opened{cc::Table(path, cc::TableLock(cc::TableLock::UserNoReadLocking), cc::Table::Old)});
}

casacore_table::casacore_table(casacore_table&&) noexcept = default;
casacore_table::~casacore_table() = default;

std::uint64_t casacore_table::rows() const { return table_->table.nrow(); }

bool casacore_table::has(const std::string& column) const { return table_->table.tableDesc().isColumn(column); }

std::string casacore_table::frame(const std::string& column) const {
  const auto keywords = cc::TableColumn(table_->table, column).keywordSet();
  if (!keywords.isDefined("MEASINFO")) return {};
  const auto& info = keywords.asRecord("MEASINFO");
  if (!info.isDefined("Ref")) return {};
  return info.asString("Ref");
}

std::vector<std::string> casacore_table::texts(const std::string& column) const {
  auto values = cc::ScalarColumn<cc::String>(table_->table, column).getColumn();
  return {values.begin(), values.end()};
}

template <class T>
std::vector<T> casacore_table::scalars(const std::string& column) const {
  return plain<T>(cc::ScalarColumn<stored<T>>(table_->table, column).getColumn());
}

template <class T>
std::vector<T> casacore_table::scalars(const std::string& column, const std::vector<std::uint64_t>& rows) const {
  return plain<T>(cc::ScalarColumn<stored<T>>(table_->table, column).getColumnCells(reference(rows)));
}

template <class T>
std::vector<T> casacore_table::cell(const std::string& column, std::uint64_t row) const {
  return plain<T>(cc::ArrayColumn<stored<T>>(table_->table, column).get(row));
}

std::vector<std::size_t> casacore_table::cell_shape(const std::string& column, std::uint64_t row) const {
  cc::TableColumn values(table_->table, column);
  if (!values.isDefined(row)) return {};
  auto shape = values.shape(row);
  return {shape.begin(), shape.end()};
}

template <class T>
casacore_table::cells<T> casacore_table::arrays(const std::string& column,
                                                const std::vector<std::uint64_t>& rows) const {
  auto values = cc::ArrayColumn<stored<T>>(table_->table, column).getColumnCells(reference(rows));
  auto shape = values.shape();
  return {{shape.begin(), shape.end() - 1}, plain<T>(values)};
}

template std::vector<double> casacore_table::scalars<double>(const std::string&) const;
template std::vector<int> casacore_table::scalars<int>(const std::string&) const;
template std::vector<double> casacore_table::scalars<double>(const std::string&,
                                                             const std::vector<std::uint64_t>&) const;
template std::vector<int> casacore_table::scalars<int>(const std::string&, const std::vector<std::uint64_t>&) const;
template std::vector<char> casacore_table::scalars<char>(const std::string&, const std::vector<std::uint64_t>&) const;
template std::vector<double> casacore_table::cell<double>(const std::string&, std::uint64_t) const;
template std::vector<int> casacore_table::cell<int>(const std::string&, std::uint64_t) const;
template casacore_table::cells<double> casacore_table::arrays<double>(const std::string&,
                                                                      const std::vector<std::uint64_t>&) const;
template casacore_table::cells<float> casacore_table::arrays<float>(const std::string&,
                                                                    const std::vector<std::uint64_t>&) const;
template casacore_table::cells<char> casacore_table::arrays<char>(const std::string&,
                                                                  const std::vector<std::uint64_t>&) const;
template casacore_table::cells<std::complex<float>> casacore_table::arrays<std::complex<float>>(
    const std::string&, const std::vector<std::uint64_t>&) const;

bool is_casacore_table(const std::string& path) { return cc::Table::isReadable(path); }

}  // namespace horizons::observations
