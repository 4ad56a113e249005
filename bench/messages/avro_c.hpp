// What one writes with avro-c (libavro) to encode and decode `job.progress`: values of the schema's class, made once
// and filled again and again, and one buffer. A peer to measure against; checks nothing but avro-c's own errors.
#pragma once

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include <avro.h>

#include "messages/events.hpp"

namespace horizons::bench {

class avro_c {
public:
  explicit avro_c(const std::string& schema_text) {
    require(avro_schema_from_json_length(schema_text.data(), schema_text.size(), &schema_));
    class_ = avro_generic_class_from_schema(schema_);
    require(avro_generic_value_new(class_, &written_));
    require(avro_generic_value_new(class_, &read_));
    writer_ = avro_writer_memory(buffer_, sizeof buffer_);
    reader_ = avro_reader_memory(buffer_, sizeof buffer_);
  }
  ~avro_c() {
    avro_value_decref(&written_);
    avro_value_decref(&read_);
    avro_value_iface_decref(class_);
    avro_writer_free(writer_);
    avro_reader_free(reader_);
    avro_schema_decref(schema_);
  }
  avro_c(const avro_c&) = delete;
  avro_c& operator=(const avro_c&) = delete;

  /// Valid until the next call.
  std::string_view encode(const event& e) {
    const auto& data = std::get<job_progress>(e.data);
    std::size_t i = 0;
    set_text(written_, i++, e.event_id);
    set_text(written_, i++, "job.progress");
    avro_value_t version = at(written_, i++);
    avro_value_set_int(&version, 1);
    set_number(i++, e.time.time_since_epoch().count());
    set_number(i++, static_cast<std::int64_t>(e.position));
    set_number(i++, static_cast<std::int64_t>(e.sequence));
    for (const auto* s : {&e.correlation_id, &e.causation_id, &e.user_id, &e.tenant, &e.job_id, &e.traceparent})
      set_text(written_, i++, *s);
    avro_value_t inner = at(written_, i), progress = at(inner, 0), eta = at(inner, 2), branch;
    avro_value_set_double(&progress, data.progress);
    set_text(inner, 1, data.stage);
    avro_value_set_branch(&eta, data.eta_s ? 1 : 0, &branch);
    if (data.eta_s)
      avro_value_set_double(&branch, *data.eta_s);
    else
      avro_value_set_null(&branch);
    avro_writer_reset(writer_);
    require(avro_value_write(writer_, &written_));
    return {buffer_, static_cast<std::size_t>(avro_writer_tell(writer_))};
  }

  event decode(std::string_view octets) {
    avro_reader_memory_set_source(reader_, octets.data(), static_cast<std::int64_t>(octets.size()));
    require(avro_value_read(reader_, &read_));
    event e;
    std::size_t i = 0;
    e.event_id = text(read_, i++);
    i += 2;  // event_type, schema_version
    e.time = timestamp{std::chrono::milliseconds{number(i++)}};
    e.position = static_cast<std::uint64_t>(number(i++));
    e.sequence = static_cast<std::uint64_t>(number(i++));
    for (auto* s : {&e.correlation_id, &e.causation_id, &e.user_id, &e.tenant, &e.job_id, &e.traceparent})
      *s = text(read_, i++);
    avro_value_t inner = at(read_, i), progress = at(inner, 0), eta = at(inner, 2), branch;
    job_progress data;
    avro_value_get_double(&progress, &data.progress);
    data.stage = text(inner, 1);
    int which = 0;
    avro_value_get_discriminant(&eta, &which);
    if (which == 1) {
      avro_value_get_current_branch(&eta, &branch);
      avro_value_get_double(&branch, &data.eta_s.emplace());
    }
    e.data = std::move(data);
    return e;
  }

private:
  static void require(int fault) {
    if (fault == 0) return;
    std::fprintf(stderr, "avro-c: %s\n", avro_strerror());
    std::exit(1);
  }
  static avro_value_t at(avro_value_t& record, std::size_t i) {
    avro_value_t field;
    avro_value_get_by_index(&record, i, &field, nullptr);
    return field;
  }
  static void set_text(avro_value_t& record, std::size_t i, const std::string& s) {
    avro_value_t field = at(record, i);
    avro_value_set_string_len(&field, s.c_str(), s.size() + 1);  // avro-c counts the closing zero
  }
  static std::string_view text(avro_value_t& record, std::size_t i) {
    avro_value_t field = at(record, i);
    const char* s = nullptr;
    std::size_t size = 0;
    avro_value_get_string(&field, &s, &size);
    return {s, size - 1};
  }
  void set_number(std::size_t i, std::int64_t n) {
    avro_value_t field = at(written_, i);
    avro_value_set_long(&field, n);
  }
  std::int64_t number(std::size_t i) {
    avro_value_t field = at(read_, i);
    std::int64_t n = 0;
    avro_value_get_long(&field, &n);
    return n;
  }

  avro_schema_t schema_{};
  avro_value_iface_t* class_{};
  avro_value_t written_{}, read_{};  // two: a text that was read into a value is freed when the next is written over it
  avro_writer_t writer_{};
  avro_reader_t reader_{};
  char buffer_[4096];  // the message has some 250 bytes
};

}  // namespace horizons::bench
