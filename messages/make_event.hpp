// Builds events: one line makes a valid one, an invalid one is refused with the reason. Nothing here stores or
// sends an event.
#pragma once

#include <string>

#include "messages/events.hpp"
#include "messages/result.hpp"

namespace horizons {

/// What the events of one cause share. `now` and `sequence` come from the caller: nothing here reads a clock.
struct event_context {
  timestamp now{};
  std::string tenant = "default";
  std::string user_id;
  std::string job_id;
  std::string correlation_id;
  std::string causation_id;
  std::string traceparent;
  std::uint64_t sequence = 0;  // of the job's last life-cycle event; 0: none yet
};

/// A valid event with a fresh event_id. A life-cycle event takes the sequence after the context's and moves the
/// context on, so that a chain of calls is gapless; on refusal the context stays as it was.
///
///     auto e = make_event(context, job_progress{.progress = 0.5, .stage = "gridding"});
result<event> make_event(event_context& context, event_data data);

/// Checks the envelope (event_id a ULID, job_id and tenant by their grammar, time within 1970 to 9999, traceparent,
/// sequence on life-cycle types only, bounded texts) and the data (ranges, bounded UTF-8 texts, finite numbers, at
/// most 1 MiB as JSON). A sequence of 0 on a life-cycle event means "not given yet" and passes. The error names
/// path, value and what would be right.
result<void> validate(const event& e);

}  // namespace horizons
