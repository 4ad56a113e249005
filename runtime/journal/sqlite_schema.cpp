#include "runtime/journal/sqlite_schema.hpp"

#include <array>

namespace horizons::journal::sqlite {

namespace {

// sequence is NULL beside the life cycle: NULLs are distinct in a unique index, so that one index both finds a job's
// events and refuses a second event at the same place. job_id comes first because a reader may not know the tenant.
// event_id is a ULID's 16 bytes: it grows with time, so its index is appended to, not spread over.
constexpr const char* version_1 = R"sql(
create table meta(name text primary key not null, value text not null) without rowid, strict;

create table events(
  position integer primary key,
  event_id blob not null unique,
  tenant   text not null,
  job_id   text,
  sequence integer,
  type     text not null,
  time     integer not null,
  shard    integer not null,
  data     text not null,
  chain    blob not null
) strict;
create unique index events_job on events(job_id, tenant, sequence) where job_id is not null;
create index events_type on events(type);

create table chain_head(
  one      integer primary key check(one = 1),
  count    integer not null,
  position integer not null,
  hash     blob not null
) strict;
insert into chain_head values(1, 0, 0, zeroblob(32));

create table claims(
  tenant          text not null,
  job_id          text not null,
  user_id         text not null,
  idempotency_key text not null,
  digest          text not null,
  primary key(tenant, job_id)
) without rowid, strict;
create unique index claims_key on claims(tenant, user_id, idempotency_key) where idempotency_key <> '';

create table source_offsets(source text primary key not null, state text not null) without rowid, strict;
create table shard_epochs(shard integer primary key, epoch integer not null) strict;
)sql";

// Finds a time range without an index entry per event: one row for every 1024 positions. Time almost follows
// position, so a range touches few blocks.
constexpr const char* version_2 = R"sql(
create table time_blocks(block integer primary key, time_min integer not null, time_max integer not null) strict;
insert into time_blocks select position >> 10, min(time), max(time) from events group by position >> 10;
)sql";

// A source has a progress that every reader understands (source_progress.hpp) and an epoch in it. No program wrote
// source_offsets: there is nothing to bring over.
constexpr const char* version_3 = R"sql(
drop table source_offsets;
create table sources(source text primary key not null, progress text not null) without rowid, strict;
)sql";

// Segments of old events (archive.hpp), and which jobs have events in which.
constexpr const char* version_4 = R"sql(
create table archives(
  last  integer primary key,
  first integer not null,
  chain blob not null,
  data  blob not null
) strict;
create table archived_jobs(job integer not null, last integer not null, primary key(job, last)) without rowid, strict;
)sql";

constexpr std::array migrations{version_1, version_2, version_3, version_4};
static_assert(migrations.size() == schema_version);

error not_a_journal(connection& db) {
  return {error_code::unreadable, std::string("journal ") + sqlite3_db_filename(db.raw(), "main") +
                                      ": is a SQLite database of another program, not a journal"};
}

result<std::int64_t> version_of(connection& db) {
  auto version = db.integer("pragma user_version");
  if (!version) return version;
  auto id = db.integer("pragma application_id");
  if (!id) return id;
  if (*version == 0 && *id == 0) {
    auto tables = db.integer("select count(*) from sqlite_schema");
    if (!tables) return tables;
    if (*tables == 0) return 0;  // an empty file
  }
  if (*id != application_id) return failure(not_a_journal(db));
  if (*version > schema_version)
    return failure(error_code::unavailable, std::string("journal ") + sqlite3_db_filename(db.raw(), "main") +
                                                " has version " + std::to_string(*version) +
                                                "; this program knows 1 to " + std::to_string(schema_version) +
                                                ": use a newer one");
  return version;
}

result<void> migrate_one(connection& db, std::int64_t to, const std::string& new_journal_id) {
  const std::string numbers = "pragma application_id = " + std::to_string(application_id) +
                              "; pragma user_version = " + std::to_string(to) + ";";
  if (auto ok = db.run("begin immediate"); !ok) return ok;
  auto made = db.run(migrations[static_cast<std::size_t>(to - 1)]);
  if (made && to == 1) made = db.run(("insert into meta values('journal_id', '" + new_journal_id + "')").c_str());
  if (made) made = db.run(numbers.c_str());
  if (made) made = db.run("commit");
  if (!made && db.in_transaction()) (void)db.run("rollback");
  return made;
}

}  // namespace

result<void> migrate(connection& db, const std::string& new_journal_id) {
  auto version = version_of(db);
  if (!version) return failure(std::move(version.error()));
  for (auto to = *version + 1; to <= schema_version; ++to)
    if (auto ok = migrate_one(db, to, new_journal_id); !ok) return ok;
  return {};
}

result<void> check_schema(connection& db) {
  auto version = version_of(db);
  if (!version) return failure(std::move(version.error()));
  if (*version != schema_version)
    return failure(error_code::unavailable, std::string("journal ") + sqlite3_db_filename(db.raw(), "main") +
                                                " has version " + std::to_string(*version) + ", older than " +
                                                std::to_string(schema_version) + ": start a node on it once");
  return {};
}

}  // namespace horizons::journal::sqlite
