// Schemas: the facts of the Avro project's canonical-form and fingerprint cases, names, and what is refused.
#include "messages/avro/schema.hpp"

#include <gtest/gtest.h>

#include "tests/messages/avro/pairs.hpp"

namespace horizons::avro {
namespace {

using namespace test;

struct canonical_case {
  std::string text;
  std::string canonical;
  std::int64_t fingerprint;
};

TEST(avro_schema, canonical_form_and_fingerprint) {
  const std::string foo = R"({"name":"foo","type":"record","fields":[]})";
  const std::int64_t foo_print = -4824392279771201922;
  std::vector<canonical_case> cases = {
      {"[ ]", "[]", -1241056759729112623},
      {R"([ "int" ])", R"(["int"])", -5232228896498058493},
      {R"([ "int" , {"type":"boolean"} ])", R"(["int","boolean"])", 5392556393470105090},
      {R"({"fields":[],"type":"record","name":"foo"})", foo, foo_print},
      {R"({"name":"foo","type":"record","namespace":"x.y","fields":[]})",
       R"({"name":"x.y.foo","type":"record","fields":[]})", 5916914534497305771},
      {R"({"name":"a.b.foo","type":"record","namespace":"x.y","fields":[]})",
       R"({"name":"a.b.foo","type":"record","fields":[]})", -4616218487480524110},
      {R"({"type":"record","name":"foo","fields":[],"doc":"words"})", foo, foo_print},
      {R"({"type":"record","name":"foo","fields":[],"aliases":["foo","bar"]})", foo, foo_print},
      {R"({"type":"record","name":"foo","fields":[],"doc":"foo","aliases":["foo","bar"]})", foo, foo_print},
      {R"({"type":"record","name":"foo","fields":[{"type":{"type":"boolean"},"name":"f1"}]})",
       R"({"name":"foo","type":"record","fields":[{"name":"f1","type":"boolean"}]})", 7843277075252814651},
      {R"({"type":"record","name":"foo","fields":[{"type":"boolean","aliases":[],"name":"f1","default":"true"},
           {"order":"descending","name":"f2","doc":"Hi","type":"int"}]})",
       R"({"name":"foo","type":"record","fields":[{"name":"f1","type":"boolean"},{"name":"f2","type":"int"}]})",
       -4860222112080293046},
      {R"({"type":"enum","name":"foo","symbols":["A1"]})", R"({"name":"foo","type":"enum","symbols":["A1"]})",
       -6342190197741309591},
      {R"({"namespace":"x.y.z","type":"enum","name":"foo","doc":"foo bar","symbols":["A1","A2"]})",
       R"({"name":"x.y.z.foo","type":"enum","symbols":["A1","A2"]})", -4448647247586288245},
      {R"({"size":15,"name":"foo","type":"fixed"})", R"({"name":"foo","type":"fixed","size":15})", 1756455273707447556},
      {R"({"namespace":"x.y.z","type":"fixed","name":"foo","doc":"foo bar","size":32})",
       R"({"name":"x.y.z.foo","type":"fixed","size":32})", -3064184465700546786},
      {R"({"items":{"type":"null"},"type":"array"})", R"({"type":"array","items":"null"})", -589620603366471059},
      {R"({"values":"string","type":"map"})", R"({"type":"map","values":"string"})", -8732877298790414990},
      {R"({"name":"PigValue","type":"record","fields":[{"name":"value","type":["null","int","long","PigValue"]}]})",
       R"({"name":"PigValue","type":"record","fields":[{"name":"value","type":["null","int","long","PigValue"]}]})",
       -1759257747318642341}};
  const std::vector<std::pair<std::string, std::int64_t>> primitives = {
      {"null", 7195948357588979594},  {"boolean", -6970731678124411036}, {"int", 8247732601305521295},
      {"long", -3434872931120570953}, {"float", 5583340709985441680},    {"double", -8181574048448539266},
      {"bytes", 5746618253357095269}, {"string", -8142146995180207161}};
  for (const auto& [word, print] : primitives) {
    cases.push_back({"\"" + word + "\"", "\"" + word + "\"", print});
    cases.push_back({"{\"type\":\"" + word + "\"}", "\"" + word + "\"", print});
  }
  cases.push_back({R"({"type":"long","logicalType":"timestamp-millis"})", R"("long")", -3434872931120570953});
  EXPECT_GE(cases.size(), 35u);
  for (const auto& c : cases) {
    auto s = schema::parse(c.text, {.check_defaults = false});
    ASSERT_TRUE(s) << c.text << ": " << s.error().text;
    EXPECT_EQ(s->canonical(), c.canonical) << c.text;
    EXPECT_EQ(static_cast<std::int64_t>(s->fingerprint()), c.fingerprint) << c.text;
    EXPECT_EQ(schema::parse(c.canonical)->canonical(), c.canonical) << "the canonical form is its own";
  }
}

