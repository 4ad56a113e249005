#include "runtime/journal/append_plan.hpp"

#include <cstring>

#include "messages/limits.hpp"

namespace horizons::journal {

namespace {

/// A plan as it grows, batch by batch. `facts` grow with it: a batch sees what the ones before it bring.
class planning {
public:
  planning(stored_facts facts, const shard_epochs& epochs, const chain_state& head, source_changes& moved,
           chain_hasher& hasher)
      : facts_(std::move(facts)), epochs_(epochs), moved_(moved), hasher_(hasher) {
    plan_.head = head;
  }

  result<void> add(const batch& b) {
    auto outcome = take(b);
    if (!outcome) return failure(std::move(outcome.error()));
    plan_.outcomes.push_back(std::move(*outcome));
    return {};
  }
  append_plan finish() && { return std::move(plan_); }

private:
  /// The inner result is the batch's.
  result<result<append_outcome>> take(const batch& b) {
    if (auto ok = admit(b); !ok) return result<append_outcome>(failure(std::move(ok.error())));
    if (!marks_alone(b) && b.epoch < epochs_[b.shard])
      return result<append_outcome>(failure(fenced_error(b.shard, b.epoch, epochs_[b.shard])));
    auto owned = moved_.check(b.marks);
    if (!owned) return failure(std::move(owned.error()));
    if (!*owned) return result<append_outcome>(failure(std::move(owned->error())));

    const auto rows = plan_.rows.size(), claims = plan_.claims.size();
    const auto head = plan_.head;
    auto outcome = claim_and_store(b);
    if (outcome && !outcome->conflict)
      if (auto ok = moved_.apply(b.marks); !ok) outcome = failure(std::move(ok.error()));
    if (!outcome || outcome->conflict) {
      take_back(rows, claims);
      plan_.head = head;
    }
    return outcome;
  }

  result<append_outcome> claim_and_store(const batch& b) {
    // A repeat of an append whose outcome was unknown brings its claims again: they stand, and so do all its events.
    // Standing claims with new events are somebody else's submission of the same job.
    std::optional<claimed_by> repeated;
    for (const identity_claim& c : b.claims) {
      bool same = false;
      auto in_the_way = standing(c, same);
      if (same)
        repeated = std::move(in_the_way);
      else if (in_the_way)
        return append_outcome{{}, std::move(in_the_way)};
      else
        add_claim(c);
    }
    append_outcome outcome;
    outcome.positions.reserve(b.events.size());
    for (std::size_t i = 0; i < b.events.size(); ++i) {
      const event& e = b.events[i];
      const auto id = bytes_of_ulid(e.event_id);
      const auto [known, is_new] = facts_.events.try_emplace(id, plan_.head.position + 1);
      if (!is_new) {
        outcome.positions.push_back(known->second);
        continue;
      }
      auto row = repeated ? result<event_row>(event_row{}) : row_of(b, i, id);
      const bool placed =
          row && !repeated && (e.sequence == 0 || facts_.places.insert({e.tenant, e.job_id, e.sequence}).second);
      if (!placed) facts_.events.erase(known);
      if (!row) return failure(std::move(row.error()));
      if (repeated) return append_outcome{{}, std::move(repeated)};
      if (!placed) return failure(sequence_error(e));
      plan_.head.hash = row->chain = hasher_.link(plan_.head.hash, ++plan_.head.position, row->data);
      ++plan_.head.count;
      plan_.rows.push_back(*row);
      outcome.positions.push_back(plan_.head.position);
    }
    return outcome;
  }

  result<event_row> row_of(const batch& b, std::size_t i, const ulid_bytes& id) {
    const event& e = b.events[i];
    event_row row{.what = &e, .shard = b.shard, .id = id};
    row.data = has_texts(b) ? b.texts[i] : plan_.texts.emplace_back(stored_text(e));
    if (row.data.size() > limits::message_bytes_max) return failure(too_large(e, row.data.size()));
    return row;
  }

  /// The claim in the way of `c`, if any; `same`: this very claim stands.
  std::optional<claimed_by> standing(const identity_claim& c, bool& same) const {
    if (const auto at = facts_.claims.find({c.tenant, c.job_id}); at != facts_.claims.end()) {
      const auto& old = at->second;
      same = old.digest == c.digest && old.user_id == c.user_id && old.idempotency_key == c.idempotency_key;
      return claimed_by{old.job_id, old.digest};
    }
    if (c.idempotency_key.empty()) return {};
    const auto at = facts_.keys.find({c.tenant, c.user_id, c.idempotency_key});
    return at == facts_.keys.end() ? std::nullopt : std::optional(at->second);
  }

  void add_claim(const identity_claim& c) {
    facts_.claims.emplace(job_key{c.tenant, c.job_id}, c);
    if (!c.idempotency_key.empty())
      facts_.keys.emplace(idempotency_key{c.tenant, c.user_id, c.idempotency_key}, claimed_by{c.job_id, c.digest});
    plan_.claims.push_back(&c);
  }

  void take_back(std::size_t rows, std::size_t claims) {
    for (; plan_.rows.size() > rows; plan_.rows.pop_back()) {
      const auto& row = plan_.rows.back();
      facts_.events.erase(row.id);
      if (row.what->sequence != 0) facts_.places.erase({row.what->tenant, row.what->job_id, row.what->sequence});
    }
    for (; plan_.claims.size() > claims; plan_.claims.pop_back()) {
      const auto& c = *plan_.claims.back();
      facts_.claims.erase({c.tenant, c.job_id});
      if (!c.idempotency_key.empty()) facts_.keys.erase({c.tenant, c.user_id, c.idempotency_key});
    }
  }

  stored_facts facts_;
  const shard_epochs& epochs_;
  source_changes& moved_;
  chain_hasher& hasher_;
  append_plan plan_;
};

}  // namespace

std::size_t ulid_hash::operator()(const ulid_bytes& id) const {
  std::uint64_t random = 0;  // the last 8 of its 10 random bytes
  std::memcpy(&random, id.data() + 8, 8);
  return random * 0x9E37'79B9'7F4A'7C15u;  // ULIDs of one millisecond may differ in the last bits only
}

std::size_t life_cycle_place_hash::operator()(const life_cycle_place& p) const {
  const std::hash<std::string_view> hash;
  return (hash(p.job_id) * 31 + hash(p.tenant)) * 31 + p.sequence;
}

result<append_plan> plan_append(std::span<const batch_ptr> batches, stored_facts facts, const shard_epochs& epochs,
                                const chain_state& head, source_changes& moved, chain_hasher& hasher) {
  std::size_t events = facts.events.size();
  for (const auto& b : batches) events += b->events.size();
  facts.events.reserve(events);
  facts.places.reserve(events);
  planning p(std::move(facts), epochs, head, moved, hasher);
  for (const auto& b : batches)
    if (auto ok = p.add(*b); !ok) return failure(std::move(ok.error()));
  return std::move(p).finish();
}

}  // namespace horizons::journal
