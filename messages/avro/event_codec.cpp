#include "messages/avro/event_codec.hpp"

#include <array>
#include <limits>
#include <type_traits>

#include "messages/avro/wire.hpp"
#include "messages/codec/envelope_fields.hpp"
#include "messages/codec/json.hpp"
#include "messages/limits.hpp"
#include "messages/make_event.hpp"

namespace horizons {

namespace {

using avro::cursor;
using avro::sink;

template <class T>
constexpr bool is_optional = false;
template <class T>
constexpr bool is_optional<std::optional<T>> = true;
template <class T>
constexpr bool is_vector = false;
template <class T>
constexpr bool is_vector<std::vector<T>> = true;

// -- struct to bytes --------------------------------------------------------------------------------------------

template <class T>
void put(sink& out, const T& v) {
  if constexpr (std::is_same_v<T, bool>) {
    out.put_octet(v ? 1 : 0);
  } else if constexpr (std::is_integral_v<T>) {
    out.put_long(static_cast<std::int64_t>(v));
  } else if constexpr (std::is_floating_point_v<T>) {
    out.put_float(static_cast<double>(v));
  } else if constexpr (std::is_same_v<T, std::string>) {
    out.put_string(v);
  } else if constexpr (std::is_same_v<T, json>) {
    out.put_string(json_text(v));
  } else if constexpr (std::is_same_v<T, timestamp>) {
    out.put_long(v.time_since_epoch().count());
  } else if constexpr (is_optional<T>) {
    out.put_long(v ? 1 : 0);
    if (v) put(out, *v);
  } else if constexpr (is_vector<T>) {
    if (!v.empty()) out.put_long(static_cast<std::int64_t>(v.size()));
    for (const auto& item : v) put(out, item);
    out.put_long(0);
  } else {
    for_each_field(v, [&](const auto&, const auto& member) { put(out, member); });
  }
}

// -- bytes to struct --------------------------------------------------------------------------------------------
// Texts are not checked here: validate() looks at every one of them.

template <class T>
bool get(cursor& in, T& v);

template <class T>
bool get_list(cursor& in, std::vector<T>& list) {
  std::uint64_t count = 0;
  do {
    if (!in.get_block(count)) return false;
    if (count > limits::elements_max - list.size())
      return in.fail("more than " + std::to_string(limits::elements_max) + " elements", error_code::limit_exceeded);
    for (std::uint64_t i = 0; i < count; ++i)
      if (!get(in, list.emplace_back())) return in.site.at(list.size() - 1);
  } while (count != 0);
  return true;
}

bool get_json(std::string_view text, json& v, fault& site) {
  if (text == "{}") {
    v = json::object();
    return true;
  }
  auto parsed = parse_json(text);
  if (!parsed) return site.refuse(parsed.error().code, std::move(parsed.error().text));
  v = std::move(*parsed);
  return true;
}

template <class T>
bool get(cursor& in, T& v) {
  if constexpr (std::is_same_v<T, bool>) {
    return in.get_boolean(v);
  } else if constexpr (std::is_unsigned_v<T>) {
    std::int64_t n = 0;
    if (!in.get_long(n)) return false;
    if (n < 0) return in.fail(std::to_string(n) + " is negative");
    v = static_cast<T>(n);
    return true;
  } else if constexpr (std::is_integral_v<T> && sizeof(T) == 4) {
    return in.get_int(v);
  } else if constexpr (std::is_integral_v<T>) {
    return in.get_long(v);
  } else if constexpr (std::is_floating_point_v<T>) {
    return in.get_float(v);
  } else if constexpr (std::is_same_v<T, std::string>) {
    std::string_view text;
    if (!in.get_bytes(text)) return false;
    v.assign(text);
    return true;
  } else if constexpr (std::is_same_v<T, json>) {
    std::string_view text;
    return in.get_bytes(text) && get_json(text, v, in.site);
  } else if constexpr (std::is_same_v<T, timestamp>) {
    std::int64_t n = 0;
    if (!in.get_long(n)) return false;
    v = timestamp{std::chrono::milliseconds{n}};
    return true;
  } else if constexpr (is_optional<T>) {
    std::int64_t branch = 0;
    if (!in.get_long(branch)) return false;
    if (branch < 0 || branch > 1) return in.fail("union branch " + std::to_string(branch) + "; the schema has 2");
    if (branch == 1) return get(in, v.emplace());
    v.reset();
    return true;
  } else if constexpr (is_vector<T>) {
    v.clear();
    return get_list(in, v);
  } else {
    static constexpr auto description = T::description();
    return std::apply(
        [&](const auto&... each) { return ((get(in, v.*(each.member)) || in.site.within(each.name)) && ...); },
        description.fields);
  }
}

bool right_type(std::string_view found, std::string_view expected, fault& site) {
  if (found == expected) return true;
  site.refuse(error_code::unreadable, quote(found) + "; expected " + quote(expected));
  return site.within("event_type");
}

template <class Event>
bool get_event(cursor& in, event& e) {
  std::string_view type;
  std::int32_t version = 0;
  if (!get(in, e.event_id)) return in.site.within("event_id");
  if (!in.get_bytes(type)) return in.site.within("event_type");
  if (!right_type(type, name_of<Event>(), in.site)) return false;
  if (!in.get_int(version)) return in.site.within("schema_version");
  const bool envelope =
      std::apply([&](const auto&... each) { return ((get(in, e.*(each.member)) || in.site.within(each.name)) && ...); },
                 codec::envelope_fields);
  return envelope && (get(in, e.data.emplace<Event>()) || in.site.within("data"));
}

// -- value tree to struct ---------------------------------------------------------------------------------------
// The tree was made for our own schema, so its shape is right; what the schema cannot say is checked.

template <class T>
bool take(const avro::value& v, T& out, fault& site) {
  if constexpr (std::is_unsigned_v<T> && !std::is_same_v<T, bool>) {
    const auto n = std::get<std::int64_t>(v.datum);
    if (n < 0) return site.refuse(error_code::unreadable, std::to_string(n) + " is negative");
    out = static_cast<T>(n);
  } else if constexpr (std::is_same_v<T, json>) {
    return get_json(std::get<std::string>(v.datum), out, site);
  } else if constexpr (std::is_same_v<T, timestamp>) {
    out = timestamp{std::chrono::milliseconds{std::get<std::int64_t>(v.datum)}};
  } else if constexpr (is_optional<T>) {
    const auto& u = std::get<avro::union_value>(v.datum);
    out.reset();
    return u.branch == 0 || take(u.held.front(), out.emplace(), site);
  } else if constexpr (is_vector<T>) {
    out.clear();
    const auto& items = std::get<avro::array_value>(v.datum).items;
    if (items.size() > limits::elements_max)
      return site.refuse(error_code::limit_exceeded, "more than " + std::to_string(limits::elements_max) + " elements");
    for (const auto& item : items)
      if (!take(item, out.emplace_back(), site)) return site.at(out.size() - 1);
  } else if constexpr (described<T>) {
    static constexpr auto description = T::description();
    const auto& fields = std::get<avro::record_value>(v.datum).fields;
    std::size_t i = 0;
    return std::apply(
        [&](const auto&... each) {
          return ((take(fields[i++], out.*(each.member), site) || site.within(each.name)) && ...);
        },
        description.fields);
  } else {
    out = std::get<T>(v.datum);
  }
  return true;
}

template <class Event>
bool take_event(const avro::value& v, event& e, fault& site) {
  const auto& fields = std::get<avro::record_value>(v.datum).fields;
  e.event_id = std::get<std::string>(fields[0].datum);
  if (!right_type(std::get<std::string>(fields[1].datum), name_of<Event>(), site)) return false;
  std::size_t i = 3;  // after schema_version
  const bool envelope = std::apply(
      [&](const auto&... each) {
        return ((take(fields[i++], e.*(each.member), site) || site.within(each.name)) && ...);
      },
      codec::envelope_fields);
  return envelope && (take(fields[i], e.data.emplace<Event>(), site) || site.within("data"));
}

// -- which type -------------------------------------------------------------------------------------------------

struct event_functions {
  std::string_view type;
  bool (*get)(cursor&, event&);
  bool (*take)(const avro::value&, event&, fault&);
};

constexpr auto functions = [] {
  std::array<event_functions, std::variant_size_v<event_data>> all{};
  std::size_t i = 0;
  for_each_event_type([&]<class T>() { all[i++] = {name_of<T>(), &get_event<T>, &take_event<T>}; });
  return all;
}();

const event_functions* functions_of(std::string_view type) {
  for (const auto& f : functions)
    if (f.type == type) return &f;
  return nullptr;
}

result<void> check_size(std::string_view bytes) {
  if (bytes.size() <= limits::message_bytes_max) return {};
  return failure(error_code::limit_exceeded,
                 std::to_string(bytes.size()) + " bytes; at most " + std::to_string(limits::message_bytes_max));
}

template <class Message>
result<Message> checked(cursor& in, bool read, Message&& message) {
  if (!read) return in.site.failure();
  if (in.left() != 0) return failure(error_code::unreadable, std::to_string(in.left()) + " bytes follow the message");
  if (auto valid = validate(message); !valid) return failure(std::move(valid.error()));
  return std::move(message);
}

}  // namespace

result<void> append_avro(const event& e, std::string& out) {
  constexpr auto largest = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (e.position > largest || e.sequence > largest)
    return failure(error_code::invalid_argument, "position or sequence above 2^63 - 1, the largest long of Avro");
  sink bytes(out);
  bytes.ensure(512);  // most events fit: grown once
  bytes.put_string(e.event_id);
  std::visit(
      [&]<class T>(const T& data) {
        bytes.put_string(name_of<T>());
        bytes.put_long(T::description().version);
        std::apply([&](const auto&... each) { (put(bytes, e.*(each.member)), ...); }, codec::envelope_fields);
        put(bytes, data);
      },
      e.data);
  bytes.finish();
  return {};
}

void append_avro(const command& c, std::string& out) {
  sink bytes(out);
  bytes.ensure(512);
  put(bytes, c);
  bytes.finish();
}

result<event> event_from_avro(std::string_view bytes, std::string_view type) {
  const auto* of_type = functions_of(type);
  if (of_type == nullptr) return failure(error_code::not_found, "event_type: no event is called " + quote(type));
  if (auto ok = check_size(bytes); !ok) return failure(std::move(ok.error()));
  cursor in(bytes);
  event e;
  const bool read = of_type->get(in, e);
  return checked(in, read, std::move(e));
}

result<command> command_from_avro(std::string_view bytes) {
  if (auto ok = check_size(bytes); !ok) return failure(std::move(ok.error()));
  cursor in(bytes);
  command c;
  const bool read = get(in, c);
  return checked(in, read, std::move(c));
}

result<avro_reader> avro_reader::create(avro::schema writer) {
  const auto& name = writer.root().name;
  const auto* ours = avro::schema_of_record(name);
  if (ours == nullptr)
    return failure(error_code::not_found, "the record " + quote(name) +
                                              " is no message known here; expected one like '" +
                                              avro::message_schemas().front().schema.root().name + "'");
  if (writer.canonical() == ours->schema.canonical()) return avro_reader(*ours, std::nullopt);
  return avro_reader(*ours, avro::resolution(std::move(writer), ours->schema));
}

result<event> avro_reader::read_event(std::string_view bytes) const {
  const auto* of_type = functions_of(type());
  if (of_type == nullptr)
    return failure(error_code::invalid_argument, "the schema is of a " + type() + ", not of an event");
  if (!resolved_) return event_from_avro(bytes, type());
  if (auto ok = check_size(bytes); !ok) return failure(std::move(ok.error()));
  auto tree = resolved_->decode(bytes);
  if (!tree) return failure(std::move(tree.error()));
  event e;
  cursor in(std::string_view{});
  const bool read = of_type->take(*tree, e, in.site);
  return checked(in, read, std::move(e));
}

result<command> avro_reader::read_command(std::string_view bytes) const {
  if (functions_of(type()) != nullptr)
    return failure(error_code::invalid_argument, "the schema is of the event " + type() + ", not of a command");
  if (!resolved_) return command_from_avro(bytes);
  if (auto ok = check_size(bytes); !ok) return failure(std::move(ok.error()));
  auto tree = resolved_->decode(bytes);
  if (!tree) return failure(std::move(tree.error()));
  command c;
  cursor in(std::string_view{});
  const bool read = take(*tree, c, in.site);
  return checked(in, read, std::move(c));
}

}  // namespace horizons
