#include "gateways/rabbitmq/wire.hpp"

#include <gtest/gtest.h>

#include <random>

namespace horizons::rabbitmq {
namespace {

/// Through the library's own encoder and decoder and back.
result<field_table> there_and_back(const field_table& table) {
  table_builder builder;
  amqp_table_t out = builder.build(table);
  std::string bytes(1 << 20, '\0');
  std::size_t size = 0;
  EXPECT_EQ(amqp_encode_table(to_bytes(bytes), &out, &size), AMQP_STATUS_OK);
  amqp_pool_t pool;
  init_amqp_pool(&pool, 4'096);
  amqp_table_t in{};
  std::size_t read = 0;
  EXPECT_EQ(amqp_decode_table(to_bytes(std::string_view(bytes).substr(0, size)), &pool, &in, &read), AMQP_STATUS_OK);
  auto result = read_table(in);
  empty_amqp_pool(&pool);
  return result;
}

field random_field(std::mt19937_64& random, int depth) {
  const auto n = static_cast<std::int64_t>(random());
  switch (random() % (depth > 0 ? 17 : 15)) {
    case 0:
      return {};
    case 1:
      return field::truth(n & 1);
    case 2:
      return {'b', std::int64_t{static_cast<std::int8_t>(n)}};
    case 3:
      return {'B', std::int64_t{static_cast<std::uint8_t>(n)}};
    case 4:
      return {'s', std::int64_t{static_cast<std::int16_t>(n)}};
    case 5:
      return {'u', std::int64_t{static_cast<std::uint16_t>(n)}};
    case 6:
      return {'I', std::int64_t{static_cast<std::int32_t>(n)}};
    case 7:
      return {'i', std::int64_t{static_cast<std::uint32_t>(n)}};
    case 8:
      return {'l', n};
    case 9:
      return {'L', static_cast<std::uint64_t>(n)};
    case 10:
      return {'T', static_cast<std::uint64_t>(n) >> 8};
    case 11:
      return {'f', double{static_cast<float>(n % 1'000) / 8}};
    case 12:
      return {'d', static_cast<double>(n) / 3};
    case 13:
      return {'D', static_cast<std::uint64_t>(n) % 5 << 32 | static_cast<std::uint32_t>(n)};
    case 14:
      return {n & 1 ? 'S' : 'x', std::string(random() % 40, static_cast<char>(n))};
    case 15: {
      field_array all;
      for (std::uint64_t i = random() % 4; i > 0; --i) all.push_back(random_field(random, depth - 1));
      return {'A', std::move(all)};
    }
    default: {
      field_table all;
      for (std::uint64_t i = random() % 4; i > 0; --i)
        all.emplace_back("k" + std::to_string(i), random_field(random, depth - 1));
      return {'F', std::move(all)};
    }
  }
}

TEST(RabbitmqWire, TablesOfAllKindsComeBackAsTheyWere) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 2'000; ++round) {
    field_table table;
    for (std::uint64_t i = random() % 8; i > 0; --i)
      table.emplace_back("name" + std::to_string(i), random_field(random, 4));
    const auto back = there_and_back(table);
    ASSERT_TRUE(back) << back.error().text;
    ASSERT_EQ(*back, table);
  }
}

TEST(RabbitmqWire, RefusesDeepAndLargeTables) {
  field_table deep{{"x", field::number(1)}};
  for (int i = 1; i < field_depth_max; ++i) deep = {{"in", {'F', std::move(deep)}}};
  EXPECT_TRUE(there_and_back(deep));
  deep = {{"in", {'F', std::move(deep)}}};
  const auto refused = there_and_back(deep);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, error_code::limit_exceeded);

  field_table wide;
  for (std::size_t i = 0; i < field_count_max; ++i) wide.emplace_back("k", field());
  EXPECT_TRUE(there_and_back(wide));
  wide.emplace_back("one more", field());
  EXPECT_FALSE(there_and_back(wide));
}

TEST(RabbitmqWire, PropertiesComeBackAsTheyWere) {
  properties p{.content_type = "application/json",
               .correlation_id = "c",
               .reply_to = "r",
               .expiration = "1000",
               .message_id = "m",
               .type = "t",
               .user_id = "u",
               .app_id = "a",
               .headers = {{"h", field::text("v")}},
               .delivery_mode = 2,
               .priority = 0,
               .timestamp_s = 12};
  table_builder tables;
  const auto wire = to_wire(p, tables);
  properties back;
  from_wire(wire, back);
  back.headers = *read_table(wire.headers);
  EXPECT_EQ(back, p);
  from_wire(to_wire({}, tables), back);
  EXPECT_EQ(back, properties{}) << "left from the message before";
}

TEST(RabbitmqField, IsReadAsTextAndNumber) {
  field_table t{{"a", field::text("one")}, {"b", {'I', std::int64_t{2}}}, {"c", {'T', std::uint64_t{3}}}};
  EXPECT_EQ(text_of(t, "a"), "one");
  EXPECT_EQ(text_of(t, "b"), "");
  EXPECT_EQ(number_of(t, "b"), 2);
  EXPECT_EQ(number_of(t, "c"), 3);
  EXPECT_EQ(number_of(t, "a"), std::nullopt);
  put(t, "a", field::text("two"));
  put(t, "d", field::truth(true));
  EXPECT_EQ(text_of(t, "a"), "two");
  EXPECT_EQ(to_headers(t), (header_list{{"a", "two"}, {"b", "2"}, {"c", "3"}, {"d", "true"}}));
  EXPECT_EQ(find(t, "e"), nullptr);
  EXPECT_EQ(to_text({'F', field_table{{"k", {'A', field_array{field::number(1), field()}}}}}), R"({"k":[1,null]})");
  EXPECT_EQ(to_text({'D', std::uint64_t{2} << 32 | 125}), "1.25");
}

}  // namespace
}  // namespace horizons::rabbitmq
