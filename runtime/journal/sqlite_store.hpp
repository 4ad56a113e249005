// A journal in one SQLite file: write-ahead log, one synced transaction per append, one owner (owner_lock.hpp).
#pragma once

#include <memory>
#include <string>

#include "runtime/journal/journal.hpp"

namespace horizons::journal {

/// Makes the file (and the folders above it) when absent, migrates an older one. Errors: `unavailable` (another owner,
/// a newer version), `unreadable` (damaged, or no journal), `io` (folder not writable …), `disk_full`.
result<std::unique_ptr<store>> open_sqlite_store(const std::string& path, const owner_info& me);

/// Reads beside the owner, from this or another process. Appending to it is an error.
result<std::unique_ptr<store>> open_sqlite_reader(const std::string& path);

}  // namespace horizons::journal
