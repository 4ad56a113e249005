// The messages between the doors, the shards, the jobs and the scheduler: the whole protocol in one place.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "actors/jobs/job.hpp"
#include "actors/jobs/job_table.hpp"
#include "actors/jobs/scheduler_core.hpp"
#include "gpu/device.hpp"
#include "messages/commands.hpp"
#include "runtime/journal/journal_actor.hpp"
#include "runtime/kit/kit.hpp"

namespace horizons::jobs {

/// False until the node, at its start, has told every shard and the scheduler which jobs were not done. Whoever is
/// started later finds out by itself.
using told_at_start = std::shared_ptr<std::atomic<bool>>;

/// The name under which an attempt runs on a device.
inline std::string unit_id(const job_key& job, int attempt) {
  return job.tenant + "/" + job.job_id + "/" + std::to_string(attempt);
}

// -- to a shard, from the doors -----------------------------------------------------------------------------------

/// A checked submission. Answered when it is durable.
struct submit {
  struct reply {
    bool is_new = true;
    std::string job_id;                          // the existing job's when not new: it may live on another shard
    std::shared_ptr<const journal::batch> born;  // of a new one, its first events as they are in the journal
    bool marked = false;                         // `mark` was stored with the job
  };
  command what;        // job_id set, user_id and tenant proven
  std::string digest;  // of the content
  std::string traceparent;
  std::optional<error> refused;  // it is stored as REJECTED, for this reason
  std::optional<journal::source_mark> mark;
  friend std::size_t bytes_of(const submit& s) { return sizeof(s) + s.what.dataset.size() + 256; }
};

/// cancel, pause, resume or retry, by somebody. Answered with the job afterwards.
struct order {
  static constexpr auto lane = kit::lane::control;
  struct reply {
    json view;
    bool marked = false;  // something changed, and `mark` was stored with it
  };
  job_key job;
  job_input what;  // cancel_job, pause_job, resume_job or retry_job
  std::optional<journal::source_mark> mark;
};

struct get_job {
  using reply = jobs::job;
  job_key job;
};

// -- to a shard, from inside --------------------------------------------------------------------------------------

/// The scheduler gives a device to a job's next attempt. Whoever gets it answers for the device: a unit, or
/// `device_free`. It is said again from time to time while the device is held, because whoever heard it may have died:
/// an attempt that began already looks whether its unit is there.
struct offer_device {
  static constexpr auto lane = kit::lane::control;
  job_key job;
  int attempt = 1;
  std::string device;
};

/// Something that happened to a job's attempt.
struct tell_job {
  static constexpr auto lane = kit::lane::control;
  job_key job;
  job_input what;
};

/// After a start: a job was not final when the node ended.
struct recover_job {
  static constexpr auto lane = kit::lane::control;
  job_key job;
  std::string crashed_by;  // the signal, when its attempt took the process down
};

/// A job actor has nothing to do; `seen` messages came from its shard so far.
struct job_idle {
  static constexpr auto lane = kit::lane::control;
  job_key job;
  std::uint64_t seen = 0;
};

using shard_api = kit::accepts<submit, order, get_job, offer_device, tell_job, recover_job, job_idle>;

// -- to a job, from its shard -------------------------------------------------------------------------------------

/// One message to a job: what the shard was asked, with the right to answer it.
struct job_message {
  static constexpr auto lane = kit::lane::control;  // bounded at the shard, whose data lane it came through
  struct instruction {
    order what;
    kit::promise<order::reply> answer;
  };
  struct question {
    kit::promise<jobs::job> answer;
  };
  struct offer {
    int attempt = 1;
    std::string device;
  };
  struct recovery {
    std::string crashed_by;
  };
  std::variant<instruction, question, offer, job_input, recovery> what;
};

/// The shard has seen that nothing is on its way to this job: end.
struct passivate {
  static constexpr auto lane = kit::lane::control;
};

using job_api = kit::accepts<job_message, passivate>;

// -- to the scheduler ---------------------------------------------------------------------------------------------

/// May be said any number of times.
struct job_waits : waiting_job {
  static constexpr auto lane = kit::lane::control;  // bounded by jobs.queued_max at the doors
};
/// What a queued job tells the scheduler.
job_waits waits(const job& j);
job_waits waits(const event& submitted);
job_waits waits(const open_job& j);

struct job_leaves {
  static constexpr auto lane = kit::lane::control;
  job_key job;
};

/// An attempt needs its device no longer. May be said any number of times.
struct device_free {
  static constexpr auto lane = kit::lane::control;
  std::string device;
  job_key job;
  int attempt = 1;
};

/// Why a job waits: "2 ahead of it", empty when it does not wait.
struct why_waiting {
  using reply = std::string;
  job_key job;
};

/// Stop giving devices out (shutdown), or go on.
struct hold {
  static constexpr auto lane = kit::lane::control;
  bool on = true;
};

using scheduler_api = kit::accepts<job_waits, job_leaves, device_free, why_waiting, hold>;

}  // namespace horizons::jobs
