// A journal in one schema of a PostgreSQL database: one transaction per append, one owner (an advisory lock of its
// session, gone with the connection). A lost connection is made again, lock included, by the next call.
#pragma once

#include <memory>
#include <string>

#include "runtime/journal/journal.hpp"

namespace horizons::journal {

/// Makes the schema when absent, migrates an older one. Errors: `unavailable` (not reachable, another owner, a newer
/// version), `unreadable` (no journal), `invalid_argument` (the URL), `forbidden`. See postgres_url.hpp for the URL.
result<std::unique_ptr<store>> open_postgres_store(const std::string& url, const owner_info& me);

/// Reads beside the owner, from this or another process. Appending to it is an error.
result<std::unique_ptr<store>> open_postgres_reader(const std::string& url);

}  // namespace horizons::journal
