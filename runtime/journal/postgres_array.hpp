// PostgreSQL's binary form of one-dimensional arrays: a whole column of an append in one parameter, without quoting.
#pragma once

#include <cstdint>
#include <pqxx/binarystring>
#include <span>
#include <string>
#include <string_view>

namespace horizons::journal::postgres {

enum class element : std::uint32_t {
  bytea = 17,
  int8 = 20,
  int2 = 21,
  int4 = 23,
  text = 25,
  uuid = 2950
};  // pg_type.oid

class array {
public:
  explicit array(element type) {
    natural(1, 4);  // dimensions
    natural(1, 4);  // may hold NULL
    natural(static_cast<std::uint32_t>(type), 4);
    natural(0, 4);  // the count, known at the end
    natural(1, 4);  // first index
  }

  void add(std::string_view bytes) {
    start(bytes.size());
    bytes_.append(bytes);
  }
  void add(std::span<const std::uint8_t> bytes) {
    add(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  }
  /// int2, int4 or int8, as the array's type is.
  void add(std::int64_t value, int bytes) {
    start(static_cast<std::size_t>(bytes));
    natural(static_cast<std::uint64_t>(value), bytes);
  }
  void add_null() {
    ++count_;
    natural(0xFFFF'FFFF, 4);
  }
  void reserve(std::size_t bytes) { bytes_.reserve(bytes); }

  /// For libpqxx; the array is finished with it.
  pqxx::binarystring parameter() {
    for (std::size_t i = 0; i < 4; ++i) bytes_[12 + i] = static_cast<char>(count_ >> (24 - 8 * i));
    return pqxx::binarystring(bytes_.data(), bytes_.size());
  }

private:
  void start(std::size_t bytes) {
    ++count_;
    natural(bytes, 4);
  }
  void natural(std::uint64_t value, int bytes) {
    char big_endian[8];
    for (int i = 0; i < bytes; ++i) big_endian[i] = static_cast<char>(value >> (8 * (bytes - 1 - i)));
    bytes_.append(big_endian, static_cast<std::size_t>(bytes));
  }

  std::string bytes_;
  std::uint32_t count_ = 0;
};

}  // namespace horizons::journal::postgres
