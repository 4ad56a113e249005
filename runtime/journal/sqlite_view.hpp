// Everything that is read from a SQLite journal, over one connection: the writer and the readers share it.
#pragma once

#include <map>
#include <unordered_map>

#include "runtime/journal/admission.hpp"
#include "runtime/journal/chain.hpp"
#include "runtime/journal/sqlite.hpp"

namespace horizons::journal {

inline constexpr int time_block_bits = 10;  // 1024 positions share a row of time_blocks

class sqlite_view {
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

private:
  struct bounds {
    std::uint64_t first = 1;
    std::uint64_t end = 0;  // exclusive
  };
  /// The positions between which events of the filter can lie; first >= end: none.
  result<bounds> bounds_of(const event_filter& filter);
  result<sqlite::statement*> prepared(const std::string& sql);

  sqlite::connection& db_;
  std::unordered_map<std::string, sqlite::statement> statements_;  // by text: at most one per shape of filter
};

}  // namespace horizons::journal
