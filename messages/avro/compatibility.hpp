// Whether every datum of one schema can be read with another, and what a history of schemas promises
// (specification 1.11 "Schema Resolution"; the modes are those of schema registries).
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "messages/avro/schema.hpp"
#include "messages/result.hpp"

namespace horizons::avro {

enum class rule {
  type_mismatch,                       // neither equal nor a promotion
  name_mismatch,                       // record, enum or fixed of another name and no alias for it
  fixed_size_mismatch,                 //
  missing_enum_symbols,                // the writer has symbols unknown to the reader, which has no default
  missing_union_branch,                // the writer can send what no branch of the reader holds
  reader_field_missing_default_value,  // the reader wants a field the writer does not send
  ambiguous_alias,                     // one reader's field could read several of the writer's, or the reverse
  nested_too_deep,                     // the schemas are deeper than can be checked
};
std::string_view to_string(rule r);

struct incompatibility {
  avro::rule rule;
  std::string path;    // in the reader's schema: "data.results[].size"; empty: the whole
  std::string detail;  // what the writer has and what the reader wants
};

/// At most `incompatibilities_max` findings: every one but the first is a courtesy.
struct compatibility {
  static constexpr std::size_t incompatibilities_max = 100;
  std::vector<incompatibility> findings;

  bool compatible() const { return findings.empty(); }
};

/// Whether `reader` can read everything that `writer` can write.
compatibility can_read(const schema& reader, const schema& writer);

enum class compatibility_mode {
  none,
  backward,
  forward,
  full,
  backward_transitive,
  forward_transitive,
  full_transitive
};

/// "BACKWARD_TRANSITIVE" as registries write it.
std::string_view to_string(compatibility_mode m);
result<compatibility_mode> parse_compatibility_mode(std::string_view text);

struct history_finding {
  std::size_t version;   // index into the history
  bool candidate_reads;  // true: the candidate cannot read that version; false: that version cannot read the candidate
  incompatibility what;
};

/// Checks a candidate against `history` (oldest first): BACKWARD, the candidate reads; FORWARD, it is read; FULL,
/// both; without _TRANSITIVE only the last version counts.
std::vector<history_finding> check_against(std::span<const schema> history, const schema& candidate,
                                           compatibility_mode mode);

}  // namespace horizons::avro
