#include "gateways/kafka/producer_ledger.hpp"

#include <gtest/gtest.h>

#include "gateways/kafka/producer_routes.hpp"
#include "gateways/kafka/producer_statistics.hpp"

namespace horizons::kafka {
namespace {

producer_entry entry_of(std::uint64_t token, std::size_t bytes) {
  producer_entry e;
  e.what = std::make_shared<const record>(record{"k", "v", {}, {}});
  e.token = token;
  e.bytes = bytes;
  return e;
}

TEST(producer_ledger, is_limited_in_records_and_bytes_but_takes_a_large_one_alone) {
  producer_ledger l(2, 100);
  EXPECT_TRUE(l.fits(1'000));
  auto& large = l.add(entry_of(1, 1'000));
  EXPECT_FALSE(l.fits(1));
  l.finish(large, {.token = 1});
  l.add(entry_of(2, 40));
  EXPECT_TRUE(l.fits(60));
  EXPECT_FALSE(l.fits(61));
  l.add(entry_of(3, 40));
  EXPECT_FALSE(l.fits(0)) << "two are under way";
}

TEST(producer_ledger, keeps_the_order_of_what_is_under_way_and_tells_of_the_rest_once) {
  producer_ledger l(10, 1'000);
  auto& first = l.add(entry_of(1, 10));
  auto& second = l.add(entry_of(2, 10));
  l.add(entry_of(3, 10));
  const std::weak_ptr<const record> gone = second.what;
  l.finish(second, {.token = 2});
  EXPECT_TRUE(gone.expired()) << "its bytes are not kept for the next one";
  l.finish(first, {.token = 1});
  l.add(entry_of(4, 5));  // in the place of an old one
  std::vector<std::uint64_t> left, told;
  for (const auto& e : l.entries()) left.push_back(e.token);
  EXPECT_EQ(left, (std::vector<std::uint64_t>{3, 4}));
  EXPECT_EQ(l.bytes(), 15u);
  std::vector<delivery> taken;
  l.take_deliveries(taken);
  for (const auto& d : taken) told.push_back(d.token);
  EXPECT_EQ(told, (std::vector<std::uint64_t>{2, 1}));
  EXPECT_FALSE(l.has_deliveries());
}

TEST(producer_routes, a_key_has_its_turn_in_the_partition_that_java_would_choose) {
  producer_routes routes;
  auto& r = routes.of("t");
  auto e = entry_of(1, 10);
  e.partition = producer::by_key;
  EXPECT_EQ(r.turn_of(e), nullptr) << "how many partitions there are is not known";
  r.turns.assign(10, {});
  auto* turn = r.turn_of(e);
  ASSERT_NE(turn, nullptr);
  EXPECT_EQ(r.turn_of(e), turn);
  e.partition = 3;
  EXPECT_EQ(r.turn_of(e), &r.turns[3]);
  e.partition = 10;
  EXPECT_EQ(r.turn_of(e), nullptr) << "there is no such partition";
  EXPECT_EQ(&routes.of("t"), &r);
  EXPECT_EQ(routes.find("other"), nullptr);
}

TEST(producer_statistics, names_the_worst_broker_and_counts_real_partitions) {
  const auto s = read_producer_statistics(R"({"brokers":{"a":{"txbytes":5,"throttle":{"max":3},"rtt":{"avg":10}},
      "b":{"txbytes":7,"throttle":{"max":1},"rtt":{"avg":40}}},"topics":{"t":{"partitions":{"0":{},"1":{},"-1":{}}}}})");
  EXPECT_EQ(s.wire_bytes, 12u);
  EXPECT_EQ(s.throttle_ms, 3);
  EXPECT_EQ(s.round_trip_us, 40);
  EXPECT_EQ(s.topics, (std::vector<std::pair<std::string, std::size_t>>{{"t", 2}}));
  for (const auto* text : {"", "no json", "[]", "{}"})
    EXPECT_TRUE(read_producer_statistics(text).topics.empty()) << text;
}

}  // namespace
}  // namespace horizons::kafka
