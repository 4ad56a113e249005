// What an append does to a journal, decided in memory: which batches are taken, which are refused and why, and the rows
// to be written. For stores that write an append's rows in one statement. It knows no database.
#pragma once

#include <deque>
#include <map>
#include <set>
#include <tuple>
#include <unordered_map>
#include <unordered_set>

#include "runtime/journal/admission.hpp"
#include "runtime/journal/chain.hpp"
#include "runtime/journal/source_changes.hpp"

namespace horizons::journal {

struct ulid_hash {
  std::size_t operator()(const ulid_bytes& id) const;
};

/// A place in a job's life cycle. The texts belong to somebody else.
struct life_cycle_place {
  std::string_view tenant, job_id;
  std::uint64_t sequence = 0;
  friend bool operator==(const life_cycle_place&, const life_cycle_place&) = default;
};
struct life_cycle_place_hash {
  std::size_t operator()(const life_cycle_place& p) const;
};

using job_key = std::pair<std::string, std::string>;                        // tenant, job
using idempotency_key = std::tuple<std::string, std::string, std::string>;  // tenant, user, key

/// What a journal holds already of what the batches bring. Nothing: the batches are new.
struct stored_facts {
  std::unordered_map<ulid_bytes, std::uint64_t, ulid_hash> events;  // event_id -> position
  std::unordered_set<life_cycle_place, life_cycle_place_hash> places;
  std::map<job_key, identity_claim> claims;
  std::map<idempotency_key, claimed_by> keys;
};

struct event_row {
  const event* what = nullptr;
  std::uint32_t shard = 0;
  ulid_bytes id{};
  std::string_view data;  // the text; the batch's or the plan's
  chain_hash chain{};
};

struct append_plan {
  std::vector<result<append_outcome>> outcomes;  // one per batch
  std::vector<event_row> rows;                   // at the positions that follow the head
  std::deque<std::string> texts;                 // of events that came without
  std::vector<const identity_claim*> claims;
  chain_state head;  // when all of it is stored

  bool writes_nothing(const source_changes& moved) const {
    return rows.empty() && claims.empty() && moved.changed().empty();
  }
};

using shard_epochs = std::array<std::uint64_t, shard_count>;

/// `batches` must outlive the plan; `moved` gets their marks. The error is that of reading a source.
result<append_plan> plan_append(std::span<const batch_ptr> batches, stored_facts facts, const shard_epochs& epochs,
                                const chain_state& head, source_changes& moved, chain_hasher& hasher);

}  // namespace horizons::journal
