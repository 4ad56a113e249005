// Avro schemas (specification 1.11): parsed once from JSON into an immutable graph of types, with the parsing
// canonical form and its CRC-64-AVRO fingerprint. It knows no data: see codec.hpp and resolution.hpp.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "messages/result.hpp"

namespace horizons::avro {

using json = nlohmann::json;

enum class kind : std::uint8_t {
  null,
  boolean,
  int_,
  long_,
  float_,
  double_,
  bytes,
  string,
  record,
  enumeration,
  fixed,
  array,
  map,
  union_,
};

/// The word of the specification: "int", "enum", "record".
std::string_view to_string(kind k);

/// Records, enums and fixed have names; the other types are told apart by their structure.
constexpr bool is_named(kind k) { return k == kind::record || k == kind::enumeration || k == kind::fixed; }

struct type;

struct record_field {
  std::string name;
  std::string doc;
  std::vector<std::string> aliases;
  const avro::type* type = nullptr;
  std::optional<json> default_value;
};

/// One node of the graph. Only what its kind needs is filled in.
struct type {
  avro::kind kind = avro::kind::null;
  std::string name;                           // named: full name, "horizons.job.Submitted"
  std::vector<std::string> aliases;           // named: full names
  std::string doc;                            // records and enums
  std::vector<record_field> fields;           // record, in order of declaration
  std::vector<std::string> symbols;           // enum
  std::optional<std::string> default_symbol;  // enum: what an unknown symbol is read as
  std::size_t size = 0;                       // fixed: bytes
  const type* element = nullptr;              // array items, map values
  std::vector<const type*> branches;          // union
  std::string logical_type;                   // "timestamp-millis"; carried, never interpreted
  json attributes;                            // every other property (precision, scale, …); null when there is none
};

/// The part of a full name after its last dot.
std::string_view unqualified(std::string_view full_name);

struct parse_options {
  bool check_defaults = true;  // false: as registries do, a default that its type cannot hold is kept as it is
};

/// An immutable schema; copies share the graph. Safe to use from any thread.
class schema {
public:
  static constexpr std::size_t bytes_max = 1 << 20;   // of text: a registry's own limit is of this order
  static constexpr std::size_t nesting_max = 96;      // of JSON: a record inside a record takes three levels
  static constexpr std::size_t types_max = 16'384;    // nodes of the graph
  static constexpr std::size_t fixed_max = 16 << 20;  // bytes of one fixed: a message is never larger

  /// Reads a schema. Errors (`unreadable`, `limit_exceeded`) name the path and the reason:
  /// "fields[2].type: no type is called 'strin'; expected a primitive type or a name defined before".
  static result<schema> parse(std::string_view text, parse_options options = {});

  const avro::type& root() const { return *graph_->root; }

  /// Parsing canonical form: what is left of the schema that decides how data is read.
  const std::string& canonical() const { return graph_->canonical; }

  /// CRC-64-AVRO of the canonical form.
  std::uint64_t fingerprint() const { return graph_->fingerprint; }

private:
  friend class schema_parser;
  struct graph {
    std::deque<avro::type> types;  // never moves its elements
    const avro::type* root = nullptr;
    std::string canonical;
    std::uint64_t fingerprint = 0;
  };
  explicit schema(std::shared_ptr<const graph> g) : graph_(std::move(g)) {}

  std::shared_ptr<const graph> graph_;
};

/// CRC-64-AVRO (Rabin fingerprint, specification "Schema Fingerprints").
std::uint64_t crc64_avro(std::string_view text);

}  // namespace horizons::avro
