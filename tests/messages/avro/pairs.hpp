// Short names for the schemas that the tables of these tests put together.
#pragma once

#include <string>

#include "messages/avro/schema.hpp"

namespace horizons::avro::test {

inline schema parsed(const std::string& text, parse_options options = {}) {
  auto s = schema::parse(text, options);
  if (!s) throw std::runtime_error(text + "\n" + s.error().text);
  return *s;
}

inline const std::string null_ = R"("null")", boolean = R"("boolean")", int_ = R"("int")", long_ = R"("long")",
                         float_ = R"("float")", double_ = R"("double")", bytes = R"("bytes")", string = R"("string")";

inline std::string array_of(const std::string& items) { return R"({"type":"array","items":)" + items + "}"; }
inline std::string map_of(const std::string& values) { return R"({"type":"map","values":)" + values + "}"; }

template <class... T>
std::string union_of(const T&... branches) {
  std::string out;
  ((out += (out.empty() ? "" : ",") + std::string(branches)), ...);
  return "[" + out + "]";
}

inline std::string enum_of(const std::string& name, const std::string& symbols, const std::string& more = "") {
  std::string list;
  for (char c : symbols) list += (list.empty() ? "\"" : ",\"") + std::string(1, c) + "\"";
  return R"({"type":"enum","name":")" + name + R"(","symbols":[)" + list + "]" + more + "}";
}

inline std::string fixed_of(const std::string& name, int size) {
  return R"({"type":"fixed","name":")" + name + R"(","size":)" + std::to_string(size) + "}";
}

inline std::string field(const std::string& name, const std::string& type, const std::string& more = "") {
  return R"({"name":")" + name + R"(","type":)" + type + more + "}";
}

template <class... T>
std::string record_of(const std::string& name, const T&... fields) {
  std::string out;
  ((out += (out.empty() ? "" : ",") + std::string(fields)), ...);
  return R"({"type":"record","name":")" + name + R"(","fields":[)" + out + "]}";
}

inline std::string with_default(const std::string& json_text) { return R"(,"default":)" + json_text; }

}  // namespace horizons::avro::test
