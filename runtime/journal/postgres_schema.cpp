#include "runtime/journal/postgres_schema.hpp"

#include <array>
#include <vector>

namespace horizons::journal::postgres {

namespace {

// The same tables as SQLite's (sqlite_schema.cpp). Not partitioned: PostgreSQL could then not keep a job's sequence
// unique, and the events of unfinished jobs would hold every partition.
//
// The head's row is the lock of the journal: an append changes it first and holds it until it has committed, so that
// the order of positions is the order of commits. `fence` counts the raises of epochs: who knows the newest knows all
// epochs. lowest and highest are the times since the last complete block of time_blocks.
//
// event_id is a ULID's 16 bytes; texts compare as bytes, which needs no collation library and no re-indexing after its
// upgrade. time is in ms since 1970.
constexpr const char* version_1 = R"sql(
create table meta(name text primary key, value text not null);
create table owner(one boolean primary key default true check (one), node text not null, host text not null,
                   since bigint not null);

create table events(
  position bigint primary key,
  event_id uuid not null unique,
  tenant   text collate "C" not null,
  job_id   text collate "C",
  sequence bigint,
  type     text collate "C" not null,
  time     bigint not null,
  shard    smallint not null,
  data     text collate "C" not null,
  chain    bytea not null
) with (fillfactor = 100, autovacuum_vacuum_insert_scale_factor = 0.05);
create unique index events_job on events(job_id, tenant, sequence) where job_id is not null;
create index events_type on events(type, position);

create table chain_head(
  one      boolean primary key default true check (one),
  count    bigint not null,
  position bigint not null,
  hash     bytea not null,
  fence    bigint not null,
  lowest   bigint,
  highest  bigint
) with (fillfactor = 10);
insert into chain_head values(true, 0, 0, decode(repeat('00', 32), 'hex'), 0);

create table claims(
  tenant          text collate "C" not null,
  job_id          text collate "C" not null,
  user_id         text collate "C" not null,
  idempotency_key text collate "C" not null,
  digest          text not null,
  primary key(tenant, job_id)
);
create unique index claims_key on claims(tenant, user_id, idempotency_key) where idempotency_key <> '';

create table sources(source text collate "C" primary key, epoch bigint not null, progress text not null)
  with (fillfactor = 50);
create table shard_epochs(shard smallint primary key, epoch bigint not null);

create table time_blocks(block bigint primary key, time_min bigint not null, time_max bigint not null);
create view time_ranges as
  select block, time_min, time_max from time_blocks
  union all select (position + 1) >> 10, lowest, highest from chain_head where lowest is not null;

-- Ends an append that took for new what is stored already (postgres_append.cpp): nothing of it is kept.
create function something_is_stored() returns boolean language plpgsql as $$
begin
  raise exception 'something of the append is stored already' using errcode = 'HZ001';
end $$;

create function raise_epochs(raised smallint[]) returns bigint language plpgsql as $$
declare
  newest bigint;
begin
  update chain_head set fence = fence + 1;
  select coalesce(max(epoch), 0) + 1 into newest from shard_epochs where shard = any(raised);
  insert into shard_epochs select distinct shard, newest from unnest(raised) shard
    on conflict (shard) do update set epoch = excluded.epoch;
  return newest;
end $$;
)sql";

// Segments of old events (archive.hpp), and which jobs have events in which. They are compressed already.
constexpr const char* version_2 = R"sql(
create table archives(last bigint primary key, first bigint not null, chain bytea not null, data bytea not null);
alter table archives alter column data set storage external;
create table archived_jobs(job bigint, last bigint, primary key(job, last));
)sql";

constexpr std::array migrations{version_1, version_2};
static_assert(migrations.size() == schema_version);

/// 0: no journal yet.
result<int> version_of(connection& db, const address& at) {
  auto found = db.run("select to_regclass('" + at.schema +
                      ".migrations') is not null, exists (select from pg_class c "
                      "join pg_namespace n on n.oid = c.relnamespace where n.nspname = '" +
                      at.schema + "')");
  if (!found) return failure(std::move(found.error()));
  if (!(*found)[0][0].as<bool>()) {
    if (!(*found)[0][1].as<bool>()) return 0;
    return failure(error_code::unreadable, "journal " + at.shown + ": the schema " + at.schema +
                                               " holds something else than a journal; name another one with "
                                               "?schema=name");
  }
  auto version = db.run("select coalesce(max(version), 0) from migrations");
  if (!version) return failure(std::move(version.error()));
  const int known = (*version)[0][0].as<int>();
  if (known > schema_version)
    return failure(error_code::unavailable, "journal " + at.shown + " has version " + std::to_string(known) +
                                                "; this program knows 1 to " + std::to_string(schema_version) +
                                                ": use a newer one");
  return known;
}

}  // namespace

result<void> migrate(connection& db, const address& at, const std::string& new_journal_id) {
  auto version = version_of(db, at);
  if (!version) return failure(std::move(version.error()));
  for (int to = *version + 1; to <= schema_version; ++to) {
    std::string steps = "begin; ";
    if (to == 1)
      steps +=
          "create schema if not exists " + at.schema +
          "; create table migrations(version integer primary key, applied_at timestamptz not null default now()); ";
    steps += migrations[static_cast<std::size_t>(to - 1)];
    steps += "insert into migrations values(" + std::to_string(to) + "); ";
    if (to == 1) steps += "insert into meta values('journal_id', '" + new_journal_id + "'); ";
    if (auto done = db.run(steps + "commit"); !done) {
      if (!db.lost()) (void)db.run("rollback");
      return failure(std::move(done.error()));
    }
  }
  return {};
}

result<void> check_schema(connection& db, const address& at) {
  auto version = version_of(db, at);
  if (!version) return failure(std::move(version.error()));
  if (*version != schema_version)
    return failure(error_code::unavailable, "journal " + at.shown + " has version " + std::to_string(*version) +
                                                ", older than " + std::to_string(schema_version) +
                                                ": start a node on it once");
  return {};
}

}  // namespace horizons::journal::postgres
