// The tables of a SQLite journal and how a file of an older version becomes one of today. Each step is numbered
// (PRAGMA user_version), runs once in a transaction of its own and is never changed after a release.
#pragma once

#include <string>

#include "runtime/journal/sqlite.hpp"

namespace horizons::journal::sqlite {

inline constexpr std::int64_t schema_version = 4;
inline constexpr std::int64_t application_id = 0x48525A4A;  // "HRZJ": tells a journal from any other SQLite file

/// Makes the tables in an empty file or brings an older journal up. Refused: a file that is no journal
/// (`unreadable`), a journal of a newer version (`unavailable`).
result<void> migrate(connection& db, const std::string& new_journal_id);

/// The checks of `migrate` alone, for readers: the version must be today's.
result<void> check_schema(connection& db);

}  // namespace horizons::journal::sqlite
