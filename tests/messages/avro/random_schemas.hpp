// Random Avro schemas, relatives of them (what one or two edits make), and random data of a schema.
#pragma once

#include <random>
#include <set>
#include <string>
#include <vector>

#include "messages/avro/schema.hpp"
#include "messages/avro/value.hpp"

namespace horizons::avro::test {

/// Schemas as JSON documents. Within the words that every implementation understands the same way: all names without a
/// namespace, no alias of a type, defaults that fit.
class random_schemas {
public:
  explicit random_schemas(std::uint64_t seed) : generator_(seed) {}

  std::uint64_t below(std::uint64_t limit) { return generator_() % limit; }
  bool one_in(std::uint64_t n) { return below(n) == 0; }

  json any() {
    names_ = 0;
    return type(0);
  }

  /// A reader's or writer's schema that may or may not be compatible with `s`.
  json relative_of(const json& s) {
    json other = s;
    for (auto edits = below(3); edits > 0; --edits) other = edited(other);
    return other;
  }

  value datum(const avro::type& t, int depth = 0) {
    switch (t.kind) {
      case kind::null:
        return {};
      case kind::boolean:
        return {one_in(2)};
      case kind::int_:
        return {static_cast<std::int32_t>(generator_() >> below(32))};
      case kind::long_:
        return {static_cast<std::int64_t>(generator_() >> below(64))};
      case kind::float_:
        return {static_cast<float>(static_cast<std::int32_t>(generator_())) / 64.0f};
      case kind::double_:
        return {static_cast<double>(static_cast<std::int64_t>(generator_())) / 1024.0};
      case kind::bytes:
        return {bytes_value{text()}};
      case kind::string:
        return {text()};
      case kind::fixed:
        return {fixed_value{std::string(t.size, static_cast<char>('a' + below(26)))}};
      case kind::enumeration:
        return {enum_value{t.symbols[below(t.symbols.size())]}};
      case kind::array: {
        array_value a;
        for (auto n = depth > 4 ? 0 : below(4); n > 0; --n) a.items.push_back(datum(*t.element, depth + 1));
        return {std::move(a)};
      }
      case kind::map: {
        map_value m;
        for (auto n = depth > 4 ? 0 : below(4); n > 0; --n)
          m.keys.push_back("k" + std::to_string(n)), m.items.push_back(datum(*t.element, depth + 1));
        return {std::move(m)};
      }
      case kind::record: {
        record_value r;
        for (const auto& f : t.fields) r.fields.push_back(datum(*f.type, depth + 1));
        return {std::move(r)};
      }
      case kind::union_: {
        const auto branch = static_cast<std::uint32_t>(below(t.branches.size()));
        return {union_value{branch, {datum(*t.branches[branch], depth + 1)}}};
      }
    }
    return {};
  }

private:
  static constexpr const char* primitives[] = {"null", "boolean", "int", "long", "float", "double", "bytes", "string"};

  std::string text() {
    static constexpr const char* pieces[] = {"a", "Z", " ", "\"", "\u00f6", "\u2028", "\U0001F52D"};
    std::string out;
    for (auto n = below(6); n > 0; --n) out += pieces[below(std::size(pieces))];
    return out;
  }

  json primitive() { return primitives[below(std::size(primitives))]; }

  json type(int depth) {
    if (depth > 3) return primitive();
    switch (below(9)) {
      case 0:
        return {{"type", "array"}, {"items", type(depth + 1)}};
      case 1:
        return {{"type", "map"}, {"values", type(depth + 1)}};
      case 2:
        return enumeration();
      case 3:
        return {{"type", "fixed"}, {"name", fresh("F")}, {"size", 1 + below(3)}};
      case 4:
        return union_type(depth);
      case 5:
      case 6:
        return record(depth);
      default:
        return primitive();
    }
  }

  std::string fresh(const char* stem) { return stem + std::to_string(names_++); }

  json enumeration() {
    json e = {{"type", "enum"}, {"name", fresh("E")}, {"symbols", json::array()}};
    for (char c = 'A'; c < 'D'; ++c)
      if (c == 'A' || one_in(2)) e["symbols"].push_back(std::string(1, c));
    return e;
  }

  json union_type(int depth) {
    json u = json::array();
    std::set<std::string> seen;
    for (auto n = 1 + below(3); n > 0; --n) {
      json branch = type(depth + 1);
      if (branch.is_array()) continue;
      if (seen.insert(key_of(branch)).second) u.push_back(branch);
    }
    if (u.empty()) u.push_back("null");
    return u;
  }

