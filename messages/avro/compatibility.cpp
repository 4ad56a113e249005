#include "messages/avro/compatibility.hpp"

#include <algorithm>
#include <array>
#include <map>

#include "messages/avro/resolution.hpp"

namespace horizons::avro {

namespace {

constexpr std::array<std::string_view, 8> rule_words = {"type_mismatch",        "name_mismatch",
                                                        "fixed_size_mismatch",  "missing_enum_symbols",
                                                        "missing_union_branch", "reader_field_missing_default_value",
                                                        "ambiguous_alias",      "nested_too_deep"};

constexpr std::array<std::string_view, 7> mode_words = {
    "NONE", "BACKWARD", "FORWARD", "FULL", "BACKWARD_TRANSITIVE", "FORWARD_TRANSITIVE", "FULL_TRANSITIVE"};

using findings = std::vector<incompatibility>;

/// A pair of types that is met again while it is being checked is taken to be compatible (recursion). A pair that
/// failed stays failed; one that succeeded may have leant on a pair above it that fails in the end, and is then
/// forgotten (`trail_`).
class pair_checker {
public:
  static constexpr int depth_max = 256;  // far beyond what a datum may have (datum_depth_max)

  findings check(const type& r, const type& w, const std::string& path) {
    if (depth_ == depth_max)
      return {{rule::nested_too_deep, "", "deeper than " + std::to_string(depth_max) + " types"}};
    const auto pair = std::make_pair(&r, &w);
    if (auto known = known_.find(pair); known != known_.end()) return known->second;
    known_.emplace(pair, findings{});
    trail_.push_back(pair);
    const auto mark = trail_.size();
    ++depth_;
    findings found = compare(r, w, path);
    --depth_;
    if (!found.empty()) {
      for (; trail_.size() > mark; trail_.pop_back())
        if (auto leaning = known_.find(trail_.back()); leaning->second.empty()) known_.erase(leaning);
      known_[pair] = found;
    }
    return found;
  }

private:
  static void append(findings& to, findings from) {
    for (auto& f : from)
      if (to.size() < compatibility::incompatibilities_max) to.push_back(std::move(f));
  }

  static std::string described(const type& t) {
    return std::string(to_string(t.kind)) + (t.name.empty() ? "" : " " + t.name);
  }

  findings compare(const type& r, const type& w, const std::string& path) {
    if (w.kind == kind::union_) return compare_writer_union(r, w, path);
    if (r.kind == kind::union_) return compare_reader_union(r, w, path);
    if (w.kind != r.kind) {
      if (promotes(w.kind, r.kind)) return {};
      return {{rule::type_mismatch, path, "the reader has " + described(r) + ", the writer " + described(w)}};
    }
    findings found;
    if (is_named(r.kind) && !names_match(r, w))
      found.push_back({rule::name_mismatch, path, "the reader has " + r.name + ", the writer " + w.name});
    switch (r.kind) {
      case kind::fixed:
        if (r.size != w.size)
          found.push_back(
              {rule::fixed_size_mismatch, path,
               "the reader has " + std::to_string(r.size) + " bytes, the writer " + std::to_string(w.size)});
        break;
      case kind::enumeration:
        compare_symbols(r, w, path, found);
        break;
      case kind::array:
      case kind::map:
        append(found, check(*r.element, *w.element, path + (r.kind == kind::array ? "[]" : "{}")));
        break;
      case kind::record:
        compare_fields(r, w, path, found);
        break;
      default:
        break;
    }
    return found;
  }

  findings compare_writer_union(const type& r, const type& w, const std::string& path) {
    findings found;
    for (const auto* branch : w.branches) append(found, check(r, *branch, path));
    return found;
  }

  findings compare_reader_union(const type& r, const type& w, const std::string& path) {
    for (const auto* branch : r.branches)
      if (may_hold(*branch, w) && check(*branch, w, path).empty()) return {};
    return {
        {rule::missing_union_branch, path, "no branch of the reader's union can hold the writer's " + described(w)}};
  }

  /// Saves a union of thousands from being compared branch by branch in depth.
  static bool may_hold(const type& r, const type& w) {
    return r.kind == w.kind ? !is_named(r.kind) || names_match(r, w) : promotes(w.kind, r.kind);
  }

  static void compare_symbols(const type& r, const type& w, const std::string& path, findings& found) {
    if (r.default_symbol) return;
    std::string missing;
    for (const auto& symbol : w.symbols)
      if (std::find(r.symbols.begin(), r.symbols.end(), symbol) == r.symbols.end())
        missing += (missing.empty() ? "" : ", ") + symbol;
    if (!missing.empty())
      found.push_back({rule::missing_enum_symbols, path, "the reader's enum " + r.name + " lacks " + missing});
  }

  void compare_fields(const type& r, const type& w, const std::string& path, findings& found) {
    std::vector<const record_field*> read;
    for (const auto& field : r.fields) {
      const auto here = path.empty() ? field.name : path + "." + field.name;
      const auto* written = writer_field_of(field, w);
      if (written == nullptr) {
        if (!field.default_value)
          append(found, {{rule::reader_field_missing_default_value, here,
                          "the writer does not send '" + field.name + "' and the reader has no default"}});
        continue;
      }
      if (std::find(read.begin(), read.end(), written) != read.end())
        append(found,
               {{rule::ambiguous_alias, here, "two fields of the reader read the writer's '" + written->name + "'"}});
      read.push_back(written);
      append(found, check(*field.type, *written->type, here));
    }
  }

  using type_pair = std::pair<const type*, const type*>;
  std::map<type_pair, findings> known_;
  std::vector<type_pair> trail_;
  int depth_ = 0;
};

}  // namespace

std::string_view to_string(rule r) { return rule_words[static_cast<std::size_t>(r)]; }
std::string_view to_string(compatibility_mode m) { return mode_words[static_cast<std::size_t>(m)]; }

result<compatibility_mode> parse_compatibility_mode(std::string_view text) {
  for (std::size_t i = 0; i < mode_words.size(); ++i)
    if (mode_words[i] == text) return static_cast<compatibility_mode>(i);
  return failure(error_code::invalid_argument,
                 "compatibility mode '" + std::string(text.substr(0, 64)) +
                     "'; expected NONE, BACKWARD, FORWARD or FULL, the last three also with _TRANSITIVE");
}

compatibility can_read(const schema& reader, const schema& writer) {
  return {pair_checker{}.check(reader.root(), writer.root(), "")};
}

std::vector<history_finding> check_against(std::span<const schema> history, const schema& candidate,
                                           compatibility_mode mode) {
  using enum compatibility_mode;
  std::vector<history_finding> found;
  if (mode == none || history.empty()) return found;
  const bool reads = mode == backward || mode == backward_transitive || mode == full || mode == full_transitive;
  const bool is_read = mode == forward || mode == forward_transitive || mode == full || mode == full_transitive;
  const bool all = mode == backward_transitive || mode == forward_transitive || mode == full_transitive;
  for (std::size_t i = all ? 0 : history.size() - 1; i < history.size(); ++i) {
    if (reads)
      for (auto& f : can_read(candidate, history[i]).findings) found.push_back({i, true, std::move(f)});
    if (is_read)
      for (auto& f : can_read(history[i], candidate).findings) found.push_back({i, false, std::move(f)});
  }
  return found;
}

}  // namespace horizons::avro
