#include "runtime/journal/source_changes.hpp"

#include <algorithm>

#include "messages/text.hpp"
#include "runtime/journal/admission.hpp"

namespace horizons::journal {

namespace {

/// Whether a mark could hit a limit, given that its batch brings `count` of them.
bool may_fail(const source_progress& p, const source_mark& m, std::size_t count) {
  return p.above().size() + count > source_progress::above_max ||
         p.parked().size() + count > source_progress::parked_max ||
         (!m.all_before && m.offset > p.next && m.offset - p.next > source_progress::span_max);
}

}  // namespace

result<result<void>> source_changes::check(std::span<const source_mark> marks) {
  for (const source_mark& m : marks) {
    auto at = sources_.find(m.source);
    if (at == sources_.end()) {
      auto stored = read_(m.source);
      if (!stored) return failure(std::move(stored.error()));
      at = sources_.emplace(m.source, entry{std::move(*stored)}).first;
    }
    const auto& progress = at->second.progress;
    if (!progress) return result<void>(failure(unclaimed_error(m)));
    if (m.epoch != progress->epoch) return result<void>(failure(fenced_error(m, progress->epoch)));
  }
  return result<void>();
}

result<void> source_changes::apply(std::span<const source_mark> marks) {
  const auto touched = [&](const source_mark& m) -> entry& { return sources_.find(m.source)->second; };
  std::map<entry*, entry> before;  // to take the batch back; copied only where that may be needed
  if (std::ranges::any_of(marks, [&](const auto& m) { return may_fail(*touched(m).progress, m, marks.size()); }))
    for (const source_mark& m : marks) before.try_emplace(&touched(m), touched(m));
  for (const source_mark& m : marks) {
    if (auto ok = touched(m).progress->apply(m); !ok) {
      for (auto& [target, old] : before) *target = std::move(old);
      return ok;
    }
    touched(m).changed = true;
  }
  return {};
}

std::vector<std::pair<const std::string*, const source_progress*>> source_changes::changed() const {
  std::vector<std::pair<const std::string*, const source_progress*>> all;
  for (const auto& [source, e] : sources_)
    if (e.changed) all.emplace_back(&source, &*e.progress);
  return all;
}

store::claimed_source claimed(std::optional<source_progress> stored) {
  store::claimed_source c{stored ? std::move(*stored) : source_progress(), !stored};
  ++c.progress.epoch;
  return c;
}

result<source_progress> progress_of(const std::string& source, std::string_view column) {
  auto progress = source_progress::decode(column);
  if (!progress)
    return failure(progress.error().code, "journal: source " + quote(source) + ": " + progress.error().text);
  return progress;
}

error too_many_sources(std::string_view prefix) {
  return {error_code::limit_exceeded, "more than " + std::to_string(sources_max) + " sources begin with " +
                                          quote(prefix) + "; ask for a longer beginning"};
}

}  // namespace horizons::journal
