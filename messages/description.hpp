// One description per message: a type lists its fields once, and encodings, schemas and documentation derive
// from that list. Nothing here knows an encoding.
#pragma once

#include <cstddef>
#include <string_view>
#include <tuple>
#include <type_traits>

namespace horizons {

namespace detail {
template <class T>
struct member_pointer;
template <class Class, class Value>
struct member_pointer<Value Class::*> {
  using owner = Class;
  using value = Value;
};
}  // namespace detail

/// One field: the member, its name on the wire, the version of the message that introduced it, and its meaning.
/// Its default is the member's initialiser: what a reader uses when an older writer did not send the field.
template <auto Member>
struct field {
  using value_type = typename detail::member_pointer<decltype(Member)>::value;

  std::string_view name;
  int since;
  std::string_view doc;

  static constexpr auto member = Member;
};

/// What `describe` makes: the message's name, version, meaning and fields in wire order.
template <class Message, class... Fields>
struct message_description {
  std::string_view name;
  int version;
  std::string_view doc;
  std::tuple<Fields...> fields;
};

template <class Message, class... Fields>
constexpr auto describe(std::string_view name, int version, std::string_view doc, Fields... fields) {
  return message_description<Message, Fields...>{name, version, doc, {fields...}};
}

template <class T>
concept described = requires {
  T::description();
};

/// Calls `f(field, message.*member)` for every field in wire order. Works on const and mutable messages.
template <class Message, class F>
constexpr void for_each_field(Message& message, F&& f) {
  constexpr auto description = std::remove_const_t<Message>::description();
  std::apply([&](const auto&... each) { (f(each, message.*(each.member)), ...); }, description.fields);
}

template <described Message>
constexpr std::string_view name_of() {
  return Message::description().name;
}

}  // namespace horizons
