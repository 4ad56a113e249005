#include "gateways/kafka/avro_events.hpp"

#include <map>
#include <memory>
#include <mutex>

#include "gateways/registry/registry_client.hpp"
#include "gateways/registry/schema_commands.hpp"
#include "messages/avro/confluent.hpp"
#include "messages/avro/event_codec.hpp"
#include "messages/text.hpp"

namespace horizons::kafka {
namespace {

constexpr std::size_t readers_max = 1'024;  // schemas; more than that are not ours

}  // namespace

schema_id_of registered_ids(const std::string& registry_url) {
  auto client = std::make_shared<registry::registry_client>(registry::registry_options{.url = registry_url});
  return [client](std::string_view type) -> result<std::uint32_t> {
    const auto* schema = avro::schema_of(type);
    if (!schema) return failure(error_code::internal, "there is no Avro schema of " + quote(type));
    return client->register_schema(registry::subject_of(*schema), schema->text);
  };
}

avro_event_decoder registered_decoder(const std::string& registry_url) {
  struct state {
    explicit state(const std::string& url) : client({.url = url}) {}
    registry::registry_client client;
    std::mutex mutex;
    std::map<std::uint32_t, std::shared_ptr<const avro_reader>> readers;
  };
  auto s = std::make_shared<state>(registry_url);
  return [s](std::string_view body) -> result<event> {
    if (!avro::is_framed(body))
      return failure(error_code::unreadable,
                     "not Avro in a registry's frame; expected a zero byte and a schema id of 4");
    std::uint32_t id = 0;
    for (std::size_t i = 1; i < avro::frame_bytes; ++i) id = id << 8 | static_cast<unsigned char>(body[i]);
    const std::lock_guard lock(s->mutex);
    auto& reader = s->readers[id];
    if (!reader) {
      const auto schema = s->client.schema_by_id(id);
      auto made = schema ? avro_reader::create(**schema) : result<avro_reader>(failure(schema.error()));
      if (!made || s->readers.size() > readers_max) {
        s->readers.erase(id);
        if (!made) return failure(made.error());
        return failure(error_code::limit_exceeded, "records of more than " + std::to_string(readers_max) + " schemas");
      }
      reader = std::make_shared<const avro_reader>(std::move(*made));
    }
    return reader->read_event(body.substr(avro::frame_bytes));
  };
}

result<event> event_of(const record& r, const avro_event_decoder& avro) {
  if (!r.value) return failure(error_code::unreadable, "the record has no value");
  std::string content_type;
  header_list headers;
  for (const auto& [name, value] : r.headers) {
    if (name == "content-type") content_type = value.value_or("");
    headers.emplace_back(name, value.value_or(""));
  }
  const auto format = is_cloudevents(content_type, headers) && content_type.starts_with("application/cloudevents")
                          ? result<message_format>(message_format::json)
                          : format_of(content_type, *r.value);
  if (!format) return failure(format.error());
  if (*format == message_format::avro) {
    if (avro) return avro(*r.value);
    return failure(error_code::invalid_argument, "the record is Avro; a schema registry is needed to read it");
  }
  if (is_cloudevents(content_type, headers)) return event_from_cloudevents(content_type, headers, *r.value);
  return decode_event(content_type, *r.value);
}

}  // namespace horizons::kafka
