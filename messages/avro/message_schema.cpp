#include "messages/avro/message_schema.hpp"

#include <cstdlib>
#include <optional>
#include <set>
#include <type_traits>
#include <vector>

#include "messages/codec/envelope_fields.hpp"
#include "messages/commands.hpp"
#include "messages/events.hpp"

namespace horizons::avro {

namespace {

using ordered = nlohmann::ordered_json;

template <class T>
struct inside {};
template <class T>
struct inside<std::optional<T>> {
  using type = T;
};
template <class T>
struct inside<std::vector<T>> {
  using type = T;
};
template <class T>
constexpr bool is_optional = false;
template <class T>
constexpr bool is_optional<std::optional<T>> = true;
template <class T>
constexpr bool is_vector = false;
template <class T>
constexpr bool is_vector<std::vector<T>> = true;

/// "result_file" is ResultFile.
std::string in_camel_case(std::string_view name) {
  std::string out;
  bool upper = true;
  for (char c : name) {
    if (c != '_') out += upper && c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    upper = c == '_';
  }
  return out;
}

/// "job.submitted" is { "horizons.job", "Submitted" }, "command" is { "horizons", "Command" }.
struct record_name {
  explicit record_name(std::string_view type) {
    const auto dot = type.rfind('.');
    if (dot != std::string_view::npos) space += "." + std::string(type.substr(0, dot));
    name = in_camel_case(dot == std::string_view::npos ? type : type.substr(dot + 1));
  }
  std::string space = "horizons";
  std::string name;
};

template <class T>
ordered default_of(const T& initial) {
  if constexpr (is_optional<T>) {
    return nullptr;  // the union's first branch; an initialiser other than absent has no place in it
  } else if constexpr (is_vector<T>) {
    return ordered::array();
  } else if constexpr (std::is_same_v<T, json>) {
    return initial.dump();
  } else if constexpr (std::is_same_v<T, timestamp>) {
    return initial.time_since_epoch().count();
  } else if constexpr (described<T>) {
    auto all = ordered::object();
    for_each_field(initial,
                   [&](const auto& field, const auto& member) { all[std::string(field.name)] = default_of(member); });
    return all;
  } else {
    return initial;
  }
}

// JSON in braces costs the compiler seconds wherever it is expanded: these are not, whatever the type of the field.
ordered field(std::string_view name, ordered type, std::string doc, ordered initial) {
  return {{"name", name}, {"type", std::move(type)}, {"doc", std::move(doc)}, {"default", std::move(initial)}};
}
ordered field_without_default(std::string_view name, ordered type, std::string_view doc) {
  return {{"name", name}, {"type", std::move(type)}, {"doc", doc}};
}
ordered record(const record_name& name, std::string_view doc, ordered fields) {
  return {
      {"type", "record"}, {"name", name.name}, {"namespace", name.space}, {"doc", doc}, {"fields", std::move(fields)}};
}
ordered nullable(ordered type) { return ordered::array({"null", std::move(type)}); }
ordered list_of(ordered type) { return {{"type", "array"}, {"items", std::move(type)}}; }
ordered time_type() { return {{"type", "long"}, {"logicalType", "timestamp-millis"}}; }

class schema_writer {
public:
  template <class T>
  ordered type_of() {
    if constexpr (std::is_same_v<T, bool>) {
      return "boolean";
    } else if constexpr (std::is_same_v<T, std::string> || std::is_same_v<T, json>) {
      return "string";
    } else if constexpr (std::is_same_v<T, timestamp>) {
      return time_type();
    } else if constexpr (std::is_floating_point_v<T>) {
      return "double";
    } else if constexpr (std::is_integral_v<T>) {
      return sizeof(T) > 4 || std::is_unsigned_v<T> ? "long" : "int";
    } else if constexpr (is_optional<T>) {
      return nullable(type_of<typename inside<T>::type>());
    } else if constexpr (is_vector<T>) {
      return list_of(type_of<typename inside<T>::type>());
    } else {
      return record_of<T>(record_name(name_of<T>()));
    }
  }

  template <described T>
  ordered record_of(const record_name& name) {
    if (!written_.insert(name.space + "." + name.name).second) return name.space + "." + name.name;
    const T initial{};
    auto fields = ordered::array();
    for_each_field(initial, [&](const auto& each, const auto& member) {
      using member_type = std::remove_cvref_t<decltype(member)>;
      fields.push_back(field(each.name, type_of<member_type>(),
                             std::string(each.doc) + (std::is_same_v<member_type, json> ? " (JSON text)" : ""),
                             default_of(member)));
    });
    return record(name, T::description().doc, std::move(fields));
  }

  template <class Event>
  ordered event_of() {
    record_name name(name_of<Event>());
    auto fields = ordered::array();
    fields.push_back(field_without_default("event_id", "string", "ULID, kept through every retry"));
    fields.push_back(field("event_type", "string", "what happened", name_of<Event>()));
    fields.push_back(field("schema_version", "int", "of the type's description", Event::description().version));
    const event initial{};
    auto envelope = [&](const auto& each) {
      const auto& member = initial.*(each.member);
      using member_type = std::remove_cvref_t<decltype(member)>;
      if constexpr (std::is_same_v<member_type, timestamp>)
        fields.push_back(field_without_default(each.name, type_of<member_type>(), each.doc));
      else
        fields.push_back(field(each.name, type_of<member_type>(), std::string(each.doc), default_of(member)));
    };
    std::apply([&](const auto&... each) { (envelope(each), ...); }, codec::envelope_fields);
    fields.push_back(field_without_default("data", record_of<Event>({data_name(name)}), "what this type tells"));
    return record(name, Event::description().doc, std::move(fields));
  }

private:
  static record_name data_name(record_name name) {
    name.name += "Data";
    return name;
  }

  std::set<std::string> written_;
};

template <class T>
message_schema made(ordered document) {
  auto text = document.dump(2) + "\n";
  auto parsed = schema::parse(text);
  if (!parsed) std::abort();  // a defect of the descriptions: the tests never let it come this far
  return {std::string(name_of<T>()), T::description().version, std::move(text), std::move(*parsed)};
}

}  // namespace

std::span<const message_schema> message_schemas() {
  static const auto all = [] {
    std::vector<message_schema> list;
    for_each_event_type([&]<class T>() { list.push_back(made<T>(schema_writer{}.template event_of<T>())); });
    list.push_back(made<command>(schema_writer{}.type_of<command>()));
    return list;
  }();
  return all;
}

const message_schema* schema_of(std::string_view type) {
  for (const auto& one : message_schemas())
    if (one.type == type) return &one;
  return nullptr;
}

const message_schema* schema_of_record(std::string_view full_name) {
  for (const auto& one : message_schemas())
    if (one.schema.root().name == full_name) return &one;
  return nullptr;
}

}  // namespace horizons::avro
