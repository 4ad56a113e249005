// Avro binary encoding of value trees. Bytes are read either as their writer wrote them or, given a reader's
// schema, resolved to it (specification 1.11, "Schema Resolution").
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "messages/avro/schema.hpp"
#include "messages/avro/value.hpp"
#include "messages/result.hpp"

namespace horizons::avro {

inline constexpr int datum_depth_max = 64;  // records, arrays, maps and unions inside each other

/// The bytes of `v`, which must be shaped as `s` says. Errors (`invalid_argument`) name the path.
result<std::string> encode(const schema& s, const value& v);

/// The datum in `bytes`, which must be exactly one. Errors (`unreadable`, `limit_exceeded`) name the path.
/// Memory stays proportional to the input: items that take no bytes (null) are counted against a budget.
result<value> decode(const schema& writer, std::string_view bytes);

}  // namespace horizons::avro
