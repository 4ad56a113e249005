// What a bridge to a broker needs from the house, as plain functions and the journal's addresses: horizons.cpp fills
// them in. A bridge translates; what a command does is decided behind `handle`.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "messages/commands.hpp"
#include "messages/result.hpp"
#include "runtime/journal/journal_actor.hpp"
#include "runtime/kit/credit.hpp"

namespace horizons::bridges {

template <class T>
using callback = std::function<void(result<T>)>;

/// One command as it came from a broker.
struct incoming {
  command what;
  std::string proven_user;      // what the broker proves (AMQP user-id); empty: the command's own user_id counts
  std::string fallback_job_id;  // for a submission that names none: the same for the same record, always
  std::string traceparent;      // W3C; empty: a new trace
  std::optional<journal::source_mark> mark;  // stored in the same transaction as what the command causes
};

/// What became of a command.
struct handled {
  enum class outcome {
    applied,   // a new job, or an order carried out
    repeated,  // the same was here before: nothing was stored
    rejected,  // a readable submission that HTTP would refuse with 4xx: a job in state REJECTED
  };
  outcome what = outcome::applied;
  bool marked = false;  // `mark` is stored; else nothing was, and the bridge stores the mark itself
  json job;             // as GET /api/jobs/{id}
};

/// Functions return at once and call `then` exactly once, on any thread.
struct services {
  /// Errors decide what a bridge does: limit_exceeded, the queue of jobs is full: stop reading, ask again later;
  /// unavailable, timed_out, io, disk_full, internal: ask again with backoff; every other one (conflict, not_found,
  /// invalid_argument, forbidden …): to the dead letters, the code is the reason.
  std::function<void(incoming, callback<handled>)> handle;

  /// The credit that the house grants each bridge: commands given to `handle` and not answered yet, in messages and
  /// bytes as they came from the broker. More would only wait here instead of there.
  kit::credit intake{.messages = 4'096, .bytes = std::size_t{64} << 20};

  /// Appends audit.recorded: an administrative act (a replay, an adoption …).
  std::function<void(std::string action, std::string actor, std::string resource_type, std::string resource_id,
                     std::string outcome, callback<std::uint64_t> then)>
      audit;

  kit::handle<journal::writer_api> writer;
  kit::handle<journal::reader_api> reader;
  std::string journal_id, node_id;
  /// The epoch that appends of marks alone may carry (any shard).
  std::uint64_t epoch = 0;
};

/// Why an error that is nobody's fault may pass when asked again.
inline bool may_pass(error_code c) {
  return c == error_code::unavailable || c == error_code::timed_out || c == error_code::io ||
         c == error_code::disk_full || c == error_code::internal;
}

/// How a bridge is, for readiness and `horizons tree`.
struct bridge_health {
  bool ready = false;
  std::string state;  // "up", or what is wrong and what to do
};

}  // namespace horizons::bridges
