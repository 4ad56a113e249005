// Archiving: what read and verify tell stays the same, wherever the events are. Over SQLite and PostgreSQL.
#include "runtime/journal/archive.hpp"

#include <gtest/gtest.h>

#include <random>

#include "runtime/journal/postgres.hpp"
#include "runtime/journal/sqlite.hpp"
#include "tests/runtime/journal/postgres_fixture.hpp"
#include "tests/runtime/journal/sample.hpp"

namespace horizons::journal {
namespace {

using namespace sample;
using namespace std::chrono_literals;

event end_of(const std::string& job, std::uint64_t sequence, timestamp time) {
  event e = life_cycle(job, sequence, time);
  e.data = job_completed{.old_status = "RUNNING"};
  return e;
}

class archive : public ::testing::TestWithParam<std::string> {
protected:
  void SetUp() override {
    if (GetParam() == "postgres") NEEDS_POSTGRES();
    open();
  }
  std::string url() const { return GetParam() == "postgres" ? postgres_.url() : "sqlite:" + (folder_ / "journal.db"); }
  void open() {
    store_.reset();
    auto opened = open_store(url(), me);
    ASSERT_TRUE(opened) << opened.error().text;
    store_ = std::move(*opened);
  }

  /// Jobs with four events each, interleaved, a second apart; every tenth never ends. Healths between them.
  void fill(std::size_t jobs) {
    std::mt19937 random(7);
    std::vector<std::uint64_t> sequence(jobs, 0);
    std::vector<event> events;
    auto time = noon;
    for (std::size_t i = 0; i < jobs * 4; ++i) {
      const auto job = std::min<std::size_t>(jobs - 1, i / 4 + random() % 8);
      const auto name = "job-" + std::to_string(job);
      time += 1s;
      if (random() % 16 == 0) events.push_back(health(time));
      const auto next = ++sequence[job];
      events.push_back(next == 4 && job % 10 != 0 ? end_of(name, next, time) : life_cycle(name, next, time));
    }
    newest_ = time;
    for (std::size_t from = 0; from < events.size(); from += 500) {
      const auto part = std::span(events).subspan(from, std::min<std::size_t>(500, events.size() - from));
      ASSERT_TRUE(append_one(*store_, of({part.begin(), part.end()})));
    }
  }

  /// Steps until nothing is left to do; the number of events moved.
  std::uint64_t archive_all(timestamp before, std::uint64_t up_to = ~std::uint64_t{0}) {
    std::uint64_t moved = 0;
    for (;;) {
      const auto step = store_->archive(before, up_to);
      EXPECT_TRUE(step) << step.error().text;
      if (!step || step->last == 0) return moved;
      moved += step->last - step->first + 1;
    }
  }

  /// One number from the database itself.
  std::uint64_t ask(const std::string& sql) {
    if (GetParam() == "postgres") {
      auto db = postgres::connection::open(*postgres::parse_url(url())).value();
      return db->run(sql).value()[0][0].as<std::uint64_t>();
    }
    auto db = sqlite::connection::open(folder_ / "journal.db", sqlite::access::write).value();
    return static_cast<std::uint64_t>(db.integer(sql).value());
  }
  void change(const std::string& sql) {
    if (GetParam() == "postgres")
      ASSERT_TRUE((*postgres::connection::open(*postgres::parse_url(url())))->run(sql));
    else
      ASSERT_TRUE(sqlite::connection::open(folder_ / "journal.db", sqlite::access::write)->run(sql.c_str()));
  }
  std::string verdict() {
    auto v = store_->verify(nullptr);
    return v ? "" : v.error().text;
  }

