// The binary encoding: the bytes of the specification's examples, every kind of value there and back, bad input.
#include "messages/avro/codec.hpp"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "messages/avro/resolution.hpp"
#include "tests/messages/avro/pairs.hpp"

namespace horizons::avro {
namespace {

using namespace test;
using namespace std::string_literals;

value held(std::uint32_t branch, value v) { return {union_value{branch, {std::move(v)}}}; }

TEST(avro_codec, writes_the_bytes_of_the_specification) {
  const auto ab = record_of("test", field("a", long_), field("b", string));
  const std::vector<std::tuple<std::string, value, std::string>> cases = {
      {int_, {0}, "\x00"s},
      {int_, {-1}, "\x01"s},
      {int_, {1}, "\x02"s},
      {int_, {-2}, "\x03"s},
      {int_, {-64}, "\x7f"s},
      {int_, {64}, "\x80\x01"s},
      {int_, {-65}, "\x81\x01"s},
      {long_, {std::numeric_limits<std::int64_t>::min()}, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"s},
      {string,
       {"foo"s},
       "\x06"
       "foo"s},
      {ab,
       {record_value{{{std::int64_t{27}}, {"foo"s}}}},
       "\x36\x06"
       "foo"s},
      {array_of(long_), {array_value{{{std::int64_t{3}}, {std::int64_t{27}}}}}, "\x04\x06\x36\x00"s},
      {union_of(null_, string), held(0, {}), "\x00"s},
      {union_of(null_, string), held(1, {"a"s}),
       "\x02\x02"
       "a"s},
      {enum_of("Foo", "ABCD"), {enum_value{"D"}}, "\x06"s},
      {boolean, {true}, "\x01"s},
      {null_, {}, ""s},
      {float_, {1.0f}, "\x00\x00\x80\x3f"s},
      {double_, {1.0}, "\x00\x00\x00\x00\x00\x00\xf0\x3f"s},
      {bytes, {bytes_value{"\xff\x00"s}}, "\x04\xff\x00"s},
      {fixed_of("F", 2), {fixed_value{"\xff\x00"s}}, "\xff\x00"s},
      {map_of(int_), {map_value{{"k"}, {{7}}}}, "\x02\x02k\x0e\x00"s},
  };
  for (const auto& [text, v, expected] : cases) {
    auto s = parsed(text);
    auto octets = encode(s, v);
    ASSERT_TRUE(octets) << text << ": " << octets.error().text;
    EXPECT_EQ(*octets, expected) << text;
    auto back = decode(s, *octets);
    ASSERT_TRUE(back) << text << ": " << back.error().text;
    EXPECT_TRUE(*back == v) << text;
  }
}

TEST(avro_codec, reads_blocks_with_sizes) {
  // Two items in a block with its size in bytes, then one without: -2, 2 bytes, 3, 27; 1, 5; 0.
  auto v = decode(parsed(array_of(long_)), "\x03\x04\x06\x36\x02\x0a\x00"s);
  ASSERT_TRUE(v);
  EXPECT_EQ(std::get<array_value>(v->datum).items.size(), 3u);
  auto m = decode(parsed(map_of(null_)), "\x01\x04\x02k\x00"s);
  ASSERT_TRUE(m);
  EXPECT_EQ(std::get<map_value>(m->datum).keys.size(), 1u);
}

struct bad_input {
  std::string schema;
  std::string octets;
  std::string said;
};

TEST(avro_codec, bad_input_is_an_error_that_names_path_and_reason) {
  const auto nested = record_of("R", field("list", array_of(record_of("S", field("name", string), field("n", int_)))));
  const auto endless = record_of("R", field("next", union_of(null_, "\"R\"")));
  std::string nulls = record_of("N", field("a", null_));
  const std::vector<bad_input> cases = {
      {long_, "", "the input ends"},
      {long_, "\xff", "the input ends"},
      {long_, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", "longer than 64 bit"},
      {long_, "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", "longer than 64 bit"},
      {int_, "\xff\xff\xff\xff\x7f", "does not fit an int"},
      {boolean, "\x02", "boolean byte is 2"},
      {float_, "\x01\x02", "the input ends: 4 bytes expected, 2 are left"},
      {double_, "\x01", "the input ends"},
      {string,
       "\x06"
       "fo",
       "the input ends"},
      {string, "\x01", "length -1 is negative"},
      {string, "\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", "the input ends"},
      {string, "\x02\xff", "not valid UTF-8"},
      {string, "\x04\xc0\x80", "not valid UTF-8"},
      {bytes, "\xfe\xff\xff\xff\x0f", "the input ends"},
      {fixed_of("F", 4), "abc", "the input ends"},
      {enum_of("E", "AB"), "\x04", "enum symbol 2; the schema has 2"},
      {enum_of("E", "AB"), "\x01", "enum symbol -1"},
      {union_of(null_, int_), "\x04", "union branch 2; the schema has 2"},
      {union_of(null_, int_), "\x01", "union branch -1"},
      {"[]", "\x00"s, "union branch 0; the schema has 0"},
      {array_of(long_), "\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", "[0]: the input ends"},
      {array_of(null_), "\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", "too many data that take no bytes"},
      {array_of(nulls), "\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", "too many data that take no bytes"},
      {array_of(long_), "\x01\x01\x00"s, "block of -1 bytes"},
      {array_of(long_), "\x01\x7e\x00"s, "block of 63 bytes, 1 are left"},
      {array_of(long_), "\x02\x02", "[1]: the input ends"},
      {map_of(int_), "\x02\x02\xff\x00", "[0]: not valid UTF-8"},
      {nested, "\x02\x02x\xff\xff\xff\xff\x7f\x00"s, "list[0].n: "},
      {endless, std::string(200, '\x02'), "nested deeper than"},
      {int_, "\x02\x02", "1 bytes follow the datum"},
      {null_, "x", "1 bytes follow"},
  };
  for (const auto& c : cases) {
    auto v = decode(parsed(c.schema), c.octets);
    ASSERT_FALSE(v) << c.schema;
    EXPECT_NE(v.error().text.find(c.said), std::string::npos) << c.schema << "\n" << v.error().text;
  }
}

TEST(avro_codec, a_record_that_never_ends_is_refused) {
  auto v = decode(parsed(record_of("R", field("self", "\"R\""))), "");
  ASSERT_FALSE(v);
  EXPECT_EQ(v.error().code, error_code::limit_exceeded);
}

TEST(avro_codec, skipped_parts_are_bounded_too) {
  auto writer = parsed(record_of("R", field("gone", array_of(null_)), field("a", int_)));
  auto reader = parsed(record_of("R", field("a", int_)));
  auto v = resolution(writer, reader).decode("\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00\x02"s);
  ASSERT_FALSE(v);
  EXPECT_EQ(v.error().code, error_code::limit_exceeded);
  EXPECT_EQ(v.error().text.substr(0, 5), "gone[");
}

TEST(avro_codec, defaults_cannot_be_multiplied_without_end) {
  const auto big = with_default("\"" + std::string(4096, 'x') + "\"");
  auto writer = parsed(array_of(record_of("R", field("b", boolean))));
  auto reader = parsed(array_of(record_of("R", field("b", boolean), field("s", string, big))));
  std::string octets = "\x80\x80\x7a"s + std::string(1'000'000, '\0') + "\0"s;  // 999,424 records of one byte
  auto v = resolution(writer, reader).decode(octets);
  ASSERT_FALSE(v);
  EXPECT_EQ(v.error().code, error_code::limit_exceeded);
}

TEST(avro_codec, encoding_refuses_what_the_schema_does_not_say) {
  const std::vector<std::tuple<std::string, value, std::string>> cases = {
      {int_, {std::int64_t{1}}, "expected int"},
      {string, {"\xff"s}, "not valid UTF-8"},
      {fixed_of("F", 2), {fixed_value{"abc"}}, "expected fixed F"},
      {enum_of("E", "A"), {enum_value{"B"}}, "'B' is no symbol of enum E"},
      {union_of(null_), held(1, {}), "expected union"},
      {record_of("R", field("a", array_of(int_))), {record_value{{{array_value{{{true}}}}}}}, "a[0]: "},
      {record_of("R", field("a", int_)), {record_value{}}, "expected record R"},
  };
  for (const auto& [text, v, said] : cases) {
    auto octets = encode(parsed(text), v);
    ASSERT_FALSE(octets) << text;
    EXPECT_NE(octets.error().text.find(said), std::string::npos) << octets.error().text;
  }
}

}  // namespace
}  // namespace horizons::avro
