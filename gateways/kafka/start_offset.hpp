// Where reading of a partition begins. Pure: what is known goes in, a decision comes out.
//
// The journal's own stand always wins. A partition that the journal has never claimed begins where the group stands if
// that was committed by this journal (or by nobody who says so), else at its first record. A stand committed by another
// journal means that somebody else's jobs came from these records: nothing is read until an operator says from where.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "gateways/kafka/broker_questions.hpp"
#include "messages/timestamp.hpp"
#include "runtime/journal/journal.hpp"

namespace horizons::kafka {

/// The metadata of our commits: "<journal id>:<epoch>".
std::string commit_metadata(std::string_view journal_id, std::uint64_t epoch);
/// The journal that such metadata names; empty: none.
std::string journal_of_commit(std::string_view metadata);

struct begin_at {
  std::uint64_t offset = 0;
  bool store = false;      // the journal does not know it yet: to be marked before the first record
  std::uint64_t lost = 0;  // records that the topic no longer has and nobody read
  friend bool operator==(const begin_at&, const begin_at&) = default;
};

struct foreign {
  std::string journal;
  friend bool operator==(const foreign&, const foreign&) = default;
};

/// The journal has finished more records than the partition has: a new leader that does not know its end yet, or a
/// topic that was deleted and made anew.
struct beyond_end {
  std::uint64_t next = 0, end = 0;
  friend bool operator==(const beyond_end&, const beyond_end&) = default;
};

using start_decision = std::variant<begin_at, foreign, beyond_end>;

start_decision decide_start(const journal::store::claimed_source& claimed, const partition_facts& facts,
                            std::string_view journal_id);

/// What an operator says about partitions of another journal.
struct adopt_committed {};
struct adopt_earliest {};
using adoption = std::variant<adopt_committed, adopt_earliest, timestamp>;

/// "committed", "earliest" or an RFC 3339 time. The error says so.
result<adoption> parse_adoption(std::string_view text);

}  // namespace horizons::kafka
