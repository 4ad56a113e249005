// Everything that is read from a SQLite journal, over one connection: the writer and the readers share it.
#pragma once

#include <map>
#include <unordered_map>

#include "runtime/journal/admission.hpp"
#include "runtime/journal/archive.hpp"
#include "runtime/journal/sqlite.hpp"

namespace horizons::journal {

inline constexpr int time_block_bits = 10;  // 1024 positions share a row of time_blocks

class sqlite_view final : public archived_view {
public:
  /// `db` must outlive the view.
  explicit sqlite_view(sqlite::connection& db) : db_(db) {}

  result<std::string> journal_id();
  result<chain_state> head();
  result<std::uint64_t> size_bytes();  // without the log
  result<std::vector<event>> read(const event_filter& filter, std::size_t limit);
  /// Nothing: never claimed.
  result<std::optional<source_progress>> read_source(const std::string& source);
  result<std::map<std::string, source_progress>> read_sources(std::string_view prefix);
  result<std::optional<claimed_by>> find_claim(std::string_view tenant, std::string_view user_id,
                                               std::string_view idempotency_key);
  result<std::uint64_t> verify(const std::function<bool(std::uint64_t)>& go_on);

  result<std::uint64_t> archived_to() override;
  /// The first position that may hold an event that is not older than `before`.
  result<std::uint64_t> first_since(timestamp before);

private:
  result<std::optional<segment>> segment_from(std::uint64_t position, const std::string& job_id) override;
  result<bool> in_table(const std::string& tenant, const std::string& job_id) override;
  result<void> read_table(const event_filter& filter, std::uint64_t first, std::uint64_t end, std::size_t limit,
                          std::vector<event>& events, std::size_t& bytes) override;
  result<verified> verify_table(chain_hasher& hasher, verified at, std::uint64_t end) override;
  result<void> verify_kept(const segment& s, const std::vector<std::string>& lines) override;

  struct bounds {
    std::uint64_t first = 1;
    std::uint64_t end = 0;  // exclusive
  };
  /// The positions between which events of the filter can lie; first >= end: none.
  /// The block that `sql` (first_block_since, last_block_before) finds at or after that of position `from`.
  result<std::optional<std::uint64_t>> find_block(const char* sql, std::uint64_t from, timestamp t);
  result<bounds> bounds_of(const event_filter& filter);
  result<sqlite::statement*> prepared(const std::string& sql);

  sqlite::connection& db_;
  std::unordered_map<std::string, sqlite::statement> statements_;  // by text: at most one per shape of filter
};

}  // namespace horizons::journal
