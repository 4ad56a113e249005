// Every type in every encoding comes back as it was.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "messages/codec/cloudevents.hpp"
#include "messages/codec/json.hpp"
#include "messages/codec/msgpack.hpp"
#include "messages/envelope.hpp"
#include "messages/make_event.hpp"
#include "tests/messages/random_events.hpp"

namespace horizons {
namespace {

constexpr int rounds = 300;  // of each type

template <class Check>
void with_every_type(std::uint64_t seed, Check&& check) {
  testing::random_messages random{seed};
  for_each_event_type([&]<class T>() {
    for (int i = 0; i < rounds; ++i) {
      const event e = random.event_of<T>();
      const auto valid = validate(e);
      ASSERT_TRUE(valid) << name_of<T>() << ": " << valid.error().text;
      check(e);
      if (::testing::Test::HasFatalFailure()) return;
    }
  });
}

TEST(round_trip, events_in_json) {
  with_every_type(1, [](const event& e) {
    const std::string text = to_json(e);
    const auto read = event_from_json(text, unknown_fields::refused);
    ASSERT_TRUE(read) << read.error().text << "\n" << text;
    ASSERT_EQ(*read, e) << text;
    ASSERT_EQ(to_json(*read), text) << "equal bytes tell -0.0 from 0.0";
  });
}

TEST(round_trip, events_in_messagepack) {
  with_every_type(2, [](const event& e) {
    const std::string bytes = to_msgpack(e);
    const auto read = event_from_msgpack(bytes, unknown_fields::refused);
    ASSERT_TRUE(read) << read.error().text << "\n" << to_json(e);
    ASSERT_EQ(*read, e) << to_json(e);
    ASSERT_EQ(to_msgpack(*read), bytes);
  });
}

TEST(round_trip, json_and_messagepack_say_the_same) {
  with_every_type(3, [](const event& e) {
    const auto from_text = json::parse(to_json(e));
    const auto from_bytes = json::from_msgpack(to_msgpack(e));  // nlohmann's readers: not ours
    ASSERT_EQ(from_text, from_bytes);
  });
}

TEST(round_trip, events_in_cloudevents) {
  with_every_type(4, [](const event& e) {
    const cloudevents_origin origin{.node = "node-1", .agent = {}, .dataset = {}, .gpus = {}};
    for (const auto& message : {to_cloudevents(e, origin, cloudevents_binding::kafka),
                                to_cloudevents(e, origin, cloudevents_binding::amqp, message_format::msgpack),
                                to_structured_cloudevents(e, origin)}) {
      const auto read = event_from_cloudevents(message.content_type, message.headers, message.body);
      ASSERT_TRUE(read) << read.error().text << "\n" << message.body;
      ASSERT_EQ(*read, e) << message.body;
    }
  });
}

TEST(round_trip, events_in_envelopes) {
  with_every_type(5, [](const event& e) {
    const auto sealed = seal(e, e.traceparent, 9);
    ASSERT_TRUE(sealed) << sealed.error().text;
    const auto received = envelope_from_bytes(to_bytes(*sealed));
    ASSERT_TRUE(received) << received.error().text;
    const auto opened = open_event(*received);
    ASSERT_TRUE(opened) << opened.error().text;
    ASSERT_EQ(*opened, e);
  });
}

TEST(round_trip, commands_in_json_and_messagepack) {
  testing::random_messages random{6};
  for (int i = 0; i < 10 * rounds; ++i) {
    const command c = random.any_command();
    const auto valid = validate(c);
    ASSERT_TRUE(valid) << valid.error().text;
    const auto from_text = command_from_json(to_json(c), unknown_fields::refused);
    ASSERT_TRUE(from_text) << from_text.error().text << "\n" << to_json(c);
    ASSERT_EQ(*from_text, c);
    const auto from_bytes = command_from_msgpack(to_msgpack(c), unknown_fields::refused);
    ASSERT_TRUE(from_bytes) << from_bytes.error().text;
    ASSERT_EQ(*from_bytes, c);
  }
}

TEST(round_trip, our_json_text_is_what_nlohmann_reads) {
  testing::random_messages random{7};
  for (int i = 0; i < 10 * rounds; ++i) {
    const json value = random.object(0);
    const std::string text = json_text(value);
    ASSERT_EQ(json::parse(text), value) << text;
    const auto ours = parse_json(text);
    ASSERT_TRUE(ours) << ours.error().text << "\n" << text;
    ASSERT_EQ(*ours, value) << text;
    ASSERT_EQ(*parse_json(value.dump()), value) << value.dump();
  }
}

TEST(round_trip, data_may_come_before_its_type) {
  with_every_type(8, [](const event& e) {
    const json object = json::parse(to_json(e));
    std::string turned = "{";  // nlohmann sorts keys: data first
    for (const auto& [key, value] : object.items())
      turned += (turned.size() > 1 ? "," : "") + json(key).dump() + ":" + value.dump();
    const auto from_text = event_from_json(turned + "}");
    ASSERT_TRUE(from_text) << from_text.error().text;
    ASSERT_EQ(*from_text, e);
    const auto packed = json::to_msgpack(object);
    const auto from_bytes = event_from_msgpack({reinterpret_cast<const char*>(packed.data()), packed.size()});
    ASSERT_TRUE(from_bytes) << from_bytes.error().text;
    ASSERT_EQ(*from_bytes, e);
  });
}

}  // namespace
}  // namespace horizons
