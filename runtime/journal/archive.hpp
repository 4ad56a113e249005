// Old events, moved from the table of events into compressed segments: what a segment holds and how a journal is read
// whose beginning is archived. It knows no database.
//
// A segment holds every event of its positions, as stored, one a line (NDJSON), as one zstd frame with a checksum. The
// events of jobs that had not ended stay in the table as well, until they have.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/journal/chain.hpp"
#include "runtime/journal/journal.hpp"

namespace horizons::journal {

inline constexpr std::size_t segment_events_max = 4'096;
inline constexpr std::size_t segment_bytes_max = std::size_t{16} << 20;  // of JSON, before the last event

struct segment {
  std::uint64_t first = 0, last = 0;  // positions, both inclusive
  chain_hash chain{};                 // the last event's link
  std::string data;
};

/// The zstd frame of these lines, none of which holds a line feed.
std::string pack(std::span<const std::string> lines);

/// The lines of a segment, one for each position. Error: unreadable, naming its positions.
result<std::vector<std::string>> unpack(const segment& s);

/// The type of every event that ends a job.
std::span<const std::string_view> end_types();

/// By which a segment is found from a job: whoever asks may not know the tenant.
std::int64_t archive_key(std::string_view job_id);

/// What verify knows after an event: its position and its link.
struct verified {
  std::uint64_t position = 0;
  chain_hash hash{};
};

/// Walks the chain on over what of `s` comes after `at`. The error names the first position that is missing or cannot
/// be read, or the positions among which one was changed.
result<verified> verify_segment(const segment& s, const std::vector<std::string>& lines, chain_hasher& hasher,
                                verified at);

/// A journal in two places, read as one. An event is moved in one transaction: a read that finds it in neither looked
/// at the table too late, and looks again.
class archived_view {
public:
  virtual ~archived_view() = default;

protected:
  /// The last archived position, 0: none.
  virtual result<std::uint64_t> archived_to() = 0;
  /// The first segment that ends at `position` or later; of a job: that also has events of it.
  virtual result<std::optional<segment>> segment_from(std::uint64_t position, const std::string& job_id) = 0;
  /// Whether the first event of a job is in the table: then all its events are.
  virtual result<bool> in_table(const std::string& tenant, const std::string& job_id) = 0;
  /// Those in the table with first <= position < end, appended to `events` until these are `limit` or `bytes` reaches
  /// read_bytes_max.
  virtual result<void> read_table(const event_filter& filter, std::uint64_t first, std::uint64_t end, std::size_t limit,
                                  std::vector<event>& events, std::size_t& bytes) = 0;

  /// Walks the chain on over at most a page of rows, up to `end`. The error names the first one that is wrong.
  virtual result<verified> verify_table(chain_hasher& hasher, verified at, std::uint64_t end) = 0;
  /// Whether the rows in the table at positions of `s` are those of its lines.
  virtual result<void> verify_kept(const segment& s, const std::vector<std::string>& lines) = 0;

  /// Of both, with first <= position < end.
  result<std::vector<event>> read_both(const event_filter& filter, std::uint64_t first, std::uint64_t end,
                                       std::size_t limit);
  /// The whole chain, which must end as `head` says.
  result<std::uint64_t> verify_both(const chain_state& head, const std::function<bool(std::uint64_t)>& go_on);

private:
  result<verified> verify_archived(chain_hasher& hasher, verified at);
  result<void> read_segments(const event_filter& filter, std::uint64_t first, std::uint64_t end, std::size_t limit,
                             std::vector<event>& events, std::size_t& bytes);

  std::uint64_t archived_to_ = 0;  // as last seen; it only grows
};

}  // namespace horizons::journal
