// Who can read whom: the facts of the Avro project's compatibility tests, the modes over a history, and what
// avro-c 1.11.1 gets wrong.
#include "messages/avro/compatibility.hpp"

#include <gtest/gtest.h>

#include "tests/messages/avro/pairs.hpp"

namespace horizons::avro {
namespace {

using namespace test;

const std::string enum1_ab = enum_of("Enum1", "AB"), enum1_abc = enum_of("Enum1", "ABC"),
                  enum1_bc = enum_of("Enum1", "BC"), enum2_ab = enum_of("Enum2", "AB");
const std::string fixed4 = fixed_of("Fixed", 4), fixed8 = fixed_of("Fixed", 8);
const std::string int_float = union_of(int_, float_), int_long = union_of(int_, long_),
                  int_string = union_of(int_, string), numbers = union_of(int_, long_, float_, double_);
const std::string zero = with_default("0");
const std::string empty1 = record_of("Record1"), empty2 = record_of("Record2"),
                  a_int = record_of("Record1", field("a", int_)), a_long = record_of("Record1", field("a", long_)),
                  a_dint = record_of("Record1", field("a", int_, zero)),
                  a_int_b_int = record_of("Record1", field("a", int_), field("b", int_)),
                  a_int_b_dint = record_of("Record1", field("a", int_), field("b", int_, zero)),
                  a_dint_b_dint = record_of("Record1", field("a", int_, zero), field("b", int_, zero));
const std::string int_list = record_of("List", field("head", int_), field("tail", "\"List\"")),
                  long_list = record_of("List", field("head", long_), field("tail", "\"List\""));

std::string in_union_with_array(const std::string& space) {
  return record_of("Record1", field("f1", union_of(null_, array_of(record_of(space + ".Inner", field("a", int_))))));
}

std::string a_dint_b(const std::string& type, const std::string& more = "") {
  return record_of("Record1", field("a", int_, zero), field("b", type, more));
}

std::string enum_field(const std::string& symbols, const std::string& of_enum, const std::string& of_field = "") {
  return record_of("Record", field("Field", enum_of("Schema", symbols, with_default(of_enum)), of_field));
}

using pair = std::pair<std::string, std::string>;  // reader, writer

TEST(avro_compatibility, pairs_that_read_each_other) {
  const std::string a = R"("A")", b = R"("B")";
  const std::vector<pair> pairs = {
      {boolean, boolean},
      {int_, int_},
      {long_, int_},
      {long_, long_},
      {float_, int_},
      {float_, long_},
      {float_, float_},
      {double_, int_},
      {double_, long_},
      {double_, float_},
      {double_, double_},
      {string, string},
      {bytes, bytes},
      {null_, null_},
      {string, bytes},
      {bytes, string},
      {array_of(int_), array_of(int_)},
      {array_of(long_), array_of(int_)},
      {map_of(int_), map_of(int_)},
      {map_of(long_), map_of(int_)},
      {array_of(string), array_of(bytes)},
      {enum1_ab, enum1_ab},
      {enum1_abc, enum1_ab},
      {enum_of("n1.Enum1", "AB"), enum_of("n2.Enum1", "AB")},
      {"[]", "[]"},
      {union_of(float_), "[]"},
      {union_of(int_), "[]"},
      {union_of(long_), "[]"},
      {union_of(string), "[]"},
      {union_of(bytes), "[]"},
      {union_of(float_), union_of(int_)},
      {union_of(float_), union_of(long_)},
      {union_of(float_), int_long},
      {union_of(int_), union_of(int_)},
      {int_string, union_of(string, int_)},
      {union_of(long_), union_of(int_)},
      {union_of(double_), union_of(int_)},
      {union_of(double_), union_of(long_)},
      {union_of(double_), union_of(float_)},
      {union_of(double_), int_float},
      {union_of(string), union_of(bytes)},
      {union_of(bytes), union_of(string)},
      {union_of(null_, array_of(int_)), array_of(int_)},
      {union_of(null_, map_of(int_)), map_of(int_)},
      {union_of(null_, array_of(int_)), union_of(null_)},
      {float_, int_float},
      {long_, int_long},
      {double_, int_float},
      {double_, numbers},
      {float_, union_of(float_)},
      {union_of(int_), int_},
      {int_, union_of(int_)},
      {fixed4, fixed4},
      {fixed_of("n1.Fixed", 4), fixed_of("n2.Fixed", 4)},
      {empty1, empty1},
      {empty1, a_int},
      {a_int, a_int},
      {a_dint, a_int},
      {a_dint, a_dint},
      {a_int, a_dint},
      {a_long, a_int},
      {a_int, a_int_b_int},
      {a_dint, a_int_b_int},
      {a_int_b_dint, a_int},
      {a_dint_b_dint, empty1},
      {a_dint_b_dint, a_int},
      {a_int_b_int, a_dint_b_dint},
      {int_list, int_list},
      {long_list, long_list},
      {long_list, int_list},
      {enum_field("AB", a), enum_field("ABC", a)},
      {enum_field("AB", b, with_default(a)), enum_field("ABC", a, with_default(b))},
      {in_union_with_array("ns1"), in_union_with_array("ns2")},
      {record_of("Record", field("f1", int_)), record_of("ns.Record", field("f1", int_))},
      {record_of("ns.Record", field("f1", int_)), record_of("Record", field("f1", int_))},
      {R"({"type":"record","name":"New","aliases":["Record1"],"fields":[]})", a_int},
      {record_of("Record1", field("z", int_, R"(,"aliases":["a"])")), a_int},
  };
  EXPECT_GE(pairs.size(), 72u);
  for (const auto& [reader, writer] : pairs) {
    auto found = can_read(parsed(reader), parsed(writer));
    EXPECT_TRUE(found.compatible()) << reader << "\ndoes not read\n" << writer << "\n" << found.findings[0].detail;
  }
}

struct incompatible_case {
  std::string reader;
  std::string writer;
  avro::rule rule;
  std::string path = "";
  std::size_t findings = 1;
};

TEST(avro_compatibility, pairs_that_do_not) {
  using enum rule;
  const std::string with_record1 = union_of(int_, record_of("Record1", field("field1", int_))),
                    with_record2 = union_of(int_, record_of("Record2", field("field1", int_)));
  const std::vector<incompatible_case> cases = {
      {null_, int_, type_mismatch},
      {null_, long_, type_mismatch},
      {boolean, int_, type_mismatch},
      {int_, null_, type_mismatch},
      {int_, boolean, type_mismatch},
      {int_, long_, type_mismatch},
      {int_, float_, type_mismatch},
      {int_, double_, type_mismatch},
      {long_, float_, type_mismatch},
      {long_, double_, type_mismatch},
      {float_, double_, type_mismatch},
      {double_, string, type_mismatch},
      {fixed4, string, type_mismatch},
      {string, boolean, type_mismatch},
      {string, int_, type_mismatch},
      {bytes, null_, type_mismatch},
      {bytes, int_, type_mismatch},
      {a_int, int_, type_mismatch},
      {array_of(int_), array_of(long_), type_mismatch, "[]"},
      {map_of(int_), array_of(int_), type_mismatch},
      {array_of(int_), map_of(int_), type_mismatch},
      {map_of(int_), map_of(long_), type_mismatch, "{}"},
      {int_, enum2_ab, type_mismatch},
      {enum2_ab, int_, type_mismatch},
      {float_, numbers, type_mismatch},
      {long_, int_float, type_mismatch},
      {int_, int_float, type_mismatch},
      {int_list, long_list, type_mismatch, "head"},
      {string, union_of(null_, string), type_mismatch},

      {union_of(int_), int_string, missing_union_branch},
      {union_of(string), int_string, missing_union_branch},
      {union_of(int_), with_record1, missing_union_branch},
      {union_of(int_), with_record2, missing_union_branch},
      {with_record1, with_record2, missing_union_branch},
      {union_of(int_), union_of(int_, enum1_ab), missing_union_branch},
      {union_of(int_), union_of(int_, fixed4), missing_union_branch},
      {union_of(int_), union_of(int_, boolean), missing_union_branch},
      {union_of(int_), union_of(long_), missing_union_branch},
      {union_of(int_), union_of(float_), missing_union_branch},
      {union_of(int_), union_of(double_), missing_union_branch},
      {union_of(int_), union_of(bytes), missing_union_branch},
      {union_of(int_), union_of(int_, array_of(int_)), missing_union_branch},
      {union_of(int_), union_of(int_, map_of(int_)), missing_union_branch},
      {union_of(int_), union_of(int_, null_), missing_union_branch},
      {union_of(int_), numbers, missing_union_branch, "", 3},
      {union_of(int_, string), union_of(int_, string, long_), missing_union_branch},
      {a_dint_b(union_of(int_), zero), a_dint_b(int_string, zero), missing_union_branch, "b"},

      {fixed4, fixed8, fixed_size_mismatch},
      {fixed8, fixed4, fixed_size_mismatch},
      {a_dint_b(fixed8), a_dint_b(fixed4), fixed_size_mismatch, "b"},
      {a_dint_b(fixed4), a_dint_b(fixed8), fixed_size_mismatch, "b"},

      {enum1_ab, enum2_ab, name_mismatch},
      {empty2, empty1, name_mismatch},
      {fixed4, fixed_of("Other", 4), name_mismatch},
      {a_dint_b(enum1_ab), a_dint_b(enum2_ab), name_mismatch, "b"},

      {enum1_ab, enum1_abc, missing_enum_symbols},
      {enum1_bc, enum1_abc, missing_enum_symbols},
      {record_of("R", field("f", enum1_ab)), record_of("R", field("f", enum1_abc)), missing_enum_symbols, "f"},
      {record_of("R", field("f", enum1_ab, with_default("\"A\""))), record_of("R", field("f", enum1_abc)),
       missing_enum_symbols, "f"},  // a field's default does not stand in for an unknown symbol

      {a_int, empty1, reader_field_missing_default_value, "a"},
      {a_int_b_dint, empty1, reader_field_missing_default_value, "a"},
      {record_of("R", field("f1", enum_of("E", "AB", with_default("\"A\"")))), record_of("R", field("f2", enum2_ab)),
       reader_field_missing_default_value, "f1"},  // nor an enum's default for a field that is not sent

      {record_of("Record1", field("a", int_), field("z", int_, R"(,"aliases":["a"])")), a_int, ambiguous_alias, "z"},
  };
  for (const auto& c : cases) {
    auto found = can_read(parsed(c.reader), parsed(c.writer)).findings;
    ASSERT_EQ(found.size(), c.findings) << c.reader << "\nreading\n" << c.writer;
    EXPECT_EQ(found[0].rule, c.rule) << c.reader << "\nreading\n" << c.writer << "\n" << found[0].detail;
    EXPECT_EQ(found[0].path, c.path) << c.reader << "\nreading\n" << c.writer;
  }
}

TEST(avro_compatibility, recursion_that_fails_late_fails_everywhere) {
  // The union's branch is tried while the record around it is still open; its failure must not be forgotten.
  const auto tree = [](const std::string& leaf) {
    return record_of("Node", field("next", union_of(null_, "\"Node\"")), field("leaf", leaf));
  };
  EXPECT_TRUE(can_read(parsed(tree(long_)), parsed(tree(int_))).compatible());
  const auto found = can_read(parsed(tree(int_)), parsed(tree(long_))).findings;
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].path, "leaf");
  const auto twice = record_of("Top", field("x", union_of(null_, tree(int_))), field("y", union_of(null_, "\"Node\"")));
  const auto wide = record_of("Top", field("x", union_of(null_, tree(long_))), field("y", union_of(null_, "\"Node\"")));
  EXPECT_EQ(can_read(parsed(twice), parsed(wide)).findings.size(), 2u);
}

