// The fields of an event's envelope in wire order, but for event_id, event_type, schema_version (written first) and
// data (written last), which every encoding treats by hand.
#pragma once

#include <tuple>

#include "messages/description.hpp"
#include "messages/events.hpp"

namespace horizons::codec {

inline constexpr std::tuple envelope_fields{
    field<&event::time>{"timestamp", 1, "when it happened: RFC 3339, UTC, milliseconds"},
    field<&event::position>{"position", 1, "place in the journal; left out before the append"},
    field<&event::sequence>{"sequence", 1, "per job from 1, gapless, on life-cycle types only"},
    field<&event::correlation_id>{"correlation_id", 1, "ties messages of one cause together"},
    field<&event::causation_id>{"causation_id", 1, "event_id of what caused it"},
    field<&event::user_id>{"user_id", 1, "who asked"},
    field<&event::tenant>{"tenant", 1, "on whose account"},
    field<&event::job_id>{"job_id", 1, "the job it is about"},
    field<&event::traceparent>{"traceparent", 1, "W3C Trace Context"},
};

}  // namespace horizons::codec
