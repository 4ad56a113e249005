// Reading data with another schema than it was written with (specification 1.11, "Schema Resolution"). The plan
// for a pair of schemas is made once; every datum then follows it. Whether *every* datum of a writer can be
// read is the question of compatibility.hpp.
//
// Where the specification is loose, the Java implementation is followed: of a reader's union the branch of the
// writer's own type wins over an earlier one that needs a promotion.
#pragma once

#include <memory>
#include <string_view>

#include "messages/avro/codec.hpp"
#include "messages/avro/schema.hpp"
#include "messages/avro/value.hpp"
#include "messages/result.hpp"

namespace horizons::avro {

/// Whether the names of two named types match: unqualified, or by one of the reader's aliases.
bool names_match(const type& reader, const type& writer);

/// Whether a datum of primitive `writer` can be read as primitive `reader` (equal kinds included).
bool promotes(kind writer, kind reader);

/// The writer's field that `field` reads: by name, else by alias; null when there is none.
const record_field* writer_field_of(const record_field& field, const type& writer);

/// How data of one writer's schema become values of one reader's schema. Immutable; safe from any thread.
class resolution {
public:
  resolution(schema writer, schema reader);
  ~resolution();
  resolution(resolution&&) noexcept;
  resolution& operator=(resolution&&) noexcept;

  const schema& writer() const { return writer_; }
  const schema& reader() const { return reader_; }

  /// The datum in `bytes`, shaped as the reader's schema says. A pair of schemas that do not match is an error only
  /// when the datum needs the part that does not. Errors name the path and the reason.
  result<value> decode(std::string_view bytes) const;

private:
  struct plan;
  schema writer_;
  schema reader_;
  std::unique_ptr<const plan> plan_;
};

}  // namespace horizons::avro
