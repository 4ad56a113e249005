// Everything that is read from a PostgreSQL journal, over one connection: the writer and the readers share it.
#pragma once

#include <map>

#include "runtime/journal/chain.hpp"
#include "runtime/journal/journal.hpp"
#include "runtime/journal/postgres.hpp"

namespace horizons::journal {

class postgres_view {
public:
  /// `db` must outlive the view.
  explicit postgres_view(postgres::connection& db) : db_(db) {}

  result<std::string> journal_id();
  result<chain_state> head();
  result<std::uint64_t> size_bytes();
  result<std::vector<event>> read(const event_filter& filter, std::size_t limit);
  /// Those of `sources` that were ever claimed.
  result<std::map<std::string, source_progress>> read_these(const std::vector<std::string>& sources);
  result<std::map<std::string, source_progress>> read_sources(std::string_view prefix);
  result<std::optional<claimed_by>> find_claim(std::string_view tenant, std::string_view user_id,
                                               std::string_view idempotency_key);
  result<std::uint64_t> verify(const std::function<bool(std::uint64_t)>& go_on);

private:
  struct bounds {
    std::int64_t first = 1;
    std::int64_t end = 0;  // exclusive
  };
  /// The positions between which events of the filter can lie; first >= end: none.
  result<bounds> bounds_of(const event_filter& filter);

  postgres::connection& db_;
};

}  // namespace horizons::journal
