#include "runtime/journal/postgres_append.hpp"

#include <algorithm>

#include "runtime/journal/postgres_array.hpp"

namespace horizons::journal::postgres {

namespace {

/// The parameters of a statement as they are mentioned in its text, all in binary form.
class parameters {
public:
  std::string add(array a, const char* type) { return add(a.parameter(), type); }
  std::string add(std::int64_t value) {
    std::string bytes;
    for (int shift = 56; shift >= 0; shift -= 8) bytes += static_cast<char>(static_cast<std::uint64_t>(value) >> shift);
    return add(pqxx::binarystring(bytes), "bigint");
  }
  template <class Bytes>
  std::string add(const Bytes& value, const char* type) {
    return add(pqxx::binarystring(value.data(), value.size()), type);
  }
  std::string add(pqxx::binarystring value, const char* type) {
    values_.push_back(std::move(value));
    return "$" + std::to_string(values_.size()) + "::" + type;
  }
  const std::vector<pqxx::binarystring>& values() const { return values_; }

private:
  std::vector<pqxx::binarystring> values_;
};

/// A statement that grows by the tables that an append touches. `head`, the changed row of the head, comes first, and
/// without it nothing is stored. What is stored already is a unique_violation, which ends the statement: to look for it
/// before each insert (on conflict) would take one more search of every unique index for each row.
struct statement {
  parameters given;
  std::string parts;
  std::string unless;  // further conditions of the head
  std::string checks;

