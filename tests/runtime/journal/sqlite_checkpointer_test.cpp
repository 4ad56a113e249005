#include "runtime/journal/sqlite_checkpointer.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "tests/runtime/journal/sample.hpp"

namespace horizons::journal::sqlite {
namespace {

constexpr std::size_t page_bytes = 4'096, frame_bytes = page_bytes + 24;

struct checkpointer_test : ::testing::Test {
  void SetUp() override {
    db = connection::open(path, access::write).value();
    ASSERT_TRUE(
        db.run("pragma journal_mode = wal; pragma synchronous = off; create table t(id integer primary key, "
               "what blob)"));
    insert = db.prepare("insert into t(what) values(zeroblob(4000))").value();
  }

  /// One commit of about so many pages.
  void commit(std::size_t pages, checkpointer& c) {
    ASSERT_TRUE(db.run("begin"));
    for (std::size_t i = 0; i < pages; ++i) ASSERT_TRUE(insert.run());
    ASSERT_TRUE(db.run("commit"));
    c.after_commit();
  }
  std::size_t log_pages() const { return std::filesystem::file_size(path + "-wal") / frame_bytes; }
  std::int64_t rows(const std::string& file) const {
    return connection::open(file, access::read).value().integer("select count(*) from t").value();
  }

  sample::folder folder;
  const std::string path = folder / "log.db";
  connection db;
  statement insert;
};

TEST_F(checkpointer_test, the_log_of_a_busy_writer_is_begun_anew) {
  checkpointer c(db, path);
  std::int64_t commits = 0;
  for (int in_a_row = 0; in_a_row < 10 && commits < 2'000; ++commits) {  // the file grows no more
    const auto before = log_pages();
    commit(100, c);
    in_a_row = log_pages() == before ? in_a_row + 1 : 0;
  }
  EXPECT_LT(commits, 2'000);
  EXPECT_GE(commits, 40);
  EXPECT_EQ(rows(path), 100 * commits);
}

TEST_F(checkpointer_test, a_reader_that_stays_keeps_its_view_and_costs_no_row) {
  checkpointer c(db, path);
  commit(100, c);
  auto reader = connection::open(path, access::read).value();
  auto seen = reader.prepare("select id from t order by id").value();
  ASSERT_TRUE(seen.step().value());
  for (int i = 0; i < 300; ++i) commit(100, c);
  EXPECT_GT(log_pages(), 25'000u) << "what the reader sees must stay in the log";
  std::int64_t count = 1;
  while (seen.step().value()) ++count;
  EXPECT_EQ(count, 100);
  for (int i = 0; i < 200; ++i) commit(100, c);
  EXPECT_EQ(rows(path), 50'100);
}

TEST_F(checkpointer_test, a_small_log_is_left_alone) {
  checkpointer c(db, path);
  for (int i = 0; i < 10; ++i) commit(100, c);
  EXPECT_GE(log_pages(), 1'000u);
  EXPECT_LE(std::filesystem::file_size(path), 2 * page_bytes) << "nothing was copied";
}

}  // namespace
}  // namespace horizons::journal::sqlite
