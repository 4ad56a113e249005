#include "gateways/kafka/held_record.hpp"

namespace horizons::kafka {
namespace {

std::string_view bytes(const void* data, std::size_t size) { return {static_cast<const char*>(data), size}; }

template <class Add>
void each_header(const rd_kafka_message_t* m, Add add) {
  rd_kafka_headers_t* headers = nullptr;
  if (rd_kafka_message_headers(m, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) return;
  const char* name = nullptr;
  const void* value = nullptr;
  std::size_t size = 0;
  for (std::size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR; ++i)
    add(std::string_view(name), value ? std::optional(bytes(value, size)) : std::nullopt);
}

}  // namespace

received view(const held_record& h) {
  received r{.time = h.time, .time_kind = h.time_kind};
  if (h.copy) {
    if (h.copy->key) r.key = *h.copy->key;
    if (h.copy->value) r.value = *h.copy->value;
    for (const auto& [name, value] : h.copy->headers)
      r.headers.emplace_back(name, value ? std::optional<std::string_view>(*value) : std::nullopt);
    return r;
  }
  if (h.message->key) r.key = bytes(h.message->key, h.message->key_len);
  if (h.message->payload) r.value = bytes(h.message->payload, h.message->len);
  each_header(h.message, [&r](std::string_view name, auto value) { r.headers.emplace_back(name, value); });
  return r;
}

journal::source_mark mark_of(const held_record& h) {
  journal::source_mark m{.offset = h.stored.offset, .all_before = h.stored.all_before};
  if (h.stored.releases) m.release = h.lane;
  return m;
}

record copy_of(const held_record& h) {
  if (h.copy) return *h.copy;
  const auto r = view(h);
  record c;
  if (r.key) c.key.emplace(*r.key);
  if (r.value) c.value.emplace(*r.value);
  for (const auto& [name, value] : r.headers)
    c.headers.emplace_back(name, value ? std::optional<std::string>(*value) : std::nullopt);
  if (h.time_kind != time_kind::none) c.time = h.time;
  return c;
}

void keep(held_record& h, task t) {
  h.lane = std::move(t.lane);
  h.run = std::move(t.run);
  if (!t.job_id.empty() || !t.traceparent.empty())
    h.about = std::make_unique<held_record::origin>(held_record::origin{std::move(t.job_id), std::move(t.traceparent)});
}

void detach(held_record& h) {
  h.run = nullptr;
  if (h.copy) return;
  h.copy = std::make_unique<record>(copy_of(h));
  h.message = nullptr;
  h.event.reset();
}

}  // namespace horizons::kafka
