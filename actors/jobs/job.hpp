// One job as a value: folded from its events, and the decisions about what may happen to it next. Knows no actor,
// clock, journal or device: the job actor tells it what happened and when, appends the events it answers with, and
// carries out the effects.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "messages/commands.hpp"
#include "messages/events.hpp"
#include "messages/result.hpp"

namespace horizons::jobs {

using std::chrono::milliseconds;

enum class job_status : std::uint8_t {
  none,  // no event yet
  submitted,
  queued,
  running,
  retrying,
  paused,
  completed,
  failed,
  cancelled,
  rejected,
};

std::string_view to_string(job_status s);
result<job_status> parse_job_status(std::string_view text);
bool is_final(job_status s);

/// How an attempt failed decides whether another one is made.
enum class error_class : std::uint8_t {
  invalid,    // dataset or parameters: the same again would fail again
  transient,  // disk full, unreachable, busy
  timeout,    // longer than its walltime
  crashed,    // took the process down
  internal,   // a defect of ours
};
std::string_view to_string(error_class c);
error_class classify(error_code code);

/// How often and when a failed attempt is tried again.
struct retry_limits {
  int attempts_max = 3;        // charged attempts, over all error classes
  int crashes_max = 2;         // attempts that took the process down
  int interruptions_max = 50;  // starts lost to a stop, SIGKILL or power: not the job's fault, but not for ever
  milliseconds backoff_first{1'000};
  milliseconds backoff_max{60'000};
};

/// The state of a job: the fold of its events.
struct job {
  std::string tenant, user_id, job_id, correlation_id, traceparent;
  job_submitted request;

  job_status status = job_status::none;
  job_status resume_to = job_status::none;  // while paused: where it was
  std::string reason;                       // of the last change
  int attempt = 0;                          // starts so far
  int failures = 0;                         // charged attempts
  int crashes = 0;
  int interruptions = 0;
  double progress = 0;
  std::string stage;
  std::string device;
  std::optional<timestamp> submitted_at, started_at, finished_at;
  std::optional<problem> error;
  std::vector<result_file> results;
  json metrics = json::object();
  std::uint64_t last_sequence = 0;
  std::uint64_t position = 0;  // of job.submitted: its place among jobs of the same priority

  /// Folds one more event. Events of other jobs, already seen sequences and types beside the life cycle are ignored.
  void apply(const event& e);

  /// As GET /api/jobs/{id} answers; `waiting_for` empty: not said.
  json view(const std::string& waiting_for = {}) const;

  /// A folded job as texts, for projections that keep them: what its submission fixed (the first five members, request,
  /// submitted_at, position), and the rest, which changes.
  std::string origin_snapshot() const;
  std::string state_snapshot() const;
  static result<job> from_snapshots(std::string_view origin, std::string_view state);

  friend bool operator==(const job&, const job&) = default;
};

// -- what may happen to a job -----------------------------------------------------------------------------------

struct start_attempt {
  std::string node, device;
};
struct report_progress {
  int attempt;
  double progress;
  std::string stage;
  std::optional<double> eta_s;
};
struct finish_attempt {
  int attempt;
  double duration_s;
  std::vector<result_file> results;
  json metrics;
};
struct fail_attempt {
  int attempt;
  double duration_s;
  horizons::error why;
  error_class cls;
};
/// A running attempt is gone: the process died or was stopped. attempt 0: whichever runs.
struct lose_attempt {
  std::string why;
  bool crashed = false;
  int attempt = 0;
};
/// The scheduler wants its devices for a more urgent job: it waits again, and goes on from its checkpoint.
struct preempt_attempt {
  int attempt;
  std::string why;  // "gives way to job x of priority 1"
};
struct retry_due {};
struct cancel_job {
  std::string by, reason;
};
struct pause_job {
  std::string by, reason;
};
struct resume_job {
  std::string by, reason;
};
struct retry_job {
  std::string by, reason;
};  // a failed or cancelled job once more

using job_input = std::variant<start_attempt, report_progress, finish_attempt, fail_attempt, lose_attempt,
                               preempt_attempt, retry_due, cancel_job, pause_job, resume_job, retry_job>;

// -- what the actor has to do once the events are durable ---------------------------------------------------------

struct enqueue_job {};  // tell the scheduler that it waits
struct dequeue_job {};  // it waits no longer
struct stop_attempt {
  int attempt;
};  // on its device
struct begin_attempt {
  int attempt;
};                      // on the device it was given
struct free_device {};  // the device it was offered is not needed; a unit that ran frees it itself
struct wait_to_retry {
  milliseconds delay;
};
struct discard_results {
  int attempt;
};                           // of an attempt whose outcome no longer counts
struct discard_progress {};  // what its attempts have kept for a next one: there will be none
using job_effect = std::variant<enqueue_job, dequeue_job, stop_attempt, begin_attempt, free_device, wait_to_retry,
                                discard_results, discard_progress>;

struct decision {
  std::vector<event_data> events;   // to append, in order; none: nothing changes
  std::vector<job_effect> effects;  // to carry out, in order, after the events are durable
};

/// What resources cost, US dollars an hour; both 0: nothing is said of costs.
struct hourly_prices {
  double cpu_usd = 0, gpu_usd = 0;
};

/// The first two events of a new job. Its estimated cost is the most it can be: that of its whole walltime. What it
/// cost in the end is the share of that which the attempt that completed has taken.
std::vector<event_data> accept(command&& c, const std::string& node, const hourly_prices& prices = {});
/// The only event of a submission that came by a bridge and cannot be accepted.
std::vector<event_data> reject(const error& why);

/// What `input` does to `j`. An order that is not possible in the present state is an error `conflict` that names the
/// state; a late or repeated report of an attempt is answered with effects only.
result<decision> decide(const job& j, const job_input& input, const retry_limits& limits, const std::string& node);

}  // namespace horizons::jobs
