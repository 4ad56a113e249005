// How fast events become durable in the SQLite and the PostgreSQL journal, by batch size, beside a bare prepared INSERT
// (PostgreSQL: INSERT … SELECT unnest(…) ON CONFLICT DO NOTHING) of the same rows into the same table with the same
// indexes, settings and batch size, in the same run. The bare insert is given its rows ready made (JSON, identifiers,
// chain); ours gets batches as appenders prepare them in a node (JSON made and checked), and chains them itself.
// PostgreSQL: the server that HORIZONS_JOURNAL_URL names; without it, SQLite alone.
//   bench-journal [--json FILE] [--folder DIR] [--batch N]
// --batch: commits of so many events alone.
#include <sqlite3.h>
#include <unistd.h>

#include <pqxx/pqxx>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <thread>

#include "bench/report.hpp"
#include "messages/codec/json.hpp"
#include "messages/ulid.hpp"
#include "runtime/journal/admission.hpp"
#include "runtime/journal/chain.hpp"
#include "runtime/journal/journal.hpp"
#include "runtime/journal/postgres.hpp"
#include "runtime/journal/postgres_array.hpp"

namespace {

using namespace horizons;
using namespace horizons::journal;

constexpr const char* insert = "insert into events values(?,?,?,?,?,?,?,?,?,?) on conflict do nothing";
// As runtime/journal/sqlite_writer.cpp. The writer has its log copied back at the same size, by a thread of its own.
constexpr const char* settings =
    "pragma journal_mode = wal; pragma synchronous = full; pragma cache_size = -65536; pragma wal_autocheckpoint = "
    "4096;"
    "pragma journal_size_limit = 67108864; pragma mmap_size = 0; pragma temp_store = memory;";

[[noreturn]] void stop(const std::string& why) {
  std::cerr << "bench-journal: " << why << "\n";
  std::exit(1);
}

/// Jobs of four events each: submitted, queued, running, completed.
std::vector<event> events_of(std::size_t count) {
  const timestamp start = std::chrono::sys_days{std::chrono::year{2026} / 11 / 21};
  std::vector<event> events;
  std::string job;
  for (std::size_t i = 0; i < count; ++i) {
    event e;
    e.time = start + std::chrono::milliseconds(i / 4);
    e.event_id = make_ulid(e.time);
    if (i % 4 == 0) job = make_ulid(e.time);
    e.job_id = job;
    e.sequence = i % 4 + 1;
    e.user_id = "karl";
    e.correlation_id = job;
    switch (i % 4) {
      case 0:
        e.data = job_submitted{.agent = "image-reconstruction",
                               .dataset = "file:///data/m87.uvfits",
                               .params = json{{"size", 1200}, {"niter", 0}}};
        break;
      case 1:
        e.data = job_queued{{"SUBMITTED", "QUEUED", "", 0, "node-1", ""}};
        break;
      case 2:
        e.data = job_running{{"QUEUED", "RUNNING", "", 1, "node-1", "cpu/0"}};
        break;
      default: {
        job_completed c;
        c.old_status = "RUNNING";
        c.new_status = "COMPLETED";
        c.execution_duration_s = 8.25;
        e.data = std::move(c);
      }
    }
    events.push_back(std::move(e));
  }
  return events;
}

struct ready_row {
  ulid_bytes id;
  std::string data;
  chain_hash chain;
};

struct sizes {
  std::size_t batch, count;
};

double ours(const std::string& url, const std::vector<event>& events, std::size_t batch_size) {
  auto opened = open_store(url, {"bench", "bench", {}});
  if (!opened) stop(opened.error().text);
  std::vector<batch_ptr> batches;
  for (std::size_t i = 0; i < events.size(); i += batch_size) {
    auto b = std::make_shared<batch>();
    b->events.assign(events.begin() + long(i), events.begin() + long(std::min(events.size(), i + batch_size)));
    prepare(*b);
    batches.push_back(std::move(b));
  }
  return bench::seconds_of([&] {
    for (const auto& b : batches) {
      auto outcome = (*opened)->append(std::span(&b, 1));
      if (!outcome || !(*outcome)[0]) stop("an append failed");
    }
  });
}

double bare(const std::string& path, const std::vector<event>& events, const std::vector<ready_row>& rows,
            std::size_t batch_size) {
  {
    if (auto made = open_store("sqlite:" + path, {"bench", "bench", {}}); !made) stop(made.error().text);
  }
  sqlite3* db = nullptr;
  sqlite3_stmt* s = nullptr;
  if (sqlite3_open(path.c_str(), &db) != SQLITE_OK ||
      sqlite3_exec(db, settings, nullptr, nullptr, nullptr) != SQLITE_OK ||
      sqlite3_prepare_v2(db, insert, -1, &s, nullptr) != SQLITE_OK)
    stop(sqlite3_errmsg(db));
  const auto text = [&](int at, std::string_view t) {
    sqlite3_bind_text(s, at, t.data(), int(t.size()), SQLITE_STATIC);
  };
  const double seconds = bench::seconds_of([&] {
    for (std::size_t i = 0; i < events.size();) {
      sqlite3_exec(db, "begin immediate", nullptr, nullptr, nullptr);
      for (const auto end = std::min(events.size(), i + batch_size); i < end; ++i) {
        const auto& e = events[i];
        sqlite3_bind_int64(s, 1, sqlite3_int64(i + 1));
        sqlite3_bind_blob(s, 2, rows[i].id.data(), 16, SQLITE_STATIC);
        text(3, e.tenant);
        text(4, e.job_id);
        sqlite3_bind_int64(s, 5, sqlite3_int64(e.sequence));
        text(6, type_of(e.data));
        sqlite3_bind_int64(s, 7, e.time.time_since_epoch().count());
        sqlite3_bind_int64(s, 8, 0);
        text(9, rows[i].data);
        sqlite3_bind_blob(s, 10, rows[i].chain.data(), 32, SQLITE_STATIC);
        if (sqlite3_step(s) != SQLITE_DONE) stop(sqlite3_errmsg(db));
        sqlite3_reset(s);
      }
      if (sqlite3_exec(db, "commit", nullptr, nullptr, nullptr) != SQLITE_OK) stop(sqlite3_errmsg(db));
    }
  });
  sqlite3_finalize(s);
  sqlite3_close(db);
  return seconds;
}

/// A schema of the database that HORIZONS_JOURNAL_URL names; none: no PostgreSQL here.
struct postgres_journal {
  std::string server = std::getenv("HORIZONS_JOURNAL_URL") ? std::getenv("HORIZONS_JOURNAL_URL") : "";
  std::string schema = "journal_bench_" + std::to_string(::getpid());

