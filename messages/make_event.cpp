#include "messages/make_event.hpp"

#include "messages/ulid.hpp"

namespace horizons {

result<event> make_event(event_context& context, event_data data) {
  event e;
  e.event_id = make_ulid(context.now);
  e.time = context.now;
  e.sequence = is_life_cycle(data) ? context.sequence + 1 : 0;
  e.correlation_id = context.correlation_id;
  e.causation_id = context.causation_id;
  e.user_id = context.user_id;
  e.tenant = context.tenant;
  e.job_id = context.job_id;
  e.traceparent = context.traceparent;
  e.data = std::move(data);
  if (auto valid = validate(e); !valid) return failure(std::move(valid.error()));
  if (e.sequence != 0) context.sequence = e.sequence;
  return e;
}

}  // namespace horizons
