// Documentation that is derived from the descriptions: JSON Schemas of every event type and of commands, and the
// AsyncAPI document of the topics and queues. Text only; docs/ holds the committed copies, and a test compares them.
#pragma once

#include <string>
#include <vector>

namespace horizons {

struct generated_file {
  std::string path;  // below docs/
  std::string text;
};

/// docs/asyncapi.yaml (AsyncAPI 2.6) and docs/schemas/<type>.json (JSON Schema, draft 2020-12), in the order of
/// their paths.
std::vector<generated_file> generated_documentation();

}  // namespace horizons
