#include "gateways/kafka/record_handler.hpp"

#include <gtest/gtest.h>

#include "gateways/kafka/held_record.hpp"

namespace horizons::kafka {
namespace {

struct listener : completion::receiver {
  void completed(std::uint64_t generation, std::uint64_t offset, result<bool> outcome) override {
    told.push_back({generation, offset, outcome.value_or(false)});
  }
  void completed(std::span<const completion> all, bool stored) override {
    ++calls;
    for (const auto& one : all) told.push_back({one.generation(), one.offset(), stored});
  }
  struct end {
    std::uint64_t generation, offset;
    bool stored;
    friend bool operator==(const end&, const end&) = default;
  };
  std::vector<end> told;
  int calls = 0;
};

TEST(record_handler, many_completions_are_told_to_each_receiver_in_order_and_at_once) {
  const auto a = std::make_shared<listener>(), b = std::make_shared<listener>();
  const std::vector<completion> all{{a, 1, 10}, {a, 2, 5}, {b, 1, 7}, {a, 1, 11}};
  completion::tell(all, true);
  EXPECT_EQ(a->told, (std::vector<listener::end>{{1, 10, true}, {2, 5, true}, {1, 11, true}}));
  EXPECT_EQ(a->calls, 2) << "one for each run";
  EXPECT_EQ(b->told, (std::vector<listener::end>{{1, 7, true}}));
  completion::tell({}, true);
  EXPECT_EQ(a->calls + b->calls, 3);
}

TEST(record_handler, a_mark_is_whole_with_its_source_and_epoch) {
  const std::string source = "kafka/cluster/topic/3";
  record_mark m{source, 4, {.offset = 9, .all_before = true, .release = "job-1"}};
  const journal::source_mark expected{
      .source = source, .epoch = 4, .offset = 9, .all_before = true, .release = "job-1"};
  EXPECT_EQ(std::move(m).whole(), expected);
}

TEST(held_record, keeps_what_its_task_is_about_until_it_is_buried) {
  held_record h;
  h.copy = std::make_unique<record>(record{"k", "v", {}, {}});
  keep(h, {.lane = "job-1", .job_id = "job-1", .traceparent = "00-1-2-01", .run = [](const auto&, const auto&) {}});
  ASSERT_TRUE(h.run);
  h.stored = {.offset = 7, .all_before = true, .releases = true};
  EXPECT_EQ(mark_of(h).release, "job-1");
  detach(h);
  EXPECT_FALSE(h.run) << "a task is good for one try";
  EXPECT_EQ(h.lane, "job-1");
  ASSERT_TRUE(h.about);
  EXPECT_EQ(h.about->traceparent, "00-1-2-01");
  keep(h, {.lane = "job-1"});
  EXPECT_EQ(h.about->job_id, "job-1") << "as an earlier reading had it";
}

/// KIP-98's encoding of one record of a batch: what a full batch may be reckoned by.
TEST(record, is_never_larger_on_the_wire_than_reckoned) {
  const auto varint = [](std::int64_t v) {
    auto zigzag = static_cast<std::uint64_t>(v) << 1 ^ static_cast<std::uint64_t>(v >> 63);
    std::size_t bytes = 1;
    while (zigzag >>= 7) ++bytes;
    return bytes;
  };
  const auto encoded = [&](const record& r) {
    std::size_t body = 1 + varint(5'000) + varint(9'999);  // attributes, ms and records since the batch began
    for (const auto* part : {&r.key, &r.value})
      body += varint(*part ? static_cast<std::int64_t>((*part)->size()) : -1) + (*part ? (*part)->size() : 0);
    body += varint(static_cast<std::int64_t>(r.headers.size()));
    for (const auto& [name, value] : r.headers)
      body += varint(static_cast<std::int64_t>(name.size())) + name.size() +
              varint(value ? static_cast<std::int64_t>(value->size()) : -1) + (value ? value->size() : 0);
    return varint(static_cast<std::int64_t>(body)) + body;
  };
  for (const std::size_t size : {std::size_t{0}, std::size_t{256}, std::size_t{70'000}, std::size_t{900'000}})
    for (const std::size_t headers : {0, 1, 12}) {
      record r{std::string(26, 'k'), std::string(size, 'v'), {}, {}};
      for (std::size_t i = 0; i < headers; ++i) r.headers.emplace_back("ce_type", std::string(200, 'h'));
      EXPECT_LE(encoded(r), wire_bytes_of(r)) << size << " bytes, " << headers << " headers";
      EXPECT_LE(wire_bytes_of(r), encoded(r) + 20 + 6 * headers);
    }
  const record empty{};
  EXPECT_LE(encoded(empty), wire_bytes_of(empty));
}

}  // namespace
}  // namespace horizons::kafka
