#include "messages/avro/codec.hpp"
#include "messages/avro/plan.hpp"

namespace horizons::avro {

namespace {

// A datum that takes no bytes (null, an empty record, a default) costs memory all the same, and a block may claim
// 2^62 of them. So many are free; beyond that the input must be long enough to deserve them.
constexpr std::size_t free_data_base = 65'536;
constexpr std::size_t free_data_per_byte = 4;

class datum_reader {
public:
  explicit datum_reader(cursor& in) : in_(in), free_(free_data_base + free_data_per_byte * in.left()) {}

  bool read(const step& s, value& out, int depth) {
    if (depth > datum_depth_max) return too_deep();
    const auto start = in_.position();
    const bool ok = follow(s, out, depth);
    return ok && (in_.position() != start || spend(1));
  }

private:
  using action = step::action;

  bool follow(const step& s, value& out, int depth) {
    switch (s.does) {
      case action::refuse:
        return in_.fail(s.reason);
      case action::primitive:
        return read_primitive(s.writer->kind, s.reader->kind, out);
      case action::fixed: {
        std::string_view octets;
        if (!in_.get_octets(s.writer->size, octets)) return false;
        out.datum = fixed_value{std::string(octets)};
        return true;
      }
      case action::symbol:
        return read_symbol(s, out);
      case action::array:
        return read_array(s, out, depth);
      case action::map:
        return read_map(s, out, depth);
      case action::record:
        return read_record(s, out, depth);
      case action::writer_union: {
        std::size_t branch = 0;
        return get_index(s.branches.size(), "union branch", branch) && read(*s.branches[branch], out, depth + 1);
      }
      case action::reader_union: {
        union_value u{s.branch, std::vector<value>(1)};
        if (!read(*s.next, u.held.front(), depth + 1)) return false;
        out.datum = std::move(u);
        return true;
      }
    }
    return in_.fail("unknown step", error_code::internal);
  }

  template <class To, class From>
  static bool give(value& out, From x) {
    out.datum = static_cast<To>(x);
    return true;
  }

  template <class From>
  bool give_number(kind as, From x, value& out) {
    switch (as) {
      case kind::int_:
        return give<std::int32_t>(out, x);
      case kind::long_:
        return give<std::int64_t>(out, x);
      case kind::float_:
        return give<float>(out, x);
      default:
        return give<double>(out, x);
    }
  }

  bool read_primitive(kind written, kind as, value& out) {
    switch (written) {
      case kind::null:
        out.datum = std::monostate{};
        return true;
      case kind::boolean: {
        bool b = false;
        return in_.get_boolean(b) && give<bool>(out, b);
      }
      case kind::int_: {
        std::int32_t n = 0;
        return in_.get_int(n) && give_number(as, n, out);
      }
      case kind::long_: {
        std::int64_t n = 0;
        return in_.get_long(n) && give_number(as, n, out);
      }
      case kind::float_: {
        float x = 0;
        return in_.get_float(x) && give_number(as, x, out);
      }
      case kind::double_: {
        double x = 0;
        return in_.get_float(x) && give_number(as, x, out);
      }
      default: {
        std::string_view octets;
        // A string must be UTF-8 whoever asks; bytes only when they are read as a string.
        if (!(written == kind::string || as == kind::string ? in_.get_string(octets) : in_.get_bytes(octets)))
          return false;
        if (as == kind::string)
          out.datum = std::string(octets);
        else
          out.datum = bytes_value{std::string(octets)};
        return true;
      }
    }
  }

  bool read_symbol(const step& s, value& out) {
    std::size_t index = 0;
    if (!get_index(s.symbols.size(), "enum symbol", index)) return false;
    if (s.symbols[index] == nullptr)
      return in_.fail("'" + s.writer->symbols[index] + "' is no symbol of the reader's enum " + s.reader->name);
    out.datum = enum_value{*s.symbols[index]};
    return true;
  }

