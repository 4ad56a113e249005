// One step of archiving, for any database: which events go into the next segment and which rows leave the table.
#pragma once

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "runtime/journal/archive.hpp"

namespace horizons::journal {

/// What a step asks of a database, within one transaction of the caller.
class archive_tables {
public:
  struct row {
    std::uint64_t position = 0;
    std::string tenant, job_id;  // job_id is empty beside jobs
    std::string data;            // the event as stored
    chain_hash chain{};
  };
  struct job {
    std::string tenant, job_id;
    friend auto operator<=>(const job&, const job&) = default;
  };

  virtual ~archive_tables() = default;

  /// Rows of the table with after < position < end in order: at most segment_events_max of them, and none after their
  /// data is segment_bytes_max.
  virtual result<std::vector<row>> rows(std::uint64_t after, std::uint64_t end) = 0;
  /// Those whose first event is in the table and whose end is not.
  virtual result<std::set<job>> open_among(const std::set<job>& jobs) = 0;
  virtual result<void> put(const segment& s, const std::set<std::int64_t>& job_keys) = 0;
  /// Removes these rows and all of these jobs up to position `last`; answers how many.
  virtual result<std::uint64_t> erase(const std::vector<std::uint64_t>& positions, const std::set<job>& jobs,
                                      std::uint64_t last) = 0;
};

/// Where the next segments must end: before the first event that is too young, after `up_to` at the latest, and before
/// the head, whose own row stays because opening compares it with the head.
inline std::uint64_t archive_end(std::uint64_t young, std::uint64_t up_to, std::uint64_t head) {
  return std::min({young, head, up_to < head ? up_to + 1 : head});
}

/// Stores the events after `archived_to` and before `end` as one segment, and removes the rows of those that belong to
/// no job or to one that has ended, with all that had stayed of it.
result<archived> archive_step(archive_tables& tables, std::uint64_t archived_to, std::uint64_t end);

}  // namespace horizons::journal
