// The one statement that stores a planned append: all its rows, several as arrays of their columns. It stores nothing
// when the head has moved or when a unique index finds something stored already.
#pragma once

#include <optional>

#include "runtime/journal/append_plan.hpp"
#include "runtime/journal/postgres.hpp"

namespace horizons::journal::postgres {

inline constexpr int time_block_bits = 10;  // 1024 positions share a row of time_blocks

/// The times of the events behind the last complete block.
struct time_tail {
  std::optional<std::int64_t> lowest, highest;  // ms since 1970
};

/// What the append is based on; another state of the database refuses it.
struct append_base {
  std::uint64_t position = 0;
  std::int64_t fence = 0;  // how often epochs were raised: while it stands, the known ones are the newest
  time_tail times;
};

/// The base of the next append. Nothing: the head has moved or something of the plan is stored already, and the
/// transaction, if one was begun, is to be rolled back.
result<std::optional<append_base>> store_append(connection& db, const append_base& base, const append_plan& plan,
                                                const source_changes& moved);

}  // namespace horizons::journal::postgres
