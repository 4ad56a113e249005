// How far a bridge has come in its source, as stored beside the events it caused. A bridge works on many records of
// one partition at a time and finishes them in any order; a relay finishes them in order. Pure value.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "messages/result.hpp"

namespace horizons::journal {

/// One step forward in a source: part of a batch, so it is stored exactly when the batch's events are.
struct source_mark {
  std::string source;       // "kafka/<cluster id>/<topic>/<partition>", "relay/kafka"
  std::uint64_t epoch = 0;  // of claim_source; another one than the stored is refused: fenced
  std::uint64_t offset = 0;
  bool all_before = false;    // everything below `offset` is finished; else `offset` itself is
  std::string park, release;  // a lane of the source that waits for an operator from now on, or no longer; empty: none
  friend bool operator==(const source_mark&, const source_mark&) = default;
};

/// Everything below `next` is finished, and so is what is in `above`; all else is not.
class source_progress {
public:
  static constexpr std::size_t above_max = 10'000;      // a bridge pauses its partition before it comes here
  static constexpr std::uint64_t span_max = 1'000'000;  // from `next` to the highest of them: bounds the bitmap
  static constexpr std::size_t parked_max = 1'000;

  std::uint64_t epoch = 0;  // of the present owner
  std::uint64_t next = 0;   // lowest unfinished offset

  bool finished(std::uint64_t offset) const { return offset < next || above_.contains(offset); }
  /// Releases before it parks; its epoch is not looked at. Errors: limit_exceeded, more than above_max offsets above an
  /// unfinished one, one further than span_max, or parked_max lanes. Nothing is changed then.
  result<void> apply(const source_mark& m);

  const std::set<std::uint64_t>& above() const { return above_; }
  const std::set<std::string, std::less<>>& parked() const { return parked_; }

  /// Text for one column: {"epoch", "next", "above": base64 of a bitmap from next + 1 on, lowest bit first, "parked"}.
  /// Bounded by state_bytes_max, given lanes that batches may carry (admission.hpp).
  std::string encode() const;
  static result<source_progress> decode(std::string_view text);
  static constexpr std::size_t state_bytes_max = std::size_t{1} << 20;

  friend bool operator==(const source_progress&, const source_progress&) = default;

private:
  void absorb();

  std::set<std::uint64_t> above_;
  std::set<std::string, std::less<>> parked_;
};

}  // namespace horizons::journal
