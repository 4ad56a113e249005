// What only a file can meet: tampering, kill -9, a full disk, damage, older versions.
#include "runtime/journal/sqlite_store.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <random>
#include <set>

#include "tests/runtime/journal/sample.hpp"

namespace horizons::journal {
namespace {

using namespace sample;
using namespace std::chrono_literals;

std::unique_ptr<store> open(const std::string& path) {
  auto opened = open_sqlite_store(path, me);
  if (!opened) throw std::runtime_error(opened.error().text);
  return std::move(*opened);
}

/// Changes a file behind the journal's back.
void tamper(const std::string& path, const std::string& sql) {
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(path.c_str(), &db), SQLITE_OK);
  EXPECT_EQ(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(db);
  sqlite3_close(db);
}

class tampering : public ::testing::Test {
protected:
  tampering() {
    auto s = open(path_);
    std::vector<event> events;
    for (std::uint64_t i = 1; i <= 1'500; ++i) events.push_back(life_cycle("m87", i, noon + std::chrono::seconds(i)));
    EXPECT_TRUE(append_one(*s, of(events)));
  }
  std::string verdict_after(const std::string& sql) {
    tamper(path_, sql);
    auto verdict = open_sqlite_reader(path_).value()->verify(nullptr);
    return verdict ? "intact" : verdict.error().text;
  }
  folder folder_;
  std::string path_ = folder_ / "journal.db";
};

TEST_F(tampering, an_untouched_journal_is_intact) { EXPECT_EQ(verdict_after("select 1"), "intact"); }
TEST_F(tampering, a_changed_event_is_named) {
  EXPECT_EQ(verdict_after("update events set data = replace(data, '0.25', '0.75') where position = 1234"),
            "journal: position 1234 was changed");
}
TEST_F(tampering, a_changed_link_is_named) {
  EXPECT_EQ(verdict_after("update events set chain = zeroblob(32) where position = 3"),
            "journal: position 3 was changed");
}
TEST_F(tampering, a_changed_column_is_named) {
  for (const char* change :
       {"tenant = 'x'", "job_id = 'x'", "sequence = 9999", "type = 'x'", "time = 0", "event_id = x'00'"}) {
    tamper(path_, "create table kept as select * from events where position = 7");
    EXPECT_EQ(verdict_after(std::string("update events set ") + change + " where position = 7"),
              "journal: position 7 was changed: its columns differ from its data")
        << change;
    tamper(path_, "insert or replace into events select * from kept; drop table kept");
  }
  EXPECT_EQ(verdict_after("select 1"), "intact");
}
TEST_F(tampering, a_missing_event_is_named) {
  EXPECT_EQ(verdict_after("delete from events where position = 77"), "journal: position 77 is missing");
  EXPECT_EQ(verdict_after("delete from events where position < 77"), "journal: position 1 is missing");
}
TEST_F(tampering, a_cut_off_end_is_named) {
  EXPECT_EQ(verdict_after("delete from events where position > 1400"),
            "journal: position 1401 was cut off; the journal ends at 1500");
  auto refused = open_sqlite_store(path_, me);
  ASSERT_FALSE(refused) << "appending would hide it";
  EXPECT_EQ(refused.error().code, error_code::unreadable);
}
TEST_F(tampering, everything_cut_off_is_seen) {
  EXPECT_EQ(verdict_after("delete from events"), "journal: position 1 was cut off; the journal ends at 1500");
}
TEST_F(tampering, a_cut_off_end_with_a_matching_count_is_seen) {
  const auto text =
      verdict_after("delete from events where position > 1400; update chain_head set count = 1400, position = 1400");
  EXPECT_NE(text.find("the end of the journal was rewritten"), std::string::npos) << text;
}
TEST_F(tampering, an_inserted_event_is_named) {
  EXPECT_EQ(verdict_after("insert into events select 1501, x'01', tenant, 'x', 1, type, time, shard, data, chain from "
                          "events where position = 5"),
            "journal: position 1501 was inserted behind the head of the chain");
}
TEST_F(tampering, exchanged_events_are_seen) {
  EXPECT_EQ(
      verdict_after(
          "update events set position = 9999 where position = 10; update events set position = 10 where position = 11;"
          "update events set position = 11 where position = 9999"),
      "journal: position 10 was changed");
}

/// Appends for ever and writes each acknowledged id into the pipe. `unacknowledged` appends die with it.
[[noreturn]] void append_until_killed(const std::string& path, int pipe, unsigned seed) {
  auto s = open_sqlite_store(path, me);
  if (!s) _exit(3);
  std::mt19937 random(seed);
  for (;;) {
    std::vector<batch> batches;
    for (unsigned i = 0; i <= random() % 4; ++i) {
      std::vector<event> events;
      const auto job = make_ulid(noon);
      for (std::uint64_t n = 1; n <= 1 + random() % 20; ++n) events.push_back(life_cycle(job, n));
      batches.push_back(of(events));
    }
    auto outcomes = (*s)->append(batches);
    if (!outcomes) _exit(4);
    std::string ids;
    for (std::size_t b = 0; b < batches.size(); ++b) {
      if (!(*outcomes)[b]) _exit(5);
      for (const auto& e : batches[b].events) ids += e.event_id;
    }
    if (::write(pipe, ids.data(), ids.size()) != ssize_t(ids.size())) _exit(6);
  }
}

TEST(sqlite_store, kill_9_at_any_moment_loses_nothing_acknowledged) {
  const folder f;
  const auto path = f / "journal.db";
  std::set<std::string> acknowledged;
  std::mt19937 random(9);
  for (unsigned round = 0; round < 20; ++round) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) append_until_killed(path, ends[1], round);
    ::close(ends[1]);
    const std::size_t enough = 26 * (1 + random() % 400);  // at least one commit: the kill lands inside a later one
    std::string ids;
    char part[4096];
    for (ssize_t n; ids.size() < enough && (n = ::read(ends[0], part, sizeof part)) > 0;)
      ids.append(part, std::size_t(n));
    ::kill(child, SIGKILL);
    for (ssize_t n; (n = ::read(ends[0], part, sizeof part)) > 0;) ids.append(part, std::size_t(n));
    ::close(ends[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child ended by itself: " << WEXITSTATUS(status);
    for (std::size_t i = 0; i + 26 <= ids.size(); i += 26) acknowledged.insert(ids.substr(i, 26));

    auto s = open(path);  // at once: the lock went with its process
    const auto all = read_all(*s);
    std::set<std::string> stored;
    for (const auto& e : all) ASSERT_TRUE(stored.insert(e.event_id).second) << e.event_id << " is doubled";
    for (const auto& id : acknowledged) ASSERT_TRUE(stored.contains(id)) << id << " is lost";
    const auto verified = s->verify(nullptr);
    ASSERT_TRUE(verified) << verified.error().text;
    ASSERT_EQ(*verified, all.size());
  }
  EXPECT_GT(acknowledged.size(), 20u);
}

TEST(sqlite_store, a_second_process_is_refused_by_name) {
  const folder f;
  auto s = open(f / "journal.db");
  const pid_t child = ::fork();
  if (child == 0) {
    // flock belongs to the open file, which fork shares: the child must open its own, as another program would.
    auto second = open_sqlite_store(f / "journal.db", owner_info{"node-2", "alma", noon});
    _exit(!second && second.error().text.find("node node-1 on host vla since 2026-11-21T12:00:00.000Z") !=
                         std::string::npos
              ? 0
              : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

TEST(sqlite_store, a_full_disk_stores_nothing_and_the_journal_goes_on_when_there_is_space) {
  const folder f;
  const auto path = f / "journal.db";
  auto s = open(path);
  ASSERT_TRUE(append_one(*s, submission("first", "d")));
  const auto old_action = ::signal(SIGXFSZ, SIG_IGN);
  rlimit old{};
  ::getrlimit(RLIMIT_FSIZE, &old);
  const rlimit small{256 * 1024, old.rlim_max};  // a write beyond it fails as on a full disk, with EFBIG
  ::setrlimit(RLIMIT_FSIZE, &small);
  std::uint64_t stored = 1;
  result<append_outcome> outcome;
  std::vector<event> refused;
  for (int i = 0; i < 1'000 && outcome; ++i) {
    refused.clear();
    for (std::uint64_t n = 1; n <= 50; ++n) refused.push_back(life_cycle("job-" + std::to_string(i), n));
    outcome = append_one(*s, of(refused));
    if (outcome) stored += refused.size();
  }
  const auto position = s->last_position();
  ::setrlimit(RLIMIT_FSIZE, &old);
  ::signal(SIGXFSZ, old_action);

  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, error_code::disk_full) << outcome.error().text;
  EXPECT_EQ(position.value(), stored);
  EXPECT_EQ(read_all(*s).size(), stored);
  EXPECT_TRUE(append_one(*s, of(refused))) << "there is space again";
  EXPECT_EQ(s->verify(nullptr).value(), stored + refused.size());
  s.reset();
  EXPECT_EQ(read_all(*open(path)).size(), stored + refused.size());
}

TEST(sqlite_store, files_that_are_no_journal_are_refused_with_the_reason) {
  const folder f;
  std::ofstream(f / "text.db") << std::string(10'000, 'x');
  tamper(f / "other.db", "create table stars(name)");
  open(f / "newer.db");
  tamper(f / "newer.db", "pragma user_version = 99");
  std::filesystem::create_directory(f / "folder.db");
  const auto why = [&](const std::string& name) { return open_sqlite_store(f / name, me).error(); };
  EXPECT_EQ(why("text.db").code, error_code::unreadable);
  EXPECT_NE(why("text.db").text.find("is not a SQLite database"), std::string::npos) << why("text.db").text;
  EXPECT_NE(why("other.db").text.find("another program"), std::string::npos) << why("other.db").text;
  EXPECT_NE(why("newer.db").text.find("version 99"), std::string::npos) << why("newer.db").text;
  EXPECT_NE(why("folder.db").text.find("is a folder"), std::string::npos) << why("folder.db").text;
  EXPECT_NE(why("text.db/below/journal.db").text.find("cannot make the folder"), std::string::npos);
  const auto absent = open_sqlite_reader(f / "absent.db");
  ASSERT_FALSE(absent);
  EXPECT_NE(absent.error().text.find("absent.db"), std::string::npos) << absent.error().text;
}

TEST(sqlite_store, a_damaged_file_is_an_error_not_a_wrong_answer) {
  const folder f;
  const auto path = f / "journal.db";
  {
    auto s = open(path);
    std::vector<event> events(2'000);
    std::ranges::generate(events, [] { return health(); });
    ASSERT_TRUE(append_one(*s, of(events)));
  }
  const auto size = std::filesystem::file_size(path);
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  for (std::uintmax_t at = 80 * 4096; at + 4096 < size; at += 4096) {
    file.seekp(std::streamoff(at));
    file.write("\xff\xff\xff\xff\xff\xff\xff\xff", 8);
  }
  file.close();
  auto reader = open_sqlite_reader(path);
  ASSERT_TRUE(reader);
  const auto verdict = (*reader)->verify(nullptr);
  ASSERT_FALSE(verdict);
  EXPECT_EQ(verdict.error().code, error_code::unreadable) << verdict.error().text;
}

TEST(sqlite_store, an_unwritable_folder_is_named) {
  const folder f;
  const pid_t child = ::fork();  // root may write anywhere: the child becomes nobody
  if (child == 0) {
    if (::chmod(f.path().c_str(), 0555) != 0 || (::geteuid() == 0 && ::setuid(65534) != 0)) _exit(2);
    auto opened = open_sqlite_store(f / "journal.db", me);
    _exit(!opened && opened.error().code == error_code::io &&
                  opened.error().text.find("Permission denied") != std::string::npos
              ? 0
              : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

class sqlite_of_version : public ::testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(released, sqlite_of_version, ::testing::Values(1, 2, 3));

TEST_P(sqlite_of_version, is_brought_up) {
  const folder f;
  const auto path = f / "journal.db";
  std::ifstream file(HORIZONS_SOURCE_DIR "/tests/runtime/journal/testdata/journal-v" + std::to_string(GetParam()) +
                     ".sql");
  const std::string sql((std::istreambuf_iterator<char>(file)), {});
  ASSERT_FALSE(sql.empty());
  tamper(path, sql);
  const auto early = open_sqlite_reader(path);
  ASSERT_FALSE(early);
  EXPECT_NE(early.error().text.find("older than"), std::string::npos) << early.error().text;

  auto s = open(path);
  const auto events = read_all(*s);
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(type_of(events[0].data), "job.submitted");
  EXPECT_EQ(s->verify(nullptr).value(), 3u);
  EXPECT_EQ(s->find_claim("default", "karl", "k").value()->job_id, "m87");
  const auto source = s->claim_source("kafka/c/t/0").value();
  EXPECT_EQ(source.is_new, GetParam() < 3) << "no version before 3 wrote sources";
  EXPECT_EQ(source.progress.next, GetParam() < 3 ? 0u : 18u);
  EXPECT_EQ(read_all(*s, {.start = events[1].time, .end = events[2].time}).size(), 1u) << "the time blocks were filled";
  EXPECT_EQ(append_one(*s, of({life_cycle("m87", 3)}, 0)).error().code, error_code::fenced);
  ASSERT_TRUE(append_one(*s, of({life_cycle("m87", 3)}, 1)));
  EXPECT_EQ(s->verify(nullptr).value(), 4u);
}

}  // namespace
}  // namespace horizons::journal