  std::string url() const { return server + (server.find('?') == std::string::npos ? "?" : "&") + "schema=" + schema; }
  std::unique_ptr<postgres::connection> connect() const {
    auto db = postgres::connection::open(postgres::parse_url(url()).value());
    if (!db) stop(db.error().text);
    return std::move(*db);
  }
  void drop() const { (void)connect()->run("drop schema if exists " + schema + " cascade; checkpoint"); }
};

double bare(const postgres_journal& journal, const std::vector<event>& events, const std::vector<ready_row>& rows,
            std::size_t batch_size) {
  {
    if (auto made = open_store(journal.url(), {"bench", "bench", {}}); !made) stop(made.error().text);
  }
  const auto db = journal.connect();
  return bench::seconds_of([&] {
    for (std::size_t i = 0; i < events.size();) {
      using postgres::array;
      using postgres::element;
      array positions(element::int8), ids(element::uuid), tenants(element::text), jobs(element::text),
          sequences(element::int8), types(element::text), times(element::int8), shards(element::int2),
          texts(element::text), chains(element::bytea);
      for (const auto end = std::min(events.size(), i + batch_size); i < end; ++i) {
        const auto& e = events[i];
        positions.add(std::int64_t(i + 1), 8);
        ids.add(rows[i].id);
        tenants.add(e.tenant);
        jobs.add(e.job_id);
        sequences.add(std::int64_t(e.sequence), 8);
        types.add(type_of(e.data));
        times.add(e.time.time_since_epoch().count(), 8);
        shards.add(0, 2);
        texts.add(rows[i].data);
        chains.add(rows[i].chain);
      }
      const auto done = db->ask(
          "insert into events select * from unnest($1::bigint[], $2::uuid[], $3::text[], $4::text[], $5::bigint[], "
          "$6::text[], $7::bigint[], $8::smallint[], $9::text[], $10::bytea[]) on conflict do nothing",
          positions.parameter(), ids.parameter(), tenants.parameter(), jobs.parameter(), sequences.parameter(),
          types.parameter(), times.parameter(), shards.parameter(), texts.parameter(), chains.parameter());
      if (!done) stop(done.error().text);
    }
  });
}

}  // namespace

