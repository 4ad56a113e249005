#include "messages/codec/cloudevents.hpp"

#include <algorithm>
#include <array>

#include "messages/codec/base64.hpp"
#include "messages/codec/json.hpp"
#include "messages/codec/msgpack.hpp"
#include "messages/limits.hpp"
#include "messages/text.hpp"
#include "messages/topics.hpp"

namespace horizons {

namespace {

constexpr std::size_t headers_max = 128;
constexpr std::string_view structured_type = "application/cloudevents";

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = lower(c);
  return out;
}

/// In any case; nothing is copied: every message of a broker is asked.
bool starts_with(std::string_view text, std::string_view lower_case) {
  return text.size() >= lower_case.size() &&
         std::equal(lower_case.begin(), lower_case.end(), text.begin(), [](char l, char t) { return l == lower(t); });
}

/// The attributes and extensions of an event, in the order in which they are sent.
header_list attributes_of(const event& e, const cloudevents_origin& origin) {
  const std::string type(type_of(e.data));
  std::string sequence = e.sequence == 0 ? "" : std::to_string(e.sequence);
  if (!sequence.empty()) sequence.insert(0, 20 - sequence.size(), '0');  // 20 digits: texts sort as numbers do
  header_list all{{"specversion", "1.0"},
                  {"id", e.event_id},
                  {"type", type},
                  {"source", "/horizons/" + origin.node},
                  {"subject", e.job_id},
                  {"time", to_string(e.time)},
                  {"dataschema", type + "/" + std::to_string(schema_version_of(e.data))},
                  {"correlationid", e.correlation_id},
                  {"causationid", e.causation_id},
                  {"userid", e.user_id},
                  {"tenant", e.tenant},
                  {"sequence", sequence},
                  {"partitionkey", partition_key(e, origin.node)},
                  {"traceparent", e.traceparent}};
  std::erase_if(all, [](const auto& header) { return header.second.empty(); });
  return all;
}

bool is_structured(std::string_view content_type) { return starts_with(content_type, structured_type); }

tl::unexpected<error> unreadable(std::string text) {
  return failure(error_code::unreadable, "CloudEvent: " + std::move(text));
}

bool is_attribute_name(std::string_view name) {
  return !name.empty() &&
         std::all_of(name.begin(), name.end(), [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); });
}

/// Sets one attribute; `specversion` goes to its own place.
struct attribute_reader {
  cloud_event out;
  std::string specversion;

  result<void> set(std::string_view name, std::string value) {
    if (!is_attribute_name(name))
      return unreadable("attribute " + quote(name) + "; names are lower-case letters and digits");
    if (value.size() > limits::text_bytes_max)
      return failure(error_code::limit_exceeded, "CloudEvent: " + std::string(name) + " has " +
                                                     std::to_string(value.size()) + " bytes; at most " +
                                                     std::to_string(limits::text_bytes_max));
    if (const auto wrong = text_fault(value); !wrong.empty())
      return unreadable(std::string(name) + ": " + quote(value) + " " + std::string(wrong));
    if (std::string* known = place_of(name)) {
      if (!known->empty()) return unreadable(std::string(name) + " appears twice");
      *known = std::move(value);
      return {};
    }
    if (out.extension(name) != nullptr) return unreadable(std::string(name) + " appears twice");
    out.extensions.emplace_back(name, std::move(value));
    return {};
  }

  std::string* place_of(std::string_view name) {
    const std::array<std::pair<std::string_view, std::string*>, 8> places{{{"id", &out.id},
                                                                           {"source", &out.source},
                                                                           {"type", &out.type},
                                                                           {"subject", &out.subject},
                                                                           {"time", &out.time},
                                                                           {"specversion", &specversion},
                                                                           {"datacontenttype", &out.data_content_type},
                                                                           {"dataschema", &out.data_schema}}};
    for (const auto& [known, place] : places)
      if (name == known) return place;
    return nullptr;
  }

  result<cloud_event> finish() {
    if (specversion != "1.0")
      return unreadable("specversion " + (specversion.empty() ? "is missing" : "is " + quote(specversion)) +
                        "; expected \"1.0\"");
    for (const auto& [name, value] : {std::pair{"id", &out.id}, {"source", &out.source}, {"type", &out.type}})
      if (value->empty()) return unreadable(std::string(name) + " is missing");
    if (!out.time.empty())
      if (auto time = parse_timestamp(out.time); !time) return unreadable("time: " + time.error().text);
    return std::move(out);
  }
};

/// The attribute's name in a header, and which of the prefixes it has; empty: no attribute.
std::pair<std::string, int> attribute_in(std::string_view header) {
  static constexpr std::array<std::string_view, 4> prefixes{"ce-", "ce_", "cloudevents:", "cloudevents_"};
  for (std::size_t i = 0; i < prefixes.size(); ++i)
    if (starts_with(header, prefixes[i])) return {lower(header.substr(prefixes[i].size())), static_cast<int>(i)};
  return {};
}

result<cloud_event> read_binary(std::string_view content_type, const header_list& headers, std::string_view body) {
  attribute_reader reader;
  int prefix = -1;
  for (const auto& [header, value] : headers) {
    const auto [name, its_prefix] = attribute_in(header);
    if (name.empty()) continue;
    if (prefix >= 0 && prefix != its_prefix)
      return unreadable("header " + quote(header) + " has another prefix than the ones before it");
    prefix = its_prefix;
    if (name == "datacontenttype" && !content_type.empty()) continue;  // the binding's content-type is the attribute
    if (auto set = reader.set(name, value); !set) return failure(std::move(set.error()));
  }
  if (!content_type.empty())
    if (auto set = reader.set("datacontenttype", std::string(content_type)); !set)
      return failure(std::move(set.error()));
  if (!body.empty()) reader.out.data = std::string(body);
  return reader.finish();
}

