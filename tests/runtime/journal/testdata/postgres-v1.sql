-- A journal as version 1 wrote it: never to be changed. To be run in a schema of its own.
create table migrations(version integer primary key, applied_at timestamptz not null default now());

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
insert into events values(1,'01a1fdfa4600090d34b7eff7941f3685','default','m87',1,'job.submitted',1795262400000,224,'{"event_id":"01M7YZMHG0146K9DZFYYA1YDM5","event_type":"job.submitted","schema_version":1,"timestamp":"2026-11-21T12:00:00.000Z","sequence":1,"correlation_id":"c-m87","user_id":"karl","tenant":"default","job_id":"m87","data":{"agent":"image-reconstruction","dataset":"file:///data/m87.uvfits","params":{},"priority":3,"resources":{"gpus":0,"cpus":1,"walltime_s":86400},"executor":"node"}}','\x3cb48f740625f1f3ae49817df7e527641c56a5619d8cd971ec80f4730fe5ae7e');
insert into events values(2,'01a1fdfa49e8703755b64020eb92e54a','default','m87',2,'job.progress',1795262401000,224,'{"event_id":"01M7YZMJF8E0VNBDJ043NS5SAA","event_type":"job.progress","schema_version":1,"timestamp":"2026-11-21T12:00:01.000Z","sequence":2,"correlation_id":"c-m87","user_id":"karl","tenant":"default","job_id":"m87","data":{"progress":0.25,"stage":"gridding","eta_s":12.5}}','\xdf3e91346c70032ef38f4d094ea664a517d4afc17261d89ed40dc83034ad179c');
insert into events values(3,'01a1fdfa4dd02640eacc4edb1399a1db','default',NULL,NULL,'system.health',1795262402000,224,'{"event_id":"01M7YZMKEG4S0ENK2EVC9SK8EV","event_type":"system.health","schema_version":1,"timestamp":"2026-11-21T12:00:02.000Z","tenant":"default","data":{"component":"journal","status":"up","detail":"µ is fine"}}','\xfe78c9d886ae4edfec5f294f8fc62c253e8c4b45883cb1dbd5f8cd78158774e4');
update chain_head set count = 3, position = 3, hash = '\xfe78c9d886ae4edfec5f294f8fc62c253e8c4b45883cb1dbd5f8cd78158774e4', lowest = 1795262400000, highest = 1795262402000;
insert into meta values('journal_id', '01M7YP3JSYFE5NMP7RTJRCKEZ0');
insert into claims values('default','m87','karl','k','d');
insert into shard_epochs values(224, 1);
insert into sources values('kafka/c/t/0', 1, '{"epoch":1,"next":18,"above":"","parked":[]}');
insert into migrations values(1);