TEST(avro_schema, names_follow_their_namespace) {
  auto s = parsed(R"({"type":"record","name":"a.b.R","fields":[
    {"name":"e","type":{"type":"enum","name":"E","symbols":["X"]}},
    {"name":"f","type":{"type":"fixed","name":"F","namespace":"c","size":2}},
    {"name":"e2","type":"E"}, {"name":"e3","type":"a.b.E"}, {"name":"f2","type":"c.F"},
    {"name":"n","type":{"type":"record","name":"N","namespace":"","aliases":["Old","x.Older"],"fields":[]}},
    {"name":"n2","type":"N"}, {"name":"self","type":["null","R"],"default":null}]})");
  const auto& f = s.root().fields;
  EXPECT_EQ(s.root().name, "a.b.R");
  EXPECT_EQ(f[0].type->name, "a.b.E");
  EXPECT_EQ(f[1].type->name, "c.F");
  EXPECT_EQ(f[2].type, f[0].type);
  EXPECT_EQ(f[3].type, f[0].type);
  EXPECT_EQ(f[4].type, f[1].type);
  EXPECT_EQ(f[5].type->name, "N");
  EXPECT_EQ(f[5].type->aliases, (std::vector<std::string>{"Old", "x.Older"}));
  EXPECT_EQ(f[6].type, f[5].type) << "a name that its namespace does not know may be of none";
  EXPECT_EQ(f[7].type->branches[1], &s.root());
}

TEST(avro_schema, attributes_are_kept) {
  auto s = parsed(R"({"type":"record","name":"R","doc":"d","owner":"x","fields":[
    {"name":"t","doc":"when","type":{"type":"bytes","logicalType":"decimal","precision":4,"scale":2}}]})");
  EXPECT_EQ(s.root().doc, "d");
  EXPECT_EQ(s.root().attributes["owner"], "x");
  EXPECT_EQ(s.root().fields[0].doc, "when");
  EXPECT_EQ(s.root().fields[0].type->logical_type, "decimal");
  EXPECT_EQ(s.root().fields[0].type->attributes["precision"], 4);
}

struct refused_case {
  std::string text;
  std::string said;  // must be part of the error
};

