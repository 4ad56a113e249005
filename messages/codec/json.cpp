#include "messages/codec/json.hpp"

#include <cstring>
#include <memory>

#include "messages/codec/json_writer.hpp"
#include "messages/codec/read.hpp"
#include "messages/codec/unchecked.hpp"
#include "messages/make_event.hpp"
#include "simdjson.h"

namespace horizons {

namespace {

namespace dom = simdjson::dom;

/// A value of a parsed JSON document. simdjson has checked the whole text by then: syntax, UTF-8, depth.
class json_source {
public:
  json_source(dom::element value, codec::read_fault& site, bool has_escapes)
      : value_(value), site_(&site), has_escapes_(has_escapes) {}

  codec::read_fault& site() { return *site_; }

  bool next(codec::token& t) {
    using codec::kind;
    switch (value_.type()) {
      case dom::element_type::NULL_VALUE:
        t.what = kind::null;
        return true;
      case dom::element_type::BOOL:
        t.what = kind::boolean;
        t.flag = value_.get_bool().value_unsafe();
        return true;
      case dom::element_type::INT64: {
        const std::int64_t number = value_.get_int64().value_unsafe();
        t.what = number < 0 ? kind::negative : kind::natural;
        t.negative = number;
        t.natural = static_cast<std::uint64_t>(number);
        return true;
      }
      case dom::element_type::UINT64:
        t.what = kind::natural;
        t.natural = value_.get_uint64().value_unsafe();
        return true;
      case dom::element_type::DOUBLE:
        t.what = kind::real;
        t.real = value_.get_double().value_unsafe();
        return true;
      case dom::element_type::STRING:
        t.what = kind::text;
        t.text = value_.get_string().value_unsafe();
        return well_formed(t.text);
      case dom::element_type::ARRAY:
        t.what = kind::array;
        return true;
      case dom::element_type::OBJECT:
        t.what = kind::map;
        return true;
    }
    return site_->refuse(error_code::internal, "a kind of JSON value that the parser did not have");
  }

  template <class F>
  bool fields(const codec::token&, F&& f) {
    const dom::object object = value_.get_object().value_unsafe();
    for (const auto [key, value] : object) {
      json_source child{value, *site_, has_escapes_};
      if (!well_formed(key) || !f(key, child)) return false;
    }
    return true;
  }

  template <class F>
  bool elements(const codec::token&, F&& f) {
    std::size_t index = 0;
    const dom::array list = value_.get_array().value_unsafe();
    for (const auto value : list) {
      json_source child{value, *site_, has_escapes_};
      if (!f(index++, child)) return false;
    }
    return true;
  }

private:
  /// The parser checks the bytes of the text, but lets an escaped lone surrogate through.
  bool well_formed(std::string_view text) {
    return !has_escapes_ || is_utf8(text) ||
           site_->refuse(error_code::unreadable, quote(text) + " holds an escaped lone surrogate; expected UTF-8");
  }

  dom::element value_;
  codec::read_fault* site_;
  bool has_escapes_;
};

/// A parser with room for texts of up to `bytes_max` bytes and the padding that the parser reads beyond them.
struct parsing {
  explicit parsing(std::size_t bytes_max)
      : text(new char[bytes_max + simdjson::SIMDJSON_PADDING]),
        ready(parser.allocate(bytes_max, limits::depth_max) == simdjson::SUCCESS) {}

  dom::parser parser;
  std::unique_ptr<char[]> text;
  bool ready;
};

constexpr std::size_t usual_bytes = 16 * 1024;  // messages up to here reuse their thread's parser (250 KiB)

/// Parses `text` and hands the source of its root to `read`, which returns false after a fault.
template <class Read>
result<void> parse(std::string_view text, Read&& read) {
  if (text.size() > limits::message_bytes_max)
    return failure(error_code::limit_exceeded, "has " + std::to_string(text.size()) + " bytes; at most " +
                                                   std::to_string(limits::message_bytes_max));
  thread_local parsing usual{usual_bytes};
  std::unique_ptr<parsing> large;
  if (text.size() > usual_bytes) large = std::make_unique<parsing>(text.size());
  parsing& p = large ? *large : usual;
  if (!p.ready) return failure(error_code::unavailable, "no memory to parse JSON");

  if (!text.empty()) std::memcpy(p.text.get(), text.data(), text.size());
  std::memset(p.text.get() + text.size(), 0, simdjson::SIMDJSON_PADDING);
  dom::element root;
  if (const auto code = p.parser.parse(p.text.get(), text.size(), false).get(root); code != simdjson::SUCCESS) {
    if (code == simdjson::DEPTH_ERROR)
      return failure(error_code::limit_exceeded, "nested more than " + std::to_string(limits::depth_max) + " deep");
    if (code == simdjson::MEMALLOC) return failure(error_code::unavailable, "no memory to parse JSON");
    return failure(error_code::unreadable,
                   "not JSON: " + std::string(simdjson::error_message(code)) + "; it begins " + quote(text, 32));
  }
  codec::read_fault site;
  json_source source{root, site, text.find("\\u") != std::string_view::npos};
  if (!read(source)) return site.failure();
  return {};
}

template <class T, class Read>
result<T> parse_as(std::string_view text, Read&& read) {
  T out;
  auto done = parse(text, [&](json_source& s) { return read(s, out); });
  if (!done) return failure(std::move(done.error()));
  return out;
}

}  // namespace

std::string to_json(const event& e) {
  auto& buffer = codec::byte_buffer::of_thread();
  codec::json_writer writer{buffer};
  codec::write_event(writer, e);
  return buffer.text();
}

std::string to_json(const command& c) {
  auto& buffer = codec::byte_buffer::of_thread();
  codec::json_writer writer{buffer};
  codec::write_command(writer, c);
  return buffer.text();
}

std::string json_text(const json& value) {
  auto& buffer = codec::byte_buffer::of_thread();
  codec::json_writer writer{buffer};
  codec::write_json(writer, value);
  return buffer.text();
}

result<event> event_from_json(std::string_view text, unknown_fields policy) {
  auto e = parse_as<event>(text, [&](json_source& s, event& out) { return codec::read_event(s, out, policy); });
  if (!e) return e;
  if (auto valid = validate(*e); !valid) return failure(std::move(valid.error()));
  return e;
}

result<command> unchecked_command_from_json(std::string_view text, unknown_fields policy) {
  command c;
  if (auto done = unchecked_command_from_json(text, c, policy); !done) return failure(std::move(done.error()));
  return c;
}

result<void> unchecked_command_from_json(std::string_view text, command& into, unknown_fields policy) {
  return parse(text, [&](json_source& s) { return codec::read(s, into, codec::read_options{policy, 0}); });
}

result<command> command_from_json(std::string_view text, unknown_fields policy) {
  auto c = unchecked_command_from_json(text, policy);
  if (!c) return c;
  if (auto valid = validate(*c); !valid) return failure(std::move(valid.error()));
  return c;
}

result<json> parse_json(std::string_view text) {
  return parse_as<json>(text, [](json_source& s, json& out) {
    codec::token t;
    return s.next(t) && codec::read_json(s, t, out);
  });
}

}  // namespace horizons
