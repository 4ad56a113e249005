#include "gateways/rabbitmq/submission.hpp"

#include <openssl/evp.h>

#include <array>

#include "gateways/rabbitmq/relay_message.hpp"
#include "messages/codec/cloudevents.hpp"
#include "messages/codec/format.hpp"
#include "messages/codec/json.hpp"
#include "messages/codec/unchecked.hpp"
#include "messages/text.hpp"
#include "messages/trace.hpp"

namespace horizons::rabbitmq {

namespace {

refusal poison(error why) { return {"poison", std::move(why)}; }

/// What of a message counts, whichever way it was wrapped. Filled in place: it looks into the message, or into `event`.
struct unwrapped {
  std::string_view content_type, body, correlation_id, name;
  std::string traceparent;
  cloud_event event;
  std::string name_of_event;

  result<void> read(const message& m) {
    const auto& p = m.properties;
    const header_list headers = to_headers(p.headers);
    content_type = p.content_type;
    body = m.body;
    name = p.message_id;
    correlation_id = p.correlation_id;
    traceparent = text_of(p.headers, "traceparent");
    return is_cloudevents(content_type, headers) ? read_event(headers) : result<void>{};
  }

private:
  result<void> read_event(const header_list& headers) {
    auto e = read_cloudevents(content_type, headers, body);
    if (!e) return failure(std::move(e.error()));
    if (!e->data) return failure(error_code::unreadable, "the CloudEvent has no data; expected a command");
    event = std::move(*e);
    content_type = event.data_content_type;
    body = *event.data;
    if (name.empty()) name = name_of_event = event.source + "\n" + event.id;
    if (const auto* id = event.extension("correlationid"); id && correlation_id.empty()) correlation_id = *id;
    if (const auto* trace = event.extension("traceparent"); trace && traceparent.empty()) traceparent = *trace;
    return {};
  }
};

std::uint64_t lane_of(const std::string& tenant, const std::string& job) {
  const std::hash<std::string> hash;
  return hash(tenant) * 31 + hash(job);
}

bool names_priority(std::string_view content_type, std::string_view body) {
  const auto format = format_of(content_type, body);
  const json value = format && *format == message_format::msgpack ? json::from_msgpack(body, true, false)
                                                                  : json::parse(body, nullptr, false);
  return value.is_object() && value.contains("priority");
}

}  // namespace

std::string derived_job_id(const std::string& tenant, const std::string& user_id, const std::string& name) {
  std::string text;
  for (const auto* part : {&tenant, &user_id, &name}) text += std::to_string(part->size()) + ":" + *part;
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha256(), nullptr);
  std::string id = "amqp-";
  for (std::size_t i = 0; i < 20; ++i) {
    id += "0123456789abcdef"[digest[i] >> 4];
    id += "0123456789abcdef"[digest[i] & 15];
  }
  return id;
}

std::string traceparent_of(const message& m) {
  for (const auto* name : {"traceparent", "ce-traceparent", "ce_traceparent"})
    if (auto text = text_of(m.properties.headers, name); is_traceparent(text)) return text;
  return {};
}

std::string job_of(const message& m) {
  submission s;
  if (read_submission(m, s)) return {};
  return s.what.what.job_id.empty() ? std::move(s.what.fallback_job_id) : std::move(s.what.what.job_id);
}

std::optional<refusal> read_submission(const message& m, submission& into) {
  if (!m.fault.empty()) return poison({error_code::limit_exceeded, m.fault});
  const auto& p = m.properties;
  if (!p.content_encoding.empty() && p.content_encoding != "identity" && p.content_encoding != "utf-8")
    return poison({error_code::invalid_argument,
                   "content_encoding " + quote(p.content_encoding) + " is not read here; send the body as it is"});
  unwrapped u;
  if (auto readable = u.read(m); !readable) return poison(std::move(readable.error()));
  auto& c = into.what.what;
  if (auto read = decode_unchecked_command(u.content_type, u.body, c); !read)  // the house checks it
    return poison(std::move(read.error()));

  into.what.proven_user = p.user_id;
  const std::string& user = p.user_id.empty() ? c.user_id : p.user_id;
  if (c.command_name == "submit" && c.job_id.empty()) {
    if (!u.name.empty())
      into.what.fallback_job_id = derived_job_id(c.tenant, user, std::string(u.name));
    else if (!c.idempotency_key.empty())
      into.what.fallback_job_id = derived_job_id(c.tenant, user, "key\n" + c.idempotency_key);
    else
      return refusal{
          "no-identity",
          {error_code::invalid_argument,
           "the message has no message_id, job_id or idempotency_key: a repeat of it could not be told from a "
           "new job; set one of them"}};
  }
  if (p.priority && !names_priority(u.content_type, u.body)) c.priority = from_amqp_priority(*p.priority);
  if (c.correlation_id.empty() && text_fault(u.correlation_id).empty()) c.correlation_id = u.correlation_id;
  if (is_traceparent(u.traceparent)) into.what.traceparent = std::move(u.traceparent);
  into.lane = lane_of(c.tenant, c.job_id.empty() ? into.what.fallback_job_id : c.job_id);
  return std::nullopt;
}

}  // namespace horizons::rabbitmq
