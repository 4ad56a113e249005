// The committed history of every message's Avro schema: docs/schemas/avro/<type>/<version>.avsc. It is what readers
// and writers out there were built with; check.hpp holds today's schemas against it.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "messages/avro/message_schema.hpp"
#include "messages/avro/schema.hpp"
#include "messages/result.hpp"

namespace horizons {

struct committed_schema {
  int version;
  std::string text;
  avro::schema schema;
};

/// By type; each list in ascending order of version.
using schema_history = std::map<std::string, std::vector<committed_schema>>;

/// Reads the folder. A missing folder is an empty history. Errors name the file.
result<schema_history> load_schema_history(const std::filesystem::path& folder);

/// Writes the file of each current schema's version where it is missing or differs in words only. A committed version
/// of which the data would look different is never overwritten: the error says to raise the version. Returns how
/// many files were written.
result<int> commit_schemas(const std::filesystem::path& folder);

}  // namespace horizons
