#include "gateways/rabbitmq/field.hpp"

#include <algorithm>

#include "messages/codec/json.hpp"
#include "messages/text.hpp"

namespace horizons::rabbitmq {

namespace {

json to_json_value(const field& f) {
  return std::visit(overloaded{[](std::monostate) { return json(); },
                               [&](std::uint64_t v) {
                                 if (f.kind != 'D') return json(v);
                                 double scaled = static_cast<double>(v & 0xFFFFFFFF);
                                 for (std::uint64_t i = 0; i < std::min<std::uint64_t>(v >> 32, 30); ++i) scaled /= 10;
                                 return json(scaled);
                               },
                               [](const std::string& v) { return json(is_utf8(v) ? v : quote(v, 1'024)); },
                               [](const field_array& v) {
                                 json out = json::array();
                                 for (const field& each : v) out.push_back(to_json_value(each));
                                 return out;
                               },
                               [](const field_table& v) {
                                 json out = json::object();
                                 for (const auto& [name, each] : v)
                                   out[is_utf8(name) ? name : quote(name)] = to_json_value(each);
                                 return out;
                               },
                               [](auto v) { return json(v); }},
                    f.value);
}

}  // namespace

const field* find(const field_table& table, std::string_view name) {
  for (const auto& [known, value] : table)
    if (known == name) return &value;
  return nullptr;
}

void put(field_table& table, std::string name, field value) {
  for (auto& [known, old] : table)
    if (known == name) {
      old = std::move(value);
      return;
    }
  table.emplace_back(std::move(name), std::move(value));
}

std::string text_of(const field_table& table, std::string_view name) {
  const field* f = find(table, name);
  const auto* text = f ? std::get_if<std::string>(&f->value) : nullptr;
  return text ? *text : std::string();
}

std::optional<std::int64_t> number_of(const field& f) {
  if (const auto* v = std::get_if<std::int64_t>(&f.value)) return *v;
  if (const auto* v = std::get_if<std::uint64_t>(&f.value); v && f.kind != 'D' && *v <= INT64_MAX)
    return static_cast<std::int64_t>(*v);
  return std::nullopt;
}

std::optional<std::int64_t> number_of(const field_table& table, std::string_view name) {
  const field* f = find(table, name);
  return f ? number_of(*f) : std::nullopt;
}

std::string to_text(const field& f) {
  if (const auto* text = std::get_if<std::string>(&f.value)) return *text;
  if (std::holds_alternative<std::monostate>(f.value)) return "";
  return json_text(to_json_value(f));
}

header_list to_headers(const field_table& table) {
  header_list out;
  out.reserve(table.size());
  for (const auto& [name, value] : table) out.emplace_back(name, to_text(value));
  return out;
}

}  // namespace horizons::rabbitmq
