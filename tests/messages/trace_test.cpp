#include "messages/trace.hpp"

#include <gtest/gtest.h>

namespace horizons {
namespace {

const std::string example = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

TEST(traceparent, reads_and_writes_the_specifications_example) {
  const auto trace = parse_traceparent(example);
  ASSERT_TRUE(trace) << trace.error().text;
  EXPECT_EQ(trace->trace_id[0], 0x4b);
  EXPECT_EQ(trace->parent_id[7], 0xb7);
  EXPECT_EQ(trace->flags, 1);
  EXPECT_EQ(to_string(*trace), example);
}

TEST(traceparent, reads_higher_versions_by_their_first_fields) {
  const std::string rest = example.substr(2);
  for (const auto& text : {"01" + rest, "cc" + rest + "-what-the-future-brings", "01" + rest + "-"})
    EXPECT_TRUE(parse_traceparent(text)) << text;
  EXPECT_FALSE(parse_traceparent("cc" + rest + ".x"));
  EXPECT_FALSE(parse_traceparent("00" + rest + "-x")) << "version 00 has four fields";
}

TEST(traceparent, refuses_the_malformed) {
  const std::string bad[] = {
      "",
      "00",
      "ff" + example.substr(2),
      "0G" + example.substr(2),
      "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
      "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
      "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
      "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
      "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0x",
      "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
      " " + example,
  };
  for (const auto& text : bad) {
    EXPECT_FALSE(parse_traceparent(text)) << text;
    EXPECT_FALSE(is_traceparent(text)) << text;
  }
}

TEST(traceparent, a_child_keeps_the_trace) {
  const trace_context parent = *parse_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff");
  const trace_context child = child_of(parent);
  EXPECT_EQ(child.trace_id, parent.trace_id);
  EXPECT_NE(child.parent_id, parent.parent_id);
  EXPECT_EQ(child.flags, 1) << "unknown flags are sent as zero";
}

TEST(traceparent, a_broken_trace_starts_anew) {
  EXPECT_EQ(continue_trace(example).substr(0, 36), example.substr(0, 36));
  const std::string fresh = continue_trace("garbage");
  EXPECT_TRUE(is_traceparent(fresh)) << fresh;
  EXPECT_NE(fresh, continue_trace("garbage"));
}

}  // namespace
}  // namespace horizons