TEST(avro_schema, refuses_what_is_no_schema) {
  std::string deep;
  for (int i = 0; i < 200; ++i) deep += R"({"type":"array","items":)";
  const std::vector<refused_case> cases = {
      {"", "not JSON"},
      {"int", "not JSON"},
      {"{\"type\":\"int\"", "not JSON"},
      {"7", "expected a name, an object or an array"},
      {"null", "expected a name"},
      {"{}", "without 'type'"},
      {R"("strin")", "no type is called 'strin'"},
      {R"({"type":"record","name":"R","fields":[{"name":"a","type":"x.Y"}]})",
       "fields[0].type: no type is called 'x.Y'"},
      {R"({"type":"record","name":"R","type":"record","fields":[]})", "appears twice"},
      {R"({"type":"record","fields":[]})", "without 'name'"},
      {R"({"type":"record","name":"1R","fields":[]})", "name '1R'"},
      {R"({"type":"record","name":"a..R","fields":[]})", "name 'a..R'"},
      {R"({"type":"record","name":"R","namespace":"a-b","fields":[]})", "namespace 'a-b'"},
      {R"({"type":"record","name":"int","fields":[]})", "is a primitive type's"},
      {R"({"type":"record","name":7,"fields":[]})", "'name' is number"},
      {R"({"type":"record","name":"R"})", "needs 'fields'"},
      {R"({"type":"record","name":"R","fields":[7]})", "fields[0]: number"},
      {R"({"type":"record","name":"R","fields":[{"type":"int"}]})", "field name ''"},
      {R"({"type":"record","name":"R","fields":[{"name":"a"}]})", "has no type"},
      {R"({"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"a","type":"int"}]})",
       "fields[1]: the field 'a' appears twice"},
      {R"({"type":"record","name":"R","fields":[{"name":"a","type":"int","order":"up"}]})", "order 'up'"},
      {R"({"type":"record","name":"R","fields":[{"name":"a","type":"int","aliases":"b"}]})", "'aliases' is string"},
      {R"([{"type":"fixed","name":"F","size":1},{"type":"fixed","name":"F","size":1}])", "defined twice"},
      {R"(["int","int"])", "[1]: the union already holds 'int'"},
      {R"(["int",["string"]])", "[1]: a union directly inside a union"},
      {R"([{"type":"map","values":"int"},{"type":"map","values":"long"}])", "already holds 'map'"},
      {R"({"type":"enum","name":"E","symbols":["A","A"]})", "symbol 'A' appears twice"},
      {R"({"type":"enum","name":"E","symbols":["a-b"]})", "expected a name of letters"},
      {R"({"type":"enum","name":"E","symbols":["A"],"default":"B"})", "none of its symbols"},
      {R"({"type":"enum","name":"E"})", "needs 'symbols'"},
      {R"({"type":"fixed","name":"F"})", "needs 'size'"},
      {R"({"type":"fixed","name":"F","size":-1})", "needs 'size'"},
      {R"({"type":"fixed","name":"F","size":1e3})", "needs 'size'"},
      {R"({"type":"fixed","name":"F","size":99999999999})", "at most"},
      {R"({"type":"array"})", "array without 'items'"},
      {R"({"type":"map"})", "map without 'values'"},
      {deep, "nested deeper than"},
      {std::string(schema::bytes_max + 1, ' '), "bytes; at most"},
      {"\"\xff\"", "not JSON"},
  };
  for (const auto& c : cases) {
    auto s = schema::parse(c.text);
    ASSERT_FALSE(s) << c.text.substr(0, 200);
    EXPECT_NE(s.error().text.find(c.said), std::string::npos) << c.text.substr(0, 200) << "\n" << s.error().text;
  }
}

TEST(avro_schema, checks_defaults) {
  const std::vector<std::tuple<std::string, std::string, bool>> cases = {
      {null_, "null", true},
      {null_, "0", false},
      {boolean, "true", true},
      {boolean, R"("true")", false},
      {int_, "-2147483648", true},
      {int_, "2147483648", false},
      {int_, "1.0", false},
      {long_, "9223372036854775807", true},
      {long_, "9223372036854775808", false},
      {float_, "1", true},
      {double_, "1e308", true},
      {double_, R"("NaN")", false},
      {string, R"("x")", true},
      {string, "null", false},
      {bytes, R"("\u00ff")", true},
      {bytes, R"("\u0100")", false},
      {fixed_of("F", 2), R"("\u00ff\u0000")", true},
      {fixed_of("F", 2), R"("a")", false},
      {enum_of("E", "AB"), R"("B")", true},
      {enum_of("E", "AB"), R"("C")", false},
      {array_of(int_), "[1,2]", true},
      {array_of(int_), R"([1,"2"])", false},
      {map_of(int_), R"({"a":1})", true},
      {map_of(int_), R"({"a":null})", false},
      {union_of(null_, int_), "null", true},
      {union_of(null_, int_), "1", false},
      {union_of(int_, null_), "1", true},
      {union_of(int_, null_), "null", false},
      {"[]", "null", false},
      {record_of("S", field("x", int_)), R"({"x":1})", true},
      {record_of("S", field("x", int_)), R"({})", false},
      {record_of("S", field("x", int_, with_default("3"))), R"({})", true},
      {record_of("S", field("x", int_)), R"([])", false},
      {"\"R\"", R"({})", false},  // a record that is its own default never ends
  };
  for (const auto& [type, value, good] : cases) {
    const auto text = record_of("R", field("a", type, with_default(value)));
    EXPECT_EQ(schema::parse(text).has_value(), good) << text;
    EXPECT_TRUE(schema::parse(text, {.check_defaults = false})) << text;
  }
  auto s = schema::parse(record_of("R", field("a", union_of(null_, string), with_default(R"("null")"))));
  ASSERT_FALSE(s);
  EXPECT_EQ(s.error().text, "schema fields[0].default: the default of 'a': \"null\" is not of type null");
}

}  // namespace
}  // namespace horizons::avro
