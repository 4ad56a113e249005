#include "messages/avro/default_value.hpp"

#include <limits>

namespace horizons::avro {

namespace {

constexpr int depth_max = 64;           // a record whose default mentions itself never ends
constexpr std::size_t data_max = 4096;  // of one default; nested records can double at every level

/// Code points of valid UTF-8 as bytes, or nothing if one is above 255.
std::optional<std::string> latin1(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0xc4) return std::nullopt;
    if (c >= 0x80) c = static_cast<unsigned char>((c << 6) | (static_cast<unsigned char>(text[++i]) & 0x3f));
    out.push_back(static_cast<char>(c));
  }
  return out;
}

class default_reader {
public:
  result<value> read(const type& t, const json& j, int depth) {
    if (depth > depth_max || ++data_ > data_max)
      return failure(error_code::limit_exceeded,
                     "the default holds more than " + std::to_string(data_max) + " data, or never ends");
    switch (t.kind) {
      case kind::null:
        if (j.is_null()) return value{};
        break;
      case kind::boolean:
        if (j.is_boolean()) return value{j.get<bool>()};
        break;
      case kind::int_:
        if (auto n = whole(j);
            n && *n >= std::numeric_limits<std::int32_t>::min() && *n <= std::numeric_limits<std::int32_t>::max())
          return value{static_cast<std::int32_t>(*n)};
        break;
      case kind::long_:
        if (auto n = whole(j)) return value{*n};
        break;
      case kind::float_:
        if (j.is_number()) return value{j.get<float>()};
        break;
      case kind::double_:
        if (j.is_number()) return value{j.get<double>()};
        break;
      case kind::string:
        if (j.is_string()) return value{j.get<std::string>()};
        break;
      case kind::bytes:
        if (j.is_string())
          if (auto octets = latin1(j.get_ref<const std::string&>())) return value{bytes_value{std::move(*octets)}};
        break;
      case kind::fixed:
        if (j.is_string())
          if (auto octets = latin1(j.get_ref<const std::string&>()); octets && octets->size() == t.size)
            return value{fixed_value{std::move(*octets)}};
        break;
      case kind::enumeration:
        if (j.is_string())
          for (const auto& symbol : t.symbols)
            if (symbol == j.get_ref<const std::string&>()) return value{enum_value{symbol}};
        break;
      case kind::array:
        if (j.is_array()) return read_array(t, j, depth);
        break;
      case kind::map:
        if (j.is_object()) return read_map(t, j, depth);
        break;
      case kind::record:
        if (j.is_object()) return read_record(t, j, depth);
        break;
      case kind::union_: {
        if (t.branches.empty()) break;
        auto held = read(*t.branches.front(), j, depth + 1);
        if (!held) return held;
        return value{union_value{0, {std::move(*held)}}};
      }
    }
    auto shown = j.dump(-1, ' ', true, json::error_handler_t::replace);
    if (shown.size() > 64) shown.replace(64, std::string::npos, "…");
    return failure(error_code::unreadable, shown + " is not " + expected(t));
  }

private:
  static std::optional<std::int64_t> whole(const json& j) {
    if (j.is_number_unsigned()) {
      auto n = j.get<std::uint64_t>();
      if (n > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) return std::nullopt;
      return static_cast<std::int64_t>(n);
    }
    if (j.is_number_integer()) return j.get<std::int64_t>();
    return std::nullopt;
  }

  static std::string expected(const type& t) {
    if (t.kind == kind::fixed)
      return "a string of " + std::to_string(t.size) + " code points up to 255 (fixed " + t.name + ")";
    if (t.kind == kind::bytes) return "a string of code points up to 255 (bytes)";
    if (t.kind == kind::enumeration) return "a symbol of enum " + t.name;
    if (t.kind == kind::union_) return "a default: an empty union has none";
    if (is_named(t.kind)) return "an object (record " + t.name + ")";
    return "of type " + std::string(to_string(t.kind));
  }

  result<value> read_array(const type& t, const json& j, int depth) {
    array_value out;
    for (const auto& item : j) {
      auto one = read(*t.element, item, depth + 1);
      if (!one) return one;
      out.items.push_back(std::move(*one));
    }
    return value{std::move(out)};
  }

  result<value> read_map(const type& t, const json& j, int depth) {
    map_value out;
    for (const auto& [key, item] : j.items()) {
      auto one = read(*t.element, item, depth + 1);
      if (!one) return one;
      out.keys.push_back(key);
      out.items.push_back(std::move(*one));
    }
    return value{std::move(out)};
  }

  result<value> read_record(const type& t, const json& j, int depth) {
    record_value out;
    for (const auto& f : t.fields) {
      auto given = j.find(f.name);
      if (given == j.end() && !f.default_value)
        return failure(error_code::unreadable, "field '" + f.name + "' is missing and has no default of its own");
      auto one = read(*f.type, given == j.end() ? *f.default_value : *given, depth + 1);
      if (!one) return failure(one.error().code, f.name + ": " + one.error().text);
      out.fields.push_back(std::move(*one));
    }
    return value{std::move(out)};
  }

  std::size_t data_ = 0;
};

}  // namespace

result<value> datum_of_default(const type& t, const json& j) { return default_reader{}.read(t, j, 0); }

result<void> check_default(const type& t, const json& j) {
  auto made = datum_of_default(t, j);
  if (!made) return failure(made.error());
  return {};
}

}  // namespace horizons::avro
