// What every journal must do, whatever holds it: run over SQLite, PostgreSQL and memory.
#include <gtest/gtest.h>

#include <random>
#include <set>

#include "runtime/journal/memory_store.hpp"
#include "tests/runtime/journal/postgres_fixture.hpp"
#include "tests/runtime/journal/sample.hpp"

namespace horizons::journal {
namespace {

using namespace sample;
using namespace std::chrono_literals;

class store_contract : public ::testing::TestWithParam<std::string> {
protected:
  void SetUp() override {
    if (GetParam() == "postgres") NEEDS_POSTGRES();
    open();
  }
  std::string url() const {
    if (GetParam() == "postgres") return postgres_.url();
    return GetParam() == "sqlite" ? "sqlite:" + (folder_ / "journal.db") : "memory:contract";
  }
  void open() {
    store_.reset();
    auto opened = open_store(url(), me);
    ASSERT_TRUE(opened) << opened.error().text;
    store_ = std::move(*opened);
  }
  std::uint64_t last() { return store_->last_position().value(); }
  std::uint64_t claim(const std::string& source) { return store_->claim_source(source).value().progress.epoch; }
  source_progress progress(const std::string& source) { return store_->read_sources(source).value().at(source); }

  folder folder_;
  memory_journal kept_{"contract"};  // outlives the store, as a file does
  postgres_schema postgres_{GetParam() == "postgres" ? postgres_schema() : postgres_schema("")};
  std::unique_ptr<store> store_;
};

INSTANTIATE_TEST_SUITE_P(journal, store_contract, ::testing::Values("sqlite", "memory", "postgres"),
                         [](const auto& each) { return each.param; });

TEST_P(store_contract, gives_back_what_was_appended_in_order) {
  std::vector<event> sent{life_cycle("m87", 1), life_cycle("m87", 2), health(), life_cycle("3c286", 1)};
  auto outcome = append_one(*store_, of(sent));
  ASSERT_TRUE(outcome) << outcome.error().text;
  ASSERT_EQ(outcome->positions.size(), sent.size());
  for (std::size_t i = 0; i < sent.size(); ++i) sent[i].position = outcome->positions[i];
  EXPECT_TRUE(std::ranges::is_sorted(outcome->positions));
  EXPECT_EQ(read_all(*store_), sent);
  EXPECT_EQ(last(), outcome->positions.back());
}

TEST_P(store_contract, a_prepared_batch_is_stored_as_any_other) {
  auto first = of({life_cycle("m87", 1), health()}), second = of({life_cycle("m87", 2)});
  auto prepared = first;
  prepare(prepared);
  ASSERT_EQ(prepared.texts.size(), 2u);
  ASSERT_TRUE(append_one(*store_, prepared));
  EXPECT_EQ(append_one(*store_, first).value().positions, (std::vector<std::uint64_t>{1, 2})) << "the same events";
  prepare(second);
  ASSERT_TRUE(append_one(*store_, second));
  EXPECT_EQ(store_->verify(nullptr).value(), 3u);
  const auto chained = store_->head().value().hash;
  auto other = open_store("sqlite:" + (folder_ / "other.db"), me).value();
  second.texts.clear();
  ASSERT_TRUE(append_one(*other, first));
  ASSERT_TRUE(append_one(*other, second));
  if (GetParam() != "memory") {  // which has no chain
    EXPECT_EQ(chained, other->head().value().hash);
  }
  EXPECT_EQ(read_all(*store_), read_all(*other));
}

TEST_P(store_contract, a_batch_checked_without_texts_is_stored_as_any_other) {
  auto b = of({life_cycle("m87", 1), health()});
  prepare(b, false);
  EXPECT_GT(b.bytes, 0u);
  EXPECT_TRUE(b.texts.empty());
  ASSERT_TRUE(append_one(*store_, b));
  b.events[0].position = 1;
  b.events[1].position = 2;
  EXPECT_EQ(read_all(*store_), b.events);
  EXPECT_EQ(store_->verify(nullptr).value(), 2u);
}

TEST_P(store_contract, what_cannot_be_prepared_is_refused_with_its_reason) {
  auto b = of({life_cycle("m87", 1)});
  b.events[0].tenant = "not a name";
  prepare(b);
  EXPECT_TRUE(b.texts.empty());
  const auto outcome = append_one(*store_, b);
  ASSERT_FALSE(outcome);
  EXPECT_NE(outcome.error().text.find("tenant"), std::string::npos) << outcome.error().text;
  EXPECT_EQ(last(), 0u);
}

TEST_P(store_contract, keeps_everything_when_opened_again) {
  auto b = submission("m87", "d1", "key");
  b.marks = {finished("kafka/c/t/0", claim("kafka/c/t/0"), 17)};
  ASSERT_TRUE(append_one(*store_, b));
  const auto epoch = store_->raise_epochs(std::vector<std::uint32_t>{1, 2}).value();
  const auto id = store_->id();
  const auto before = read_all(*store_);
  const auto head = store_->head().value();
  open();
  EXPECT_EQ(store_->id(), id);
  EXPECT_TRUE(is_ulid(id));
  EXPECT_EQ(read_all(*store_), before);
  EXPECT_TRUE(progress("kafka/c/t/0").finished(17));
  EXPECT_EQ(store_->head().value().hash, head.hash);
  EXPECT_EQ(store_->head().value().position, 1u);
  EXPECT_EQ(store_->find_claim("default", "karl", "key").value()->job_id, "m87");
  EXPECT_EQ(store_->raise_epochs(std::vector<std::uint32_t>{2}).value(), epoch + 1);
  EXPECT_EQ(store_->verify(nullptr).value(), 1u);
}

TEST_P(store_contract, a_repeated_event_gets_its_old_position) {
  const auto first = life_cycle("m87", 1);
  const auto old = append_one(*store_, of({first})).value().positions.at(0);
  const auto outcome = append_one(*store_, of({first, life_cycle("m87", 2), first})).value();
  EXPECT_EQ(outcome.positions, (std::vector{old, old + 1, old}));
  EXPECT_EQ(read_all(*store_).size(), 2u);
}

TEST_P(store_contract, a_repeat_within_one_commit_is_stored_once) {
  const std::vector batches{of({life_cycle("m87", 1)}), of({life_cycle("3c286", 1)})};
  const std::vector doubled{batches[0], batches[1], batches[0]};
  auto outcomes = store_->append(doubled).value();
  EXPECT_EQ(outcomes[0]->positions, outcomes[2]->positions);
  EXPECT_EQ(last(), 2u);
}

TEST_P(store_contract, a_stale_epoch_is_fenced_and_the_others_are_committed) {
  const auto mine = of({life_cycle("m87", 1)}, 0);
  const auto epoch = store_->raise_epochs(std::vector<std::uint32_t>{mine.shard}).value();
  std::vector batches{mine, of({life_cycle("m87", 1)}, epoch)};
  auto outcomes = store_->append(batches).value();
  ASSERT_FALSE(outcomes[0]);
  EXPECT_EQ(outcomes[0].error().code, error_code::fenced);
  EXPECT_NE(outcomes[0].error().text.find("epoch " + std::to_string(epoch)), std::string::npos)
      << outcomes[0].error().text;
  EXPECT_TRUE(outcomes[1]);
  EXPECT_EQ(last(), 1u);
}

TEST_P(store_contract, raising_lifts_all_shards_above_the_highest) {
  ASSERT_EQ(store_->raise_epochs(std::vector<std::uint32_t>{7}).value(), 1u);
  ASSERT_EQ(store_->raise_epochs(std::vector<std::uint32_t>{7}).value(), 2u);
  EXPECT_EQ(store_->raise_epochs(std::vector<std::uint32_t>{6, 7, 8}).value(), 3u);
  EXPECT_EQ(store_->raise_epochs(std::vector<std::uint32_t>{6}).value(), 4u);
  EXPECT_EQ(store_->raise_epochs(std::vector<std::uint32_t>{256}).error().code, error_code::invalid_argument);
}

TEST_P(store_contract, a_job_id_belongs_to_its_first_content) {
  ASSERT_FALSE(append_one(*store_, submission("m87", "d1")).value().conflict);
  auto other = append_one(*store_, submission("m87", "d2")).value();
  ASSERT_TRUE(other.conflict);
  EXPECT_EQ(other.conflict->digest, "d1");
  EXPECT_TRUE(other.positions.empty());
  auto same_content_again =
      append_one(*store_, submission("m87", "d1")).value();  // a fresh event: not a repeat of the append
  ASSERT_TRUE(same_content_again.conflict);
  EXPECT_EQ(same_content_again.conflict->digest, "d1");
  EXPECT_EQ(last(), 1u);
}

TEST_P(store_contract, an_idempotency_key_belongs_to_one_job_of_its_user) {
  ASSERT_FALSE(append_one(*store_, submission("a", "d1", "k")).value().conflict);
  auto again = append_one(*store_, submission("b", "d1", "k")).value();
  ASSERT_TRUE(again.conflict);
  EXPECT_EQ(again.conflict->job_id, "a");
  auto other_user = submission("c", "d1", "k");
  other_user.claims[0].user_id = "grote";
  EXPECT_FALSE(append_one(*store_, other_user).value().conflict);
  EXPECT_EQ(store_->find_claim("default", "karl", "k").value()->job_id, "a");
  EXPECT_EQ(store_->find_claim("default", "grote", "k").value()->job_id, "c");
  EXPECT_FALSE(store_->find_claim("default", "karl", "other").value());
  EXPECT_FALSE(store_->find_claim("default", "karl", "").value());
}

TEST_P(store_contract, repeating_a_submission_of_unknown_outcome_is_safe) {
  const auto b = submission("m87", "d1", "k");
  const auto first = append_one(*store_, b).value();
  const auto again = append_one(*store_, b).value();
  EXPECT_FALSE(again.conflict);
  EXPECT_EQ(again.positions, first.positions);
  EXPECT_EQ(last(), 1u);
}

TEST_P(store_contract, two_submissions_of_one_job_in_one_commit_give_one_job) {
  const std::vector batches{submission("m87", "d1", "k"), submission("m87", "d1", "k"), submission("ngc1", "d1", "k")};
  auto outcomes = store_->append(batches).value();
  EXPECT_FALSE(outcomes[0]->conflict);
  ASSERT_TRUE(outcomes[1]->conflict && outcomes[2]->conflict);
  EXPECT_EQ(outcomes[2]->conflict->job_id, "m87");
  EXPECT_EQ(last(), 1u);
}

TEST_P(store_contract, a_refused_batch_leaves_nothing) {
  ASSERT_TRUE(append_one(*store_, of({life_cycle("m87", 1)})));
  auto half = submission("new", "d", "k");
  half.events.push_back(life_cycle("m87", 1));  // the sequence is taken by another event
  half.marks = {finished("s", claim("s"), 1)};
  std::vector batches{of({life_cycle("x", 1)}), half, of({life_cycle("y", 1)})};
  auto outcomes = store_->append(batches).value();
  EXPECT_TRUE(outcomes[0] && outcomes[2]);
  ASSERT_FALSE(outcomes[1]);
  EXPECT_EQ(outcomes[1].error().code, error_code::conflict);
  EXPECT_NE(outcomes[1].error().text.find("m87"), std::string::npos);
  EXPECT_FALSE(store_->find_claim("default", "karl", "k").value());
  EXPECT_FALSE(progress("s").finished(1));
  EXPECT_EQ(outcomes[2]->positions.at(0), outcomes[0]->positions.at(0) + 1);
  EXPECT_EQ(store_->verify(nullptr).value(), 3u);
  EXPECT_FALSE(append_one(*store_, submission("new", "d", "k")).value().conflict) << "its claim was taken back";
}

TEST_P(store_contract, marks_move_with_their_events) {
  const std::string source = "kafka/c/t/3";
  const auto epoch = claim(source);
  auto b = of({life_cycle("m87", 1)});
  b.marks = {finished(source, epoch, 0), finished(source, epoch, 2)};
  ASSERT_TRUE(append_one(*store_, b));
  EXPECT_EQ(progress(source).next, 1u);
  EXPECT_TRUE(progress(source).finished(2));
  batch alone;
  alone.shard = 999;  // of marks alone neither shard nor epoch matters
  alone.marks = {finished(source, epoch, 1), {.source = source, .epoch = epoch, .all_before = true, .park = "m87"}};
  ASSERT_TRUE(append_one(*store_, alone));
  EXPECT_EQ(progress(source).next, 3u);
  EXPECT_TRUE(progress(source).parked().contains("m87"));
  EXPECT_EQ(last(), 1u);
}

TEST_P(store_contract, marks_of_one_commit_add_up_and_a_refused_batch_takes_its_own_back) {
  const auto epoch = claim("s");
  std::vector<batch> batches;
  for (std::uint64_t i = 0; i < 50; ++i) {
    batches.push_back(of({life_cycle("job-" + std::to_string(i), 1)}));
    batches.back().marks = {finished("s", epoch, i)};
  }
  batches[7].events = {life_cycle("job-6", 1)};  // its sequence is taken
  const auto outcomes = store_->append(batches).value();
  EXPECT_FALSE(outcomes[7]);
  EXPECT_EQ(progress("s").next, 7u);
  EXPECT_EQ(progress("s").above().size(), 42u);
}

TEST_P(store_contract, a_batch_that_finishes_too_far_ahead_is_refused_whole) {
  const auto s = claim("s"), t = claim("t");
  auto b = of({life_cycle("m87", 1)});
  b.marks = {finished("t", t, 0), finished("s", s, 0), finished("s", s, source_progress::span_max + 2)};
  const std::vector batches{b, of({life_cycle("3c286", 1)})};
  const auto outcomes = store_->append(batches).value();
  ASSERT_FALSE(outcomes[0]);
  EXPECT_EQ(outcomes[0].error().code, error_code::limit_exceeded);
  EXPECT_TRUE(outcomes[1]);
  EXPECT_EQ(progress("s").next, 0u);
  EXPECT_EQ(progress("t").next, 0u);
  EXPECT_EQ(read_all(*store_).size(), 1u);
  EXPECT_EQ(store_->verify(nullptr).value(), 1u);
}

TEST_P(store_contract, a_source_belongs_to_the_last_who_claimed_it) {
  const auto first = store_->claim_source("kafka/c/t/0").value();
  EXPECT_TRUE(first.is_new);
  EXPECT_EQ(first.progress.epoch, 1u);
  auto mine = of({life_cycle("m87", 1)});
  mine.marks = {finished("kafka/c/t/0", first.progress.epoch, 0)};
  ASSERT_TRUE(append_one(*store_, mine));
  const auto second = store_->claim_source("kafka/c/t/0").value();
  EXPECT_FALSE(second.is_new);
  EXPECT_EQ(second.progress.epoch, 2u);
  EXPECT_EQ(second.progress.next, 1u);

  auto late = of({life_cycle("m87", 2)});
  late.marks = {finished("kafka/c/t/0", first.progress.epoch, 1)};
  const auto refused = append_one(*store_, late);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, error_code::fenced);
  EXPECT_NE(refused.error().text.find("kafka/c/t/0"), std::string::npos) << refused.error().text;
  EXPECT_EQ(last(), 1u) << "its event neither";
  late.marks[0].epoch = 3;  // nobody gave this one out
  EXPECT_EQ(append_one(*store_, late).error().code, error_code::fenced);
  late.marks[0].epoch = second.progress.epoch;
  EXPECT_TRUE(append_one(*store_, late));
  EXPECT_EQ(progress("kafka/c/t/0").next, 2u);
}

TEST_P(store_contract, a_mark_needs_a_claimed_source) {
  auto b = of({health()});
  for (const std::uint64_t epoch : {0, 1}) {
    b.marks = {finished("unclaimed", epoch, 0)};
    EXPECT_EQ(append_one(*store_, b).error().code, error_code::invalid_argument);
  }
  EXPECT_EQ(last(), 0u);
  EXPECT_EQ(store_->claim_source("").error().code, error_code::invalid_argument);
  EXPECT_EQ(store_->claim_source(std::string(1'025, 'x')).error().code, error_code::invalid_argument);
}

TEST_P(store_contract, sources_are_listed_by_the_beginning_of_their_names) {
  for (const char* name : {"relay/kafka", "relay/rabbitmq", "relay", "relaz", "kafka/c/t/1", "kafka/c/t/10", "\u00e9"})
    claim(name);
  const auto names = [&](std::string_view prefix) {
    std::vector<std::string> found;
    const auto sources = store_->read_sources(prefix).value();
    for (const auto& [name, ignored] : sources) found.push_back(name);
    return found;
  };
  EXPECT_EQ(names("relay/"), (std::vector<std::string>{"relay/kafka", "relay/rabbitmq"}));
  EXPECT_EQ(names("kafka/c/t/1"), (std::vector<std::string>{"kafka/c/t/1", "kafka/c/t/10"}));
  EXPECT_EQ(names("\u00e9").size(), 1u);
  EXPECT_EQ(names("absent").size(), 0u);
  EXPECT_EQ(names("").size(), 7u);
}

TEST_P(store_contract, reads_by_position_job_tenant_type_and_time) {
  std::vector<event> events;
  for (int i = 0; i < 3'000; ++i) {
    auto e = i % 3 == 2 ? health(noon + i * 1s)
                        : life_cycle("job" + std::to_string(i % 3), std::uint64_t(i / 3 + 1), noon + i * 1s);
    if (i % 3 == 1) e.tenant = "other";
    events.push_back(e);
  }
  std::uint64_t position = 0;
  for (std::size_t i = 0; i < events.size(); i += 1'000)
    ASSERT_TRUE(append_one(*store_, of({events.begin() + long(i), events.begin() + long(i) + 1'000})));
  for (auto& e : events) e.position = ++position;
  std::mt19937 random(6);
  for (int round = 0; round < 60; ++round) {
    event_filter f;
    const auto coin = [&] { return random() % 2 == 0; };
    if (coin()) f.after_position = random() % 3'100;
    if (coin()) f.before_position = random() % 3'100;
    if (coin()) f.tenant = coin() ? "default" : "other";
    if (coin()) f.job_id = "job" + std::to_string(random() % 3);
    if (coin()) f.type = coin() ? "job.progress" : coin() ? "job.submitted" : "system.health";
    if (coin()) f.start = noon + std::chrono::seconds(random() % 3'100);
    if (coin()) f.end = f.start.value_or(noon) + std::chrono::seconds(random() % 2'000);
    std::vector<event> expected;
    for (const auto& e : events)
      if (e.position > f.after_position && (!f.before_position || e.position < *f.before_position) &&
          (f.tenant.empty() || e.tenant == f.tenant) && (f.job_id.empty() || e.job_id == f.job_id) &&
          (f.type.empty() || type_of(e.data) == f.type) && (!f.start || e.time >= *f.start) &&
          (!f.end || e.time < *f.end))
        expected.push_back(e);
    ASSERT_EQ(read_all(*store_, f, 1 + random() % 700), expected) << "round " << round;
  }
}

TEST_P(store_contract, a_reader_sees_what_is_committed) {
  ASSERT_TRUE(append_one(*store_, submission("m87", "d", "k")));
  auto reader = open_reader(url());
  ASSERT_TRUE(reader) << reader.error().text;
  EXPECT_EQ((*reader)->id(), store_->id());
  EXPECT_EQ(read_all(**reader), read_all(*store_));
  ASSERT_TRUE(append_one(*store_, of({life_cycle("m87", 2)})));
  EXPECT_EQ((*reader)->last_position().value(), 2u);
  EXPECT_EQ((*reader)->find_claim("default", "karl", "k").value()->digest, "d");
  EXPECT_EQ((*reader)->verify(nullptr).value(), 2u);
  EXPECT_FALSE(append_one(**reader, of({life_cycle("m87", 3)})));
  EXPECT_EQ((*reader)->head().value().hash, store_->head().value().hash);
  EXPECT_EQ((*reader)->head().value().position, 2u);
  claim("s");
  EXPECT_EQ((*reader)->read_sources("").value().at("s").epoch, 1u);
  EXPECT_FALSE((*reader)->raise_epochs(std::vector<std::uint32_t>{1}));
  EXPECT_FALSE((*reader)->claim_source("s"));
}

TEST_P(store_contract, tells_its_size_on_disk) {
  const auto empty = store_->size_bytes().value();
  std::vector<event> events;
  for (int i = 0; i < 2'000; ++i) events.push_back(health());
  ASSERT_TRUE(append_one(*store_, of(events)));
  if (GetParam() == "memory")
    EXPECT_EQ(store_->size_bytes().value(), 0u);
  else
    EXPECT_GT(store_->size_bytes().value(), empty + 2'000 * 100);
  EXPECT_EQ(open_reader(url()).value()->size_bytes().value(), store_->size_bytes().value());
}

TEST_P(store_contract, a_second_owner_is_refused_by_name) {
  auto second = open_store(url(), owner_info{"node-2", "alma", noon});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, error_code::unavailable);
  EXPECT_EQ(
      second.error().text,
      "journal is in use by node node-1 on host vla since 2026-11-21T12:00:00.000Z; give both a [cluster] section");
  store_.reset();
  EXPECT_TRUE(open_store(url(), owner_info{"node-2", "alma", noon}));
}

TEST_P(store_contract, what_cannot_be_read_back_is_never_stored) {
  const auto refused = [&](batch b) { return append_one(*store_, b).error(); };
  auto no_id = life_cycle("m87", 1);
  no_id.event_id = "seven";
  EXPECT_EQ(refused(of({no_id})).code, error_code::invalid_argument);
  auto unnumbered = life_cycle("m87", 1);
  unnumbered.sequence = 0;
  EXPECT_NE(refused(of({unnumbered})).text.find("sequence"), std::string::npos);
  auto unfinished = life_cycle("m87", 2);
  std::get<job_progress>(unfinished.data).progress = 7;
  EXPECT_NE(refused(of({unfinished})).text.find("progress"), std::string::npos);
  auto wide = of({health()});
  wide.shard = 256;
  EXPECT_EQ(refused(wide).code, error_code::invalid_argument);
  auto chatty = of({health()});
  chatty.marks = {{.source = "s", .park = std::string(257, 'x')}};
  EXPECT_EQ(refused(chatty).code, error_code::invalid_argument);
  chatty.marks = {{.source = "s", .offset = std::uint64_t{1} << 63}};
  EXPECT_NE(refused(chatty).text.find("mark.offset"), std::string::npos);
  chatty.marks = std::vector<source_mark>(10'001);
  EXPECT_EQ(refused(chatty).code, error_code::limit_exceeded);
  EXPECT_EQ(refused(of(std::vector<event>(10'001, health()))).code, error_code::limit_exceeded);
  EXPECT_EQ(store_->read({}, 0).error().code, error_code::invalid_argument);
  EXPECT_EQ(store_->read({}, 10'001).error().code, error_code::invalid_argument);
  EXPECT_EQ(last(), 0u);
  EXPECT_TRUE(store_->append(std::span<const batch>()).value().empty());
}

TEST_P(store_contract, verifying_can_be_stopped) {
  std::vector<event> events;
  for (int i = 0; i < 2'500; ++i) events.push_back(health());
  ASSERT_TRUE(append_one(*store_, of(events)));
  std::uint64_t seen = 0;
  auto stopped = store_->verify([&](std::uint64_t checked) { return (seen = checked) < 2'000; });
  EXPECT_EQ(stopped.error().code, error_code::cancelled);
  EXPECT_EQ(seen, 2'000u);
  EXPECT_EQ(store_->verify([](std::uint64_t) { return true; }).value(), 2'500u);
}

TEST(journal_url, other_schemes_are_refused_with_what_would_be_right) {
  for (const char* url : {"mysql:x", "", "journal.db", "sqlite:", "PostgreSQL://user:secret@host/db"}) {
    const auto opened = open_store(url, me);
    ASSERT_FALSE(opened) << url;
    EXPECT_EQ(opened.error().code, error_code::invalid_argument);
    EXPECT_NE(opened.error().text.find("sqlite:<path>"), std::string::npos) << opened.error().text;
    EXPECT_EQ(opened.error().text.find("secret"), std::string::npos) << opened.error().text;
  }
}

TEST(journal_shard, is_fixed_for_ever) {
  // FNV-1a 64 of "default\0m87" and "\0", computed apart.
  EXPECT_EQ(shard_of("default", "m87"), 224u);
  EXPECT_EQ(shard_of("", ""), 223u);
  std::set<std::uint32_t> used;
  for (int i = 0; i < 5'000; ++i) used.insert(shard_of("default", "job-" + std::to_string(i)));
  EXPECT_EQ(used.size(), shard_count);
}

}  // namespace
}  // namespace horizons::journal
