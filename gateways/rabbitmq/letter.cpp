#include "gateways/rabbitmq/letter.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <array>

#include "gateways/rabbitmq/submission.hpp"
#include "gateways/rabbitmq/topology.hpp"
#include "messages/text.hpp"

namespace horizons::rabbitmq {

namespace {

using namespace letter_header;

constexpr std::size_t error_bytes_max = 4'096;

std::string hex_digest(const std::string& text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha256(), nullptr);
  std::string out;
  for (std::size_t i = 0; i < 16; ++i) {
    out += "0123456789abcdef"[digest[i] >> 4];
    out += "0123456789abcdef"[digest[i] & 15];
  }
  return out;
}

/// Of what the broker put here by itself: the last death of x-death, which is listed first.
const field_table* last_death(const field_table& headers) {
  const field* all = find(headers, "x-death");
  const auto* list = all ? std::get_if<field_array>(&all->value) : nullptr;
  return list && !list->empty() ? std::get_if<field_table>(&list->front().value) : nullptr;
}

std::string first_routing_key(const field_table& death) {
  const field* keys = find(death, "routing-keys");
  const auto* list = keys ? std::get_if<field_array>(&keys->value) : nullptr;
  const auto* first = list && !list->empty() ? std::get_if<std::string>(&list->front().value) : nullptr;
  return first ? *first : std::string();
}

std::optional<timestamp> time_of(const field_table& death) {
  const auto seconds = number_of(death, "time");
  if (!seconds) return std::nullopt;
  return timestamp(std::chrono::seconds(*seconds));
}

std::optional<timestamp> time_of(const field_table& headers, std::string_view name) {
  const auto parsed = parse_timestamp(text_of(headers, name));
  return parsed ? std::optional(*parsed) : std::nullopt;
}

/// Every header that is not the original's own.
bool is_added(std::string_view name) {
  return name == "x-death" || name == "x-delivery-count" || name.starts_with("x-first-death-") ||
         name.starts_with("x-last-death-") || (name.starts_with("horizons-") && name != replays);
}

struct origin {
  std::string exchange, routing_key;
  bool known = false;
};

origin origin_of(const field_table& headers) {
  if (find(headers, letter_header::exchange))
    return {text_of(headers, letter_header::exchange), text_of(headers, letter_header::routing_key), true};
  if (const auto* death = last_death(headers)) return {text_of(*death, "exchange"), first_routing_key(*death), true};
  return {};
}

std::string death_error(const field_table& death, const std::string& why) {
  const std::string queue = text_of(death, "queue");
  if (why == "delivery_limit")
    return "given back " + std::to_string(delivery_limit) + " times by consumers of " + queue;
  if (why == "expired")
    return "nobody took it from " + queue + " in time (" + text_of(death, "original-expiration") + ")";
  if (why == "maxlen") return "queue " + queue + " was full";
  if (why == "rejected")
    return "rejected by a consumer of " + queue + ": larger than this bridge takes, or its headers are";
  return "dead-lettered by the broker from " + queue;
}

}  // namespace

message to_letter(message m, const failure_note& what, const std::string& own_user) {
  auto& p = m.properties;
  std::erase_if(p.headers, [](const auto& header) { return is_added(header.first); });
  const auto add = [&](std::string_view name, std::string value) {
    if (!value.empty()) put(p.headers, std::string(name), field::text(std::move(value)));
  };
  add(id, what.letter_id);
  add(reason, what.reason);
  add(letter_header::error, what.error.substr(0, error_bytes_max));
  put(p.headers, std::string(attempts), field::number(what.attempts));
  add(first_failed_at, to_string(what.first_failed_at));
  add(last_failed_at, to_string(what.last_failed_at));
  put(p.headers, std::string(letter_header::exchange), field::text(m.exchange));
  put(p.headers, std::string(letter_header::routing_key), field::text(m.routing_key));
  if (is_job_id(what.job_id)) add(job_id, what.job_id);  // whatever was written there is in the body
  if (p.user_id != own_user) add(user_id, std::exchange(p.user_id, {}));
  add(expiration, std::exchange(p.expiration, {}));
  p.delivery_mode = 2;
  m.exchange = dead_letter_exchange;
  m.routing_key = dead_letter_queue;
  return m;
}

