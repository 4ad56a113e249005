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

/// What of a message counts, whichever way it was wrapped.
struct unwrapped {
  std::string content_type, body, name, correlation_id, traceparent;
};

result<unwrapped> unwrap(const message& m) {
  const auto& p = m.properties;
  const header_list headers = to_headers(p.headers);
  if (!is_cloudevents(p.content_type, headers))
    return unwrapped{p.content_type, m.body, p.message_id, p.correlation_id, text_of(p.headers, "traceparent")};
  auto e = read_cloudevents(p.content_type, headers, m.body);
  if (!e) return failure(std::move(e.error()));
  if (!e->data) return failure(error_code::unreadable, "the CloudEvent has no data; expected a command");
  unwrapped u{e->data_content_type, std::move(*e->data), p.message_id, p.correlation_id,
              text_of(p.headers, "traceparent")};
  if (u.name.empty()) u.name = e->source + "\n" + e->id;
  if (const auto* id = e->extension("correlationid"); id && u.correlation_id.empty()) u.correlation_id = *id;
  if (const auto* trace = e->extension("traceparent"); trace && u.traceparent.empty()) u.traceparent = *trace;
  return u;
}

bool names_priority(std::string_view content_type, const std::string& body) {
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

std::variant<submission, refusal> read_submission(const message& m) {
  if (!m.fault.empty()) return poison({error_code::limit_exceeded, m.fault});
  const auto& p = m.properties;
  if (!p.content_encoding.empty() && p.content_encoding != "identity" && p.content_encoding != "utf-8")
    return poison({error_code::invalid_argument,
                   "content_encoding " + quote(p.content_encoding) + " is not read here; send the body as it is"});
  auto u = unwrap(m);
  if (!u) return poison(std::move(u.error()));
  auto c = decode_unchecked_command(u->content_type, u->body);  // the house checks it
  if (!c) return poison(std::move(c.error()));

  submission s;
  s.what.proven_user = p.user_id;
  const std::string& user = p.user_id.empty() ? c->user_id : p.user_id;
  if (c->command_name == "submit" && c->job_id.empty()) {
    if (!u->name.empty())
      s.what.fallback_job_id = derived_job_id(c->tenant, user, u->name);
    else if (!c->idempotency_key.empty())
      s.what.fallback_job_id = derived_job_id(c->tenant, user, "key\n" + c->idempotency_key);
    else
      return refusal{
          "no-identity",
          {error_code::invalid_argument,
           "the message has no message_id, job_id or idempotency_key: a repeat of it could not be told from a "
           "new job; set one of them"}};
  }
  if (p.priority && !names_priority(u->content_type, u->body)) c->priority = from_amqp_priority(*p.priority);
  if (c->correlation_id.empty() && text_fault(u->correlation_id).empty()) c->correlation_id = u->correlation_id;
  if (is_traceparent(u->traceparent)) s.what.traceparent = std::move(u->traceparent);
  s.lane = c->tenant + '\0' + (c->job_id.empty() ? s.what.fallback_job_id : c->job_id);
  s.what.what = std::move(*c);
  return s;
}

}  // namespace horizons::rabbitmq
