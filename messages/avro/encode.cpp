#include "messages/avro/codec.hpp"
#include "messages/avro/wire.hpp"

namespace horizons::avro {

namespace {

class encoder {
public:
  explicit encoder(std::string& out) : out_(out) {}

  bool put(const type& t, const value& v, int depth) {
    if (depth > datum_depth_max)
      return fail("nested deeper than " + std::to_string(datum_depth_max), error_code::limit_exceeded);
    switch (t.kind) {
      case kind::null:
        return std::get_if<std::monostate>(&v.datum) != nullptr || mismatch(t);
      case kind::boolean:
        if (const auto* b = std::get_if<bool>(&v.datum)) return out_.put_octet(*b ? 1 : 0), true;
        break;
      case kind::int_:
        if (const auto* n = std::get_if<std::int32_t>(&v.datum)) return out_.put_long(*n), true;
        break;
      case kind::long_:
        if (const auto* n = std::get_if<std::int64_t>(&v.datum)) return out_.put_long(*n), true;
        break;
      case kind::float_:
        if (const auto* x = std::get_if<float>(&v.datum)) return out_.put_float(*x), true;
        break;
      case kind::double_:
        if (const auto* x = std::get_if<double>(&v.datum)) return out_.put_float(*x), true;
        break;
      case kind::bytes:
        if (const auto* b = std::get_if<bytes_value>(&v.datum)) return out_.put_string(b->octets), true;
        break;
      case kind::string:
        if (const auto* s = std::get_if<std::string>(&v.datum)) return put_text(*s);
        break;
      case kind::fixed:
        if (const auto* b = std::get_if<fixed_value>(&v.datum); b != nullptr && b->octets.size() == t.size)
          return out_.put_octets(b->octets), true;
        break;
      case kind::enumeration:
        if (const auto* e = std::get_if<enum_value>(&v.datum)) return put_symbol(t, e->symbol);
        break;
      case kind::record:
        if (const auto* r = std::get_if<record_value>(&v.datum); r != nullptr && r->fields.size() == t.fields.size()) {
          for (std::size_t i = 0; i < t.fields.size(); ++i)
            if (!put(*t.fields[i].type, r->fields[i], depth + 1)) return where.within(t.fields[i].name);
          return true;
        }
        break;
      case kind::array:
        if (const auto* a = std::get_if<array_value>(&v.datum)) return put_array(t, *a, depth);
        break;
      case kind::map:
        if (const auto* m = std::get_if<map_value>(&v.datum)) return put_map(t, *m, depth);
        break;
      case kind::union_:
        if (const auto* u = std::get_if<union_value>(&v.datum);
            u != nullptr && u->branch < t.branches.size() && u->held.size() == 1) {
          out_.put_long(u->branch);
          return put(*t.branches[u->branch], u->held.front(), depth + 1);
        }
        break;
    }
    return mismatch(t);
  }

  sink& out() { return out_; }
  fault where;

private:
  bool fail(std::string reason, error_code code = error_code::invalid_argument) {
    return where.refuse(code, std::move(reason));
  }
  bool mismatch(const type& t) {
    return fail("the value is not shaped as the schema says; expected " + std::string(to_string(t.kind)) +
                (t.name.empty() ? "" : " " + t.name));
  }
  bool put_text(const std::string& text) {
    if (!is_utf8(text)) return fail("not valid UTF-8");
    out_.put_string(text);
    return true;
  }
  bool put_symbol(const type& t, const std::string& symbol) {
    for (std::size_t i = 0; i < t.symbols.size(); ++i)
      if (t.symbols[i] == symbol) return out_.put_long(static_cast<std::int64_t>(i)), true;
    return fail("'" + symbol + "' is no symbol of enum " + t.name);
  }
  bool put_array(const type& t, const array_value& a, int depth) {
    if (!a.items.empty()) out_.put_long(static_cast<std::int64_t>(a.items.size()));
    for (std::size_t i = 0; i < a.items.size(); ++i)
      if (!put(*t.element, a.items[i], depth + 1)) return where.at(i);
    out_.put_long(0);
    return true;
  }
  bool put_map(const type& t, const map_value& m, int depth) {
    if (m.keys.size() != m.items.size()) return mismatch(t);
    if (!m.keys.empty()) out_.put_long(static_cast<std::int64_t>(m.keys.size()));
    for (std::size_t i = 0; i < m.keys.size(); ++i)
      if (!put_text(m.keys[i]) || !put(*t.element, m.items[i], depth + 1)) return where.within(quote(m.keys[i]));
    out_.put_long(0);
    return true;
  }

  sink out_;
};

}  // namespace

result<std::string> encode(const schema& s, const value& v) {
  std::string out;
  encoder e(out);
  if (!e.put(s.root(), v, 0)) return e.where.failure();
  e.out().finish();
  return out;
}

}  // namespace horizons::avro
