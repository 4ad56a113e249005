#include "gateways/kafka/start_offset.hpp"

#include <algorithm>

#include "messages/text.hpp"
#include "messages/ulid.hpp"

namespace horizons::kafka {

std::string commit_metadata(std::string_view journal_id, std::uint64_t epoch) {
  return std::string(journal_id) + ":" + std::to_string(epoch);
}

std::string journal_of_commit(std::string_view metadata) {
  const auto id = metadata.substr(0, metadata.find(':'));
  return is_ulid(id) ? std::string(id) : std::string();
}

start_decision decide_start(const journal::store::claimed_source& claimed, const partition_facts& facts,
                            std::string_view journal_id) {
  const auto next = claimed.progress.next;
  const bool known = !claimed.is_new && (next > 0 || !claimed.progress.above().empty());
  if (known) {
    if (next > facts.end) return beyond_end{next, facts.end};
    if (next >= facts.first) return begin_at{.offset = next};
    return begin_at{.offset = facts.first, .store = true, .lost = facts.first - next};
  }
  if (!facts.committed) return begin_at{.offset = facts.first, .store = facts.first > 0};
  const auto committed_by = journal_of_commit(facts.committed_by);
  if (!committed_by.empty() && committed_by != journal_id) return foreign{committed_by};
  const auto offset = std::max(*facts.committed, facts.first);
  return begin_at{.offset = offset, .store = offset > 0, .lost = offset - *facts.committed};
}

result<adoption> parse_adoption(std::string_view text) {
  if (text == "committed") return adoption{adopt_committed{}};
  if (text == "earliest") return adoption{adopt_earliest{}};
  if (auto time = parse_timestamp(text)) return adoption{*time};
  return failure(error_code::invalid_argument, "from = " + quote(text) +
                                                   " is not known; expected committed, earliest or a time like "
                                                   "2026-11-21T08:00:00Z");
}

}  // namespace horizons::kafka
