// Data written with one version of a schema and read with another: the facts of the Avro project's tests on
// evolved schemas and enum defaults.
#include <gtest/gtest.h>

#include "messages/avro/codec.hpp"
#include "messages/avro/resolution.hpp"
#include "tests/messages/avro/pairs.hpp"

namespace horizons::avro {
namespace {

using namespace test;
using namespace std::string_literals;

constexpr std::int64_t l42 = 42;
const std::string all_numbers = union_of(double_, float_, long_, int_);
const std::string texts = union_of(string, bytes);
const std::string gorans = "G\xc3\xb6ran";

value held(std::uint32_t branch, value v) { return {union_value{branch, {std::move(v)}}}; }

struct evolved_case {
  const char* what;
  std::string written;  // the type of the field
  value v;
  std::string read;
  std::optional<value> expected;  // nothing: refused
  std::string said = "";
};

TEST(avro_evolved_data, fields_of_another_type) {
  const auto ab = enum_of("Enum1", "AB"), abc = enum_of("Enum1", "ABC");
  const auto a = with_default("\"A\"");
  const std::vector<evolved_case> cases = {
      {"double in a union as double", all_numbers, held(0, {42.0}), double_, value{42.0}},
      {"long in a union as [float, long] stays long", union_of(long_), held(0, {l42}), union_of(float_, long_),
       held(1, {l42})},
      {"long in a union as [double]", union_of(long_), held(0, {l42}), union_of(double_), held(0, {42.0})},
      {"int in a union as [double]", union_of(int_), held(0, {42}), union_of(double_), held(0, {42.0})},
      {"int in a union as float", union_of(int_), held(0, {42}), float_, value{42.0f}},
      {"int in a union as [float]", union_of(int_), held(0, {42}), union_of(float_), held(0, {42.0f})},
      {"long in a union as float", union_of(long_), held(0, {l42}), float_, value{42.0f}},
      {"long in a union as [float]", union_of(long_), held(0, {l42}), union_of(float_), held(0, {42.0f})},
      {"long in a union as [long, float]", union_of(long_), held(0, {l42}), union_of(long_, float_), held(0, {l42})},
      {"long in a union as [float, double]: the first", union_of(long_), held(0, {l42}), union_of(float_, double_),
       held(0, {42.0f})},
      {"double in a union is no float", all_numbers, held(0, {42.0}), float_, std::nullopt, "written as double"},
      {"float in a union is no long", all_numbers, held(1, {42.0f}), long_, std::nullopt, "written as float"},
      {"long in a union is no int", all_numbers, held(2, {l42}), int_, std::nullopt, "written as long"},
      {"int in a union is every number", all_numbers, held(3, {42}), double_, value{42.0}},
      {"int in a union is every number", all_numbers, held(3, {42}), float_, value{42.0f}},
      {"int in a union is every number", all_numbers, held(3, {42}), long_, value{l42}},
      {"int in a union is every number", all_numbers, held(3, {42}), int_, value{42}},
      {"ASCII string as bytes", texts, held(0, {"42"s}), bytes, value{bytes_value{"42"}}},
      {"UTF-8 string as bytes", texts, held(0, {gorans}), bytes, value{bytes_value{gorans}}},
      {"ASCII bytes as string", texts, held(1, {bytes_value{"42"}}), string, value{"42"s}},
      {"UTF-8 bytes as string", texts, held(1, {bytes_value{gorans}}), string, value{gorans}},
      {"bytes that are no text as string", texts, held(1, {bytes_value{"\xff"}}), string, std::nullopt,
       "not valid UTF-8"},
      {"enum with more symbols", ab, {enum_value{"A"}}, abc, value{enum_value{"A"}}},
      {"enum with fewer symbols, old symbol", abc, {enum_value{"A"}}, ab, value{enum_value{"A"}}},
      {"enum with fewer symbols, new symbol", abc, {enum_value{"C"}}, ab, std::nullopt, "'C' is no symbol"},
      {"enum default for an unknown symbol", abc, {enum_value{"C"}}, enum_of("Enum1", "AB", a), value{enum_value{"A"}}},
      {"enum default leaves known symbols alone",
       abc,
       {enum_value{"B"}},
       enum_of("Enum1", "AB", a),
       value{enum_value{"B"}}},
      {"int beyond a float's precision", int_, {16'777'217}, float_, value{16'777'216.0f}},
      {"string out of a union", union_of(int_, string), held(1, {"the string"s}), string, value{"the string"s}},
      {"string out of a union into a union", union_of(int_, string), held(1, {"s"s}), union_of(string),
       held(0, {"s"s})},
      {"null that the reader has no place for", union_of(null_, string), held(0, {}), string, std::nullopt,
       "written as null"},
      {"into a later branch by name",
       record_of("B", field("x", int_)),
       {record_value{{{1}}}},
       union_of(null_, record_of("A", field("x", int_)), record_of("B", field("x", long_))),
       held(2, {record_value{{{std::int64_t{1}}}}})},
  };
  for (const auto& c : cases) {
    const auto writer = parsed(record_of("RecordA", field("fieldA", c.written)));
    const auto reader = parsed(record_of("RecordA", field("fieldA", c.read)));
    const auto octets = encode(writer, {record_value{{c.v}}});
    ASSERT_TRUE(octets) << c.what;
    const auto got = resolution(writer, reader).decode(*octets);
    ASSERT_EQ(got.has_value(), c.expected.has_value()) << c.what << (got ? "" : ": " + got.error().text);
    if (c.expected) {
      EXPECT_TRUE(*got == (value{record_value{{*c.expected}}})) << c.what;
    } else {
      EXPECT_EQ(got.error().text.find("fieldA: "), 0u) << c.what << ": " << got.error().text;
      EXPECT_NE(got.error().text.find(c.said), std::string::npos) << c.what << ": " << got.error().text;
    }
  }
}

TEST(avro_evolved_data, fields_that_come_and_go) {
  const auto one = parsed(record_of("RecordA", field("fieldA", int_)));
  const auto octets = encode(one, {record_value{{{42}}}}).value();

  const auto more = parsed(record_of("RecordA", field("newTopField", string), field("fieldA", int_)));
  const auto more_octets = encode(more, {record_value{{{"not decoded"s}, {42}}}}).value();
  EXPECT_TRUE(resolution(more, one).decode(more_octets).value() == (value{record_value{{{42}}}})) << "dropped";

  const auto wants = parsed(record_of("RecordA", field("newField", int_), field("fieldA", int_)));
  const auto refused = resolution(one, wants).decode(octets);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().text, "the writer has no field 'newField' and the reader's has no default");

