// The steps that turn a writer's bytes into a reader's value: what resolution.cpp makes and read.cpp follows.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "messages/avro/schema.hpp"
#include "messages/avro/value.hpp"
#include "messages/avro/wire.hpp"

namespace horizons::avro {

struct step {
  enum class action : std::uint8_t {
    refuse,        // the schemas do not match here
    primitive,     // read the writer's kind, give the reader's
    fixed,         // as it is
    symbol,        // symbols maps the writer's index to the reader's symbol; null: none
    array,         // next: the items
    map,           // next: the values
    record,        // fields in the writer's order, then the defaults
    writer_union,  // branches: one step per branch of the writer
    reader_union,  // branch: which of the reader's is filled by next
  };
  struct field_step {
    const record_field* field;  // the writer's
    const step* next;           // null: skip it
    std::size_t slot;           // in the reader's record
  };
  struct default_step {
    std::size_t slot;
    value datum;
    std::size_t weight;  // how many data it holds
  };

  action does = action::refuse;
  bool filled = false;
  const type* writer = nullptr;
  const type* reader = nullptr;
  const step* next = nullptr;
  std::uint32_t branch = 0;
  std::vector<const step*> branches;
  std::vector<const std::string*> symbols;
  std::vector<field_step> fields;
  std::vector<default_step> defaults;
  std::string reason;  // refuse
};

/// Follows `s` over the input; false leaves the fault in `in`.
bool follow(const step& s, cursor& in, value& out);

}  // namespace horizons::avro
