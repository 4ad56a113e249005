#include "messages/envelope.hpp"

#include <gtest/gtest.h>

namespace horizons {
namespace {

/// Versions 1 and 2 of one remote message, as two nodes have them during an upgrade.
struct beat_v1 {
  int count = 0;
  std::string gone = "default";
  static constexpr auto description() {
    return describe<beat_v1>("beat", 1, "", field<&beat_v1::count>{"count", 1, ""},
                             field<&beat_v1::gone>{"gone", 1, ""});
  }
};
struct beat_v2 {
  int count = 0;
  double load = 0.25;
  static constexpr auto description() {
    return describe<beat_v2>("beat", 2, "", field<&beat_v2::count>{"count", 1, ""},
                             field<&beat_v2::load>{"load", 2, ""});
  }
};

/// A type that breaks on its way: its two fields share one name.
struct broken {
  int a = 0, b = 0;
  static constexpr auto description() {
    return describe<broken>("broken", 1, "", field<&broken::a>{"x", 1, ""}, field<&broken::b>{"x", 1, ""});
  }
};

TEST(envelope, every_type_of_this_room_survives_the_wire) {
  const remote_types types = message_types();
  EXPECT_EQ(types.size(), std::variant_size_v<event_data> + 4);
  EXPECT_TRUE(types.knows("job.progress"));
  EXPECT_TRUE(types.knows("command"));
  EXPECT_FALSE(types.knows("job.teleported"));
  const auto outcome = types.self_test();
  EXPECT_TRUE(outcome) << outcome.error().text;
}

TEST(envelope, the_self_test_finds_a_type_that_does_not_survive) {
  remote_types types = message_types();
  ASSERT_TRUE(types.add<broken>());
  const auto outcome = types.self_test();
  ASSERT_FALSE(outcome);
  EXPECT_NE(outcome.error().text.find("remote type broken"), std::string::npos) << outcome.error().text;
  EXPECT_EQ(types.add<broken>().error().code, error_code::conflict);
}

TEST(envelope, versions_meet_in_both_directions) {
  const auto forward = open<beat_v1>(*seal(beat_v2{7, 0.5}));
  ASSERT_TRUE(forward) << forward.error().text;
  EXPECT_EQ(forward->count, 7);
  EXPECT_EQ(forward->gone, "default");
  const auto backward = open<beat_v2>(*seal(beat_v1{8, "x"}));
  ASSERT_TRUE(backward) << backward.error().text;
  EXPECT_EQ(backward->count, 8);
  EXPECT_EQ(backward->load, 0.25);
}

TEST(envelope, nothing_non_finite_leaves_or_enters) {
  const auto sealed = seal(beat_v2{1, std::numeric_limits<double>::infinity()});
  ASSERT_FALSE(sealed);
  EXPECT_EQ(sealed.error().text, "load: is infinity; expected a finite number");
  remote_envelope forged = *seal(beat_v2{1, 0.5});
  forged.bytes = codec::described_to_msgpack(beat_v2{1, -std::numeric_limits<double>::infinity()});
  const auto opened = open<beat_v2>(forged);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().text, "load: -infinity found; expected a finite number");
}

TEST(envelope, carries_trace_and_epoch) {
  const remote_envelope sent{"t", 3, std::string("\0\xff", 2), "00-x", ~std::uint64_t{0}};
  EXPECT_EQ(*envelope_from_bytes(to_bytes(sent)), sent);
  EXPECT_EQ(open<command>(sent).error().text, "the envelope holds \"t\"; expected command");
}

TEST(envelope, bad_bytes_are_refused) {
  const std::string good = to_bytes({"t", 3, "abc", "", 1});
  for (std::size_t length = 0; length < good.size(); ++length)
    EXPECT_FALSE(envelope_from_bytes(good.substr(0, length)));
  EXPECT_FALSE(envelope_from_bytes(good + "x"));
  EXPECT_FALSE(envelope_from_bytes(to_bytes({"", 3, "abc", "", 1})));
  EXPECT_FALSE(envelope_from_bytes(to_bytes({"t", 0, "abc", "", 1})));
  EXPECT_FALSE(envelope_from_bytes(to_bytes({std::string(300, 't'), 1, "abc", "", 1})));
  EXPECT_EQ(envelope_from_bytes(std::string(2 << 20, 'x')).error().code, error_code::limit_exceeded);
  std::string text_instead = good;
  text_instead.replace(text_instead.find("\xc4"), 2, "\xd9\x03");  // a text where the bytes belong
  const auto read = envelope_from_bytes(text_instead);
  ASSERT_FALSE(read);
  EXPECT_NE(read.error().text.find("bytes: "), std::string::npos) << read.error().text;
  std::string newer = good + "\x01";
  newer[0] = '\x96';
  EXPECT_TRUE(envelope_from_bytes(newer)) << "a sixth entry of a newer node is skipped";
}

}  // namespace
}  // namespace horizons
