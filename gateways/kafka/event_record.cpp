#include "gateways/kafka/event_record.hpp"

#include "messages/avro/confluent.hpp"
#include "messages/avro/event_codec.hpp"
#include "messages/codec/json.hpp"
#include "messages/codec/msgpack.hpp"
#include "messages/text.hpp"
#include "messages/topics.hpp"

namespace horizons::kafka {
namespace {

result<std::string> value_of(const event& e, message_format format, const schema_id_of& schema_id) {
  if (format == message_format::json) return to_json(e);
  if (format == message_format::msgpack) return to_msgpack(e);
  if (!schema_id)
    return failure(error_code::invalid_argument, "kafka.format = \"avro\" needs kafka.registry; it is not given");
  auto id = schema_id(type_of(e.data));
  if (!id) return failure(id.error());
  std::string out;
  avro::append_frame(*id, out);
  if (auto encoded = append_avro(e, out); !encoded) return failure(encoded.error());
  return out;
}

}  // namespace

result<message_format> parse_format(std::string_view text) {
  if (text == "json") return message_format::json;
  if (text == "avro") return message_format::avro;
  if (text == "msgpack") return message_format::msgpack;
  return failure(error_code::invalid_argument,
                 "kafka.format = " + quote(text) + " is not known; expected \"json\", \"avro\" or \"msgpack\"");
}

result<event_record> record_of(const event& e, const cloudevents_origin& origin, message_format format,
                               const schema_id_of& schema_id) {
  auto value = value_of(e, format, schema_id);
  if (!value) return failure(value.error());
  record r;
  if (auto key = partition_key(e, origin.node); !key.empty()) r.key = std::move(key);
  r.value = std::move(*value);
  r.time = e.time;
  for (auto& [name, text] : cloudevents_headers(e, origin, cloudevents_binding::kafka, format))
    r.headers.emplace_back(std::move(name), std::move(text));
  event_record out;
  const auto type = type_of(e.data);
  for (const auto& topic : kafka_topics)
    if (carries(topic, type)) out.topics.push_back(topic.name);
  out.what = std::make_shared<const record>(std::move(r));
  return out;
}

}  // namespace horizons::kafka