bridges::dead_letter read_letter(const message& m) {
  const auto& p = m.properties;
  const auto& headers = p.headers;
  bridges::dead_letter l;
  l.bridge = "rabbitmq";
  l.state = "open";
  const origin from = origin_of(headers);
  l.origin = from.exchange + "/" + from.routing_key;
  l.replays = static_cast<int>(std::clamp<std::int64_t>(number_of(headers, replays).value_or(0), 0, 1'000'000));
  std::string identity = text_of(headers, id);
  if (!m.fault.empty()) {
    l.reason = "rejected";
    l.error = m.fault;
  } else if (const std::string why = text_of(headers, reason); !why.empty()) {
    l.reason = why;
    l.error = text_of(headers, letter_header::error);
    l.attempts = static_cast<int>(std::clamp<std::int64_t>(number_of(headers, attempts).value_or(1), 0, 1'000'000));
    l.first_failed_at = time_of(headers, first_failed_at);
    l.last_failed_at = time_of(headers, last_failed_at);
  } else if (const auto* death = last_death(headers)) {
    l.reason = text_of(*death, "reason");
    l.error = death_error(*death, l.reason);
    l.attempts = static_cast<int>(std::clamp<std::int64_t>(number_of(*death, "count").value_or(1), 0, 1'000'000));
    l.first_failed_at = l.last_failed_at = time_of(*death);
    identity = to_text(*find(headers, "x-death"));
  } else {
    l.reason = "unknown";
    l.error = "it was put into " + std::string(dead_letter_queue) + " by another program";
  }
  l.id = "rabbitmq:" + hex_digest(identity + "\n" + p.message_id + "\n" + m.body);
  l.job_id = text_of(headers, job_id);
  l.traceparent = traceparent_of(m);
  l.type = p.type;
  if (submission s; !read_submission(m, s)) {
    if (l.job_id.empty()) l.job_id = s.what.what.job_id.empty() ? s.what.fallback_job_id : s.what.what.job_id;
    l.type = s.what.what.command_name;
  }
  l.value = m.body;
  if (!from.routing_key.empty()) l.key = from.routing_key;
  for (const auto& [name, value] : headers)
    if (!is_added(name) && name != replays) l.headers.emplace_back(name, to_text(value));
  return l;
}

result<message> original_of(const message& letter, const std::string& own_user) {
  const origin from = origin_of(letter.properties.headers);
  if (!letter.fault.empty())
    return failure(error_code::limit_exceeded,
                   letter.fault + "; it is replayed as a whole or not at all: take it with another client");
  if (!from.known) return failure(error_code::not_found, "the letter does not say where it came from");
  message m = letter;
  auto& p = m.properties;
  m.exchange = from.exchange;
  m.routing_key = from.routing_key;
  const auto sent_before = number_of(p.headers, replays).value_or(0);
  const std::string proven = p.user_id.empty() ? text_of(p.headers, user_id) : p.user_id;
  p.expiration.clear();  // it had its time; a replay is wanted now
  std::erase_if(p.headers, [](const auto& header) { return is_added(header.first); });
  put(p.headers, std::string(replays), field::number(sent_before + 1));
  p.user_id.clear();
  if (proven.empty()) return m;
  if (proven == own_user) {
    p.user_id = proven;
    return m;
  }
  submission s;
  if (read_submission(m, s) || s.what.what.user_id != proven)
    return failure(error_code::forbidden, "its sender was proved to be user " + quote(proven) +
                                              ", which a replay cannot prove; that user may send it again");
  return m;
}

}  // namespace horizons::rabbitmq