  static std::string key_of(const json& branch) {
    if (branch.is_string()) return branch;
    return branch.contains("name") ? branch["name"].get<std::string>() : branch["type"].get<std::string>();
  }

  json record(int depth) {
    json r = {{"type", "record"}, {"name", fresh("R")}, {"fields", json::array()}};
    const auto count = below(4);
    for (std::uint64_t i = 0; i < count; ++i)
      r["fields"].push_back(field(std::string(1, static_cast<char>('a' + i)), depth));
    return r;
  }

  json field(const std::string& name, int depth) {
    json f = {{"name", name}, {"type", type(depth + 1)}};
    if (one_in(2)) add_default(f);
    return f;
  }

  static void add_default(json& f) {
    const json& t = f["type"].is_array() ? f["type"][0] : f["type"];
    if (t == "null") f["default"] = nullptr;
    if (t == "boolean") f["default"] = true;
    if (t == "int" || t == "long") f["default"] = 7;
    if (t == "float" || t == "double") f["default"] = 1.5;
    if (t == "string" || t == "bytes") f["default"] = "d";
    if (t.is_object() && t["type"] == "array") f["default"] = json::array();
    if (t.is_object() && t["type"] == "map") f["default"] = json::object();
    if (t.is_object() && t["type"] == "enum") f["default"] = t["symbols"][0];
  }

  /// One edit at a random place.
  json edited(json s) {
    if (s.is_array()) {
      const auto i = below(s.size());
      switch (below(4)) {
        case 0: {
          json p = primitive();
          for (const auto& branch : s)
            if (key_of(branch) == p) return s;
          s.push_back(p);
          return s;
        }
        case 1:
          if (s.size() > 1) s.erase(i);
          return s;
        default: {
          json changed = edited(s[i]);
          if (changed.is_array()) return s;
          for (std::size_t k = 0; k < s.size(); ++k)
            if (k != i && key_of(s[k]) == key_of(changed)) return s;
          s[i] = changed;
          return s;
        }
      }
    }
    if (s.is_string()) {
      if (one_in(6)) return json::array({s});
      if (s == "int") return one_in(2) ? "long" : "double";
      if (s == "long") return one_in(2) ? "int" : "float";
      if (s == "float") return one_in(2) ? "double" : "long";
      if (s == "string") return one_in(2) ? "bytes" : "int";
      if (s == "bytes") return one_in(2) ? "string" : "null";
      return one_in(3) ? primitive() : s;
    }
    const std::string kind = s["type"];
    if (kind == "array") s["items"] = edited(s["items"]);
    if (kind == "map") s["values"] = edited(s["values"]);
    if (kind == "fixed" && one_in(2)) s["size"] = 1 + below(3);
    if (kind == "fixed" && one_in(4)) s["name"] = "Renamed";
    if (kind == "enum") {
      if (one_in(2))
        s["symbols"].push_back("Z" + std::to_string(s["symbols"].size()));
      else if (s["symbols"].size() > 1)
        s["symbols"].erase(s["symbols"].size() - 1);
      if (one_in(3)) s["default"] = s["symbols"][0];
    }
    if (kind == "record") edit_record(s);
    // A default of the field around may no longer fit: schemas that do not parse are left out by the tests.
    return s;
  }

  void edit_record(json& s) {
    auto& fields = s["fields"];
    if (fields.empty() || one_in(3)) {
      json f = {{"name", "n" + std::to_string(below(100))}, {"type", primitive()}};
      if (!one_in(4)) add_default(f);
      for (const auto& other : fields)
        if (other["name"] == f["name"]) return;
      fields.insert(fields.begin() + static_cast<std::ptrdiff_t>(below(fields.size() + 1)), f);
      return;
    }
    const auto i = below(fields.size());
    auto& f = fields[i];
    switch (below(6)) {
      case 0:
        fields.erase(i);
        return;
      case 1:
        f.erase("default");
        return;
      case 2:
        std::swap(fields[i], fields[below(fields.size())]);
        return;
      case 3:
        s["name"] = "Renamed";
        return;
      default:
        f["type"] = edited(f["type"]);
        if (f.contains("default")) {
          f.erase("default");
          add_default(f);
        }
    }
  }

  std::mt19937_64 generator_;
  int names_ = 0;
};

}  // namespace horizons::avro::test
