// What only a PostgreSQL journal can meet: lost connections, a server that dies, another owner, tampering, addresses.
#include "runtime/journal/postgres_store.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <atomic>
#include <random>
#include <thread>

#include "runtime/journal/postgres.hpp"
#include "tests/runtime/journal/postgres_fixture.hpp"
#include "tests/runtime/journal/postgres_server.hpp"
#include "tests/runtime/journal/sample.hpp"

namespace horizons::journal {
namespace {

using namespace sample;
using namespace std::chrono_literals;
using testing::eventually;

/// Appends for as long as it is asked to, repeats what failed, and remembers what it was told.
class client {
public:
  client(std::unique_ptr<store> s, unsigned seed) : store_(std::move(s)), random_(seed) {
    epoch_ = store_->claim_source("kafka/c/t/0").value().progress.epoch;
    thread_ = std::thread([this] {
      while (!stop_ && problem_.empty()) append();
    });
  }
  ~client() {
    if (thread_.joinable()) stop();
  }
  void stop() {
    stop_ = true;
    thread_.join();
  }
  std::size_t acknowledged() const { return acknowledged_; }
  std::size_t failures() const { return failures_; }

  /// After stop: everything acknowledged is there once, at the position that was told, and nothing else.
  void check() {
    ASSERT_EQ(problem_, "");
    const auto all = read_all(*store_);
    ASSERT_EQ(all.size(), positions_.size());
    for (const auto& e : all) {
      const auto told = positions_.find(e.event_id);
      ASSERT_NE(told, positions_.end()) << e.event_id << " was never acknowledged";
      ASSERT_EQ(told->second, e.position);
    }
    const auto verified = store_->verify(nullptr);
    ASSERT_TRUE(verified) << verified.error().text;
    EXPECT_EQ(*verified, all.size());
    EXPECT_EQ(store_->read_sources("kafka/").value().at("kafka/c/t/0").next, acknowledged_);
  }
  store& of() { return *store_; }

private:
  void append() {
    std::vector<batch> batches;
    for (unsigned i = 0; i <= random_() % 4; ++i) {
      std::vector<event> events;
      const auto job = make_ulid(noon);
      for (std::uint64_t n = 1; n <= 1 + random_() % 20; ++n) events.push_back(life_cycle(job, n));
      batches.push_back(sample::of(events));
      batches.back().claims.push_back({"default", "karl", job, "key-" + job, "digest"});
    }
    batches[0].marks = {finished("kafka/c/t/0", epoch_, acknowledged_)};
    result<std::vector<result<append_outcome>>> outcomes;
    const bool stored = eventually(
        [&] {
          outcomes = store_->append(batches);
          if (!outcomes) ++failures_;
          return outcomes ||
                 (outcomes.error().code != error_code::timed_out && outcomes.error().code != error_code::unavailable);
        },
        60s);
    if (!stored || !outcomes) return fail("an append failed: " + outcomes.error().text);
    for (std::size_t b = 0; b < batches.size(); ++b) {
      const auto& outcome = (*outcomes)[b];
      if (!outcome) return fail("a batch was refused: " + outcome.error().text);
      if (outcome->conflict) return fail("a batch conflicts with " + outcome->conflict->job_id);
      for (std::size_t i = 0; i < batches[b].events.size(); ++i)
        positions_[batches[b].events[i].event_id] = outcome->positions[i];
    }
    ++acknowledged_;
  }
  void fail(std::string why) { problem_ = std::move(why); }

