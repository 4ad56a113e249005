// Thousands of random pairs of schemas, and data of them, against Debian's python3-avro: the same verdict, the same
// canonical form, the same value.
//
// Where python3-avro 1.11.1 itself leaves the specification, it refuses to read what it should; never does it read
// another value. In lib/avro/schema.py and io.py, so that the test can tell these from a disagreement:
// - a writer's union is read only by a union (match() of the other types compares the kinds alone);
// - string and bytes do not promote to each other when data are read (its checker knows that they do);
// - items of arrays and values of maps must be of the very same kind: no promotion, no union;
// - the default of an enum does not stand in for an unknown symbol when data are read;
// - it picks the first branch of the reader's union that matches at the top, and fails if that one fails inside.
#include <cstdio>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <unistd.h>

#include "messages/avro/codec.hpp"
#include "messages/avro/compatibility.hpp"
#include "messages/avro/resolution.hpp"
#include "tests/messages/avro/random_schemas.hpp"

namespace horizons::avro {
namespace {

namespace fs = std::filesystem;

std::string hex_of(std::string_view octets) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string out;
  for (unsigned char c : octets) (out += digits[c >> 4]) += digits[c & 15];
  return out;
}

std::string run(const std::string& command_line) {
  std::string out;
  FILE* pipe = popen(command_line.c_str(), "r");
  if (pipe == nullptr) return out;
  char part[65536];
  for (std::size_t n; (n = fread(part, 1, sizeof part, pipe)) > 0;) out.append(part, n);
  return pclose(pipe) == 0 ? out : std::string();
}

/// Whether python's plain value is ours. Python keeps a promoted number as it was written, so it is rounded here.
bool same(const type& t, const value& v, const json& plain) {
  switch (t.kind) {
    case kind::null:
      return plain.is_null();
    case kind::boolean:
      return plain.is_boolean() && plain == std::get<bool>(v.datum);
    case kind::int_:
      return plain.is_number_integer() && plain == std::get<std::int32_t>(v.datum);
    case kind::long_:
      return plain.is_number_integer() && plain == std::get<std::int64_t>(v.datum);
    case kind::float_:
      return plain.is_number() &&
             std::get<float>(v.datum) == (plain.is_number_integer() ? static_cast<float>(plain.get<std::int64_t>())
                                                                    : static_cast<float>(plain.get<double>()));
    case kind::double_:
      return plain.is_number() && std::get<double>(v.datum) == plain.get<double>();
    case kind::bytes:
      return plain.is_object() && plain == json{{"hex", hex_of(std::get<bytes_value>(v.datum).octets)}};
    case kind::fixed:
      return plain.is_object() && plain == json{{"hex", hex_of(std::get<fixed_value>(v.datum).octets)}};
    case kind::string:
      return plain.is_string() && plain == std::get<std::string>(v.datum);
    case kind::enumeration:
      return plain.is_string() && plain == std::get<enum_value>(v.datum).symbol;
    case kind::array: {
      const auto& items = std::get<array_value>(v.datum).items;
      if (!plain.is_array() || plain.size() != items.size()) return false;
      for (std::size_t i = 0; i < items.size(); ++i)
        if (!same(*t.element, items[i], plain[i])) return false;
      return true;
    }
    case kind::map: {
      const auto& [keys, items] = std::get<map_value>(v.datum);
      if (!plain.is_object() || plain.size() != keys.size()) return false;
      for (std::size_t i = 0; i < keys.size(); ++i)
        if (!plain.contains(keys[i]) || !same(*t.element, items[i], plain[keys[i]])) return false;
      return true;
    }
    case kind::record: {
      const auto& fields = std::get<record_value>(v.datum).fields;
      if (!plain.is_object() || plain.size() != fields.size()) return false;
      for (std::size_t i = 0; i < fields.size(); ++i)
        if (!plain.contains(t.fields[i].name) || !same(*t.fields[i].type, fields[i], plain[t.fields[i].name]))
          return false;
      return true;
    }
    case kind::union_: {
      const auto& u = std::get<union_value>(v.datum);
      return same(*t.branches[u.branch], u.held.front(), plain);
    }
  }
  return false;
}

bool known_refusal(const std::string& reason) {
  return reason.find("Schemas do not match") != std::string::npos ||  // unions, promotions inside, string and bytes
         reason.find("not present in Reader's Schema") != std::string::npos ||  // enum default
         reason.find("No default value for field") != std::string::npos;        // inside the first branch that matched
}

struct asked {
  schema writer;
  schema reader;
  std::vector<std::string> data;
};

TEST(python_avro, agrees_on_random_pairs) {
  if (run("/usr/bin/python3 -c 'import avro.schema; print(1)' 2>/dev/null").empty())
    GTEST_SKIP() << "python3-avro is not installed (apt-get install python3-avro)";

  constexpr std::size_t pairs = 4000;
  test::random_schemas random(20'261'121);
  std::vector<asked> questions;
  const auto scratch = fs::temp_directory_path() / ("horizons-avro-" + std::to_string(getpid()));
  {
    std::ofstream out(scratch);
    while (questions.size() < pairs) {
      const json w = random.any(), r = random.relative_of(w);
      auto writer = schema::parse(w.dump()), reader = schema::parse(r.dump());
      ASSERT_TRUE(writer) << w.dump() << "\n" << writer.error().text;
      if (!reader) continue;  // an edit may leave a default that no longer fits
      asked one{*writer, *reader, {}};
      json line = {{"writer", w.dump()}, {"reader", r.dump()}, {"data", json::array()}};
      for (int i = 0; i < 4; ++i) {
        one.data.push_back(encode(*writer, random.datum(writer->root())).value());
        line["data"].push_back(hex_of(one.data.back()));
      }
      out << line.dump() << "\n";
      questions.push_back(std::move(one));
    }
  }
  std::istringstream answers(
      run("/usr/bin/python3 " HORIZONS_SOURCE_DIR "/tests/messages/avro/python_avro.py < " + scratch.string()));
  fs::remove(scratch);

  std::size_t compatible = 0, values = 0, refused_by_both = 0, refused_by_python = 0;
  std::string line;
  for (const auto& q : questions) {
    ASSERT_TRUE(std::getline(answers, line)) << "python stopped early";
    const auto answer = json::parse(line);
    ASSERT_FALSE(answer.contains("unparsed")) << q.writer.canonical() << "\n" << q.reader.canonical() << "\n" << line;
    const auto pair = "writer " + q.writer.canonical() + "\nreader " + q.reader.canonical();
    const bool reads = can_read(q.reader, q.writer).compatible();
    ASSERT_EQ(reads, answer["reads"].get<bool>()) << pair;
    ASSERT_EQ(q.writer.canonical(), answer["canonical"].get<std::string>());
    compatible += reads;
    const resolution resolved(q.writer, q.reader);
    for (std::size_t i = 0; i < q.data.size(); ++i) {
      const auto ours = resolved.decode(q.data[i]);
      const auto& theirs = answer["data"][i];
      if (reads) {
        ASSERT_TRUE(ours) << "said to be readable\n" << pair << "\n" << ours.error().text;
      }
      if (theirs.contains("error")) {
        const auto reason = theirs["error"].get<std::string>();
        ASSERT_TRUE(!ours || known_refusal(reason)) << pair << "\n" << reason;
        (ours ? refused_by_python : refused_by_both)++;
        continue;
      }
      ASSERT_TRUE(ours) << pair << "\n" << ours.error().text << "\npython reads " << theirs.dump();
      ASSERT_TRUE(same(q.reader.root(), *ours, theirs["value"])) << pair << "\n"
                                                                 << hex_of(q.data[i]) << "\n"
                                                                 << theirs.dump();
      ++values;
    }
  }
  // A generator that makes only one kind of pair would agree about nothing.
  EXPECT_GT(compatible, pairs / 5);
  EXPECT_LT(compatible, pairs * 9 / 10);
  EXPECT_GT(values, pairs);
  EXPECT_GT(refused_by_both, pairs / 20);
  EXPECT_LT(refused_by_python, values / 2);
  RecordProperty("values", static_cast<int>(values));
  std::printf("%zu pairs, %zu compatible; %zu values the same, %zu refused by both, %zu by python only\n", pairs,
              compatible, values, refused_by_both, refused_by_python);
}

}  // namespace
}  // namespace horizons::avro
