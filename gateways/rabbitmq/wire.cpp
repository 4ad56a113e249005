#include "gateways/rabbitmq/wire.hpp"

#include "messages/text.hpp"

namespace horizons::rabbitmq {

amqp_table_t table_builder::build(const field_table& table) {
  auto& entries = entries_.emplace_back(table.size());
  for (std::size_t i = 0; i < table.size(); ++i) {
    entries[i].key = to_bytes(table[i].first);
    fill(entries[i].value, table[i].second);
  }
  return {static_cast<int>(entries.size()), entries.data()};
}

void table_builder::fill(amqp_field_value_t& to, const field& from) {
  to.kind = static_cast<std::uint8_t>(from.kind);
  const auto integer = [&](auto v) {
    switch (from.kind) {
      case 'b':
        to.value.i8 = static_cast<std::int8_t>(v);
        break;
      case 'B':
        to.value.u8 = static_cast<std::uint8_t>(v);
        break;
      case 's':
        to.value.i16 = static_cast<std::int16_t>(v);
        break;
      case 'u':
        to.value.u16 = static_cast<std::uint16_t>(v);
        break;
      case 'I':
        to.value.i32 = static_cast<std::int32_t>(v);
        break;
      case 'i':
        to.value.u32 = static_cast<std::uint32_t>(v);
        break;
      case 'D':
        to.value.decimal = {static_cast<std::uint8_t>(static_cast<std::uint64_t>(v) >> 32),
                            static_cast<std::uint32_t>(v)};
        break;
      default:
        to.value.u64 = static_cast<std::uint64_t>(v);  // l, L, T: the same eight bytes
    }
  };
  std::visit(overloaded{[](std::monostate) {}, [&](bool v) { to.value.boolean = v; },
                        [&](std::int64_t v) { integer(v); }, [&](std::uint64_t v) { integer(v); },
                        [&](double v) {
                          if (from.kind == 'f')
                            to.value.f32 = static_cast<float>(v);
                          else
                            to.value.f64 = v;
                        },
                        [&](const std::string& v) { to.value.bytes = to_bytes(v); },
                        [&](const field_array& v) {
                          auto& values = values_.emplace_back(v.size());
                          for (std::size_t i = 0; i < v.size(); ++i) fill(values[i], v[i]);
                          to.value.array = {static_cast<int>(values.size()), values.data()};
                        },
                        [&](const field_table& v) { to.value.table = build(v); }},
             from.value);
}

namespace {

struct table_reader {
  std::size_t count = 0;

  result<field_table> table(const amqp_table_t& from, int depth) {
    field_table out;
    if (auto ok = enter(from.num_entries, depth); !ok) return failure(ok.error());
    out.reserve(static_cast<std::size_t>(from.num_entries));
    for (int i = 0; i < from.num_entries; ++i) {
      auto f = value(from.entries[i].value, depth);
      if (!f) return failure(std::move(f.error()));
      out.emplace_back(std::string(to_view(from.entries[i].key)), std::move(*f));
    }
    return out;
  }

  result<field> value(const amqp_field_value_t& from, int depth) {
    const char kind = static_cast<char>(from.kind);
    const auto& v = from.value;
    switch (kind) {
      case 't':
        return field{kind, v.boolean != 0};
      case 'b':
        return field{kind, std::int64_t{v.i8}};
      case 'B':
        return field{kind, std::int64_t{v.u8}};
      case 's':
        return field{kind, std::int64_t{v.i16}};
      case 'u':
        return field{kind, std::int64_t{v.u16}};
      case 'I':
        return field{kind, std::int64_t{v.i32}};
      case 'i':
        return field{kind, std::int64_t{v.u32}};
      case 'l':
        return field{kind, std::int64_t{v.i64}};
      case 'L':
      case 'T':
        return field{kind, std::uint64_t{v.u64}};
      case 'f':
        return field{kind, double{v.f32}};
      case 'd':
        return field{kind, v.f64};
      case 'D':
        return field{kind, std::uint64_t{v.decimal.decimals} << 32 | v.decimal.value};
      case 'S':
      case 'x':
        return field{kind, std::string(to_view(v.bytes))};
      case 'V':
        return field{};
      case 'F': {
        auto inner = table(v.table, depth + 1);
        if (!inner) return failure(std::move(inner.error()));
        return field{kind, std::move(*inner)};
      }
      case 'A': {
        if (auto ok = enter(v.array.num_entries, depth + 1); !ok) return failure(ok.error());
        field_array out;
        for (int i = 0; i < v.array.num_entries; ++i) {
          auto f = value(v.array.entries[i], depth + 1);
          if (!f) return f;
          out.push_back(std::move(*f));
        }
        return field{kind, std::move(out)};
      }
      default:
        return failure(error_code::unreadable, "headers: a value of the unknown kind " + quote(std::string(1, kind)));
    }
  }

