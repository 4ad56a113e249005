// Any Avro datum as a tree. For schemas known only at run time; our own messages go straight between struct and
// bytes (event_codec.hpp).
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace horizons::avro {

struct value;

struct bytes_value {
  std::string octets;
};

struct fixed_value {
  std::string octets;
};

struct enum_value {
  std::string symbol;
};

/// In the order of the schema's fields.
struct record_value {
  std::vector<value> fields;
};

struct array_value {
  std::vector<value> items;
};

/// In the order of the wire. A key that comes twice is kept twice, as on the wire; readers take the last.
struct map_value {
  std::vector<std::string> keys;
  std::vector<value> items;  // as many as keys: clang 14 takes no pair with an incomplete type
};

struct union_value {
  std::uint32_t branch = 0;
  std::vector<value> held;  // always one: a vector copies and compares while `value` is still incomplete
};

struct value {
  std::variant<std::monostate, bool, std::int32_t, std::int64_t, float, double, std::string, bytes_value, fixed_value,
               enum_value, record_value, array_value, map_value, union_value>
      datum;  // monostate: null
};

bool operator==(const value& a, const value& b);
inline bool operator==(const bytes_value& a, const bytes_value& b) { return a.octets == b.octets; }
inline bool operator==(const fixed_value& a, const fixed_value& b) { return a.octets == b.octets; }
inline bool operator==(const enum_value& a, const enum_value& b) { return a.symbol == b.symbol; }
inline bool operator==(const record_value& a, const record_value& b) { return a.fields == b.fields; }
inline bool operator==(const array_value& a, const array_value& b) { return a.items == b.items; }
inline bool operator==(const map_value& a, const map_value& b) { return a.keys == b.keys && a.items == b.items; }
inline bool operator==(const union_value& a, const union_value& b) { return a.branch == b.branch && a.held == b.held; }
inline bool operator==(const value& a, const value& b) { return a.datum == b.datum; }

}  // namespace horizons::avro