  /// `rows` is what follows "select".
  void insert(const std::string& table, const std::string& rows) {
    parts += ", new_" + table + " as (insert into " + table + " select " + rows + " where exists (select from head))";
  }
};

/// One alone: arrays of one would cost the server more than the row.
void add_event(statement& s, const append_base& base, const event_row& row) {
  const event& e = *row.what;
  auto& p = s.given;
  std::string values = p.add(static_cast<std::int64_t>(base.position + 1)) + ", " + p.add(row.id, "uuid") + ", " +
                       p.add(e.tenant, "text") + ", ";
  values += e.job_id.empty() ? "null, " : p.add(e.job_id, "text") + ", ";
  values += e.sequence == 0 ? "null, " : p.add(static_cast<std::int64_t>(e.sequence)) + ", ";
  values += p.add(type_of(e.data), "text") + ", " + p.add(e.time.time_since_epoch().count()) + ", " +
            p.add(static_cast<std::int64_t>(row.shard)) + ", " + p.add(row.data, "text") + ", " +
            p.add(row.chain, "bytea");
  s.insert("events", values);
}

void add_events(statement& s, const append_base& base, const std::vector<event_row>& rows) {
  if (rows.size() == 1) return add_event(s, base, rows.front());
  array ids(element::uuid), tenants(element::text), jobs(element::text), sequences(element::int8), types(element::text),
      times(element::int8), shards(element::int2), texts(element::text), chains(element::bytea);
  std::size_t bytes = 32;
  for (const auto& row : rows) bytes += row.data.size() + 4;
  texts.reserve(bytes);
  for (const auto& row : rows) {
    const event& e = *row.what;
    ids.add(row.id);
    tenants.add(e.tenant);
    e.job_id.empty() ? jobs.add_null() : jobs.add(e.job_id);
    e.sequence == 0 ? sequences.add_null() : sequences.add(static_cast<std::int64_t>(e.sequence), 8);
    types.add(type_of(e.data));
    times.add(e.time.time_since_epoch().count(), 8);
    shards.add(row.shard, 2);
    texts.add(row.data);
    chains.add(row.chain);
  }
  auto& p = s.given;
  const auto before = p.add(static_cast<std::int64_t>(base.position));
  const auto columns = p.add(std::move(ids), "uuid[]") + ", " + p.add(std::move(tenants), "text[]") + ", " +
                       p.add(std::move(jobs), "text[]") + ", " + p.add(std::move(sequences), "bigint[]") + ", " +
                       p.add(std::move(types), "text[]") + ", " + p.add(std::move(times), "bigint[]") + ", " +
                       p.add(std::move(shards), "smallint[]") + ", " + p.add(std::move(texts), "text[]") + ", " +
                       p.add(std::move(chains), "bytea[]");
  s.insert("events", before + " + place, id, tenant, job_id, sequence, type, time, shard, data, chain from unnest(" +
                         columns +
                         ") with ordinality n(id, tenant, job_id, sequence, type, time, shard, data, chain, place)");
}

/// The tail moves on; blocks that are complete now get their row.
void add_time_blocks(statement& s, const append_base& base, const std::vector<event_row>& rows, time_tail& tail) {
  array blocks(element::int8), lowest(element::int8), highest(element::int8);
  bool complete = false;
  auto position = base.position;
  for (const auto& row : rows) {
    const auto time = row.what->time.time_since_epoch().count();
    tail = {std::min(tail.lowest.value_or(time), time), std::max(tail.highest.value_or(time), time)};
    ++position;
    if ((position + 1) % (1u << time_block_bits) != 0) continue;
    blocks.add(static_cast<std::int64_t>(position >> time_block_bits), 8);
    lowest.add(*tail.lowest, 8);
    highest.add(*tail.highest, 8);
    tail = {};
    complete = true;
  }
  if (!complete) return;
  const auto columns = s.given.add(std::move(blocks), "bigint[]") + ", " + s.given.add(std::move(lowest), "bigint[]") +
                       ", " + s.given.add(std::move(highest), "bigint[]");
  s.insert("time_blocks", "* from unnest(" + columns + ")");
}

/// A claim that stands is no rare thing: it is looked for before anything is written, so that the server's log stays
/// quiet.
void add_claims(statement& s, const std::vector<const identity_claim*>& claims) {
  array tenants(element::text), jobs(element::text), users(element::text), keys(element::text), digests(element::text);
  for (const auto* c : claims) {
    tenants.add(c->tenant);
    jobs.add(c->job_id);
    users.add(c->user_id);
    keys.add(c->idempotency_key);
    digests.add(c->digest);
  }
  auto& p = s.given;
  const auto tenant = p.add(std::move(tenants), "text[]"), job = p.add(std::move(jobs), "text[]"),
             user = p.add(std::move(users), "text[]"), key = p.add(std::move(keys), "text[]"),
             digest = p.add(std::move(digests), "text[]");
  s.unless += " and not exists (select from unnest(" + tenant + ", " + job +
              ") n(tenant, job_id) join claims using (tenant, job_id)) and not exists (select from unnest(" + tenant +
              ", " + user + ", " + key +
              ") n(tenant, user_id, idempotency_key) join claims c using (tenant, user_id, idempotency_key) "
              "where c.idempotency_key <> '')";
  s.insert("claims", "* from unnest(" + tenant + ", " + job + ", " + user + ", " + key + ", " + digest + ")");
}

void add_sources(statement& s, const source_changes& moved) {
  const auto changed = moved.changed();
  array names(element::text), epochs(element::int8), progresses(element::text);
  for (const auto& [source, progress] : changed) {
    names.add(*source);
    epochs.add(static_cast<std::int64_t>(progress->epoch), 8);
    progresses.add(progress->encode());
  }
  const auto columns = s.given.add(std::move(names), "text[]") + ", " + s.given.add(std::move(epochs), "bigint[]") +
                       ", " + s.given.add(std::move(progresses), "text[]");
  s.parts += ", moved_sources as (update sources s set progress = n.progress from head, unnest(" + columns +
             ") n(source, epoch, progress) where s.source = n.source and s.epoch = n.epoch returning 1)";
  s.checks += " and (select count(*) from moved_sources) = " + s.given.add(static_cast<std::int64_t>(changed.size()));
}

}  // namespace

result<std::optional<append_base>> store_append(connection& db, const append_base& base, const append_plan& plan,
                                                const source_changes& moved) {
  statement s;
  auto& p = s.given;
  append_base next{plan.head.position, base.fence, base.times};
  const auto from = p.add(static_cast<std::int64_t>(base.position)), fence = p.add(base.fence);
  if (!plan.rows.empty()) add_events(s, base, plan.rows);
  add_time_blocks(s, base, plan.rows, next.times);
  if (!plan.claims.empty()) add_claims(s, plan.claims);
  if (!moved.changed().empty()) add_sources(s, moved);
  const auto or_null = [&](const std::optional<std::int64_t>& t) { return t ? p.add(*t) : std::string("null"); };
  const auto set = "count = " + p.add(static_cast<std::int64_t>(plan.head.count)) +
                   ", position = " + p.add(static_cast<std::int64_t>(plan.head.position)) +
                   ", hash = " + p.add(pqxx::binarystring(plan.head.hash.data(), plan.head.hash.size()), "bytea") +
                   ", lowest = " + or_null(next.times.lowest) + ", highest = " + or_null(next.times.highest);
  auto answer = db.ask("with head as (update chain_head set " + set + " where position = " + from +
                           " and fence = " + fence + s.unless + " returning 1)" + s.parts +
                           " select case when not exists (select from head) then false when true" + s.checks +
                           " then true else something_is_stored() end",
                       pqxx::prepare::make_dynamic_params(p.values()));
  if (!answer && (db.sqlstate() == "23505" || db.sqlstate() == "HZ001"))  // unique_violation; something_is_stored()
    return std::optional<append_base>();
  if (!answer) return failure(std::move(answer.error()));
  return (*answer)[0][0].as<bool>() ? std::optional(next) : std::nullopt;
}

}  // namespace horizons::journal::postgres
