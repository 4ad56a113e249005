// Between our values and rabbitmq-c's: the only place that knows how the library lays out tables and properties.
#pragma once

#include <amqp.h>

#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "gateways/rabbitmq/message.hpp"
#include "messages/result.hpp"

namespace horizons::rabbitmq {

inline amqp_bytes_t to_bytes(std::string_view text) {
  return {text.size(), const_cast<char*>(text.data())};  // the library never writes through it
}
inline std::string_view to_view(amqp_bytes_t bytes) { return {static_cast<const char*>(bytes.bytes), bytes.len}; }

/// Owns what the library's tables point to; texts stay where they are in the field_table.
class table_builder {
public:
  amqp_table_t build(const field_table& table);
  void clear() {
    entries_.clear();
    values_.clear();
  }

private:
  void fill(amqp_field_value_t& to, const field& from);
  std::deque<std::vector<amqp_table_entry_t>> entries_;
  std::deque<std::vector<amqp_field_value_t>> values_;
};

/// Errors: limit_exceeded (field_depth_max, field_count_max), unreadable (a kind that RabbitMQ does not know).
result<field_table> read_table(const amqp_table_t& table);

/// The library's view of `p`; valid while `p` and `tables` live.
amqp_basic_properties_t to_wire(const properties& p, table_builder& tables);
/// All but the headers: those come from read_table. What `into` held is gone, but for the room its texts had.
void from_wire(const amqp_basic_properties_t& p, properties& into);

}  // namespace horizons::rabbitmq
