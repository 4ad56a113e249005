// The sources that one append moves: each is read once and written once, however many marks the append brings. A
// batch's marks are made all or not at all. It knows no database.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <span>

#include "runtime/journal/journal.hpp"

namespace horizons::journal {

class source_changes {
public:
  /// What is stored of a source; nothing: it was never claimed.
  using read_function = std::function<result<std::optional<source_progress>>(const std::string& source)>;
  explicit source_changes(read_function read) : read_(std::move(read)) {}

  /// Whether the marks' owner still owns their sources. The inner error is the batch's (`fenced`; `invalid_argument`:
  /// not claimed), the outer one that of reading.
  result<result<void>> check(std::span<const source_mark> marks);

  /// Makes marks that were checked. Error: limit_exceeded, and nothing of them is made.
  result<void> apply(std::span<const source_mark> marks);

  /// What is to be stored.
  std::vector<std::pair<const std::string*, const source_progress*>> changed() const;

private:
  struct entry {
    std::optional<source_progress> progress;
    bool changed = false;
  };
  read_function read_;
  std::map<std::string, entry> sources_;
};

/// A source for its next owner: the epoch raised, all else as it was.
store::claimed_source claimed(std::optional<source_progress> stored);

/// What a database holds as the progress of `source`; the error names the source.
result<source_progress> progress_of(const std::string& source, std::string_view column);

/// "relay/" matches "relay/kafka"; the first name that no longer does ends the search in a sorted list. At most
/// sources_max may match.
inline constexpr std::size_t sources_max = 10'000;
error too_many_sources(std::string_view prefix);

}  // namespace horizons::journal
