// Defaults in a schema are JSON; this makes the datum they stand for (specification 1.11, "Records": defaults).
// A union's default is of its first branch; bytes and fixed are strings whose code points 0 to 255 are the bytes.
#pragma once

#include "messages/avro/schema.hpp"
#include "messages/avro/value.hpp"
#include "messages/result.hpp"

namespace horizons::avro {

/// The datum of type `t` that `j` stands for. Errors say what `t` would have expected.
result<value> datum_of_default(const type& t, const json& j);

/// Whether `j` can be a default of `t`.
result<void> check_default(const type& t, const json& j);

}  // namespace horizons::avro
