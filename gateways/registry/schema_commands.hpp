// What `horizons schema check` and `horizons schema register` do. They return a report; printing and exit status are
// the command line's.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "gateways/registry/registry_client.hpp"
#include "messages/avro/compatibility.hpp"
#include "messages/result.hpp"
#include "messages/schema/check.hpp"

namespace horizons::registry {

struct schema_check_report {
  int schemas = 0;   // how many were checked
  int versions = 0;  // committed versions they were checked against
  avro::compatibility_mode mode = avro::compatibility_mode::full_transitive;
  std::vector<schema_problem> problems;

  bool good() const { return problems.empty(); }
  /// Lines for people, the last one a summary.
  std::string text() const;
  /// One JSON object for `--json`.
  std::string json_text() const;
};

/// Today's schemas against the committed history in `folder` (docs/schemas/avro). An error only when the history cannot
/// be read; an incompatible change is a problem in the report.
result<schema_check_report> schema_check(const std::filesystem::path& folder,
                                         avro::compatibility_mode mode = avro::compatibility_mode::full_transitive);

struct schema_register_report {
  struct row {
    std::string type;      // "job.progress"
    std::string subject;   // "horizons.job.Progress"
    std::uint32_t id = 0;  // 0: refused
    std::string refusal;   // the registry's reason
  };
  std::vector<row> rows;

  bool good() const;
  std::string text() const;
  std::string json_text() const;
};

/// RecordNameStrategy: the subject is the record's full name, whatever the topic.
std::string subject_of(const avro::message_schema& schema);

/// Registers every schema and gives each subject the rule `mode` (Apicurio's own default is NONE). A refused schema is
/// a row with its reason; the error is for a registry that does not answer: nothing is lost, run it again.
result<schema_register_report> schema_register(
    registry_client& registry, avro::compatibility_mode mode = avro::compatibility_mode::full_transitive);

}  // namespace horizons::registry
