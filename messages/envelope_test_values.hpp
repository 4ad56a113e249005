// The values with which remote_types::self_test tries a type, and the trial itself. Part of envelope.hpp.
#pragma once

#include <limits>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "messages/envelope.hpp"

namespace horizons {

namespace detail {

enum class extreme { empty, low, high, infinite };

inline void fill(bool& value, extreme e) { value = e != extreme::empty; }
inline void fill(std::string& value, extreme e) {
  value = e == extreme::high  ? std::string(limits::text_bytes_max, 'x')
          : e == extreme::low ? "\u00e9\n\"\\\U0001F52D"
                              : "";
}
inline void fill(timestamp& value, extreme e) {
  value = e == extreme::high ? timestamp{std::chrono::milliseconds{253'402'300'799'999}} : timestamp{};
}
inline void fill(double& value, extreme e) {
  using limit = std::numeric_limits<double>;
  value = e == extreme::infinite ? limit::infinity()
          : e == extreme::high   ? limit::max()
          : e == extreme::low    ? -0.0
                                 : limit::denorm_min();
}
inline void fill(json& value, extreme e) {
  value = json::object();
  if (e == extreme::empty) return;
  value["list"] = {nullptr, true, -1, 18'446'744'073'709'551'615u, std::numeric_limits<std::int64_t>::min()};
  value[""] = {{"real", e == extreme::low ? -0.0 : std::numeric_limits<double>::max()}};
}
template <class T>
requires(std::is_integral_v<T> && !std::is_same_v<T, bool>) void fill(T& value, extreme e) {
  value = e == extreme::high ? std::numeric_limits<T>::max() : e == extreme::low ? std::numeric_limits<T>::min() : T{};
}
template <described T>
void fill(T& value, extreme e);
template <class T>
void fill(std::vector<T>& value, extreme e);
template <class T>
void fill(std::optional<T>& value, extreme e) {
  value.reset();
  if (e != extreme::empty) fill(value.emplace(), e);
}
template <class T>
void fill(std::vector<T>& value, extreme e) {
  value.clear();
  if (e == extreme::empty) return;
  fill(value.emplace_back(), e);
  fill(value.emplace_back(), e == extreme::high ? extreme::low : e);  // one longest text per list keeps below 1 MiB
}
template <described T>
void fill(T& value, extreme e) {
  for_each_field(value, [&](const auto&, auto& member) { fill(member, e); });
}

template <class T>
constexpr bool holds_a_real() {
  if constexpr (std::is_floating_point_v<T>) {
    return true;
  } else if constexpr (codec::is_optional<T> || codec::is_vector<T>) {
    return holds_a_real<typename T::value_type>();
  } else if constexpr (described<T>) {
    return std::apply(
        [](const auto&... each) {
          return (holds_a_real<typename std::remove_cvref_t<decltype(each)>::value_type>() || ...);
        },
        T::description().fields);
  } else {
    return false;
  }
}

template <described T>
result<void> round_trip(extreme e) {
  T message;
  fill(message, e);
  const auto broken = [](const std::string& how) {
    return failure(error_code::internal, "self-test of remote type " + std::string(name_of<T>()) + ": " + how);
  };
  auto sealed = seal(message, "", 7);
  if (e == extreme::infinite) {
    if (!holds_a_real<T>() || !sealed) return {};
    return broken("an infinity was not refused");
  }
  if (!sealed) return broken(sealed.error().text);
  auto received = envelope_from_bytes(to_bytes(*sealed));
  if (!received) return broken(received.error().text);
  if (!(*received == *sealed)) return broken("the envelope changed on the way");
  auto opened = open<T>(*received);
  if (!opened) return broken(opened.error().text);
  // Equal bytes also tell -0.0 from 0.0, which == does not.
  if (codec::described_to_msgpack(*opened) != sealed->bytes) return broken("the value changed on the way");
  return {};
}

}  // namespace detail

template <described T>
result<void> remote_types::add() {
  const auto [at, fresh] = tests_.try_emplace(std::string(name_of<T>()), [] {
    result<void> outcome;
    for (const auto e :
         {detail::extreme::empty, detail::extreme::low, detail::extreme::high, detail::extreme::infinite})
      if (outcome) outcome = detail::round_trip<T>(e);
    return outcome;
  });
  if (fresh) return {};
  return failure(error_code::conflict, "remote type " + std::string(name_of<T>()) + " exists already");
}

}  // namespace horizons
