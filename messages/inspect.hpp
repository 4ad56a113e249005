// Inspection by the actor framework (CAF 0.17: `f(fields...)`), derived from the description, without knowing the
// framework. CAF 0.17 hangs when it serialises an infinity and changes NaN, so numbers with a fraction are shown to
// an inspector as the 64 bits they consist of; JSON values as text, times as milliseconds.
//
// Types outside this namespace write `using horizons::inspect;` beside them.
#pragma once

#include <bit>
#include <cstdint>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "messages/codec/json.hpp"
#include "messages/codec/msgpack.hpp"
#include "messages/description.hpp"
#include "messages/events.hpp"

namespace horizons {

namespace detail {

inline std::uint64_t carried(double value) { return std::bit_cast<std::uint64_t>(value); }
inline std::int64_t carried(timestamp value) { return value.time_since_epoch().count(); }
inline std::string carried(const json& value) { return json_text(value); }
inline std::string carried(const std::string& value) { return value; }
template <class T>
requires std::is_integral_v<T> T carried(T value) { return value; }
template <described T>
auto carried(const T& message);
template <class T>
auto carried(const std::optional<T>& value);
template <class T>
auto carried(const std::vector<T>& values) {
  std::vector<decltype(carried(std::declval<const T&>()))> out;
  out.reserve(values.size());
  for (const T& value : values) out.push_back(carried(value));
  return out;
}
template <class T>
auto carried(const std::optional<T>& value) {  // a list of none or one: every version of the framework knows lists
  std::vector<decltype(carried(std::declval<const T&>()))> out;
  if (value) out.push_back(carried(*value));
  return out;
}
template <described T>
auto carried(const T& message) {
  return std::apply([&](const auto&... each) { return std::tuple{carried(message.*(each.member))...}; },
                    T::description().fields);
}

inline void put_back(double& out, std::uint64_t bits) { out = std::bit_cast<double>(bits); }
inline void put_back(timestamp& out, std::int64_t ms) { out = timestamp{std::chrono::milliseconds{ms}}; }
inline void put_back(std::string& out, std::string text) { out = std::move(text); }
inline void put_back(json& out, const std::string& text) {
  auto parsed = parse_json(text);
  out = parsed ? std::move(*parsed) : json(nullptr);  // null where an object belongs: validate() refuses it
}
template <class T>
requires std::is_integral_v<T>
void put_back(T& out, T value) { out = value; }
template <described T, class Carried>
void put_back(T& out, Carried&& value);
template <class T, class Carried>
void put_back(std::optional<T>& out, std::vector<Carried> values) {
  out.reset();
  if (!values.empty()) put_back(out.emplace(), std::move(values.front()));
}
template <class T, class Carried>
void put_back(std::vector<T>& out, std::vector<Carried> values) {
  out.clear();
  for (auto&& value : values) put_back(out.emplace_back(), std::move(value));
}
template <described T, class Carried>
void put_back(T& out, Carried&& value) {
  static constexpr auto description = T::description();
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    (put_back(out.*(std::get<I>(description.fields).member), std::move(std::get<I>(value))), ...);
  }
  (std::make_index_sequence<std::tuple_size_v<std::remove_cvref_t<Carried>>>{});
}

}  // namespace detail

/// Saves or loads a described message, field by field in wire order.
template <class Inspector, described T>
typename Inspector::result_type inspect(Inspector& f, T& message) {
  auto fields = detail::carried(message);
  const auto show = [&] { return std::apply([&](auto&... each) { return f(each...); }, fields); };
  if constexpr (Inspector::writes_state) {
    auto outcome = show();
    detail::put_back(message, std::move(fields));
    return outcome;
  } else {
    return show();  // the inspector that writes texts returns nothing
  }
}

/// An event, as one text of MessagePack; what cannot be read back leaves an empty event, which validate() refuses.
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, event& e) {
  std::string bytes;
  if constexpr (Inspector::writes_state) {
    auto outcome = f(bytes);
    auto read = event_from_msgpack(bytes);
    e = read ? std::move(*read) : event{};
    return outcome;
  } else {
    bytes = to_msgpack(e);
    return f(bytes);
  }
}

}  // namespace horizons
