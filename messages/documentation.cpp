#include "messages/documentation.hpp"

#include <algorithm>
#include <limits>
#include <string_view>

#include "messages/codec/envelope_fields.hpp"
#include "messages/codec/write.hpp"
#include "messages/commands.hpp"
#include "messages/events.hpp"
#include "messages/limits.hpp"
#include "messages/topics.hpp"

namespace horizons {

namespace {

using ordered = nlohmann::ordered_json;  // keeps the order of the fields

constexpr std::string_view name_pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$";
constexpr std::string_view ulid_pattern = "^[0-7][0-9A-HJKMNP-TV-Z]{25}$";

/// What validate() demands of a field beyond its type, where JSON Schema can say it.
struct constraint {
  std::string_view field;
  std::string_view keyword;
  ordered value;
};

const std::vector<constraint>& constraints() {
  static const std::vector<constraint> all{
      {"event_id", "pattern", ulid_pattern},
      {"notification_id", "pattern", ulid_pattern},
      {"tenant", "pattern", name_pattern},
      {"sequence", "minimum", 1},
      {"priority", "minimum", 1},
      {"priority", "maximum", 5},
      {"progress", "minimum", 0},
      {"progress", "maximum", 1},
      {"sha256", "pattern", "^[0-9a-f]{64}$"},
      {"attempt", "minimum", 0},
      {"size", "minimum", 0},
      {"execution_duration_s", "minimum", 0},
      {"gpus", "minimum", 0},
      {"cpus", "minimum", 0},
      {"walltime_s", "minimum", 1},
      {"command", "enum", {"submit", "cancel", "pause", "resume"}},
      {"params", "type", "object"},
      {"metrics", "type", "object"},
  };
  return all;
}

template <class T>
ordered schema_of();

template <class T>
ordered type_schema() {
  if constexpr (codec::is_optional<T>) {
    return type_schema<typename T::value_type>();
  } else if constexpr (codec::is_vector<T>) {
    return {{"type", "array"}, {"maxItems", limits::elements_max}, {"items", type_schema<typename T::value_type>()}};
  } else if constexpr (described<T>) {
    return schema_of<T>();
  } else if constexpr (std::is_same_v<T, bool>) {
    return {{"type", "boolean"}};
  } else if constexpr (std::is_same_v<T, timestamp>) {
    return {{"type", "string"}, {"format", "date-time"}};
  } else if constexpr (std::is_same_v<T, std::string>) {
    return {{"type", "string"}};
  } else if constexpr (std::is_same_v<T, json>) {
    return ordered::object();
  } else if constexpr (std::is_integral_v<T>) {
    return {
        {"type", "integer"}, {"minimum", std::numeric_limits<T>::min()}, {"maximum", std::numeric_limits<T>::max()}};
  } else {
    return {{"type", "number"}};
  }
}

template <class Field>
ordered field_schema(const Field& field) {
  ordered schema{{"description", field.doc}};
  schema.update(type_schema<typename Field::value_type>());
  for (const auto& [name, keyword, value] : constraints())
    if (name == field.name) schema[std::string(keyword)] = value;
  if (field.since > 1) schema["x-since-version"] = field.since;
  return schema;
}

template <class T>
ordered schema_of() {
  ordered properties = ordered::object(), required = ordered::array();
  constexpr auto description = T::description();
  std::apply(
      [&](const auto&... each) {
        const auto add = [&](const auto& field) {
          using value = typename std::remove_cvref_t<decltype(field)>::value_type;
          properties[std::string(field.name)] = field_schema(field);
          if (!codec::is_optional<value> && field.since == 1) required.push_back(field.name);
        };
        (add(each), ...);
      },
      description.fields);
  return {{"description", description.doc}, {"type", "object"}, {"properties", properties}, {"required", required}};
}

ordered titled(std::string_view name, int version, std::string_view doc) {
  return {{"$schema", "https://json-schema.org/draft/2020-12/schema"},
          {"$id", std::string(name) + "/" + std::to_string(version)},
          {"title", name},
          {"description", doc},
          {"type", "object"}};
}

template <class T>
ordered event_schema() {
  constexpr auto description = T::description();
  ordered schema = titled(description.name, description.version, description.doc);
  ordered properties{
      {"event_id",
       {{"description", "a ULID, kept through every retry"}, {"type", "string"}, {"pattern", ulid_pattern}}},
      {"event_type", {{"const", description.name}}},
      {"schema_version", {{"description", "of this type"}, {"type", "integer"}, {"minimum", 1}}}};
  std::apply([&](const auto&... each) { ((properties[std::string(each.name)] = field_schema(each)), ...); },
             codec::envelope_fields);
  properties["job_id"]["pattern"] = name_pattern;
  properties["data"] = schema_of<T>();
  schema["properties"] = properties;
  schema["required"] = {"event_id", "event_type", "schema_version", "timestamp", "tenant", "data"};
  if (description.name.starts_with("job.")) schema["required"].push_back("job_id");
  return schema;
}

/// Everything in a command may be left out; what a kind of command needs stands in its conditions.
ordered command_schema() {
  constexpr auto description = command::description();
  ordered schema = titled("command", description.version, description.doc);
  ordered properties = schema_of<command>()["properties"];
  const command defaults;
  const resources usual;
  properties["command"]["default"] = defaults.command_name;
  properties["tenant"]["default"] = defaults.tenant;
  properties["priority"]["default"] = defaults.priority;
  properties["job_id"]["pattern"] = name_pattern;
  ordered& wants = properties["resources"];
  wants.erase("required");
  wants["properties"]["gpus"]["default"] = usual.gpus;
  wants["properties"]["cpus"]["default"] = usual.cpus;
  wants["properties"]["walltime_s"]["default"] = usual.walltime_s;
  schema["properties"] = properties;
  const ordered orders_a_job{{"properties", {{"command", {{"enum", {"cancel", "pause", "resume"}}}}}},
                             {"required", {"command"}}};
  schema["if"] = orders_a_job;
  schema["then"] = {{"required", {"job_id"}}};
  schema["else"] = {{"required", {"agent"}}};
  return schema;
}

// -- AsyncAPI -----------------------------------------------------------------------------------------------------

/// YAML by lines; every text is written in double quotes, whose escapes are JSON's.
class yaml {
public:
  void line(int indent, std::string_view text) {
    text_.append(static_cast<std::size_t>(2 * indent), ' ').append(text) += '\n';
  }
  void pair(int indent, std::string_view key, std::string_view value) {
    line(indent, std::string(key) + ": " + ordered(value).dump());
  }
  void pair(int indent, std::string_view key, std::int64_t value) {
    line(indent, std::string(key) + ": " + std::to_string(value));
  }
  std::string take() { return std::move(text_); }

private:
  std::string text_;
};

void messages_of(yaml& out, int indent, const std::vector<std::string>& types) {
  out.line(indent, "message:");
  out.line(indent + 1, "oneOf:");
  for (const std::string& type : types) out.line(indent + 2, "- $ref: \"#/components/messages/" + type + "\"");
}

template <class Wanted>
std::vector<std::string> types_where(Wanted&& wanted) {
  std::vector<std::string> types;
  for_each_event_type([&]<class T>() {
    if (wanted(name_of<T>())) types.emplace_back(name_of<T>());
  });
  return types;
}

void kafka_channel(yaml& out, const kafka_topic& topic) {
  const bool commands = topic.content.empty();
  out.line(1, std::string(topic.name) + ":");
  out.pair(2, "description", std::string("Kafka topic: ") + std::string(topic.doc) + "; key " + std::string(topic.key));
  // AsyncAPI 2 takes the reader's side: "publish" is what others may send to us.
  out.line(2, commands ? "publish:" : "subscribe:");
  messages_of(out, 3, commands ? std::vector<std::string>{"command"} : types_where([&](std::string_view type) {
                return carries(topic, type);
              }));
  out.line(2, "bindings:");
  out.line(3, "kafka:");
  out.pair(4, "topic", topic.name);
  out.pair(4, "partitions", topic.partitions);
  out.line(4, "topicConfiguration:");
  out.pair(5, "retention.ms", std::int64_t{topic.retention_days} * 86'400'000);
  out.pair(4, "bindingVersion", "0.5.0");
}

void dead_letter_channel(yaml& out, const kafka_topic& topic) {
  out.line(1, dead_letter_topic(topic.name) + ":");
  out.pair(2, "description",
           "Kafka topic: records of " + std::string(topic.name) +
               " that could not be used, byte-identical, with error headers");
  out.line(2, "bindings:");
  out.line(3, "kafka:");
  out.pair(4, "topic", dead_letter_topic(topic.name));
  out.pair(4, "partitions", topic.partitions);
  out.line(4, "topicConfiguration:");
  out.pair(5, "retention.ms", std::int64_t{dead_letter_retention_days} * 86'400'000);
  out.pair(4, "bindingVersion", "0.5.0");
}

void rabbitmq_channel(yaml& out, const rabbitmq_queue& queue) {
  out.line(1, "amqp/" + std::string(queue.name) + ":");
  std::string doc = "RabbitMQ queue: " + std::string(queue.doc) + "; bound to " + std::string(queue.exchange);
  if (queue.bounded)
    doc += "; at most " + std::to_string(outside_queue_bytes_max >> 20) + " MiB and " +
           std::to_string(outside_queue_ttl_ms / 60'000) + " minutes, the oldest messages go first";
  out.pair(2, "description", doc);
  const bool commands = queue.name == "job-submissions" || queue.name == "job-dlq";
  const bool notifications = queue.exchange == "notifications";
  out.line(2, queue.name == "job-submissions" ? "publish:" : "subscribe:");
  messages_of(out, 3, commands ? std::vector<std::string>{"command"} : types_where([&](std::string_view type) {
                return type.starts_with(notifications ? "notification." : "job.");
              }));
  out.line(2, "bindings:");
  out.line(3, "amqp:");
  out.pair(4, "is", "queue");
  out.line(4, "queue:");
  out.pair(5, "name", queue.name);
  out.line(5, "durable: true");
  out.pair(4, "bindingVersion", "0.2.0");
}

std::string asyncapi() {
  yaml out;
  out.line(0,
           "# Generated from the descriptions in messages/: change those, then HORIZONS_REGENERATE=1 messages_tests.");
  out.pair(0, "asyncapi", "2.6.0");
  out.line(0, "info:");
  out.pair(1, "title", "Cosmic Horizons Runtime");
  out.pair(1, "version", "1");
  out.pair(1, "description",
           "Events and commands on Kafka and RabbitMQ. One JSON form everywhere; MessagePack is the same map; on Kafka "
           "also Avro. CloudEvents 1.0 binary mode headers: ce_ on Kafka, ce- on RabbitMQ.");
  out.pair(0, "defaultContentType", "application/json");
  out.line(0, "channels:");
  for (const auto& topic : kafka_topics) kafka_channel(out, topic);
  for (const auto& topic : kafka_topics) dead_letter_channel(out, topic);
  for (const auto& queue : rabbitmq_queues) rabbitmq_channel(out, queue);
  out.line(0, "components:");
  out.line(1, "messages:");
  const auto message = [&](std::string_view name, int version, std::string_view doc) {
    out.line(2, std::string(name) + ":");
    out.pair(3, "name", name);
    out.pair(3, "summary", doc);
    out.pair(3, "schemaFormat", "application/schema+json;version=draft-2020-12");
    out.pair(3, "x-schema-version", version);
    out.line(3, "payload:");
    out.pair(4, "$ref", "schemas/" + std::string(name) + ".json");
  };
  constexpr auto commands = command::description();
  message("command", commands.version, commands.doc);
  for_each_event_type([&]<class T>() {
    constexpr auto description = T::description();
    message(description.name, description.version, description.doc);
  });
  return out.take();
}

}  // namespace

std::vector<generated_file> generated_documentation() {
  std::vector<generated_file> files{{"asyncapi.yaml", asyncapi()},
                                    {"schemas/command.json", command_schema().dump(2) + "\n"}};
  for_each_event_type([&]<class T>() {
    files.push_back({"schemas/" + std::string(name_of<T>()) + ".json", event_schema<T>().dump(2) + "\n"});
  });
  std::sort(files.begin(), files.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
  return files;
}

}  // namespace horizons