  folder folder_;
  postgres_schema postgres_{GetParam() == "postgres" ? postgres_schema() : postgres_schema("")};
  std::unique_ptr<store> store_;
  timestamp newest_{};
};

INSTANTIATE_TEST_SUITE_P(journal, archive, ::testing::Values("sqlite", "postgres"),
                         [](const auto& each) { return each.param; });

TEST_P(archive, every_read_tells_the_same_as_before) {
  fill(2'500);
  const auto all = read_all(*store_);
  const auto head = store_->head().value();
  auto reader = open_reader(url()).value();  // opened before: it must notice
  std::vector<event_filter> filters{{}};
  std::mt19937 random(11);
  for (int i = 0; i < 60; ++i) {
    event_filter f;
    if (random() % 2) f.after_position = random() % all.size();
    if (random() % 3 == 0) f.before_position = random() % all.size();
    if (random() % 2) f.job_id = "job-" + std::to_string(random() % 2'500);
    if (random() % 2) f.tenant = random() % 4 ? "default" : "another";
    if (random() % 4 == 0) f.type = "job.completed";
    if (random() % 4 == 0) f.start = noon + std::chrono::seconds(random() % 10'000);
    if (random() % 4 == 0) f.end = f.start.value_or(noon) + std::chrono::seconds(1 + random() % 5'000);
    filters.push_back(f);
  }
  std::vector<std::vector<event>> before;
  for (const auto& f : filters) before.push_back(read_all(*store_, f, 777));

  const auto moved = archive_all(noon + 9'000s);
  EXPECT_GT(moved, 8'000u);
  EXPECT_LT(ask("select count(*) from events"), all.size() / 2);
  for (std::size_t i = 0; i < filters.size(); ++i) {
    EXPECT_EQ(read_all(*store_, filters[i], 777), before[i]) << "filter " << i;
    EXPECT_EQ(read_all(*reader, filters[i], 777), before[i]) << "filter " << i << ", an older reader";
  }
  EXPECT_EQ(store_->verify(nullptr).value(), all.size());
  EXPECT_EQ(store_->head().value().hash, head.hash);

  open();
  EXPECT_EQ(read_all(*store_), all);
  ASSERT_TRUE(append_one(*store_, of({life_cycle("m87", 1, newest_)})));
  EXPECT_EQ(store_->verify(nullptr).value(), all.size() + 1);
}

TEST_P(archive, takes_nothing_young_or_behind_the_limit) {
  fill(2'500);
  EXPECT_EQ(archive_all(noon), 0u);
  EXPECT_EQ(archive_all(newest_ + 1s, 0), 0u);
  EXPECT_EQ(archive_all(newest_ + 1s, 5'000), 5'000u);
  const auto last = store_->last_position().value();
  EXPECT_EQ(archive_all(newest_ + 1s), last - 1 - 5'000) << "the head's row stays";
  for (const auto& e : read_all(*store_, {.start = newest_ - 100s})) EXPECT_GE(e.time, newest_ - 100s);
  open();
  EXPECT_EQ(store_->verify(nullptr).value(), last);
}

TEST_P(archive, jobs_stay_in_the_table_until_they_end) {
  fill(1'500);
  archive_all(newest_ + 1s);
  EXPECT_EQ(ask("select count(*) from events where job_id = 'job-20'"),
            read_all(*store_, {.tenant = "default", .job_id = "job-20"}).size());
  EXPECT_EQ(ask("select count(*) from events where job_id = 'job-21'"), 0u);
  const auto sequence = read_all(*store_, {.job_id = "job-20"}).back().sequence;
  ASSERT_EQ(append_one(*store_, of({life_cycle("job-20", sequence)})).error().code, error_code::conflict)
      << "a second event at the same place";
  ASSERT_TRUE(append_one(*store_, of({end_of("job-20", sequence + 1, newest_ + 1s)})));
  ASSERT_TRUE(append_one(*store_, of({health(newest_ + 2s)})));
  archive_all(newest_ + 1h);
  EXPECT_EQ(ask("select count(*) from events where job_id = 'job-20'"), 0u);
  EXPECT_EQ(read_all(*store_, {.tenant = "default", .job_id = "job-20"}).size(), sequence + 1);
  EXPECT_EQ(verdict(), "");
}

TEST_P(archive, tampering_is_found) {
  fill(2'500);
  archive_all(newest_ - 1'000s);
  const auto kept = ask("select min(position) from events");
  change("update events set data = replace(data, 'karl', 'carl') where position = " + std::to_string(kept));
  EXPECT_NE(verdict().find("position " + std::to_string(kept)), std::string::npos) << verdict();
  change("update events set data = replace(data, 'carl', 'karl') where position = " + std::to_string(kept));
  ASSERT_EQ(verdict(), "");

  const std::string first = "last = (select min(last) from archives)";
  change("update archives set chain = (select chain from events order by position limit 1) where " + first);
  EXPECT_NE(verdict().find("positions 1 to 4096 was changed"), std::string::npos) << verdict();
  change("update archives set data = (select data from archives order by last desc limit 1) where " + first);
  EXPECT_NE(verdict().find("positions 1 to 4096"), std::string::npos) << verdict();
  change("delete from archives where " + first);
  EXPECT_NE(verdict().find("position 1 is missing"), std::string::npos) << verdict();
}

TEST(segment, gives_back_its_lines_and_refuses_what_is_damaged) {
  const std::vector<std::string> lines{"{\"a\":1}", "", std::string(100'000, 'x')};
  segment s{.first = 5, .last = 7, .data = pack(lines)};
  EXPECT_EQ(unpack(s).value(), lines);
  EXPECT_LT(s.data.size(), 1'000u);
  auto wrong = s;
  wrong.last = 8;
  EXPECT_NE(unpack(wrong).error().text.find("positions 5 to 8 holds 3 events"), std::string::npos);
  std::mt19937 random(3);
  for (int i = 0; i < 200; ++i) {
    auto damaged = s;
    damaged.data[random() % s.data.size()] ^= static_cast<char>(1 + random() % 255);
    const auto back = unpack(damaged);
    EXPECT_TRUE(!back || *back == lines);
  }
  s.data.resize(10);
  EXPECT_EQ(unpack(s).error().code, error_code::unreadable);
}

}  // namespace
}  // namespace horizons::journal
