-- A journal as version 3 wrote it: never to be changed.
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE meta(name text primary key not null, value text not null) without rowid, strict;
INSERT INTO meta VALUES('journal_id','01M7YP3JSYFE5NMP7RTJRCKEZ0');
CREATE TABLE events(
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
INSERT INTO events VALUES(1,X'01a1fdfa4600090d34b7eff7941f3685','default','m87',1,'job.submitted',1795262400000,224,'{"event_id":"01M7YZMHG0146K9DZFYYA1YDM5","event_type":"job.submitted","schema_version":1,"timestamp":"2026-11-21T12:00:00.000Z","sequence":1,"correlation_id":"c-m87","user_id":"karl","tenant":"default","job_id":"m87","data":{"agent":"image-reconstruction","dataset":"file:///data/m87.uvfits","params":{},"priority":3,"resources":{"gpus":0,"cpus":1,"walltime_s":86400},"executor":"node"}}',X'3cb48f740625f1f3ae49817df7e527641c56a5619d8cd971ec80f4730fe5ae7e');
INSERT INTO events VALUES(2,X'01a1fdfa49e8703755b64020eb92e54a','default','m87',2,'job.progress',1795262401000,224,'{"event_id":"01M7YZMJF8E0VNBDJ043NS5SAA","event_type":"job.progress","schema_version":1,"timestamp":"2026-11-21T12:00:01.000Z","sequence":2,"correlation_id":"c-m87","user_id":"karl","tenant":"default","job_id":"m87","data":{"progress":0.25,"stage":"gridding","eta_s":12.5}}',X'df3e91346c70032ef38f4d094ea664a517d4afc17261d89ed40dc83034ad179c');
INSERT INTO events VALUES(3,X'01a1fdfa4dd02640eacc4edb1399a1db','default',NULL,NULL,'system.health',1795262402000,224,'{"event_id":"01M7YZMKEG4S0ENK2EVC9SK8EV","event_type":"system.health","schema_version":1,"timestamp":"2026-11-21T12:00:02.000Z","tenant":"default","data":{"component":"journal","status":"up","detail":"µ is fine"}}',X'fe78c9d886ae4edfec5f294f8fc62c253e8c4b45883cb1dbd5f8cd78158774e4');
CREATE TABLE chain_head(
  one      integer primary key check(one = 1),
  count    integer not null,
  position integer not null,
  hash     blob not null
) strict;
INSERT INTO chain_head VALUES(1,3,3,X'fe78c9d886ae4edfec5f294f8fc62c253e8c4b45883cb1dbd5f8cd78158774e4');
CREATE TABLE claims(
  tenant          text not null,
  job_id          text not null,
  user_id         text not null,
  idempotency_key text not null,
  digest          text not null,
  primary key(tenant, job_id)
) without rowid, strict;
INSERT INTO claims VALUES('default','m87','karl','k','d');
CREATE TABLE sources(source text primary key not null, progress text not null) without rowid, strict;
INSERT INTO sources VALUES('kafka/c/t/0','{"epoch":1,"next":18,"above":"","parked":[]}');
CREATE TABLE shard_epochs(shard integer primary key, epoch integer not null) strict;
INSERT INTO shard_epochs VALUES(224,1);
CREATE TABLE time_blocks(block integer primary key, time_min integer not null, time_max integer not null) strict;
INSERT INTO time_blocks VALUES(0,1795262400000,1795262402000);
CREATE UNIQUE INDEX events_job on events(job_id, tenant, sequence) where job_id is not null;
CREATE INDEX events_type on events(type);
CREATE UNIQUE INDEX claims_key on claims(tenant, user_id, idempotency_key) where idempotency_key <> '';
COMMIT;
PRAGMA application_id = 1213356618;
PRAGMA user_version = 3;
