#include "messages/commands.hpp"

#include <gtest/gtest.h>

#include "messages/codec/format.hpp"
#include "messages/codec/json.hpp"
#include "messages/codec/msgpack.hpp"

namespace horizons {
namespace {

TEST(commands, what_is_left_out_has_the_contracts_default) {
  const auto c = command_from_json(R"({"agent":"image-reconstruction","dataset":"file:///d.uvfits"})");
  ASSERT_TRUE(c) << c.error().text;
  EXPECT_EQ(c->command_name, "submit");
  EXPECT_EQ(c->tenant, "default");
  EXPECT_EQ(c->priority, 3);
  EXPECT_EQ(c->params, json::object());
  EXPECT_EQ(c->wants.gpus, 0);
  EXPECT_EQ(c->wants.cpus, 1);
  EXPECT_EQ(c->wants.memory_gb, std::nullopt);
  EXPECT_EQ(c->wants.walltime_s, 86'400);
}

TEST(commands, refusals_name_field_value_and_what_would_be_right) {
  const struct {
    const char* text;
    const char* reason;
  } table[] = {
      {R"({})", "agent: is missing; submit needs the agent that runs the job"},
      {R"({"command":"launch"})", "command: \"launch\" is unknown; expected submit, cancel, pause or resume"},
      {R"({"command":"cancel"})", "job_id: is missing; cancel needs the job's id"},
      {R"({"agent":"a","job_id":"a b"})", "job_id: \"a b\" is not a job id; expected [A-Za-z0-9][A-Za-z0-9._-]{0,63}"},
      {R"({"agent":"a b"})", "agent: \"a b\" is not a name"},
      {R"({"agent":"a","tenant":""})", "tenant: \"\" is not a name"},
      {R"({"agent":"a","priority":0})", "priority: 0 is out of range; expected 1 to 5"},
      {R"({"agent":"a","priority":99999999999})", "priority: 99999999999 is out of range; expected an integer"},
      {R"({"agent":"a","params":[]})", "params: is array; expected an object"},
      {R"({"agent":"a","params":null})", "params: is null; expected an object"},
      {R"({"agent":"a","dataset":"a\u0007"})", "dataset: \"a\\x07\" holds a control character"},
      {R"({"agent":"a","resources":{"memory_gb":-1}})", "resources.memory_gb: -1 is out of range"},
      {R"({"agent":"a","resources":{"walltime_s":0}})", "resources.walltime_s: 0 is out of range"},
      {R"({"agent":"a","resources":7})", "resources: 7 is a number; expected an object"},
  };
  for (const auto& [text, reason] : table) {
    const auto c = command_from_json(text);
    ASSERT_FALSE(c) << text;
    EXPECT_NE(c.error().text.find(reason), std::string::npos) << text << "\nsaid: " << c.error().text;
  }
}

TEST(format, content_type_decides_else_the_first_byte) {
  const struct {
    const char* content_type;
    std::string body;
    message_format expected;
  } table[] = {
      {"application/json", "\x80", message_format::json},
      {"Application/JSON; charset=utf-8", "", message_format::json},
      {"application/problem+json", "", message_format::json},
      {"application/x-msgpack", "{", message_format::msgpack},
      {"avro/binary", "{", message_format::avro},
      {"", "{}", message_format::json},
      {"", " \n{}", message_format::json},
      {"application/octet-stream", "\x81", message_format::msgpack},
      {"", "\xde\x01\x02", message_format::msgpack},
      {"text/plain", "{}", message_format::json},
      {"", std::string(5, '\0'), message_format::avro},
  };
  for (const auto& [content_type, body, expected] : table) {
    const auto format = format_of(content_type, body);
    ASSERT_TRUE(format) << content_type << body << format.error().text;
    EXPECT_EQ(*format, expected) << content_type << body;
  }
  EXPECT_EQ(format_of("image/png", "{}").error().code, error_code::invalid_argument);
  EXPECT_EQ(format_of("", "").error().code, error_code::unreadable);
  EXPECT_EQ(format_of("", "hello").error().code, error_code::unreadable);
}

TEST(format, commands_decode_whatever_they_came_in) {
  command c;
  c.agent = "a";
  c.params = {{"niter", 5}};
  EXPECT_EQ(*decode_command("", to_json(c)), c);
  EXPECT_EQ(*decode_command("", to_msgpack(c)), c);
  EXPECT_EQ(decode_command("", std::string(6, '\0')).error().code, error_code::invalid_argument);
  const auto with_schemas = decode_command("", std::string(6, '\0'), [&](std::string_view body) -> result<command> {
    EXPECT_EQ(body.size(), 6u);
    return c;
  });
  EXPECT_EQ(*with_schemas, c);
}

}  // namespace
}  // namespace horizons
