// The job table: a projection of the journal for lists and for finding unfinished jobs at start. Everything in it can
// be rebuilt: changes are folded in memory and, for a table in a file, written late, in pieces and without waiting for
// the disk, the last piece with the journal position that all of them reach. Readers see what is in memory.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "actors/jobs/job.hpp"
#include "actors/jobs/scheduler_core.hpp"
#include "messages/result.hpp"
#include "runtime/journal/journal_actor.hpp"
#include "runtime/kit/kit.hpp"

namespace horizons::jobs {

struct job_query {
  std::string tenant, status, user, agent;  // empty: any
  std::optional<timestamp> since;           // submitted at or after
  std::size_t page_size = 100;              // 1 … 1,000
  std::string page_token;
};

struct job_page {
  std::vector<json> jobs;  // newest first
  std::string next_page_token;
};

/// A job that was not final when its last event was written.
struct open_job {
  job_key job;
  job_status status;
  int priority = 3;
  std::uint64_t position = 0;  // of job.submitted
  int attempt = 0;
  std::string user;
  int gpus = 0, cpus = 1;
  std::int64_t walltime_s = 0;
  std::uint64_t dataset = 0;  // a hash of its name
  std::string agent;
};

/// The table itself, without an actor. Not thread safe.
class job_table {
public:
  virtual ~job_table() = default;

  /// `path` is a file, or ":memory:" for a journal that ends with the process too. A file of another journal, or of
  /// another version, is thrown away and begun anew.
  static result<std::unique_ptr<job_table>> open(const std::string& path, const std::string& journal_id);

  /// The position up to which events are in the table, and in its file.
  virtual std::uint64_t position() const = 0;
  virtual std::uint64_t written() const = 0;
  /// Events in position order; those at or below `position` are ignored. They are in every answer from then on; in the
  /// file when `write` has been called, or a list was asked for.
  virtual result<void> apply(const journal::event_list& events) = 0;
  virtual result<void> write() = 0;
  /// A piece of it, some milliseconds long; true: more is left. Jobs that have not finished are left to the next write,
  /// so that those which come and go are written once.
  virtual result<bool> write_some() = 0;

  virtual result<job_page> list(const job_query& query) = 0;
  /// Up to `limit` unfinished jobs with a position beyond `after`, in order of position.
  virtual result<std::vector<open_job>> open_jobs(std::uint64_t after, std::size_t limit) = 0;
  virtual result<std::optional<job>> find(const job_key& key) = 0;
};

/// Checks a query; answers the position that its page lies before.
result<std::uint64_t> page_begin(const job_query& query);

// -- its actor --------------------------------------------------------------------------------------------------

struct list_jobs {
  using reply = job_page;
  job_query query;
};

struct list_open_jobs {
  using reply = std::vector<open_job>;
  std::uint64_t after = 0;
  std::size_t limit = 10'000;
};

struct find_job {
  using reply = std::optional<job>;
  job_key key;
};

/// Answered when every event up to `position` is in the table.
struct reach_position {
  static constexpr auto lane = kit::lane::control;
  using reply = std::uint64_t;
  std::uint64_t position = 0;
};

using job_table_api = kit::accepts<journal::committed, list_jobs, list_open_jobs, find_job, reach_position>;

/// The body for kit spawn_blocking: opens the table, subscribes to the journal from where it stands, keeps up.
kit::actor_body job_table_actor(std::string path, kit::handle<journal::writer_api> writer);

}  // namespace horizons::jobs