TEST(avro_compatibility, schemas_far_too_deep_are_refused_not_crashed_on) {
  // Names let a short text nest without limit.
  std::string fields = field("r0", record_of("R0", field("x", int_)));
  for (int i = 1; i < 3000; ++i)
    fields += "," + field("r" + std::to_string(i),
                          record_of("R" + std::to_string(i), field("x", "\"R" + std::to_string(i - 1) + "\"")));
  auto s = parsed(record_of("Top", fields, field("deep", "\"R2999\"")));
  auto t = parsed(record_of("Top", field("deep", record_of("R2999", field("x", string)))));
  EXPECT_TRUE(can_read(s, s).compatible()) << "each level was seen before the next";
  EXPECT_FALSE(can_read(t, s).compatible());
}

TEST(avro_compatibility, modes_over_a_history) {
  using enum compatibility_mode;
  const auto v = [](const std::string& more) { return parsed(record_of("R", field("a", string), more)); };
  const schema one = parsed(record_of("R", field("a", string))),
               with_default_ = v(field("b", string, with_default("\"x\""))), without = v(field("b", string)),
               gone = parsed(record_of("R", field("b", string)));
  struct mode_case {
    std::vector<schema> history;
    schema candidate;
    compatibility_mode mode;
    bool good;
  };
  const std::vector<mode_case> cases = {
      {{one}, with_default_, backward, true},
      {{one}, with_default_, forward, true},
      {{one}, with_default_, full, true},
      {{one}, without, backward, false},
      {{one}, without, forward, true},
      {{one}, without, full, false},
      {{one}, without, none, true},
      {{}, without, full_transitive, true},
      // Taking a default away is readable against the last version only, not against the one before.
      {{one, with_default_}, without, backward, true},
      {{one, with_default_}, without, backward_transitive, false},
      {{one, with_default_}, without, forward_transitive, true},
      {{one, with_default_}, without, full_transitive, false},
      {{one, with_default_}, gone, backward, true},
      {{one, with_default_}, gone, forward, false},
  };
  for (std::size_t i = 0; i < cases.size(); ++i)
    EXPECT_EQ(check_against(cases[i].history, cases[i].candidate, cases[i].mode).empty(), cases[i].good) << i;

  auto found = check_against(std::vector{one, with_default_}, without, full_transitive);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].version, 0u);
  EXPECT_TRUE(found[0].candidate_reads);
  EXPECT_EQ(found[0].what.path, "b");
}

TEST(avro_compatibility, modes_have_names) {
  for (auto name :
       {"NONE", "BACKWARD", "FORWARD", "FULL", "BACKWARD_TRANSITIVE", "FORWARD_TRANSITIVE", "FULL_TRANSITIVE"})
    EXPECT_EQ(to_string(parse_compatibility_mode(name).value()), name);
  EXPECT_FALSE(parse_compatibility_mode("SIDEWAYS"));
}

}  // namespace
}  // namespace horizons::avro
