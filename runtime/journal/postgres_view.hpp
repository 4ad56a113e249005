// Everything that is read from a PostgreSQL journal, over one connection: the writer and the readers share it.
#pragma once

#include <map>

#include "runtime/journal/archive.hpp"
#include "runtime/journal/chain.hpp"
#include "runtime/journal/journal.hpp"
#include "runtime/journal/postgres.hpp"

namespace horizons::journal {

class postgres_view final : public archived_view {
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
    std::int64_t first = 1;
    std::int64_t end = 0;  // exclusive
  };
  /// The positions between which events of the filter can lie; first >= end: none.
  result<bounds> bounds_of(const event_filter& filter);

  postgres::connection& db_;
};

}  // namespace horizons::journal
