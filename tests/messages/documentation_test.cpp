#include "messages/documentation.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "messages/codec/json.hpp"
#include "messages/topics.hpp"
#include "tests/messages/random_events.hpp"

namespace horizons {
namespace {

const std::filesystem::path docs = std::filesystem::path(HORIZONS_SOURCE_DIR) / "docs";

std::string content_of(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

TEST(documentation, committed_files_are_what_the_descriptions_say) {
  const bool regenerate = std::getenv("HORIZONS_REGENERATE") != nullptr;
  std::set<std::string> schemas;
  for (const auto& [path, text] : generated_documentation()) {
    if (regenerate) {
      std::filesystem::create_directories((docs / path).parent_path());
      std::ofstream(docs / path, std::ios::binary) << text;
    }
    if (path.starts_with("schemas/")) schemas.insert(std::filesystem::path(path).filename());
    EXPECT_EQ(content_of(docs / path), text)
        << "docs/" << path << " is not what messages/ describes; HORIZONS_REGENERATE=1 messages_tests writes it anew";
  }
  for (const auto& entry : std::filesystem::directory_iterator(docs / "schemas")) {
    if (entry.path().extension() != ".json") continue;
    EXPECT_TRUE(schemas.contains(entry.path().filename())) << entry.path() << " describes no type any more";
  }
}

/// The part of JSON Schema that our schemas use.
bool fits(const json& schema, const json& value) {
  if (schema.contains("const")) return value == schema["const"];
  if (schema.contains("enum"))
    return std::find(schema["enum"].begin(), schema["enum"].end(), value) != schema["enum"].end();
  const std::string type = schema.value("type", "");
  if (type == "object") {
    if (!value.is_object()) return false;
    for (const auto& name : schema.value("required", json::array()))
      if (!value.contains(name.get<std::string>())) return false;
    if (schema.contains("properties"))
      for (const auto& [name, part] : schema["properties"].items())
        if (value.contains(name) && !fits(part, value[name])) return false;
    return true;
  }
  if (type == "array") {
    for (const json& element : value)
      if (!fits(schema["items"], element)) return false;
    return value.is_array();
  }
  if (type == "string") return value.is_string();
  if (type == "integer" && !value.is_number_integer()) return false;
  if (type == "integer" || type == "number")
    return value.is_number() && (!schema.contains("minimum") || value >= schema["minimum"]) &&
           (!schema.contains("maximum") || value <= schema["maximum"]);
  return true;
}

TEST(documentation, every_valid_message_fits_its_schema) {
  std::map<std::string, json> schemas;
  for (const auto& [path, text] : generated_documentation())
    if (path.ends_with(".json")) schemas[std::filesystem::path(path).stem()] = json::parse(text);
  testing::random_messages random{13};
  for (int i = 0; i < 2000; ++i) {
    const event e = random.any_event();
    const json value = json::parse(to_json(e));
    ASSERT_TRUE(fits(schemas.at(std::string(type_of(e.data))), value)) << value.dump();
    ASSERT_TRUE(fits(schemas.at("command"), json::parse(to_json(random.any_command()))));
  }
  EXPECT_FALSE(fits(schemas.at("job.progress"), json{{"event_type", "job.progress"}}));
}

TEST(documentation, asyncapi_names_every_topic_queue_and_type) {
  std::string text;
  for (const auto& file : generated_documentation())
    if (file.path == "asyncapi.yaml") text = file.text;
  for (const auto& topic : kafka_topics) {
    EXPECT_NE(text.find("\n  " + std::string(topic.name) + ":\n"), std::string::npos) << topic.name;
    EXPECT_NE(text.find("\n  " + dead_letter_topic(topic.name) + ":\n"), std::string::npos) << topic.name;
  }
  for (const auto& queue : rabbitmq_queues)
    EXPECT_NE(text.find("\n  amqp/" + std::string(queue.name) + ":\n"), std::string::npos) << queue.name;
  for_each_event_type([&]<class T>() {
    EXPECT_NE(text.find("#/components/messages/" + std::string(name_of<T>()) + "\""), std::string::npos)
        << name_of<T>();
  });
}

}  // namespace
}  // namespace horizons
