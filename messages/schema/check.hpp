// Whether today's schemas keep the promise made to every reader and writer of the past. The promise is
// FULL_TRANSITIVE: a program of any version reads what a program of any other version wrote. Every field has a
// default (message_schema.hpp), so fields may be added and taken away; types and names may not change.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "messages/avro/compatibility.hpp"
#include "messages/avro/message_schema.hpp"
#include "messages/schema/history.hpp"

namespace horizons {

struct schema_problem {
  std::string type;    // "job.progress"
  int version = 0;     // of today's schema; 0: there is none
  int against = 0;     // the committed version it disagrees with; 0: none
  std::string path;    // the field: "data.eta_s"; empty: the whole schema
  std::string rule;    // of compatibility.hpp, or not_committed, changed_in_place, version_went_back, type_removed
  std::string detail;  // which side has what

  /// "job.progress 2 against 1: data.eta_s: type_mismatch: version 1 cannot read it: …".
  std::string text() const;
};

/// Every way in which `current` breaks with `history`; empty when the promise holds.
std::vector<schema_problem> check_schemas(const schema_history& history,
                                          avro::compatibility_mode mode = avro::compatibility_mode::full_transitive,
                                          std::span<const avro::message_schema> current = avro::message_schemas());

}  // namespace horizons