int main(int argc, char** argv) {
  std::string json_file, folder = std::filesystem::temp_directory_path().string();
  std::size_t only = 0;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::strcmp(argv[i], "--json") == 0)
      json_file = argv[i + 1];
    else if (std::strcmp(argv[i], "--folder") == 0)
      folder = argv[i + 1];
    else if (std::strcmp(argv[i], "--batch") == 0)
      only = std::strtoul(argv[i + 1], nullptr, 10);
    else
      stop(std::string("unknown option ") + argv[i] + "; expected --json FILE, --folder DIR or --batch N");
  }
  const std::string path = folder + "/journal-bench-" + std::to_string(::getpid()) + ".db";
  const auto clean = [&] {
    for (const char* end : {"", "-wal", "-shm", ".lock"}) std::filesystem::remove(path + end);
  };

  const postgres_journal server;
  std::string server_version = "not measured: HORIZONS_JOURNAL_URL is not set";
  if (!server.server.empty())
    server_version = server.connect()->run("show server_version").value()[0][0].as<std::string>();
  std::vector<bench::row> rows;
  constexpr int repeats = 5;
  for (const auto [batch_size, count] :
       {sizes{1, 1'000}, sizes{10, 5'000}, sizes{100, 40'000}, sizes{1'000, 100'000}, sizes{4'000, 100'000}}) {
    if (only != 0 && batch_size != only) continue;
    const auto events = events_of(count);
    std::vector<ready_row> ready;
    chain_hasher hasher;
    chain_hash hash{};
    for (std::size_t i = 0; i < events.size(); ++i) {
      auto data = to_json(events[i]);
      hash = hasher.link(hash, i + 1, data);
      ready.push_back({bytes_of_ulid(events[i].event_id), std::move(data), hash});
    }
    std::vector<double> us, them;  // taken in turns: what disturbs one disturbs the other
    for (int i = 0; i < repeats; ++i) {
      clean();
      us.push_back(ours("sqlite:" + path, events, batch_size));
      clean();
      them.push_back(bare(path, events, ready, batch_size));
    }
    clean();
    const auto u = bench::median_of(us), t = bench::median_of(them);
    rows.push_back(bench::compare("SQLite append, " + std::to_string(batch_size) + " events per commit", "events/s",
                                  bench::better::higher, double(count) / u.seconds,
                                  "bare prepared INSERT, SQLite " SQLITE_VERSION, double(count) / t.seconds, 0.8,
                                  std::max(u.spread, t.spread)));
    if (server.server.empty()) continue;
    us.clear();
    them.clear();
    for (int i = 0; i < repeats; ++i) {
      server.drop();
      us.push_back(ours(server.url(), events, batch_size));
      server.drop();
      them.push_back(bare(server, events, ready, batch_size));
    }
    server.drop();
    const auto pu = bench::median_of(us), pt = bench::median_of(them);
    rows.push_back(bench::compare("PostgreSQL append, " + std::to_string(batch_size) + " events per commit", "events/s",
                                  bench::better::higher, double(count) / pu.seconds,
                                  "bare prepared INSERT … SELECT unnest, PostgreSQL " + server_version,
                                  double(count) / pt.seconds, 0.8, std::max(pu.spread, pt.spread)));
  }
  bench::print(rows);
  const nlohmann::json conditions{{"cores", std::thread::hardware_concurrency()},
                                  {"repeats", repeats},
                                  {"folder", "local disk, synced at every commit"},
                                  {"sqlite", SQLITE_VERSION},
                                  {"postgresql", server_version},
                                  {"measured", "median, ours and peer in turns"}};
  return bench::write_json(json_file, conditions, rows) ? 0 : 1;
}
