#include "messages/codec/msgpack.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "messages/codec/msgpack_value.hpp"

namespace horizons {
namespace {

using namespace std::string_literals;

std::string pack(const json& value) {
  const auto bytes = json::to_msgpack(value);
  return {bytes.begin(), bytes.end()};
}

json progress() {
  return {{"event_id", "01JD3Z00000000000000000000"},
          {"event_type", "job.progress"},
          {"schema_version", 1},
          {"timestamp", "2026-11-21T08:15:30.123Z"},
          {"job_id", "j"},
          {"data", {{"progress", 0.5}, {"stage", ""}}}};
}

/// One field of a command, as raw bytes.
std::string command_with(const std::string& field, const std::string& bytes) {
  return "\x82"s + pack("agent") + pack("a") + pack(field) + bytes;
}

TEST(msgpack, every_form_of_a_number_reads) {
  const struct {
    std::string bytes;
    std::int64_t value;
  } table[] = {
      {"\x05"s, 5},
      {"\xcc\x05"s, 5},
      {"\xcd\x00\x05"s, 5},
      {"\xce\x00\x00\x00\x05"s, 5},
      {"\xcf\0\0\0\0\0\0\0\x05"s, 5},
      {"\xd0\x05"s, 5},
      {"\xd1\x00\x05"s, 5},
      {"\xd2\x00\x00\x00\x05"s, 5},
      {"\xd3\0\0\0\0\0\0\0\x05"s, 5},
      {"\xca\x40\xa0\x00\x00"s, 5},
      {"\xcb\x40\x14\0\0\0\0\0\0"s, 5},
  };
  for (const auto& [bytes, value] : table) {
    const auto read = command_from_msgpack(command_with("priority", bytes));
    ASSERT_TRUE(read) << quote(bytes) << ": " << read.error().text;
    EXPECT_EQ(read->priority, value) << quote(bytes);
  }
}

TEST(msgpack, negative_numbers_keep_their_sign) {
  for (const auto& bytes :
       {"\xff"s, "\xd0\xff"s, "\xd1\xff\xff"s, "\xd2\xff\xff\xff\xff"s, "\xd3\xff\xff\xff\xff\xff\xff\xff\xff"s}) {
    const auto read = command_from_msgpack(command_with("params", "\x81\xa1x"s + bytes));
    ASSERT_TRUE(read) << read.error().text;
    EXPECT_EQ(read->params["x"], -1) << quote(bytes);
  }
}

TEST(msgpack, whole_numbers_beyond_integers_stay_what_they_are) {
  for (const double number : {0x1p63, 0x1p64, 0x1p65, -0x1p63, -0x1p64, 1e300}) {
    command c;
    c.agent = "a";
    c.params = {{"x", number}};
    const auto read = command_from_msgpack(to_msgpack(c));
    ASSERT_TRUE(read) << read.error().text;
    EXPECT_EQ(read->params["x"].get<double>(), number);
  }
}

TEST(msgpack, bad_messages_say_where_and_why) {
  const auto with = [](const char* field, const json& value) {
    json e = progress();
    e["data"][field] = value;
    return pack(e);
  };
  const struct {
    std::string bytes;
    const char* reason;
  } table[] = {
      {"", "ends too early"},
      {"\xc1"s, "byte c1"},
      {pack(progress()) + "x", "something follows"},
      {pack(progress()).substr(0, 50), "ends too early"},
      {pack(json::array()), "expected an object"},
      {with("progress", "x"), "data.progress: \"x\" is a string; expected a number"},
      {with("progress", 1.5), "data.progress: 1.5 is out of range"},
      {with("progress", std::numeric_limits<double>::quiet_NaN()),
       "data.progress: NaN found; expected a finite number"},
      {with("progress", std::numeric_limits<double>::infinity()), "data.progress: infinity found"},
      {with("stage", json::binary({1, 2})), "data.stage: binary data found; expected a string"},
      {with("stage", "\xff"), "data.stage: \"\\xff\" is not valid UTF-8"},
      {with("x", json{{"y", -std::numeric_limits<double>::infinity()}}), "data.x.y: -infinity found"},
      {"\x81\x01\x02"s, "1 is a number; expected a string as key"},
      {"\x82\xa1x\x01\xa1x\x02"s, "\"x\" appears twice"},
      {"\xdf\xff\xff\xff\xff"s, "claims 4294967295 elements, but only 0 bytes follow"},
      {"\x81\xa1x\xdd\x00\x0f\xff\xff"s, "claims 1048575 elements"},
      {"\x81\xa1x\xdb\xff\xff\xff\xff"s, "ends too early"},
      {"\x81\xa1x\xc6\xff\xff\xff\xff"s, "ends too early"},
      {"\x81\xa1x\xc9\xff\xff\xff\xff\x01"s, "ends too early"},
      {"\x81\xa1x\xcb\x00"s, "ends too early"},
      {"\x81\xa1x"s, "ends too early"},
      {"\x82\xa1x"s, "claims 2 elements"},
  };
  for (const auto& [bytes, reason] : table) {
    const auto read = event_from_msgpack(bytes);
    ASSERT_FALSE(read) << quote(bytes);
    EXPECT_NE(read.error().text.find(reason), std::string::npos) << quote(bytes) << "\nsaid: " << read.error().text;
  }
  const auto ext = command_from_msgpack(command_with("params", "\x81\xa1x\xd4\x01\x02"s));
  ASSERT_FALSE(ext);
  EXPECT_EQ(ext.error().text, "params.x: an extension type found; expected a JSON value");
}

TEST(msgpack, every_prefix_is_refused_and_every_bit_flip_is_survived) {
  const std::string whole = pack(progress());
  for (std::size_t length = 0; length < whole.size(); ++length)
    EXPECT_FALSE(event_from_msgpack(whole.substr(0, length)));
  for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
    std::string flipped = whole;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    if (const auto read = event_from_msgpack(flipped)) {
      EXPECT_EQ(*event_from_msgpack(to_msgpack(*read)), *read);
    }
  }
}

TEST(msgpack, limits_hold) {
  const auto nested = [](std::size_t depth) {
    return command_with("params", "\x81\xa1x"s + std::string(depth - 1, '\x91') + "\x90");
  };
  EXPECT_TRUE(command_from_msgpack(nested(28)));
  for (const std::size_t depth : {29, 31, 1000, 500'000}) {
    const auto read = command_from_msgpack(nested(depth));
    ASSERT_FALSE(read) << depth;
    EXPECT_EQ(read.error().code, error_code::limit_exceeded) << depth << read.error().text;
  }
  EXPECT_EQ(command_from_msgpack(std::string((1 << 20) + 1, '\x80')).error().code, error_code::limit_exceeded);
  // A list may not make more values than its bytes pay for.
  std::string many = "\xdd\x00\x03\x0d\x40"s + std::string(200'000, '\xc0');
  EXPECT_EQ(command_from_msgpack(command_with("params", many)).error().code, error_code::limit_exceeded);
}

TEST(msgpack, unknown_fields_follow_the_policy) {
  json newer = progress();
  newer["data"]["colour"] = {{"deep", {1, 2}}};
  EXPECT_TRUE(event_from_msgpack(pack(newer)));
  const auto strict = event_from_msgpack(pack(newer), unknown_fields::refused);
  ASSERT_FALSE(strict);
  EXPECT_EQ(strict.error().text, "data.colour: unknown field; expected one of progress, stage, eta_s");
}

TEST(msgpack, msgpack_c_reads_what_we_write) {
  event e;
  e.event_id = "01JD3Z00000000000000000000";
  e.job_id = "j";
  e.data = job_progress{0.25, "gridding", 3.5};
  const std::string bytes = to_msgpack(e);
  const msgpack::object_handle handle = msgpack::unpack(bytes.data(), bytes.size());
  const auto map = handle.get().as<std::map<std::string, msgpack::object>>();
  EXPECT_EQ(map.at("event_type").as<std::string>(), "job.progress");
  EXPECT_EQ((map.at("data").as<std::map<std::string, msgpack::object>>().at("progress").as<double>()), 0.25);
}

}  // namespace
}  // namespace horizons
