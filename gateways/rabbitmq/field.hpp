// Values of AMQP tables (headers of messages, arguments of queues) as plain values that keep their wire type, so that a
// message which is sent on has exactly the headers it came with. Knows no connection.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "messages/codec/cloudevents.hpp"

namespace horizons::rabbitmq {

struct field;
using field_array = std::vector<field>;
using field_table = std::vector<std::pair<std::string, field>>;

struct field {
  char kind = 'V';  // RabbitMQ's letters: t b B s u I i l L f d D S A T F V x; D (decimal) is scale << 32 | value
  std::variant<std::monostate, bool, std::int64_t, std::uint64_t, double, std::string, field_array, field_table> value;

  field() = default;
  template <class T>
  field(char k, T v) : kind(k), value(std::move(v)) {}
  static field text(std::string v) { return {'S', std::move(v)}; }
  static field number(std::int64_t v) { return {'l', v}; }
  static field truth(bool v) { return {'t', v}; }

  friend bool operator==(const field&, const field&) = default;
};

/// The limits of what is read from a broker (R8: rabbitmq-c has none of its own).
inline constexpr int field_depth_max = 16;
inline constexpr std::size_t field_count_max = 1'024;  // of a whole table, nested ones included

/// Null when there is none of that name.
const field* find(const field_table& table, std::string_view name);
/// Replaces the value of that name, or adds it.
void put(field_table& table, std::string name, field value);

/// A text (S, x), or empty.
std::string text_of(const field_table& table, std::string_view name);
/// An integer of any width or a timestamp, seconds.
std::optional<std::int64_t> number_of(const field_table& table, std::string_view name);
std::optional<std::int64_t> number_of(const field& f);

/// Scalars as text (what CloudEvents and people read); arrays and tables as JSON.
std::string to_text(const field& f);
header_list to_headers(const field_table& table);

}  // namespace horizons::rabbitmq
