#include "messages/make_event.hpp"

#include <utility>

#include "messages/ulid.hpp"

namespace horizons {

event new_event(timestamp now, const event_identity& whose, std::uint64_t& last_sequence, event_data data) {
  return {.event_id = make_ulid(now),
          .time = now,
          .sequence = is_life_cycle(data) ? ++last_sequence : 0,
          .correlation_id = std::string(whose.correlation_id),
          .causation_id = std::string(whose.causation_id),
          .user_id = std::string(whose.user_id),
          .tenant = std::string(whose.tenant),
          .job_id = std::string(whose.job_id),
          .traceparent = std::string(whose.traceparent),
          .data = std::move(data)};
}

result<event> make_event(event_context& context, event_data data) {
  auto sequence = context.sequence;
  auto e = new_event(context.now,
                     {.tenant = context.tenant,
                      .user_id = context.user_id,
                      .job_id = context.job_id,
                      .correlation_id = context.correlation_id,
                      .causation_id = context.causation_id,
                      .traceparent = context.traceparent},
                     sequence, std::move(data));
  if (auto valid = validate(e); !valid) return failure(std::move(valid.error()));
  context.sequence = sequence;
  return e;
}

}  // namespace horizons
