// How a shard and its jobs write to the journal: events with their identity, and appends that go on until their outcome
// is known.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "actors/jobs/job_actor.hpp"
#include "messages/make_event.hpp"
#include "runtime/journal/journal_actor.hpp"
#include "runtime/kit/kit.hpp"

namespace horizons::jobs {

/// `last_sequence` is that of the job's last event.
void add_events(journal::batch& b, const event_identity& whose, std::uint64_t last_sequence, timestamp now,
                std::vector<event_data> data);

using append_done = std::function<void(result<journal::append_outcome>)>;

/// Appends until the outcome is known: the same events, by their ids, may be sent any number of times. With `give_up`
/// an error that certainly stored nothing is told at once: somebody waits for the answer. What would be refused again
/// (fenced, conflict, invalid_argument, limit_exceeded) is always told. On success the positions are in the events.
void append_until_known(kit::context& self, const job_environment& env, std::shared_ptr<journal::batch> b, bool give_up,
                        append_done done);

}  // namespace horizons::jobs
