// What a source of any encoding says next: one value, or the start of a list or map.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "messages/fault.hpp"
#include "messages/limits.hpp"
#include "messages/text.hpp"

namespace horizons::codec {

enum class kind { null, boolean, negative, natural, real, text, array, map, other };

struct token {
  kind what = kind::null;
  bool flag = false;
  std::int64_t negative = 0;  // below 0
  std::uint64_t natural = 0;
  double real = 0;         // finite
  std::string_view text;   // UTF-8, into the source's memory; of `other`: the word for it
  bool is_binary = false;  // of `other`: binary data, which only an envelope has
  std::string_view bytes;  // the binary data
  std::size_t count = 0;   // elements or entries announced, where the encoding does

  std::string value_text() const {
    switch (what) {
      case kind::null:
        return "null";
      case kind::boolean:
        return flag ? "true" : "false";
      case kind::negative:
        return std::to_string(negative);
      case kind::natural:
        return std::to_string(natural);
      case kind::real:
        return number_text(real);
      case kind::text:
        return quote(text);
      case kind::array:
        return "[…]";
      case kind::map:
        return "{…}";
      case kind::other:
        return std::string(text);
    }
    return {};
  }
};

/// A key as it may stand in an error's path.
inline std::string quote_key(std::string_view key) { return is_name(key) ? std::string(key) : quote(key); }

/// A fault with what one decoding needs beside it.
class read_fault : public fault {
public:
  bool wrong(const token& t, std::string_view expected) {
    static constexpr std::string_view words[] = {"",         "a boolean", "a number",  "a number", "a number",
                                                 "a string", "an array",  "an object", ""};
    const std::string_view word = words[static_cast<std::size_t>(t.what)];
    return refuse(error_code::unreadable, t.value_text() + (word.empty() ? " found" : " is " + std::string(word)) +
                                              "; expected " + std::string(expected));
  }

  /// Counts a free-form value or a skipped one against the limit.
  bool count_value() {
    return ++values_ <= limits::values_max ||
           refuse(error_code::limit_exceeded, "more than " + std::to_string(limits::values_max) + " values");
  }

private:
  std::size_t values_ = 0;
};

}  // namespace horizons::codec