result<cloud_event> read_structured(std::string_view content_type, std::string_view body) {
  const std::string media = lower(content_type.substr(0, content_type.find(';')));
  if (media.find("+json") == std::string::npos || media.starts_with("application/cloudevents-batch"))
    return unreadable("content-type " + quote(content_type) + "; expected application/cloudevents+json");
  auto parsed = parse_json(body);
  if (!parsed) return unreadable(parsed.error().text);
  if (!parsed->is_object()) return unreadable("the body is not a JSON object");

  attribute_reader reader;
  for (auto& [name, value] : parsed->items()) {
    if (name == "data" || name == "data_base64" || value.is_null()) continue;
    // Attributes are texts; of the other types JSON can say, booleans and integers have one canonical text.
    if (!value.is_string() && !value.is_boolean() && !value.is_number_integer())
      return unreadable(name + " is " + quote(json_text(value)) + "; expected a string");
    auto set = reader.set(name, value.is_string() ? value.get<std::string>() : json_text(value));
    if (!set) return failure(std::move(set.error()));
  }
  const auto data = parsed->find("data"), base64 = parsed->find("data_base64");
  if (data != parsed->end() && base64 != parsed->end()) return unreadable("holds both data and data_base64");
  if (base64 != parsed->end()) {
    if (!base64->is_string()) return unreadable("data_base64 is not a string");
    auto bytes = codec::from_base64(base64->get_ref<const std::string&>());
    if (!bytes) return unreadable("data_base64: " + bytes.error().text);
    reader.out.data = std::move(*bytes);
  } else if (data != parsed->end()) {
    const auto& media_type = reader.out.data_content_type;
    const auto format = media_type.empty() ? result<message_format>(message_format::json) : format_of(media_type, "{");
    const bool is_json = format && *format == message_format::json;
    reader.out.data = data->is_string() && !is_json ? data->get<std::string>() : json_text(*data);
  }
  return reader.finish();
}

}  // namespace

const std::string* cloud_event::extension(std::string_view name) const {
  for (const auto& [known, value] : extensions)
    if (known == name) return &value;
  return nullptr;
}

header_list cloudevents_headers(const event& e, const cloudevents_origin& origin, cloudevents_binding binding,
                                message_format format) {
  header_list headers = attributes_of(e, origin);
  for (auto& [name, value] : headers) name.insert(0, binding == cloudevents_binding::kafka ? "ce_" : "ce-");
  if (binding == cloudevents_binding::kafka) headers.emplace_back("content-type", content_type_of(format));

  const auto* submitted = std::get_if<job_submitted>(&e.data);
  const std::string& agent = submitted ? submitted->agent : origin.agent;
  const std::string& dataset = submitted ? submitted->dataset : origin.dataset;
  const std::optional<int> gpus = submitted ? submitted->wants.gpus : origin.gpus;
  if (!e.traceparent.empty()) headers.emplace_back("traceparent", e.traceparent);
  if (!e.correlation_id.empty()) headers.emplace_back("X-Correlation-ID", e.correlation_id);
  if (!agent.empty()) headers.emplace_back("X-Agent", agent);
  if (!dataset.empty()) headers.emplace_back("X-Dataset", dataset);
  if (gpus) headers.emplace_back("X-GPU-Count", std::to_string(*gpus));
  return headers;
}

wire_message to_cloudevents(const event& e, const cloudevents_origin& origin, cloudevents_binding binding,
                            message_format format) {
  return {std::string(content_type_of(format)), cloudevents_headers(e, origin, binding, format),
          format == message_format::msgpack ? to_msgpack(e) : to_json(e)};
}

wire_message to_structured_cloudevents(const event& e, const cloudevents_origin& origin) {
  std::string body = "{";
  for (const auto& [name, value] : attributes_of(e, origin)) body += json_text(name) + ":" + json_text(value) + ",";
  body += R"("datacontenttype":"application/json","data":)" + to_json(e) + "}";
  return {"application/cloudevents+json; charset=UTF-8", {}, std::move(body)};
}

bool is_cloudevents(std::string_view content_type, const header_list& headers) {
  return is_structured(content_type) || std::any_of(headers.begin(), headers.end(), [](const auto& header) {
           return attribute_in(header.first).first == "specversion";
         });
}

result<cloud_event> read_cloudevents(std::string_view content_type, const header_list& headers, std::string_view body) {
  if (headers.size() > headers_max)
    return failure(error_code::limit_exceeded, "CloudEvent: has " + std::to_string(headers.size()) +
                                                   " headers; at most " + std::to_string(headers_max));
  if (body.size() > limits::message_bytes_max)
    return failure(error_code::limit_exceeded, "CloudEvent: has " + std::to_string(body.size()) + " bytes; at most " +
                                                   std::to_string(limits::message_bytes_max));
  if (content_type.empty())
    for (const auto& [name, value] : headers)
      if (lower(name) == "content-type") content_type = value;
  return is_structured(content_type) ? read_structured(content_type, body) : read_binary(content_type, headers, body);
}

result<event> event_from_cloudevents(std::string_view content_type, const header_list& headers, std::string_view body) {
  auto outer = read_cloudevents(content_type, headers, body);
  if (!outer) return failure(std::move(outer.error()));
  if (!outer->data) return unreadable("holds no data; expected an event");
  auto e = decode_event(outer->data_content_type, *outer->data);
  if (!e) return e;
  if (e->event_id != outer->id)
    return unreadable("id is " + quote(outer->id) + ", but the event inside is " + quote(e->event_id));
  if (type_of(e->data) != outer->type)
    return unreadable("type is " + quote(outer->type) + ", but the event inside is a " + std::string(type_of(e->data)));
  return e;
}

}  // namespace horizons
