#include "messages/avro/schema.hpp"

#include <array>
#include <limits>
#include <set>
#include <unordered_map>

#include "messages/avro/default_value.hpp"

namespace horizons::avro {

namespace {

constexpr std::array<std::string_view, 14> kind_words = {"null",   "boolean", "int",    "long",   "float",
                                                         "double", "bytes",   "string", "record", "enum",
                                                         "fixed",  "array",   "map",    "union"};

std::optional<kind> primitive_of(std::string_view word) {
  for (std::size_t i = 0; i <= static_cast<std::size_t>(kind::string); ++i)
    if (kind_words[i] == word) return static_cast<kind>(i);
  return std::nullopt;
}

bool is_simple_name(std::string_view text) {
  if (text.empty()) return false;
  auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  if (!letter(text[0])) return false;
  for (char c : text)
    if (!letter(c) && !(c >= '0' && c <= '9')) return false;
  return true;
}

bool is_dotted_name(std::string_view text) {
  while (true) {
    auto dot = text.find('.');
    if (!is_simple_name(text.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    text.remove_prefix(dot + 1);
  }
}

std::string_view namespace_of(std::string_view full_name) {
  auto dot = full_name.rfind('.');
  return dot == std::string_view::npos ? std::string_view{} : full_name.substr(0, dot);
}

std::string in_quotes(std::string_view text) {
  constexpr std::size_t shown_max = 64;
  return "'" + std::string(text.substr(0, shown_max)) + (text.size() > shown_max ? "…'" : "'");
}

/// Thrown inside the parser only: the functions below are mutually recursive and every one can fail.
struct schema_error {
  error what;
};

[[noreturn]] void refuse(const std::string& path, std::string reason, error_code code = error_code::unreadable) {
  throw schema_error{{code, "schema" + (path.empty() ? "" : " " + path) + ": " + std::move(reason)}};
}

/// Strict JSON: bounded size and nesting, no duplicate keys (nlohmann would silently keep the last one).
json read_json(std::string_view text) {
  if (text.size() > schema::bytes_max)
    refuse("", std::to_string(text.size()) + " bytes; at most " + std::to_string(schema::bytes_max),
           error_code::limit_exceeded);
  std::vector<std::set<std::string>> keys;
  auto watch = [&](int depth, json::parse_event_t event, json& parsed) {
    using seen = json::parse_event_t;
    if (static_cast<std::size_t>(depth) > schema::nesting_max)
      refuse("", "nested deeper than " + std::to_string(schema::nesting_max), error_code::limit_exceeded);
    if (event == seen::object_start) keys.emplace_back();
    if (event == seen::object_end) keys.pop_back();
    if (event == seen::key && !keys.back().insert(parsed.get<std::string>()).second)
      refuse("", "the key " + in_quotes(parsed.get<std::string>()) + " appears twice in one object");
    return true;
  };
  // A lone word such as `int` (no quotes) is what people type; it is not JSON and is refused like the rest.
  try {
    return json::parse(text.begin(), text.end(), watch);
  } catch (const json::exception& e) {
    refuse("", std::string("not JSON: ") + e.what());
  }
}

}  // namespace

std::string_view to_string(kind k) { return kind_words[static_cast<std::size_t>(k)]; }

std::string_view unqualified(std::string_view full_name) {
  auto dot = full_name.rfind('.');
  return dot == std::string_view::npos ? full_name : full_name.substr(dot + 1);
}

std::uint64_t crc64_avro(std::string_view text) {
  constexpr std::uint64_t empty = 0xc15d213aa4d7a795;
  static const auto table = [] {
    std::array<std::uint64_t, 256> t{};
    for (std::uint64_t i = 0; i < 256; ++i) {
      std::uint64_t fp = i;
      for (int bit = 0; bit < 8; ++bit) fp = (fp >> 1) ^ (empty & -(fp & 1));
      t[i] = fp;
    }
    return t;
  }();
  std::uint64_t fp = empty;
  for (unsigned char c : text) fp = (fp >> 8) ^ table[(fp ^ c) & 0xff];
  return fp;
}

class schema_parser {
public:
  explicit schema_parser(parse_options options) : options_(options) {}

  schema read(std::string_view text) {
    json document = read_json(text);
    graph_->root = read_type(document, "", "");
    if (options_.check_defaults) check_defaults();
    std::set<const type*> written;
    write_canonical(*graph_->root, written, graph_->canonical);
    graph_->fingerprint = crc64_avro(graph_->canonical);
    return schema(graph_);
  }

private:
  type& add(kind k, const std::string& path) {
    if (graph_->types.size() >= schema::types_max)
      refuse(path, "more than " + std::to_string(schema::types_max) + " types", error_code::limit_exceeded);
    graph_->types.emplace_back();
    graph_->types.back().kind = k;
    return graph_->types.back();
  }

  const type* read_type(const json& j, const std::string& space, const std::string& path) {
    if (j.is_string()) return read_name(j.get_ref<const std::string&>(), space, path);
    if (j.is_array()) return read_union(j, space, path);
    if (!j.is_object()) refuse(path, std::string(j.type_name()) + "; expected a name, an object or an array (union)");
    auto word = j.find("type");
    if (word == j.end()) refuse(path, "an object without 'type'");
    if (!word->is_string()) return read_type(*word, space, path.empty() ? "type" : path + ".type");
    const auto& w = word->get_ref<const std::string&>();
    if (w == "record" || w == "error") return read_record(j, space, path);
    if (w == "enum") return read_enum(j, space, path);
    if (w == "fixed") return read_fixed(j, space, path);
    if (w == "array") return read_container(j, kind::array, "items", space, path);
    if (w == "map") return read_container(j, kind::map, "values", space, path);
    auto primitive = primitive_of(w);
    if (!primitive) return read_name(w, space, path);
    if (j.size() == 1) return read_name(w, space, path);
    auto& t = add(*primitive, path);
    read_attributes(t, j, {"type"});
    return &t;
  }

  const type* read_name(const std::string& word, const std::string& space, const std::string& path) {
    if (auto primitive = primitive_of(word)) {
      auto& shared = primitives_[static_cast<std::size_t>(*primitive)];
      if (shared == nullptr) shared = &add(*primitive, path);
      return shared;
    }
    if (word.find('.') == std::string::npos && !space.empty())
      if (auto found = named_.find(space + "." + word); found != named_.end()) return found->second;
    if (auto found = named_.find(word); found != named_.end()) return found->second;
    refuse(path, "no type is called " + in_quotes(word) + "; expected a primitive type or a name defined before");
  }

  const type* read_union(const json& j, const std::string& space, const std::string& path) {
    auto& t = add(kind::union_, path);
    std::set<std::string_view> seen;
    for (std::size_t i = 0; i < j.size(); ++i) {
      const auto here = path + "[" + std::to_string(i) + "]";
      const type* branch = read_type(j[i], space, here);
      if (branch->kind == kind::union_) refuse(here, "a union directly inside a union");
      if (!seen.insert(is_named(branch->kind) ? std::string_view(branch->name) : to_string(branch->kind)).second)
        refuse(here,
               "the union already holds " + in_quotes(is_named(branch->kind) ? branch->name : to_string(branch->kind)));
      t.branches.push_back(branch);
    }
    return &t;
  }

  const type* read_container(const json& j, kind k, const char* part, const std::string& space,
                             const std::string& path) {
    if (!j.contains(part)) refuse(path, std::string(to_string(k)) + " without '" + part + "'");
    auto& t = add(k, path);
    t.element = read_type(j[part], space, path.empty() ? part : path + "." + part);
    read_attributes(t, j, {"type", part});
    return &t;
  }

  const type* read_fixed(const json& j, const std::string& space, const std::string& path) {
    auto& t = add_named(kind::fixed, j, space, path);
    auto size = j.find("size");
    if (size == j.end() || !size->is_number_integer() || *size < 0)
      refuse(path, "fixed " + in_quotes(t.name) + " needs 'size', a whole number of bytes, 0 or more");
    if (*size > schema::fixed_max)
      refuse(path, "size " + size->dump() + "; at most " + std::to_string(schema::fixed_max),
             error_code::limit_exceeded);
    t.size = size->get<std::size_t>();
    read_attributes(t, j, {"type", "name", "namespace", "aliases", "doc", "size"});
    return &t;
  }

  const type* read_enum(const json& j, const std::string& space, const std::string& path) {
    auto& t = add_named(kind::enumeration, j, space, path);
    auto symbols = j.find("symbols");
    if (symbols == j.end() || !symbols->is_array())
      refuse(path, "enum " + in_quotes(t.name) + " needs 'symbols', a list");
    std::set<std::string> seen;
    for (const auto& s : *symbols) {
      if (!s.is_string() || !is_simple_name(s.get_ref<const std::string&>()))
        refuse(path, "symbol " + in_quotes(s.dump(-1, ' ', true, json::error_handler_t::replace)) +
                         "; expected a name of letters, digits and '_'");
      if (!seen.insert(s).second) refuse(path, "symbol " + in_quotes(s.get<std::string>()) + " appears twice");
      t.symbols.push_back(s);
    }
    if (auto fallback = j.find("default"); fallback != j.end()) {
      if (!fallback->is_string() || !seen.contains(*fallback))
        refuse(path, "the default of enum " + in_quotes(t.name) + " is none of its symbols");
      t.default_symbol = fallback->get<std::string>();
    }
    read_attributes(t, j, {"type", "name", "namespace", "aliases", "doc", "symbols", "default"});
    return &t;
  }

  const type* read_record(const json& j, const std::string& space, const std::string& path) {
    auto& t = add_named(kind::record, j, space, path);
    auto fields = j.find("fields");
    if (fields == j.end() || !fields->is_array())
      refuse(path, "record " + in_quotes(t.name) + " needs 'fields', a list");
    const std::string inner(namespace_of(t.name));
    std::set<std::string> seen;
    for (std::size_t i = 0; i < fields->size(); ++i) {
      const auto here = (path.empty() ? "" : path + ".") + "fields[" + std::to_string(i) + "]";
      auto field = read_field((*fields)[i], inner, here);
      if (!seen.insert(field.name).second) refuse(here, "the field " + in_quotes(field.name) + " appears twice");
      t.fields.push_back(std::move(field));
      if (t.fields.back().default_value) defaults_.push_back({&t, t.fields.size() - 1, here});
    }
    read_attributes(t, j, {"type", "name", "namespace", "aliases", "doc", "fields"});
    return &t;
  }

  record_field read_field(const json& j, const std::string& space, const std::string& path) {
    record_field f;
    if (!j.is_object()) refuse(path, std::string(j.type_name()) + "; expected a field: an object with name and type");
    f.name = read_text(j, "name", path).value_or("");
    if (!is_simple_name(f.name)) refuse(path, "field name " + in_quotes(f.name) + "; expected letters, digits and '_'");
    f.doc = read_text(j, "doc", path).value_or("");
    for (auto& alias : read_aliases(j, path)) {
      if (!is_simple_name(alias)) refuse(path, "alias " + in_quotes(alias) + "; expected letters, digits and '_'");
      f.aliases.push_back(std::move(alias));
    }
    auto order = read_text(j, "order", path).value_or("ascending");
    if (order != "ascending" && order != "descending" && order != "ignore")
      refuse(path, "order " + in_quotes(order) + "; expected ascending, descending or ignore");
    if (!j.contains("type")) refuse(path, "the field " + in_quotes(f.name) + " has no type");
    f.type = read_type(j["type"], space, path + ".type");
    if (auto d = j.find("default"); d != j.end()) f.default_value = *d;
    return f;
  }

  type& add_named(kind k, const json& j, const std::string& space, const std::string& path) {
    auto name = read_text(j, "name", path);
    if (!name) refuse(path, std::string(to_string(k)) + " without 'name'");
    auto own_space = read_text(j, "namespace", path);
    if (own_space && !own_space->empty() && !is_dotted_name(*own_space))
      refuse(path, "namespace " + in_quotes(*own_space) + "; expected names joined by dots");
    if (!is_dotted_name(*name))
      refuse(path, "name " + in_quotes(*name) + "; expected letters, digits and '_', joined by dots");
    auto full = qualify(*name, own_space.value_or(space));
    if (primitive_of(full)) refuse(path, "the name " + in_quotes(full) + " is a primitive type's");
    auto& t = add(k, path);
    t.name = full;
    t.doc = read_text(j, "doc", path).value_or("");
    for (const auto& alias : read_aliases(j, path)) {
      if (!is_dotted_name(alias))
        refuse(path, "alias " + in_quotes(alias) + "; expected letters, digits and '_', joined by dots");
      t.aliases.push_back(qualify(alias, std::string(namespace_of(full))));
    }
    if (!named_.emplace(full, &t).second) refuse(path, "the name " + in_quotes(full) + " is defined twice");
    return t;
  }

  static std::string qualify(const std::string& name, const std::string& space) {
    return name.find('.') != std::string::npos || space.empty() ? name : space + "." + name;
  }

  static std::optional<std::string> read_text(const json& j, const char* key, const std::string& path) {
    auto found = j.find(key);
    if (found == j.end() || found->is_null()) return std::nullopt;
    if (!found->is_string())
      refuse(path, std::string("'") + key + "' is " + found->type_name() + "; expected a string");
    return found->get<std::string>();
  }

  static std::vector<std::string> read_aliases(const json& j, const std::string& path) {
    std::vector<std::string> all;
    auto found = j.find("aliases");
    if (found == j.end()) return all;
    if (!found->is_array())
      refuse(path, "'aliases' is " + std::string(found->type_name()) + "; expected a list of names");
    for (const auto& alias : *found) {
      if (!alias.is_string()) refuse(path, "an alias is " + std::string(alias.type_name()) + "; expected a name");
      all.push_back(alias);
    }
    return all;
  }

  static void read_attributes(type& t, const json& j, const std::set<std::string_view>& known) {
    for (const auto& [key, value] : j.items()) {
      if (known.contains(key)) continue;
      if (key == "logicalType" && value.is_string())
        t.logical_type = value.get<std::string>();
      else
        t.attributes[key] = value;
    }
  }

  // After the whole graph is there: a default may mention a record that was still open.
  void check_defaults() {
    for (const auto& d : defaults_) {
      const auto& field = d.record->fields[d.field];
      if (auto ok = check_default(*field.type, *field.default_value); !ok)
        refuse(d.path + ".default", "the default of " + in_quotes(field.name) + ": " + ok.error().text,
               ok.error().code);
    }
  }

  // Named types are written out where they first appear, in the order of the text, and by name from then on.
  static void write_canonical(const type& t, std::set<const type*>& written, std::string& out) {
    auto word = [&](std::string_view w) { out.append("\"").append(w).append("\""); };
    if (is_named(t.kind)) {
      if (!written.insert(&t).second) return word(t.name);
      out += "{\"name\":";
      word(t.name);
      out += ",\"type\":";
      word(to_string(t.kind));
    }
    switch (t.kind) {
      case kind::record:
        out += ",\"fields\":[";
        for (const auto& f : t.fields) {
          if (&f != &t.fields.front()) out += ',';
          out += "{\"name\":";
          word(f.name);
          out += ",\"type\":";
          write_canonical(*f.type, written, out);
          out += '}';
        }
        out += "]}";
        break;
      case kind::enumeration:
        out += ",\"symbols\":[";
        for (const auto& s : t.symbols) {
          if (&s != &t.symbols.front()) out += ',';
          word(s);
        }
        out += "]}";
        break;
      case kind::fixed:
        out += ",\"size\":" + std::to_string(t.size) + "}";
        break;
      case kind::array:
      case kind::map:
        out += t.kind == kind::array ? "{\"type\":\"array\",\"items\":" : "{\"type\":\"map\",\"values\":";
        write_canonical(*t.element, written, out);
        out += '}';
        break;
      case kind::union_:
        out += '[';
        for (const auto* branch : t.branches) {
          if (branch != t.branches.front()) out += ',';
          write_canonical(*branch, written, out);
        }
        out += ']';
        break;
      default:
        word(to_string(t.kind));
    }
  }

  struct default_at {
    const type* record;
    std::size_t field;
    std::string path;
  };

  parse_options options_;
  std::shared_ptr<schema::graph> graph_ = std::make_shared<schema::graph>();
  std::array<const type*, 8> primitives_{};
  std::unordered_map<std::string, const type*> named_;
  std::vector<default_at> defaults_;
};

result<schema> schema::parse(std::string_view text, parse_options options) {
  try {
    return schema_parser(options).read(text);
  } catch (const schema_error& e) {
    return failure(e.what);
  }
}

}  // namespace horizons::avro
