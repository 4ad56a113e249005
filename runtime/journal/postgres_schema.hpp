// The tables of a PostgreSQL journal and how one of an older version becomes one of today. Each step is numbered (table
// migrations), runs once in a transaction of its own and is never changed after a release.
#pragma once

#include <string>

#include "runtime/journal/postgres.hpp"

namespace horizons::journal::postgres {

inline constexpr int schema_version = 2;

/// Makes the schema and its tables or brings an older journal up; for the owner alone. Refused: a schema that holds
/// something else (`unreadable`), a journal of a newer version (`unavailable`).
result<void> migrate(connection& db, const address& at, const std::string& new_journal_id);

/// For readers: the version must be today's.
result<void> check_schema(connection& db, const address& at);

}  // namespace horizons::journal::postgres
