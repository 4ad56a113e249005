#include "messages/avro/resolution.hpp"

#include <algorithm>
#include <map>

#include "messages/avro/default_value.hpp"
#include "messages/avro/plan.hpp"

namespace horizons::avro {

bool names_match(const type& reader, const type& writer) {
  return unqualified(reader.name) == unqualified(writer.name) ||
         std::find(reader.aliases.begin(), reader.aliases.end(), writer.name) != reader.aliases.end();
}

bool promotes(kind writer, kind reader) {
  if (writer == reader) return true;
  switch (writer) {
    case kind::int_:
      return reader == kind::long_ || reader == kind::float_ || reader == kind::double_;
    case kind::long_:
      return reader == kind::float_ || reader == kind::double_;
    case kind::float_:
      return reader == kind::double_;
    case kind::string:
      return reader == kind::bytes;
    case kind::bytes:
      return reader == kind::string;
    default:
      return false;
  }
}

const record_field* writer_field_of(const record_field& field, const type& writer) {
  auto called = [&](const std::string& name) -> const record_field* {
    for (const auto& f : writer.fields)
      if (f.name == name) return &f;
    return nullptr;
  };
  if (const auto* same = called(field.name)) return same;
  for (const auto& alias : field.aliases)
    if (const auto* renamed = called(alias)) return renamed;
  return nullptr;
}

namespace {

/// How many data a value holds: what filling it in costs.
std::size_t weight_of(const value& v) {
  auto sum = [](const std::vector<value>& all) {
    std::size_t n = 1;
    for (const auto& one : all) n += weight_of(one);
    return n;
  };
  if (const auto* r = std::get_if<record_value>(&v.datum)) return sum(r->fields);
  if (const auto* a = std::get_if<array_value>(&v.datum)) return sum(a->items);
  if (const auto* u = std::get_if<union_value>(&v.datum)) return sum(u->held);
  if (const auto* s = std::get_if<std::string>(&v.datum)) return 1 + s->size() / 64;
  if (const auto* b = std::get_if<bytes_value>(&v.datum)) return 1 + b->octets.size() / 64;
  if (const auto* f = std::get_if<fixed_value>(&v.datum)) return 1 + f->octets.size() / 64;
  if (const auto* m = std::get_if<map_value>(&v.datum)) {
    std::size_t n = sum(m->items);
    for (const auto& key : m->keys) n += 1 + key.size() / 64;
    return n;
  }
  return 1;
}

class planner {
public:
  explicit planner(std::deque<step>& steps) : steps_(steps) {}

  /// Named types can refer to each other in chains of any length, so the plan is filled from a list, not by recursion.
  const step* resolve_all(const type& w, const type& r) {
    const auto* root = resolve(w, r);
    while (!pending_.empty()) {
      auto* next = pending_.back();
      pending_.pop_back();
      fill_once(*next);
    }
    return root;
  }

private:
  using action = step::action;

  step* resolve(const type& w, const type& r) {
    auto [known, fresh] = known_.try_emplace({&w, &r}, nullptr);
    if (!fresh) return known->second;
    auto& s = steps_.emplace_back();
    s.writer = &w;
    s.reader = &r;
    known->second = &s;
    pending_.push_back(&s);
    return &s;
  }

  void fill_once(step& s) {
    if (s.filled) return;
    s.filled = true;
    fill(s, *s.writer, *s.reader);
  }

  bool is_refused(step& s) {
    fill_once(s);
    return s.does == action::refuse;
  }

  void fill(step& s, const type& w, const type& r) {
    if (w.kind == kind::union_) {
      s.does = action::writer_union;
      for (const auto* branch : w.branches) s.branches.push_back(resolve(*branch, r));
      return;
    }
    if (r.kind == kind::union_) return fill_reader_union(s, w, r);
    if (w.kind != r.kind) {
      if (!promotes(w.kind, r.kind))
        return refuse(s, "written as " + described(w) + ", which cannot be read as " + described(r));
      s.does = action::primitive;
      return;
    }
    if (is_named(w.kind) && !names_match(r, w))
      return refuse(s, "written as " + described(w) + "; expected " + described(r));
    switch (w.kind) {
      case kind::record:
        return fill_record(s, w, r);
      case kind::enumeration:
        s.does = action::symbol;
        for (const auto& symbol : w.symbols) s.symbols.push_back(symbol_for(symbol, r));
        return;
      case kind::fixed:
        s.does = action::fixed;
        if (w.size != r.size)
          refuse(s, described(w) + " of " + std::to_string(w.size) + " bytes; expected " + std::to_string(r.size));
        return;
      case kind::array:
      case kind::map:
        s.does = w.kind == kind::array ? action::array : action::map;
        s.next = resolve(*w.element, *r.element);
        return;
      default:
        s.does = action::primitive;
    }
  }

