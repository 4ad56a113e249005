// The job table: what readers see before it is written, what a file holds after it, and how it goes on from there.
#include "actors/jobs/job_table.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

namespace horizons::jobs {
namespace {

class job_table_test : public ::testing::Test {
protected:
  std::filesystem::path file_ =
      std::filesystem::temp_directory_path() / ("job-table-" + std::to_string(::getpid()) + ".db");
  std::uint64_t position_ = 0;

  job_table_test() { remove(); }
  ~job_table_test() override { remove(); }
  void remove() {
    for (const char* end : {"", "-wal", "-shm"}) std::filesystem::remove(file_.string() + end);
  }

  event of(const std::string& id, std::uint64_t sequence, event_data data) {
    event e;
    e.time = timestamp{std::chrono::milliseconds{1'000'000 + static_cast<std::int64_t>(position_)}};
    e.user_id = "ada";
    e.job_id = id;
    e.sequence = sequence;
    e.position = ++position_;
    e.data = std::move(data);
    return e;
  }

  journal::event_list submitted(const std::string& id, int priority = 3) {
    job_submitted s{.agent = "image-reconstruction", .dataset = "file:///x.uvfits", .params = {{"niter", 5}}};
    s.priority = priority;
    return journal::event_list({of(id, 1, s), of(id, 2, job_queued{{"SUBMITTED", "QUEUED", "", 0, "n1", ""}})});
  }
  journal::event_list running(const std::string& id) {
    return journal::event_list({of(id, 3, job_running{{"QUEUED", "RUNNING", "", 1, "n1", "cpu/0"}})});
  }
  journal::event_list completed(const std::string& id) {
    return journal::event_list({of(id, 4, job_completed{.old_status = "RUNNING"})});
  }
};

// -- of either kind ---------------------------------------------------------------------------------------------

class any_job_table : public job_table_test, public ::testing::WithParamInterface<const char*> {
protected:
  std::unique_ptr<job_table> table_ =
      job_table::open(GetParam() == std::string("memory") ? ":memory:" : file_.string(), "J").value();
};

INSTANTIATE_TEST_SUITE_P(kinds, any_job_table, ::testing::Values("file", "memory"),
                         [](const auto& kind) { return std::string(kind.param); });

TEST_P(any_job_table, readers_see_events_at_once) {
  ASSERT_TRUE(table_->apply(submitted("a")));
  auto found = table_->find({"default", "a"}).value();
  ASSERT_TRUE(found);
  EXPECT_EQ(found->status, job_status::queued);
  EXPECT_EQ(table_->position(), 2u);
  EXPECT_EQ(table_->list({}).value().jobs.size(), 1u);
  EXPECT_EQ(table_->open_jobs(0, 10).value().size(), 1u);
  EXPECT_FALSE(table_->find({"other", "a"}).value());
}

TEST_P(any_job_table, events_told_twice_count_once) {
  const auto events = submitted("a");
  ASSERT_TRUE(table_->apply(events));
  ASSERT_TRUE(table_->apply(events));
  EXPECT_EQ(table_->list({}).value().jobs.size(), 1u);
}

TEST_P(any_job_table, a_job_whose_beginning_is_unknown_is_in_no_list) {
  ASSERT_TRUE(table_->apply(running("never-submitted")));
  ASSERT_TRUE(table_->write());
  EXPECT_FALSE(table_->find({"default", "never-submitted"}).value());
  EXPECT_TRUE(table_->list({}).value().jobs.empty());
  EXPECT_TRUE(table_->open_jobs(0, 10).value().empty());
}

TEST_P(any_job_table, pages_are_newest_first) {
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(table_->apply(submitted("job-" + std::to_string(i))));
  auto page = table_->list({.page_size = 3}).value();
  ASSERT_EQ(page.jobs.size(), 3u);
  EXPECT_EQ(page.jobs[0].at("job_id"), "job-4");
  page = table_->list({.page_size = 3, .page_token = page.next_page_token}).value();
  ASSERT_EQ(page.jobs.size(), 2u);
  EXPECT_EQ(page.jobs[1].at("job_id"), "job-0");
  EXPECT_TRUE(page.next_page_token.empty());
}

TEST_P(any_job_table, a_list_may_be_narrowed) {
  for (const char* id : {"a", "b", "c"}) ASSERT_TRUE(table_->apply(submitted(id)));
  ASSERT_TRUE(table_->apply(running("b")));
  ASSERT_TRUE(table_->apply(completed("b")));
  const auto ids = [&](const job_query& q) {
    const auto page = table_->list(q).value();
    std::string all;
    for (const auto& j : page.jobs) all += j.at("job_id").get<std::string>();
    return all;
  };
  EXPECT_EQ(ids({}), "cba");
  EXPECT_EQ(ids({.status = "COMPLETED"}), "b");
  EXPECT_EQ(ids({.status = "QUEUED", .user = "ada"}), "ca");
  EXPECT_EQ(ids({.user = "bob"}), "");
  EXPECT_EQ(ids({.tenant = "default", .agent = "image-reconstruction"}), "cba");
  EXPECT_EQ(ids({.since = timestamp{std::chrono::milliseconds{1'000'002}}}), "cb");
}

TEST_P(any_job_table, a_wrong_query_is_refused) {
  EXPECT_FALSE(table_->list({.page_size = 0}));
  EXPECT_FALSE(table_->list({.page_size = 1'001}));
  EXPECT_FALSE(table_->list({.page_token = "12x"}));
  EXPECT_FALSE(table_->list({.status = "ASLEEP"}));
}

TEST_P(any_job_table, unfinished_jobs_come_in_the_order_of_their_positions) {
  for (const char* id : {"a", "b", "c", "d"}) ASSERT_TRUE(table_->apply(submitted(id, 2)));
  ASSERT_TRUE(table_->apply(running("b")));
  ASSERT_TRUE(table_->apply(completed("b")));
  ASSERT_TRUE(table_->apply(running("c")));
  const auto first = table_->open_jobs(0, 2).value();
  ASSERT_EQ(first.size(), 2u);
  EXPECT_EQ(first[0].job, (job_key{"default", "a"}));
  EXPECT_EQ(first[0].priority, 2);
  EXPECT_EQ(first[0].user, "ada");
  EXPECT_EQ(first[0].agent, "image-reconstruction");
  EXPECT_EQ(first[0].dataset, std::hash<std::string>{}("file:///x.uvfits"));
  EXPECT_EQ(first[1].job.job_id, "c");
  EXPECT_EQ(first[1].status, job_status::running);
  EXPECT_EQ(first[1].attempt, 1);
  const auto rest = table_->open_jobs(first[1].position, 10).value();
  ASSERT_EQ(rest.size(), 1u);
  EXPECT_EQ(rest[0].job.job_id, "d");
}

TEST_P(any_job_table, a_finished_job_may_begin_again) {
  ASSERT_TRUE(table_->apply(submitted("a")));
  ASSERT_TRUE(table_->apply(running("a")));
  ASSERT_TRUE(table_->apply(completed("a")));
  ASSERT_TRUE(table_->write());
  EXPECT_TRUE(table_->open_jobs(0, 10).value().empty());
  ASSERT_TRUE(table_->apply(journal::event_list({of("a", 5, job_queued{{"COMPLETED", "QUEUED", "", 1, "n1", ""}})})));
  EXPECT_EQ(table_->find({"default", "a"}).value()->status, job_status::queued);
  EXPECT_EQ(table_->open_jobs(0, 10).value().size(), 1u);
}

// -- of a file --------------------------------------------------------------------------------------------------

class job_table_of_a_file : public job_table_test {
protected:
  std::unique_ptr<job_table> open(const std::string& journal = "J") { return job_table::open(file_, journal).value(); }
};

TEST_F(job_table_of_a_file, is_written_late) {
  auto t = open();
  ASSERT_TRUE(t->apply(submitted("a")));
  EXPECT_EQ(open()->position(), 0u);
  ASSERT_TRUE(t->write());
  EXPECT_EQ(open()->position(), 2u);
}

TEST_F(job_table_of_a_file, a_job_that_comes_and_goes_is_written_once) {
  auto t = open();
  for (const char* id : {"old", "a", "b"}) ASSERT_TRUE(t->apply(submitted(id)));
  ASSERT_TRUE(t->apply(running("a")));
  ASSERT_TRUE(t->apply(completed("a")));
  ASSERT_FALSE(t->write_some().value());
  EXPECT_EQ(t->written(), 0u) << "what has not finished is not in the file";
  ASSERT_TRUE(t->apply(submitted("new")));
  ASSERT_TRUE(t->apply(running("b")));
  ASSERT_TRUE(t->apply(completed("b")));
  ASSERT_FALSE(t->write_some().value());
  EXPECT_EQ(t->written(), 8u) << "the second write takes what the first has left";
  EXPECT_EQ(t->position(), 12u);
  position_ = 8;
  auto again = open();
  EXPECT_EQ(again->position(), 8u);
  ASSERT_TRUE(again->apply(submitted("new")));  // told again by the journal
  ASSERT_TRUE(again->apply(running("b")));
  ASSERT_TRUE(again->apply(completed("b")));
  EXPECT_EQ(again->find({"default", "a"}).value()->status, job_status::completed);
  EXPECT_EQ(again->find({"default", "b"}).value()->status, job_status::completed);
  EXPECT_EQ(again->open_jobs(0, 10).value().size(), 2u);
}

TEST_F(job_table_of_a_file, goes_on_from_what_was_written) {
  {
    auto t = open();
    ASSERT_TRUE(t->apply(submitted("a", 2)));
    ASSERT_TRUE(t->write());
    ASSERT_TRUE(t->apply(running("a")));  // lost with the process
  }
  position_ = 2;
  auto t = open();
  EXPECT_EQ(t->position(), 2u);
  EXPECT_EQ(t->find({"default", "a"}).value()->status, job_status::queued);
  ASSERT_TRUE(t->apply(running("a")));  // told again by the journal
  const auto j = *t->find({"default", "a"}).value();
  EXPECT_EQ(j.status, job_status::running);
  EXPECT_EQ(j.request.priority, 2);
  EXPECT_EQ(j.position, 1u);
  const auto waiting = t->open_jobs(0, 10).value();
  ASSERT_EQ(waiting.size(), 1u);
  EXPECT_EQ(waiting[0].status, job_status::running);
  EXPECT_EQ(waiting[0].attempt, 1);
}

TEST_F(job_table_of_a_file, is_written_in_pieces_of_which_only_the_last_tells_the_position) {
  constexpr int jobs = 900;
  const auto name = [](int i) { return "job-" + std::to_string(i); };
  {
    auto t = open();
    for (int i = 0; i < jobs; ++i) ASSERT_TRUE(t->apply(submitted(name(i))));
    ASSERT_EQ(t->write_some().value(), false);  // leaves what has not finished
    ASSERT_EQ(t->write_some().value(), true);
    EXPECT_EQ(t->written(), 0u);
    ASSERT_TRUE(t->apply(running(name(0))));  // while pieces are left: perhaps written before, perhaps after
    ASSERT_TRUE(t->apply(running(name(jobs - 1))));
    EXPECT_EQ(open()->position(), 0u);
    while (t->write_some().value()) {
    }
    EXPECT_EQ(t->written(), 2u * jobs);
    EXPECT_EQ(t->position(), 2u * jobs + 2);
  }
  auto t = open();
  EXPECT_EQ(t->position(), 2u * jobs);
  position_ = 2 * jobs;
  for (const int i : {0, jobs - 1}) ASSERT_TRUE(t->apply(running(name(i))));  // told again by the journal
  const auto open_ones = t->open_jobs(0, 10'000).value();
  ASSERT_EQ(open_ones.size(), std::size_t{jobs});
  EXPECT_EQ(open_ones.front().status, job_status::running);
  EXPECT_EQ(open_ones.front().attempt, 1);
  EXPECT_EQ(open_ones[1].status, job_status::queued);
  EXPECT_EQ(open_ones.back().status, job_status::running);
  EXPECT_EQ(open_ones.back().attempt, 1);
}

TEST_F(job_table_of_a_file, a_start_needs_no_look_at_the_file_and_a_reader_gets_the_whole_job) {
  {
    auto t = open();
    ASSERT_TRUE(t->apply(submitted("a", 2)));
    ASSERT_TRUE(t->write());
  }
  auto t = open();  // knows nothing in memory
  ASSERT_TRUE(t->apply(running("a")));
  ASSERT_TRUE(t->apply(running("never-submitted")));
  const auto expect = [](const job& j, job_status status) {
    EXPECT_EQ(j.status, status);
    EXPECT_EQ(j.attempt, 1);
    EXPECT_EQ(j.user_id, "ada");
    EXPECT_EQ(j.request.priority, 2);
    EXPECT_EQ(j.request.params, json({{"niter", 5}}));
    EXPECT_EQ(j.position, 1u);
    EXPECT_TRUE(j.submitted_at && j.started_at);
  };
  expect(*t->find({"default", "a"}).value(), job_status::running);
  ASSERT_TRUE(t->write());
  expect(*t->find({"default", "a"}).value(), job_status::running);
  ASSERT_TRUE(t->apply(journal::event_list({of("a", 4, job_completed{.old_status = "RUNNING"})})));
  ASSERT_TRUE(t->write());
  expect(*t->find({"default", "a"}).value(), job_status::completed);
  EXPECT_FALSE(t->find({"default", "never-submitted"}).value());
  EXPECT_EQ(t->list({}).value().jobs.size(), 1u);
}

TEST_F(job_table_of_a_file, a_row_that_is_newer_than_the_position_stays) {
  {
    auto t = open();
    ASSERT_TRUE(t->apply(submitted("a")));
    ASSERT_TRUE(t->write());
    for (int i = 0; i < 300; ++i) ASSERT_TRUE(t->apply(submitted("other-" + std::to_string(i))));
    ASSERT_TRUE(t->apply(running("a")));
    ASSERT_TRUE(t->apply(journal::event_list({of("a", 4, job_cancelled{.old_status = "RUNNING", .by = "ada"})})));
    ASSERT_EQ(t->write_some().value(), false);
    ASSERT_EQ(t->write_some().value(), true);  // the last 250 of them, "a" among them; then the process dies
    EXPECT_EQ(t->written(), 2u);
  }
  auto t = open();
  EXPECT_EQ(t->position(), 2u);
  position_ = 602;
  ASSERT_TRUE(t->apply(running("a")));  // told again
  ASSERT_TRUE(t->write());
  EXPECT_EQ(t->list({.page_size = 1'000}).value().jobs.back().at("status"), "CANCELLED");
}

TEST_F(job_table_of_a_file, one_of_another_journal_is_begun_anew) {
  {
    auto t = open();
    ASSERT_TRUE(t->apply(submitted("a")));
    ASSERT_TRUE(t->write());
  }
  auto t = open("K");
  EXPECT_EQ(t->position(), 0u);
  EXPECT_TRUE(t->list({}).value().jobs.empty());
}

}  // namespace
}  // namespace horizons::jobs