  bool read_array(const step& s, value& out, int depth) {
    array_value a;
    std::uint64_t count = 0;
    do {
      if (!in_.get_block(count)) return in_.site.at(a.items.size());
      a.items.reserve(a.items.size() + std::min<std::uint64_t>(count, in_.left()));
      for (std::uint64_t i = 0; i < count; ++i)
        if (!read(*s.next, a.items.emplace_back(), depth + 1)) return in_.site.at(a.items.size() - 1);
    } while (count != 0);
    out.datum = std::move(a);
    return true;
  }

  bool read_map(const step& s, value& out, int depth) {
    map_value m;
    std::uint64_t count = 0;
    do {
      if (!in_.get_block(count)) return false;
      for (std::uint64_t i = 0; i < count; ++i) {
        std::string_view key;
        if (!in_.get_string(key)) return in_.site.at(m.keys.size());
        m.keys.emplace_back(key);
        if (!read(*s.next, m.items.emplace_back(), depth + 1)) return in_.site.within(quote(key));
      }
    } while (count != 0);
    out.datum = std::move(m);
    return true;
  }

  bool read_record(const step& s, value& out, int depth) {
    record_value r;
    // Before the memory: a record of many fields that all take no bytes must not be cheaper than its values.
    r.fields.resize(s.reader->fields.size());
    for (const auto& f : s.fields) {
      const bool ok = f.next == nullptr ? skip(*f.field->type, depth + 1) : read(*f.next, r.fields[f.slot], depth + 1);
      if (!ok) return in_.site.within(f.field->name);
    }
    for (const auto& d : s.defaults) {
      if (!spend(d.weight)) return in_.site.within(s.reader->fields[d.slot].name);
      r.fields[d.slot] = d.datum;
    }
    out.datum = std::move(r);
    return true;
  }

  bool skip(const type& t, int depth) {
    if (depth > datum_depth_max) return too_deep();
    const auto start = in_.position();
    const bool ok = skip_datum(t, depth);
    return ok && (in_.position() != start || spend(1));
  }

  bool skip_datum(const type& t, int depth) {
    value ignored;
    std::string_view octets;
    std::size_t index = 0;
    switch (t.kind) {
      case kind::fixed:
        return in_.get_octets(t.size, octets);
      case kind::enumeration:
        return get_index(t.symbols.size(), "enum symbol", index);
      case kind::union_:
        return get_index(t.branches.size(), "union branch", index) && skip(*t.branches[index], depth + 1);
      case kind::record:
        for (const auto& f : t.fields)
          if (!skip(*f.type, depth + 1)) return in_.site.within(f.name);
        return true;
      case kind::array:
      case kind::map: {
        std::uint64_t count = 0;
        do {
          if (!in_.get_block(count)) return false;
          for (std::uint64_t i = 0; i < count; ++i) {
            if (t.kind == kind::map && !in_.get_string(octets)) return false;
            if (!skip(*t.element, depth + 1)) return in_.site.at(i);
          }
        } while (count != 0);
        return true;
      }
      case kind::bytes:
        return in_.get_bytes(octets);
      case kind::string:
        return in_.get_string(octets);
      default:
        return read_primitive(t.kind, t.kind, ignored);
    }
  }

  bool get_index(std::size_t count, const char* what, std::size_t& index) {
    std::int64_t n = 0;
    if (!in_.get_long(n)) return false;
    if (n < 0 || static_cast<std::uint64_t>(n) >= count)
      return in_.fail(std::string(what) + " " + std::to_string(n) + "; the schema has " + std::to_string(count));
    index = static_cast<std::size_t>(n);
    return true;
  }

  bool too_deep() {
    return in_.fail("nested deeper than " + std::to_string(datum_depth_max), error_code::limit_exceeded);
  }

  bool spend(std::size_t data) {
    if (data > free_) return in_.fail("too many data that take no bytes of the input", error_code::limit_exceeded);
    free_ -= data;
    return true;
  }

  cursor& in_;
  std::size_t free_;
};

}  // namespace

bool follow(const step& s, cursor& in, value& out) { return datum_reader(in).read(s, out, 0); }

}  // namespace horizons::avro