  void fill_record(step& s, const type& w, const type& r) {
    s.does = action::record;
    for (const auto& f : w.fields) s.fields.push_back({&f, nullptr, 0});
    for (std::size_t slot = 0; slot < r.fields.size(); ++slot) {
      const auto& field = r.fields[slot];
      if (const auto* written = writer_field_of(field, w)) {
        auto& f = s.fields[static_cast<std::size_t>(written - w.fields.data())];
        if (f.next != nullptr)
          return refuse(
              s, "two fields of the reader's record " + r.name + " read the writer's field '" + written->name + "'");
        f.next = resolve(*written->type, *field.type);
        f.slot = slot;
        continue;
      }
      if (!field.default_value)
        return refuse(s, "the writer has no field '" + field.name + "' and the reader's has no default");
      auto datum = datum_of_default(*field.type, *field.default_value);
      if (!datum) return refuse(s, "the default of field '" + field.name + "': " + datum.error().text);
      auto weight = weight_of(*datum);
      s.defaults.push_back({slot, std::move(*datum), weight});
    }
  }

  void fill_reader_union(step& s, const type& w, const type& r) {
    auto branch = branch_for(w, r);
    if (!branch) return refuse(s, "written as " + described(w) + ", which no branch of the reader's union can hold");
    s.does = action::reader_union;
    s.branch = *branch;
    s.next = resolve(w, *r.branches[*branch]);
  }

  std::optional<std::uint32_t> branch_for(const type& w, const type& r) {
    auto first = [&](auto fits) -> std::optional<std::uint32_t> {
      for (std::uint32_t i = 0; i < r.branches.size(); ++i)
        if (fits(*r.branches[i])) return i;
      return std::nullopt;
    };
    if (is_named(w.kind))
      if (auto i = first([&](const type& b) { return b.kind == w.kind && b.name == w.name; })) return i;
    if (auto i = first([&](const type& b) {
          return b.kind == w.kind && (!is_named(w.kind) || (names_match(b, w) && !is_refused(*resolve(w, b))));
        }))
      return i;
    return first([&](const type& b) { return promotes(w.kind, b.kind) && b.kind != w.kind; });
  }

  static const std::string* symbol_for(const std::string& symbol, const type& r) {
    for (const auto& s : r.symbols)
      if (s == symbol) return &s;
    return r.default_symbol ? &*r.default_symbol : nullptr;
  }

  static std::string described(const type& t) {
    return std::string(to_string(t.kind)) + (t.name.empty() ? "" : " " + t.name);
  }

  static void refuse(step& s, std::string reason) {
    s.does = action::refuse;
    s.reason = std::move(reason);
  }

  std::deque<step>& steps_;
  std::vector<step*> pending_;
  std::map<std::pair<const type*, const type*>, step*> known_;
};

}  // namespace

struct resolution::plan {
  std::deque<step> steps;
  const step* root = nullptr;
};

resolution::resolution(schema writer, schema reader) : writer_(std::move(writer)), reader_(std::move(reader)) {
  auto made = std::make_unique<plan>();
  made->root = planner(made->steps).resolve_all(writer_.root(), reader_.root());
  plan_ = std::move(made);
}

resolution::~resolution() = default;
resolution::resolution(resolution&&) noexcept = default;
resolution& resolution::operator=(resolution&&) noexcept = default;

result<value> resolution::decode(std::string_view bytes) const {
  cursor in(bytes);
  value out;
  if (!follow(*plan_->root, in, out)) return in.site.failure();
  if (in.left() != 0) return failure(error_code::unreadable, std::to_string(in.left()) + " bytes follow the datum");
  return out;
}

result<value> decode(const schema& writer, std::string_view bytes) { return resolution(writer, writer).decode(bytes); }

}  // namespace horizons::avro
