// Our own messages as Avro: there and back, byte for byte as the schema says, and across versions.
#include "messages/avro/event_codec.hpp"

#include <limits>

#include <gtest/gtest.h>

#include "messages/avro/codec.hpp"
#include "messages/avro/compatibility.hpp"
#include "messages/avro/confluent.hpp"
#include "messages/avro/wire.hpp"
#include "tests/messages/random_events.hpp"

namespace horizons {
namespace {

using avro::message_schema;
using avro::schema;
using namespace std::string_literals;

std::string octets_of(const event& e) {
  std::string out;
  EXPECT_TRUE(append_avro(e, out));
  return out;
}

event fit_for_avro(event e) {
  e.position >>= 1;  // a long has 63 bits for it
  return e;
}

TEST(avro_event_codec, names_are_those_of_the_contract) {
  EXPECT_EQ(avro::schema_of("job.submitted")->schema.root().name, "horizons.job.Submitted");
  EXPECT_EQ(avro::schema_of("notification.sent")->schema.root().name, "horizons.notification.Sent");
  EXPECT_EQ(avro::schema_of("command")->schema.root().name, "horizons.Command");
  EXPECT_EQ(avro::schema_of_record("horizons.alert.Raised")->type, "alert.raised");
  EXPECT_EQ(avro::schema_of("job.eaten"), nullptr);
  EXPECT_EQ(avro::message_schemas().size(), std::variant_size_v<event_data> + 1);
  const auto& submitted = avro::schema_of("job.submitted")->schema.root();
  std::string names;
  for (const auto& f : submitted.fields) names += f.name + " ";
  EXPECT_EQ(names,
            "event_id event_type schema_version timestamp position sequence correlation_id causation_id user_id tenant "
            "job_id "
            "traceparent data ");
  EXPECT_EQ(submitted.fields[3].type->logical_type, "timestamp-millis");
  EXPECT_EQ(submitted.fields[12].type->name, "horizons.job.SubmittedData");
  for (const auto& s : avro::message_schemas()) EXPECT_TRUE(avro::can_read(s.schema, s.schema).compatible()) << s.type;
}

TEST(avro_event_codec, every_type_there_and_back) {
  testing::random_messages random(11);
  for (int i = 0; i < 40; ++i)
    for_each_event_type([&]<class T>() {
      const auto e = fit_for_avro(random.event_of<T>());
      const auto octets = octets_of(e);
      const auto back = event_from_avro(octets, name_of<T>());
      ASSERT_TRUE(back) << back.error().text;
      EXPECT_EQ(*back, e);

      // The generic codec, which knows the schema only, agrees byte for byte.
      const auto& own = avro::schema_of(name_of<T>())->schema;
      const auto tree = avro::decode(own, octets);
      ASSERT_TRUE(tree) << tree.error().text;
      EXPECT_EQ(avro::encode(own, *tree).value(), octets);
    });
  for (int i = 0; i < 200; ++i) {
    const auto c = random.any_command();
    std::string octets;
    append_avro(c, octets);
    const auto back = command_from_avro(octets);
    ASSERT_TRUE(back) << back.error().text;
    EXPECT_EQ(*back, c);
  }
}

/// Today's schema with its data record changed: as a version of the past or the future.
schema changed(const std::string& type, const std::function<void(nlohmann::json& data_fields)>& change) {
  auto document = nlohmann::json::parse(avro::schema_of(type)->text);
  change(document["fields"][12]["type"]["fields"]);
  return schema::parse(document.dump()).value();
}

TEST(avro_event_codec, reads_what_other_versions_wrote) {
  testing::random_messages random(12);
  const auto& own = avro::schema_of("job.progress")->schema;
  const auto newer = changed("job.progress", [](auto& fields) {
    fields.insert(fields.begin(), nlohmann::json({{"name", "planet"}, {"type", "string"}, {"default", "Mars"}}));
  });
  const auto older = changed("job.progress", [](auto& fields) { fields.erase(2); });  // before eta_s
  const auto from_newer = avro_reader::create(newer).value(), from_older = avro_reader::create(older).value();
  for (int i = 0; i < 200; ++i) {
    auto e = fit_for_avro(random.event_of<job_progress>());
    const auto tree = avro::decode(own, octets_of(e)).value();

    const auto as_newer = avro::encode(newer, avro::resolution(own, newer).decode(octets_of(e)).value()).value();
    auto back = from_newer.read_event(as_newer);
    ASSERT_TRUE(back) << back.error().text;
    EXPECT_EQ(*back, e);

    const auto as_older = avro::encode(older, avro::resolution(own, older).decode(octets_of(e)).value()).value();
    back = from_older.read_event(as_older);
    ASSERT_TRUE(back) << back.error().text;
    std::get<job_progress>(e.data).eta_s.reset();
    EXPECT_EQ(*back, e);
  }
}

TEST(avro_event_codec, every_type_is_read_through_resolution_as_it_is_read_directly) {
  testing::random_messages random(13);
  for (int i = 0; i < 20; ++i)
    for_each_event_type([&]<class T>() {
      // A field that nobody knows makes the writer's schema another one, so the slow way is taken.
      const auto other = changed(std::string(name_of<T>()), [](auto& fields) {
        fields.push_back({{"name", "unknown_here"}, {"type", "int"}, {"default", 7}});
      });
      const auto e = fit_for_avro(random.event_of<T>());
      const auto& own = avro::schema_of(name_of<T>())->schema;
      const auto octets = avro::encode(other, avro::resolution(own, other).decode(octets_of(e)).value()).value();
      const auto reader = avro_reader::create(other).value();
      const auto back = reader.read_event(octets);
      ASSERT_TRUE(back) << back.error().text;
      EXPECT_EQ(*back, e);
      EXPECT_EQ(avro_reader::create(own).value().read_event(octets_of(e)).value(), e);
    });
  auto document = nlohmann::json::parse(avro::schema_of("command")->text);
  document["fields"].push_back({{"name", "unknown_here"}, {"type", "int"}, {"default", 7}});
  const auto other = schema::parse(document.dump()).value();
  const auto& own = avro::schema_of("command")->schema;
  for (int i = 0; i < 100; ++i) {
    const auto c = random.any_command();
    std::string octets;
    append_avro(c, octets);
    octets = avro::encode(other, avro::resolution(own, other).decode(octets).value()).value();
    EXPECT_EQ(avro_reader::create(other).value().read_command(octets).value(), c);
  }
}

TEST(avro_event_codec, bad_input_is_an_error_that_names_path_and_reason) {
  testing::random_messages random(14);
  auto e = fit_for_avro(random.event_of<job_progress>());
  std::get<job_progress>(e.data) = {0.5, "gridding", std::nullopt};
  const auto good = octets_of(e);
  for (std::size_t n = 0; n < good.size(); ++n) {
    const auto cut = event_from_avro(std::string_view(good).substr(0, n), "job.progress");
    ASSERT_FALSE(cut);
    EXPECT_EQ(cut.error().code, error_code::unreadable);
  }
  auto error_of = [](const std::string& octets) { return event_from_avro(octets, "job.progress").error().text; };
  EXPECT_EQ(error_of(good + "x"), "1 bytes follow the message");
  EXPECT_EQ(error_of(std::string(2'000'000, 'x')), "2000000 bytes; at most 1048576");
  EXPECT_EQ(error_of(good.substr(0, good.size() - 1) + "\x04").substr(0, 19), "data.eta_s: union b");
  EXPECT_EQ(event_from_avro(good, "job.paused").error().text, R"(event_type: "job.progress"; expected "job.paused")");
  EXPECT_EQ(event_from_avro(good, "job.eaten").error().code, error_code::not_found);

  auto wrong = e;
  std::get<job_progress>(wrong.data).progress = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(error_of(octets_of(wrong)).substr(0, 13), "data.progress");
  std::get<job_progress>(wrong.data).progress = 1.5;
  EXPECT_EQ(error_of(octets_of(wrong)).substr(0, 13), "data.progress");
  wrong = e;
  std::get<job_progress>(wrong.data).stage = "\xff";
  EXPECT_EQ(error_of(octets_of(wrong)).substr(0, 10), "data.stage");
  wrong = e;
  wrong.position = std::numeric_limits<std::uint64_t>::max();
  std::string out = "kept";
  EXPECT_EQ(append_avro(wrong, out).error().code, error_code::invalid_argument);
  EXPECT_EQ(out, "kept");

  auto list = fit_for_avro(random.event_of<job_completed>());
  std::get<job_completed>(list.data) = {};
  auto octets = octets_of(list);
  // old_status "", new_status, duration, then the list of results: its empty end becomes 2^60 elements.
  const auto end = octets.rfind("\x04{}");
  ASSERT_NE(end, std::string::npos);
  octets.replace(end - 1, 1, "\x80\x80\x80\x80\x80\x80\x80\x80\x20");
  EXPECT_EQ(event_from_avro(octets, "job.completed").error().text.substr(0, 26), "data.results: more than 10");
}

TEST(avro_event_codec, schemas_of_others_are_told_apart) {
  auto foreign = avro_reader::create(schema::parse(R"({"type":"record","name":"x.Y","fields":[]})").value());
  ASSERT_FALSE(foreign);
  EXPECT_EQ(foreign.error().code, error_code::not_found);
  EXPECT_FALSE(avro_reader::create(schema::parse(R"("int")").value()));
  const auto commands = avro_reader::create(avro::schema_of("command")->schema).value();
  EXPECT_EQ(commands.type(), "command");
  EXPECT_FALSE(commands.read_event(""));
  EXPECT_FALSE(avro_reader::create(avro::schema_of("job.paused")->schema).value().read_command(""));
}

TEST(avro_event_codec, confluent_frame) {
  std::string out;
  avro::append_frame(0x01020304, out);
  EXPECT_EQ(out, "\0\1\2\3\4"s);
  out += "x";
  EXPECT_TRUE(avro::is_framed(out));
  const auto frame = avro::parse_frame(out).value();
  EXPECT_EQ(frame.schema_id, 0x01020304u);
  EXPECT_EQ(frame.datum, "x");
  EXPECT_EQ(avro::parse_frame("\0\0\0\1"s).error().text, "4 bytes; expected a zero byte and a schema id of 4");
  EXPECT_EQ(avro::parse_frame("{\"a\":1}").error().text, "the first byte is 123; expected 0 (a schema id follows)");
  EXPECT_FALSE(avro::is_framed("{\"a\":1}"));
}

}  // namespace
}  // namespace horizons