  result<void> enter(int entries, int depth) {
    count += static_cast<std::size_t>(entries);
    if (depth > field_depth_max)
      return failure(error_code::limit_exceeded,
                     "headers: tables are nested deeper than " + std::to_string(field_depth_max));
    if (count > field_count_max)
      return failure(error_code::limit_exceeded, "headers: more than " + std::to_string(field_count_max) + " values");
    return {};
  }
};

}  // namespace

result<field_table> read_table(const amqp_table_t& table) { return table_reader{}.table(table, 1); }

amqp_basic_properties_t to_wire(const properties& p, table_builder& tables) {
  amqp_basic_properties_t out{};
  const auto text = [&](const std::string& from, amqp_bytes_t& to, amqp_flags_t flag) {
    if (from.empty()) return;
    to = to_bytes(from);
    out._flags |= flag;
  };
  text(p.content_type, out.content_type, AMQP_BASIC_CONTENT_TYPE_FLAG);
  text(p.content_encoding, out.content_encoding, AMQP_BASIC_CONTENT_ENCODING_FLAG);
  text(p.correlation_id, out.correlation_id, AMQP_BASIC_CORRELATION_ID_FLAG);
  text(p.reply_to, out.reply_to, AMQP_BASIC_REPLY_TO_FLAG);
  text(p.expiration, out.expiration, AMQP_BASIC_EXPIRATION_FLAG);
  text(p.message_id, out.message_id, AMQP_BASIC_MESSAGE_ID_FLAG);
  text(p.type, out.type, AMQP_BASIC_TYPE_FLAG);
  text(p.user_id, out.user_id, AMQP_BASIC_USER_ID_FLAG);
  text(p.app_id, out.app_id, AMQP_BASIC_APP_ID_FLAG);
  if (!p.headers.empty()) {
    out.headers = tables.build(p.headers);
    out._flags |= AMQP_BASIC_HEADERS_FLAG;
  }
  if (p.delivery_mode != 0) {
    out.delivery_mode = p.delivery_mode;
    out._flags |= AMQP_BASIC_DELIVERY_MODE_FLAG;
  }
  if (p.priority) {
    out.priority = *p.priority;
    out._flags |= AMQP_BASIC_PRIORITY_FLAG;
  }
  if (p.timestamp_s) {
    out.timestamp = *p.timestamp_s;
    out._flags |= AMQP_BASIC_TIMESTAMP_FLAG;
  }
  return out;
}

void from_wire(const amqp_basic_properties_t& p, properties& into) {
  const auto text = [&](amqp_bytes_t from, std::string& to, amqp_flags_t flag) {
    if (p._flags & flag)
      to = to_view(from);
    else
      to.clear();
  };
  text(p.content_type, into.content_type, AMQP_BASIC_CONTENT_TYPE_FLAG);
  text(p.content_encoding, into.content_encoding, AMQP_BASIC_CONTENT_ENCODING_FLAG);
  text(p.correlation_id, into.correlation_id, AMQP_BASIC_CORRELATION_ID_FLAG);
  text(p.reply_to, into.reply_to, AMQP_BASIC_REPLY_TO_FLAG);
  text(p.expiration, into.expiration, AMQP_BASIC_EXPIRATION_FLAG);
  text(p.message_id, into.message_id, AMQP_BASIC_MESSAGE_ID_FLAG);
  text(p.type, into.type, AMQP_BASIC_TYPE_FLAG);
  text(p.user_id, into.user_id, AMQP_BASIC_USER_ID_FLAG);
  text(p.app_id, into.app_id, AMQP_BASIC_APP_ID_FLAG);
  into.headers.clear();
  into.delivery_mode = p._flags & AMQP_BASIC_DELIVERY_MODE_FLAG ? p.delivery_mode : 0;
  into.priority.reset();
  if (p._flags & AMQP_BASIC_PRIORITY_FLAG) into.priority = p.priority;
  into.timestamp_s.reset();
  if (p._flags & AMQP_BASIC_TIMESTAMP_FLAG) into.timestamp_s = p.timestamp;
}

}  // namespace horizons::rabbitmq
