// Reads any described value from a source of one encoding (json_source.hpp, msgpack_source.hpp) with one set of
// rules: exact integers, no duplicate fields, bounded lists, unknown fields by policy, errors that name the path.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "messages/codec/envelope_fields.hpp"
#include "messages/codec/json.hpp"
#include "messages/codec/token.hpp"
#include "messages/codec/write.hpp"
#include "messages/limits.hpp"

namespace horizons::codec {

/// The keys that a map holds beside its described fields; found twice, they are refused. Sorting keeps a map of many
/// keys from costing the square of their number.
class other_keys {
public:
  void add(std::string_view key) { keys_.push_back(key); }
  bool unique(fault& site) {
    if (keys_.size() < 2) return true;
    std::sort(keys_.begin(), keys_.end());
    const auto twin = std::adjacent_find(keys_.begin(), keys_.end());
    return twin == keys_.end() || site.refuse(error_code::unreadable, quote(*twin) + " appears twice");
  }

private:
  std::vector<std::string_view> keys_;
};

struct read_options {
  unknown_fields policy = unknown_fields::ignored;
  int version = 0;  // of the writer's schema: its fields must be there; 0: every field may be left out
};

template <class Source, class T>
bool read_token(Source& s, const token& t, T& out, const read_options& options);

template <class Source, class T>
bool read(Source& s, T& out, const read_options& options) {
  token t;
  return s.next(t) && read_token(s, t, out, options);
}

/// Steps over one value, with the same strictness as reading it.
template <class Source>
bool skip_token(Source& s, const token& t) {
  if (!s.site().count_value()) return false;
  if (t.what == kind::array) {
    return s.elements(t, [&](std::size_t index, Source& child) {
      token inner;
      return (child.next(inner) && skip_token(child, inner)) || s.site().at(index);
    });
  }
  if (t.what != kind::map) return true;
  other_keys keys;
  return s.fields(t, [&](std::string_view key, Source& child) {
    keys.add(key);
    token inner;
    return (child.next(inner) && skip_token(child, inner)) || s.site().within(quote_key(key));
  }) && keys.unique(s.site());
}

template <class Source>
bool skip(Source& s) {
  token t;
  return s.next(t) && skip_token(s, t);
}

template <class Source>
bool read_json(Source& s, const token& t, json& out) {
  if (!s.site().count_value()) return false;
  switch (t.what) {
    case kind::null:
      out = nullptr;
      return true;
    case kind::boolean:
      out = t.flag;
      return true;
    case kind::negative:
      out = t.negative;
      return true;
    case kind::natural:
      out = t.natural;
      return true;
    case kind::real:
      out = t.real;
      return true;
    case kind::text:
      out = std::string(t.text);
      return true;
    case kind::array: {
      auto& list = (out = json::array()).template get_ref<json::array_t&>();
      return s.elements(t, [&](std::size_t index, Source& child) {
        token inner;
        return (child.next(inner) && read_json(child, inner, list.emplace_back())) || s.site().at(index);
      });
    }
    case kind::map: {
      auto& object = (out = json::object()).template get_ref<json::object_t&>();
      return s.fields(t, [&](std::string_view key, Source& child) {
        const auto [at, fresh] = object.try_emplace(std::string(key));
        if (!fresh) return s.site().refuse(error_code::unreadable, quote(key) + " appears twice");
        token inner;
        return (child.next(inner) && read_json(child, inner, at->second)) || s.site().within(quote_key(key));
      });
    }
    case kind::other:
      break;
  }
  return s.site().wrong(t, "a JSON value");
}

template <class Source, class Integer>
bool read_integer(Source& s, const token& t, Integer& out) {
  constexpr auto low = std::numeric_limits<Integer>::min();
  constexpr auto high = std::numeric_limits<Integer>::max();
  bool fits = false;
  if (t.what == kind::natural) {
    fits = t.natural <= static_cast<std::uint64_t>(high);
    if (fits) out = static_cast<Integer>(t.natural);
  } else if (t.what == kind::negative) {
    fits = std::is_signed_v<Integer> && t.negative >= static_cast<std::int64_t>(low);
    if (fits) out = static_cast<Integer>(t.negative);
  } else if (t.what == kind::real && t.real == std::trunc(t.real) && std::fabs(t.real) <= 9007199254740992.0) {
    // 3.0 is an integer, as JSON Schema says; beyond 2^53 a real no longer names one integer.
    fits = t.real >= static_cast<double>(low) && t.real <= static_cast<double>(high);
    if (fits) out = static_cast<Integer>(t.real);
  } else {
    return s.site().wrong(t, "an integer");
  }
  return fits || s.site().refuse(error_code::unreadable, t.value_text() + " is out of range; expected an integer of " +
                                                             std::to_string(low) + " to " + std::to_string(high));
}

/// A described value. Every field may come once and in any order.
template <class Source, described T>
bool read_fields(Source& s, const token& t, T& out, const read_options& options) {
  static constexpr auto description = T::description();
  constexpr std::size_t count = std::tuple_size_v<decltype(description.fields)>;
  static_assert(count <= 64, "the fields seen are kept in 64 bits");
  if (t.what != kind::map) return s.site().wrong(t, "an object");

  std::uint64_t seen = 0;
  other_keys others;
  const read_options inner{options.policy, options.version == 0 ? 0 : 1};
  const auto one = [&](std::string_view key, Source& child) {
    bool good = true;
    const auto try_field = [&](std::size_t index, const auto& field) {
      if (field.name != key) return false;
      if ((seen >> index & 1) != 0)
        good = s.site().refuse(error_code::unreadable, quote(key) + " appears twice");
      else
        good = read(child, out.*(field.member), inner) || s.site().within(field.name);
      seen |= std::uint64_t{1} << index;
      return true;
    };
    const bool known = [&]<std::size_t... I>(std::index_sequence<I...>) {
      return (try_field(I, std::get<I>(description.fields)) || ...);
    }
    (std::make_index_sequence<count>{});
    if (known) return good;
    if (options.policy == unknown_fields::refused) {
      std::string names;
      std::apply([&](const auto&... each) { ((names += (names.empty() ? "" : ", ") + std::string(each.name)), ...); },
                 description.fields);
      s.site().refuse(error_code::unreadable, "unknown field; expected one of " + names);
      return s.site().within(quote_key(key));
    }
    others.add(key);
    return skip(child) || s.site().within(quote_key(key));
  };
  if (!s.fields(t, one) || !others.unique(s.site())) return false;

  if (options.version == 0 || options.version > description.version)
    return true;  // a newer writer may have dropped one
  const auto there = [&](std::size_t index, const auto& field) {
    using value = typename std::remove_cvref_t<decltype(field)>::value_type;
    if (is_optional<value> || field.since > options.version || (seen >> index & 1) != 0) return true;
    s.site().refuse(error_code::unreadable, "is missing");
    return s.site().within(field.name);
  };
  return [&]<std::size_t... I>(std::index_sequence<I...>) { return (there(I, std::get<I>(description.fields)) && ...); }
  (std::make_index_sequence<count>{});
}

template <class Source, class T>
bool read_token(Source& s, const token& t, T& out, const read_options& options) {
  if constexpr (std::is_same_v<T, bool>) {
    if (t.what != kind::boolean) return s.site().wrong(t, "true or false");
    out = t.flag;
    return true;
  } else if constexpr (std::is_same_v<T, std::string>) {
    if (t.what != kind::text) return s.site().wrong(t, "a string");
    out.assign(t.text);
    return true;
  } else if constexpr (std::is_same_v<T, json>) {
    return read_json(s, t, out);
  } else if constexpr (std::is_same_v<T, timestamp>) {
    if (t.what != kind::text) return s.site().wrong(t, "a string");
    auto time = parse_timestamp(t.text);
    if (!time) return s.site().refuse(error_code::unreadable, std::move(time.error().text));
    out = *time;
    return true;
  } else if constexpr (std::is_floating_point_v<T>) {
    switch (t.what) {
      case kind::real:
        out = t.real;
        return true;
      case kind::natural:
        out = static_cast<double>(t.natural);
        return true;
      case kind::negative:
        out = static_cast<double>(t.negative);
        return true;
      default:
        return s.site().wrong(t, "a number");
    }
  } else if constexpr (std::is_integral_v<T>) {
    return read_integer(s, t, out);
  } else if constexpr (is_optional<T>) {
    out.reset();
    return t.what == kind::null || read_token(s, t, out.emplace(), options);
  } else if constexpr (is_vector<T>) {
    if (t.what != kind::array) return s.site().wrong(t, "an array");
    out.clear();
    return s.elements(t, [&](std::size_t index, Source& child) {
      if (index >= limits::elements_max)
        return s.site().refuse(error_code::limit_exceeded,
                               "has more than " + std::to_string(limits::elements_max) + " elements");
      return read(child, out.emplace_back(), options) || s.site().at(index);
    });
  } else {
    static_assert(described<T>, "a field is a number, text, time, JSON value, list, optional or described type");
    return read_fields(s, t, out, options);
  }
}

/// Reads the data of an event of type `type` into `out`.
template <class Source>
bool read_data(Source& s, std::string_view type, event_data& out, const read_options& options) {
  bool found = false, good = false;
  for_each_event_type([&]<class T>() {
    if (found || name_of<T>() != type) return;
    found = true;
    good = read(s, out.template emplace<T>(), options) || s.site().within("data");
  });
  if (found) return good;
  s.site().refuse(error_code::unreadable, quote(type) + " is not an event type that this version knows");
  return s.site().within("event_type");
}

/// An event, its fields in any order: data that comes before its type is read when the type is known.
template <class Source>
bool read_event(Source& s, event& out, unknown_fields policy) {
  constexpr std::size_t count = std::tuple_size_v<decltype(envelope_fields)>;
  enum : std::size_t { id_bit = count, type_bit, version_bit, data_bit };
  token t;
  if (!s.next(t)) return false;
  if (t.what != kind::map) return s.site().wrong(t, "an object");

  std::uint64_t seen = 0;
  other_keys others;
  std::string_view type;
  std::int32_t version = 0;
  std::optional<Source> early_data;
  const read_options plain{policy, 0};
  const auto first_time = [&](std::string_view key, std::size_t bit) {
    if ((seen >> bit & 1) != 0) return s.site().refuse(error_code::unreadable, quote(key) + " appears twice");
    seen |= std::uint64_t{1} << bit;
    return true;
  };
  const auto one = [&](std::string_view key, Source& child) {
    if (key == "data") {
      if (!first_time(key, data_bit)) return false;
      if (!type.empty() && version != 0) return read_data(child, type, out.data, {policy, version});
      early_data = child;
      return skip(child) || s.site().within(key);
    }
    if (key == "event_type") {
      token value;
      if (!first_time(key, type_bit) || !child.next(value)) return false;
      type = value.text;
      return value.what == kind::text || s.site().wrong(value, "a string") || s.site().within(key);
    }
    if (key == "event_id") return first_time(key, id_bit) && (read(child, out.event_id, plain) || s.site().within(key));
    if (key == "schema_version") {
      if (!first_time(key, version_bit) || !(read(child, version, plain) || s.site().within(key))) return false;
      if (version >= 1) return true;
      s.site().refuse(error_code::unreadable, std::to_string(version) + " is out of range; expected 1 or more");
      return s.site().within(key);
    }
    bool good = true;
    const auto try_field = [&](std::size_t index, const auto& field) {
      if (field.name != key) return false;
      good = first_time(key, index) && (read(child, out.*(field.member), plain) || s.site().within(key));
      return true;
    };
    const bool known = [&]<std::size_t... I>(std::index_sequence<I...>) {
      return (try_field(I, std::get<I>(envelope_fields)) || ...);
    }
    (std::make_index_sequence<count>{});
    if (known) return good;
    if (policy == unknown_fields::refused) {
      s.site().refuse(error_code::unreadable, "unknown field; expected the envelope's or data");
      return s.site().within(quote_key(key));
    }
    others.add(key);
    return skip(child) || s.site().within(quote_key(key));
  };
  if (!s.fields(t, one) || !others.unique(s.site())) return false;

  for (const auto& [bit, name] : {std::pair{std::size_t{id_bit}, "event_id"},
                                  {std::size_t{type_bit}, "event_type"},
                                  {std::size_t{version_bit}, "schema_version"},
                                  {std::size_t{0}, "timestamp"},
                                  {std::size_t{data_bit}, "data"}}) {
    if ((seen >> bit & 1) != 0) continue;
    s.site().refuse(error_code::unreadable, "is missing");
    return s.site().within(name);
  }
  return !early_data || read_data(*early_data, type, out.data, {policy, version});
}

}  // namespace horizons::codec