  const auto defaults =
      parsed(record_of("RecordA", field("newFieldWithDefault", int_, with_default("314")), field("fieldA", int_)));
  EXPECT_TRUE(resolution(one, defaults).decode(octets).value() == (value{record_value{{{314}, {42}}}})) << "filled in";

  const auto renamed = parsed(record_of("RecordA", field("fname", int_, R"(,"aliases":["fieldA"])")));
  EXPECT_TRUE(resolution(one, renamed).decode(octets).value() == (value{record_value{{{42}}}})) << "by alias";

  const auto type_renamed = parsed(
      R"({"type":"record","name":"x.New","aliases":["y.Other","RecordA"],"fields":[{"name":"fieldA","type":"int"}]})");
  EXPECT_FALSE(resolution(one, type_renamed).decode(octets)) << "the alias RecordA means x.RecordA";
  const auto type_renamed_here =
      parsed(R"({"type":"record","name":"New","aliases":["RecordA"],"fields":[{"name":"fieldA","type":"int"}]})");
  EXPECT_TRUE(resolution(one, type_renamed_here).decode(octets)) << "by the type's alias";
}

TEST(avro_evolved_data, order_of_fields_does_not_matter) {
  const auto writer = parsed(record_of("R", field("a", int_), field("b", string), field("c", boolean)));
  const auto reader = parsed(record_of("R", field("c", boolean), field("a", long_), field("b", bytes)));
  const auto octets = encode(writer, {record_value{{{7}, {"x"s}, {true}}}}).value();
  EXPECT_TRUE(resolution(writer, reader).decode(octets).value() ==
              (value{record_value{{{true}, {std::int64_t{7}}, {bytes_value{"x"}}}}}));
}

TEST(avro_evolved_data, a_field_default_does_not_stand_in_for_an_unknown_symbol) {
  const auto writer = parsed(record_of("R", field("f", enum_of("E", "ABC"))));
  const auto octets = encode(writer, {record_value{{{enum_value{"C"}}}}}).value();
  const auto by_field = parsed(record_of("R", field("f", enum_of("E", "AB"), with_default("\"A\""))));
  EXPECT_FALSE(resolution(writer, by_field).decode(octets));
  const auto by_both =
      parsed(record_of("R", field("f", enum_of("E", "AB", with_default("\"A\"")), with_default("\"B\""))));
  EXPECT_TRUE(resolution(writer, by_both).decode(octets).value() == (value{record_value{{{enum_value{"A"}}}}}));
}

TEST(avro_evolved_data, recursive_lists_widen) {
  const auto list = [](const std::string& head) {
    return parsed(record_of("List", field("head", head), field("tail", union_of(null_, "\"List\""))));
  };
  const value two{record_value{{{1}, held(1, {record_value{{{2}, held(0, {})}}})}}};
  const auto octets = encode(list(int_), two).value();
  const value wide{record_value{{{std::int64_t{1}}, held(1, {record_value{{{std::int64_t{2}}, held(0, {})}}})}}};
  EXPECT_TRUE(resolution(list(int_), list(long_)).decode(octets).value() == wide);
}

}  // namespace
}  // namespace horizons::avro
