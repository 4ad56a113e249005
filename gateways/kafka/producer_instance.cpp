#include "gateways/kafka/producer_instance.hpp"

namespace horizons::kafka {
namespace {

headers_ptr headers_of(const record& r) {
  if (r.headers.empty()) return nullptr;
  headers_ptr list(rd_kafka_headers_new(r.headers.size()));
  for (const auto& [name, value] : r.headers)
    rd_kafka_header_add(list.get(), name.data(), static_cast<ssize_t>(name.size()), value ? value->data() : nullptr,
                        value ? static_cast<ssize_t>(value->size()) : 0);
  return list;
}

}  // namespace

bool is_refusal(rd_kafka_resp_err_t code) {
  return code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE || code == RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE ||
         code == RD_KAFKA_RESP_ERR_INVALID_RECORD || code == RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP ||
         code == RD_KAFKA_RESP_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT || code == RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE;
}

bool is_unknown_topic(rd_kafka_resp_err_t code) {
  return code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC || code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION ||
         code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
}

result<void> producer_instance::open(const producer_options& options) {
  const setting_list own{
      {"linger.ms", std::to_string(options.linger.count())},
      {"compression.type", options.compression},
      {"message.max.bytes", std::to_string(options.record_bytes_max)},
      {"message.timeout.ms", "0"},     // for ever: K9, a record that times out would be skipped
      {"request.timeout.ms", "5000"},  // a frozen broker holds a partition up for so long, not for 30 s
      {"socket.timeout.ms", "10000"},
      {"queue.buffering.max.messages", std::to_string(options.messages_max + 1'000)},
      {"queue.buffering.max.kbytes", std::to_string(options.bytes_max / 512 + 16'384)}};  // never the limit: ours is
  auto opened = client::open(client_role::producer, options.kafka, own,
                             {.events = RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_STATS});
  if (!opened) return failure(opened.error());
  client_.emplace(std::move(*opened));
  queue_.reset(rd_kafka_queue_get_main(client_->get()));
  for (const auto& topic : options.topics) handle_of(topic);
  return {};
}

void producer_instance::close() {
  topics_.clear();
  queue_.reset();
  client_.reset();
}

rd_kafka_topic_t* producer_instance::handle_of(const std::string& topic) {
  auto& handle = topics_[topic];
  if (!handle) handle.reset(rd_kafka_topic_new(client_->get(), topic.c_str(), nullptr));
  return handle.get();
}

std::optional<producer_instance::failure_to_send> producer_instance::hand_over(rd_kafka_topic_t* topic, const record& r,
                                                                               std::int32_t partition,
                                                                               void* opaque) const {
  // K16: a list of headers that we made is freed by us when the call fails, and only then.
  auto headers = headers_of(r);
  rd_kafka_vu_t v[8];
  std::size_t n = 0;
  v[n].vtype = RD_KAFKA_VTYPE_RKT, v[n++].u.rkt = topic;
  v[n].vtype = RD_KAFKA_VTYPE_PARTITION;
  v[n++].u.i32 = partition == producer::by_key ? RD_KAFKA_PARTITION_UA : partition;
  v[n].vtype = RD_KAFKA_VTYPE_MSGFLAGS, v[n++].u.i = 0;  // the value stays ours
  v[n].vtype = RD_KAFKA_VTYPE_OPAQUE, v[n++].u.ptr = opaque;
  if (r.value) {
    v[n].vtype = RD_KAFKA_VTYPE_VALUE;
    v[n].u.mem.ptr = const_cast<char*>(r.value->data());
    v[n++].u.mem.size = r.value->size();
  }
  if (r.key) {
    v[n].vtype = RD_KAFKA_VTYPE_KEY;
    v[n].u.mem.ptr = const_cast<char*>(r.key->data());
    v[n++].u.mem.size = r.key->size();
  }
  if (r.time) v[n].vtype = RD_KAFKA_VTYPE_TIMESTAMP, v[n++].u.i64 = r.time->time_since_epoch().count();
  if (headers) v[n].vtype = RD_KAFKA_VTYPE_HEADERS, v[n++].u.headers = headers.get();
  const error_ptr failed(rd_kafka_produceva(client_->get(), v, n));
  if (failed) return failure_to_send{rd_kafka_error_code(failed.get()), rd_kafka_error_string(failed.get())};
  (void)headers.release();
  return std::nullopt;
}

event_ptr producer_instance::next_event(milliseconds limit) const {
  return event_ptr(rd_kafka_queue_poll(queue_.get(), static_cast<int>(limit.count())));
}

void producer_instance::purge() const {
  rd_kafka_purge(client_->get(), RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
}

result<client::topic_layout> producer_instance::layout_of(const std::string& name, milliseconds limit) const {
  return client_->layout_of(name, limit);
}

}  // namespace horizons::kafka
