// Writes any described value through a writer of one encoding (json_writer.hpp, msgpack_writer.hpp). A map's
// entries are counted first because MessagePack says the count in front.
#pragma once

#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "messages/codec/envelope_fields.hpp"
#include "messages/commands.hpp"
#include "messages/description.hpp"
#include "messages/events.hpp"

namespace horizons::codec {

template <class T>
constexpr bool is_absent(const T&) {
  return false;
}
template <class T>
bool is_absent(const std::optional<T>& value) {
  return !value.has_value();
}

template <class Writer, class T>
void write(Writer& w, const T& value);

template <class Writer>
void write_json(Writer& w, const json& value) {
  switch (value.type()) {
    case json::value_t::boolean:
      return w.boolean(value.get<bool>());
    case json::value_t::number_integer:
      return w.integer(value.get<std::int64_t>());
    case json::value_t::number_unsigned:
      return w.natural(value.get<std::uint64_t>());
    case json::value_t::number_float:
      return w.real(value.get<double>());
    case json::value_t::string:
      return w.text(value.get_ref<const std::string&>());
    case json::value_t::array:
      w.begin_array(value.size());
      for (const json& element : value) {
        w.element();
        write_json(w, element);
      }
      return w.end_array();
    case json::value_t::object:
      w.begin_map(value.size());
      for (const auto& [key, element] : value.get_ref<const json::object_t&>()) {
        w.free_key(key);
        write_json(w, element);
      }
      return w.end_map();
    default:
      return w.null();  // binary and discarded values are refused by validate()
  }
}

/// A described value, leaving out its absent fields.
template <class Writer, described T>
void write_fields(Writer& w, const T& message) {
  static constexpr auto description = T::description();
  std::apply(
      [&](const auto&... each) {
        w.begin_map(((is_absent(message.*(each.member)) ? 0u : 1u) + ... + 0u));
        const auto put = [&](const auto& field, const auto& member) {
          if (is_absent(member)) return;
          w.key(field.name);
          write(w, member);
        };
        (put(each, message.*(each.member)), ...);
        w.end_map();
      },
      description.fields);
}

template <class T>
inline constexpr bool is_vector = false;
template <class T>
inline constexpr bool is_vector<std::vector<T>> = true;
template <class T>
inline constexpr bool is_optional = false;
template <class T>
inline constexpr bool is_optional<std::optional<T>> = true;

template <class Writer, class T>
void write(Writer& w, const T& value) {
  if constexpr (std::is_same_v<T, bool>) {
    w.boolean(value);
  } else if constexpr (std::is_same_v<T, std::string>) {
    w.text(value);
  } else if constexpr (std::is_same_v<T, json>) {
    write_json(w, value);
  } else if constexpr (std::is_same_v<T, timestamp>) {
    w.time(value);
  } else if constexpr (std::is_floating_point_v<T>) {
    w.real(value);
  } else if constexpr (std::is_integral_v<T> && std::is_signed_v<T>) {
    w.integer(value);
  } else if constexpr (std::is_integral_v<T>) {
    w.natural(value);
  } else if constexpr (is_optional<T>) {
    if (value)
      write(w, *value);
    else
      w.null();
  } else if constexpr (is_vector<T>) {
    w.begin_array(value.size());
    for (const auto& element : value) {
      w.element();
      write(w, element);
    }
    w.end_array();
  } else {
    static_assert(described<T>, "a field is a number, text, time, JSON value, list, optional or described type");
    write_fields(w, value);
  }
}

inline bool is_left_out(const std::string& text) { return text.empty(); }
inline bool is_left_out(std::uint64_t number) { return number == 0; }
inline bool is_left_out(timestamp) { return false; }

/// An event: the envelope, then `data`.
template <class Writer>
void write_event(Writer& w, const event& e) {
  std::apply(
      [&](const auto&... each) {
        w.begin_map(((is_left_out(e.*(each.member)) ? 0u : 1u) + ... + 4u));
        w.key("event_id");
        w.text(e.event_id);
        w.key("event_type");
        w.text(type_of(e.data));
        w.key("schema_version");
        w.integer(schema_version_of(e.data));
        const auto put = [&](const auto& field, const auto& member) {
          if (is_left_out(member)) return;
          w.key(field.name);
          write(w, member);
        };
        (put(each, e.*(each.member)), ...);
      },
      envelope_fields);
  w.key("data");
  std::visit([&](const auto& data) { write_fields(w, data); }, e.data);
  w.end_map();
}

/// A command; texts that equal their default are left out, as a person writing one would.
template <class Writer>
void write_command(Writer& w, const command& c) {
  static constexpr auto description = command::description();
  static const command defaults;
  const auto absent = [](const auto& member, const auto& usual) {
    if constexpr (std::is_same_v<std::remove_cvref_t<decltype(member)>, std::string>) return member == usual;
    return is_absent(member);
  };
  std::apply(
      [&](const auto&... each) {
        w.begin_map(((absent(c.*(each.member), defaults.*(each.member)) ? 0u : 1u) + ... + 0u));
        const auto put = [&](const auto& field, const auto& member, const auto& usual) {
          if (absent(member, usual)) return;
          w.key(field.name);
          write(w, member);
        };
        (put(each, c.*(each.member), defaults.*(each.member)), ...);
        w.end_map();
      },
      description.fields);
}

}  // namespace horizons::codec