  std::unique_ptr<store> store_;
  std::mt19937 random_;
  std::uint64_t epoch_ = 0;
  std::map<std::string, std::uint64_t> positions_;
  std::string problem_;
  std::atomic<std::size_t> acknowledged_{0}, failures_{0};
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

class postgres_store : public ::testing::Test {
protected:
  void SetUp() override { NEEDS_POSTGRES(); }
  std::unique_ptr<store> open(const owner_info& who = me) {
    auto opened = open_postgres_store(schema_.url(), who);
    EXPECT_TRUE(opened) << opened.error().text;
    return opened ? std::move(*opened) : nullptr;
  }
  postgres_schema schema_;
};

TEST_F(postgres_store, a_connection_cut_at_any_moment_loses_nothing_and_doubles_nothing) {
  client c(open(), 1);
  std::mt19937 random(2);
  for (int cut = 0; cut < 25; ++cut) {
    const auto enough = c.acknowledged() + 1 + random() % 20;
    ASSERT_TRUE(eventually([&] { return c.acknowledged() >= enough; }, 30s));
    schema_.cut_owner();
  }
  const auto enough = c.acknowledged() + 5;
  EXPECT_TRUE(eventually([&] { return c.acknowledged() >= enough; }, 30s));
  c.stop();
  EXPECT_GT(c.failures(), 0u);
  c.check();
}

TEST(postgres_server_killed, nothing_acknowledged_is_lost) {
  if (!postgres_server::available()) GTEST_SKIP() << "needs the package postgresql-15";
  postgres_server server;
  std::mt19937 random(3);
  {
    client c(open_postgres_store(server.url(), me).value(), 4);
    for (int kill = 0; kill < 4; ++kill) {
      const auto enough = c.acknowledged() + 1 + random() % 100;
      ASSERT_TRUE(eventually([&] { return c.acknowledged() >= enough; }, 60s));
      server.kill();
      server.start();
    }
    const auto enough = c.acknowledged() + 5;
    EXPECT_TRUE(eventually([&] { return c.acknowledged() >= enough; }, 60s));
    c.stop();
    EXPECT_GT(c.failures(), 0u);
    c.check();
  }
  EXPECT_TRUE(open_postgres_store(server.url(), me)) << "the lock went with the connection";
}

TEST_F(postgres_store, an_owner_that_was_replaced_is_fenced) {
  auto old = open();
  const auto shard = of({life_cycle("m87", 1)}).shard;
  const auto epoch = old->raise_epochs(std::vector{shard}).value();
  ASSERT_TRUE(append_one(*old, of({life_cycle("m87", 1)}, epoch)));
  EXPECT_EQ(schema_.cut_owner(), 1u);
  std::uint64_t newer = 0;
  {
    auto next = open({"node-2", "alma", noon});
    newer = next->raise_epochs(std::vector{shard}).value();
    EXPECT_EQ(newer, epoch + 1);
    const auto locked_out = append_one(*old, of({life_cycle("m87", 2)}, epoch)).error();
    EXPECT_EQ(locked_out.code, error_code::timed_out) << "its connection was cut: it cannot know more";
    const auto refused = append_one(*old, of({life_cycle("m87", 2)}, epoch)).error();
    EXPECT_EQ(refused.code, error_code::unavailable);
    EXPECT_NE(refused.text.find("in use by node node-2 on host alma"), std::string::npos) << refused.text;
    ASSERT_TRUE(append_one(*next, of({life_cycle("m87", 2)}, newer)));
  }
  EXPECT_EQ(append_one(*old, of({life_cycle("m87", 3)}, epoch)).error().code, error_code::fenced);
  EXPECT_TRUE(append_one(*old, of({life_cycle("m87", 3)}, newer))) << "whoever knows the epoch may write";
  EXPECT_EQ(old->verify(nullptr).value(), 3u);
}

TEST_F(postgres_store, another_writer_of_the_same_session_rules_is_noticed) {
  auto s = open();
  ASSERT_TRUE(append_one(*s, of({life_cycle("m87", 1)})));
  // As a node of a cluster would: epochs raised beside this one.
  schema_.run("select raise_epochs(array[" + std::to_string(of({life_cycle("m87", 2)}).shard) + "]::smallint[])");
  EXPECT_EQ(append_one(*s, of({life_cycle("m87", 2)}, 0)).error().code, error_code::fenced);
  EXPECT_TRUE(append_one(*s, of({life_cycle("m87", 2)}, 1)));
}

TEST_F(postgres_store, tampering_is_named) {
  {
    auto s = open();
    std::vector<event> events;
    for (std::uint64_t i = 1; i <= 1'500; ++i) events.push_back(life_cycle("m87", i, noon + std::chrono::seconds(i)));
    ASSERT_TRUE(append_one(*s, of(events)));
  }
  const auto verdict_after = [&](const std::string& sql) {
    schema_.run(sql);
    auto verdict = open_postgres_reader(schema_.url()).value()->verify(nullptr);
    return verdict ? "intact" : verdict.error().text;
  };
  EXPECT_EQ(verdict_after("select 1"), "intact");
  schema_.run("create table kept as select * from events");
  const auto restore = [&] { schema_.run("delete from events; insert into events select * from kept"); };
  EXPECT_EQ(verdict_after("update events set data = replace(data, '0.25', '0.75') where position = 1234"),
            "journal: position 1234 was changed");
  restore();
  for (const char* change : {"tenant = 'x'", "job_id = 'x'", "sequence = 9999", "type = 'x'", "time = 0",
                             "event_id = '00000000-0000-0000-0000-000000000001'"}) {
    EXPECT_EQ(verdict_after(std::string("update events set ") + change + " where position = 7"),
              "journal: position 7 was changed: its columns differ from its data")
        << change;
    restore();
  }
  EXPECT_EQ(verdict_after("delete from events where position = 77"), "journal: position 77 is missing");
  restore();
  EXPECT_EQ(verdict_after("delete from events where position > 1400"),
            "journal: position 1401 was cut off; the journal ends at 1500");
  const auto refused = open_postgres_store(schema_.url(), me);
  ASSERT_FALSE(refused) << "appending would hide it";
  EXPECT_EQ(refused.error().code, error_code::unreadable);
  EXPECT_NE(verdict_after("update chain_head set count = 1400, position = 1400").find("was rewritten"),
            std::string::npos);
  schema_.run("update chain_head set count = 1500, position = 1500");
  restore();
  EXPECT_EQ(verdict_after("select 1"), "intact");
}

TEST_F(postgres_store, schemas_that_are_no_journal_of_ours_are_refused) {
  schema_.run("create schema " + schema_.name() + "; create table " + schema_.name() + ".stars(name text)");
  auto other = open_postgres_store(schema_.url(), me);
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, error_code::unreadable);
  EXPECT_NE(other.error().text.find("holds something else"), std::string::npos) << other.error().text;
  schema_.run("drop table stars");
  const auto early = open_postgres_reader(schema_.url());
  ASSERT_FALSE(early);
  EXPECT_NE(early.error().text.find("start a node on it once"), std::string::npos) << early.error().text;
  open();
  schema_.run("insert into migrations values(99)");
  const auto newer = open_postgres_store(schema_.url(), me);
  ASSERT_FALSE(newer);
  EXPECT_NE(newer.error().text.find("version 99"), std::string::npos) << newer.error().text;
}

TEST_F(postgres_store, a_journal_of_version_1_is_brought_up) {
  std::ifstream file(HORIZONS_SOURCE_DIR "/tests/runtime/journal/testdata/postgres-v1.sql");
  const std::string sql((std::istreambuf_iterator<char>(file)), {});
  schema_.run("create schema " + schema_.name() + "; " + sql);
  const auto early = open_reader(schema_.url());
  ASSERT_FALSE(early);
  EXPECT_NE(early.error().text.find("older than"), std::string::npos) << early.error().text;

  auto s = open_store(schema_.url(), me).value();
  EXPECT_EQ(read_all(*s).size(), 3u);
  EXPECT_EQ(s->verify(nullptr).value(), 3u);
  EXPECT_EQ(s->find_claim("default", "karl", "k").value()->job_id, "m87");
  EXPECT_EQ(s->claim_source("kafka/c/t/0").value().progress.next, 18u);
  ASSERT_TRUE(append_one(*s, of({life_cycle("m87", 3)}, 1)));
  EXPECT_EQ(s->verify(nullptr).value(), 4u);
}

TEST_F(postgres_store, two_journals_of_one_database_do_not_meet) {
  const postgres_schema other;
  auto mine = open();
  auto theirs = open_postgres_store(other.url(), me);
  ASSERT_TRUE(theirs) << theirs.error().text;
  ASSERT_TRUE(append_one(*mine, of({life_cycle("m87", 1)})));
  EXPECT_EQ((*theirs)->last_position().value(), 0u);
  EXPECT_NE((*theirs)->id(), mine->id());
}

TEST_F(postgres_store, a_reader_connects_again) {
  auto s = open();
  ASSERT_TRUE(append_one(*s, of({life_cycle("m87", 1)})));
  auto reader = open_postgres_reader(schema_.url()).value();
  ASSERT_EQ(reader->last_position().value(), 1u);
  schema_.run("select pg_terminate_backend(pid) from pg_stat_activity where application_name = '" + schema_.name() +
              "'");
  EXPECT_TRUE(eventually([&] { return reader->last_position().value_or(0) == 1; }));
}

TEST(postgres_watchdog, cuts_a_connection_that_gives_no_answer) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  char byte = 0;
  {
    postgres::watchdog dog(ends[0], 1);
    dog.arm();
    dog.disarm();
    postgres::watchdog(ends[1], 1).arm();  // ends with its call, as an answer in time does
    EXPECT_EQ(::write(ends[1], "x", 1), 1);
    EXPECT_EQ(::read(ends[0], &byte, 1), 1) << "nothing was cut";
    dog.arm();
    EXPECT_EQ(::read(ends[0], &byte, 1), 0) << "the end, instead of waiting for ever";
  }
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(postgres_url, says_where_without_the_password) {
  const auto at =
      postgres::parse_url("postgresql://ann:s3cr'et@db1:5433,db2/observatory?schema=site_2&sslmode=require");
  ASSERT_TRUE(at) << at.error().text;
  EXPECT_EQ(at->schema, "site_2");
  EXPECT_EQ(at->shown, "postgresql://db1:5433,db2/observatory");
  EXPECT_NE(at->connection.find("host='db1,db2'"), std::string::npos) << at->connection;
  EXPECT_NE(at->connection.find("password='s3cr\\'et'"), std::string::npos);
  EXPECT_NE(at->connection.find("sslmode='require'"), std::string::npos);
  EXPECT_NE(at->connection.find("target_session_attrs='read-write'"), std::string::npos);
  EXPECT_EQ(postgres::parse_url("postgresql://db1/x").value().schema, postgres::default_schema);
}

TEST(postgres_url, no_error_shows_a_password) {
  for (const char* url : {"postgresql://ann:hunter2@db1:54x/observatory", "postgresql://ann:hunter2@[db1/o",
                          "postgresql://ann:hunter2@h/d?x=y", "postgresql://ann:hunter2@h/d?schema=No-Name",
                          "postgresql://ann:hunter2@h/d?sslmode", "postgresql://ann:hunter2@127.0.0.1:1/observatory"}) {
    const auto opened = open_store(url, me);
    ASSERT_FALSE(opened) << url;
    EXPECT_EQ(opened.error().text.find("hunter2"), std::string::npos) << opened.error().text;
    EXPECT_NE(opened.error().text.find("journal"), std::string::npos) << opened.error().text;
  }
  EXPECT_NE(postgres::parse_url("postgresql://h/d?x=y").error().text.find("\"x\""), std::string::npos);
}

}  // namespace
}  // namespace horizons::journal
