// Builds events: one line makes a valid one, an invalid one is refused with the reason. Nothing here stores or
// sends an event.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

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

/// Whose an event is. The texts are somebody else's.
struct event_identity {
  std::string_view tenant, user_id, job_id, correlation_id, causation_id, traceparent;
};

/// The same unchecked, for whoever hands the event to a journal, which checks what it takes. `last_sequence` is moved
/// on by a life-cycle event.
event new_event(timestamp now, const event_identity& whose, std::uint64_t& last_sequence, event_data data);

/// Checks the envelope (event_id a ULID, job_id and tenant by their grammar, time within 1970 to 9999, traceparent,
/// sequence on life-cycle types only, bounded texts) and the data (ranges, bounded UTF-8 texts, finite numbers, at
/// most 1 MiB as JSON). A sequence of 0 on a life-cycle event means "not given yet" and passes. The error names
/// path, value and what would be right.
result<void> validate(const event& e);

/// The same; answers about how many bytes its values have in memory.
result<std::size_t> checked_size(const event& e);

}  // namespace horizons
