// The one way into the job system, for every door: checks what a door has read, brings it to the job's shard, and
// answers. Holds no state of its own.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "actors/jobs/job_actor.hpp"
#include "actors/jobs/job_table.hpp"
#include "actors/jobs/scheduler.hpp"
#include "runtime/kit/system.hpp"

namespace horizons::jobs {

struct front_limits {
  std::size_t queued_max = 1'000'000;
  std::size_t queued_max_per_tenant = 1'000'000;
  milliseconds answer_timeout{30'000};
  int gpus_available = 0;
  int cpus_available = 1;
  double memory_gb_available = 0;
};

/// A job as it stood when the answer was given; made into JSON when somebody reads it, which most doors do not.
class job_answer {
public:
  job_answer() = default;
  explicit job_answer(json view) : view_(std::move(view)) {}
  explicit job_answer(std::shared_ptr<const journal::batch> born) : born_(std::move(born)) {}
  /// As GET /api/jobs/{id} answers.
  json view() const;

private:
  json view_;
  std::shared_ptr<const journal::batch> born_;  // all its events; null: view_ says it
};

template <class T>
using answer = std::function<void(result<T>)>;

class front {
public:
  front(kit::system& system, std::shared_ptr<const shard_map> shards, kit::handle<scheduler_api> scheduler,
        kit::handle<job_table_api> table, waiting_count waiting, std::shared_ptr<const waiting_by_tenant> waiting_of,
        std::vector<std::string> dataset_allow, front_limits limits);

  /// Checks and stores a submission; answers when it is durable. `user_id` and `tenant` of the command are proven.
  /// `traceparent` (W3C) may be empty: a new trace.
  /// Errors: invalid_argument (what is wrong and what would be right), conflict (exists with other content),
  /// limit_exceeded (the queue is full), unavailable (the journal cannot be reached), disk_full.
  struct accepted {
    bool is_new = true;
    job_answer job;
  };
  void submit(command c, std::string traceparent, answer<accepted> then) const;

  /// A submission or an order that came by a bridge. A submission that `submit` would refuse as invalid becomes a job
  /// in state REJECTED. `mark` is stored with what the command causes, in the same transaction. Errors: limit_exceeded,
  /// the queue is full; unavailable, timed_out, io, disk_full, try again; fenced, the mark's owner has lost its source;
  /// conflict, not_found, invalid_argument: the command cannot be carried out.
  struct taken {
    bool changed = true;    // false: the same was here before
    bool rejected = false;  // stored as REJECTED
    bool marked = false;
    job_answer job;
  };
  void take(command c, std::string traceparent, std::optional<journal::source_mark> mark, answer<taken> then) const;

  /// order: cancel, pause, resume or retry.
  void give_order(job_key job, std::string_view order, std::string by, std::string reason, answer<json> then) const;

  void get(job_key job, answer<json> then) const;
  void list(job_query query, answer<job_page> then) const;
  void fold(job_key job, answer<jobs::job> then) const;

private:
  result<void> check(const command& c) const;
  result<void> check_queue(const std::string& tenant) const;
  void send(jobs::submit message, answer<taken> then) const;
  void with_waiting(jobs::job j, answer<json> then) const;

  kit::system& system_;
  std::shared_ptr<const shard_map> shards_;
  kit::handle<scheduler_api> scheduler_;
  kit::handle<job_table_api> table_;
  waiting_count waiting_;
  std::shared_ptr<const waiting_by_tenant> waiting_of_;
  std::shared_ptr<const std::vector<std::string>> dataset_allow_;  // shared: answers hold a copy of this object
  front_limits limits_;
};

/// GET /api/agents.
json list_agents();

}  // namespace horizons::jobs
