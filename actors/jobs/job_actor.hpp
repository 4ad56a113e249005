// The actor around one job: turns messages into inputs of the job's state machine, makes the events durable, and
// carries out the effects. One append is in flight at a time; what arrives meanwhile waits in order.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "actors/jobs/attempt.hpp"
#include "actors/jobs/job_table.hpp"
#include "actors/jobs/protocol.hpp"

namespace horizons::jobs {

/// What every shard and job of a node works with.
struct job_environment {
  std::string node_id;
  std::uint64_t epoch = 0;  // of this node's ownership of the shards
  kit::handle<journal::writer_api> writer;
  bool stores_texts = true;  // see journal::stores_texts
  kit::handle<journal::reader_api> reader;
  kit::handle<scheduler_api> scheduler;
  kit::handle<job_table_api> table;
  told_at_start told = std::make_shared<std::atomic<bool>>(false);
  std::map<std::string, kit::handle<gpu::device_api>> devices;
  std::filesystem::path results_root;
  std::vector<std::string> dataset_allow;
  retry_limits retries;
  hourly_prices prices;
  /// How an attempt is carried out, on the device's thread.
  std::function<result<attempt_outcome>(const attempt_request&, std::stop_token, const gpu::progress_sink&)> run =
      run_attempt;
  milliseconds idle_before_passivation{5'000};
  /// Told when an attempt takes a device and when it leaves it (job empty): for the crash marker.
  std::function<void(const std::string& device, const std::string& job, int attempt)> on_device;
};

/// The body of "job/<id>". `key` names the job; `born`: all its events so far; null: they are read from the journal.
kit::actor_body job_actor(std::shared_ptr<const job_environment> env, kit::handle<shard_api> shard,
                          std::uint32_t shard_number, job_key key, std::shared_ptr<const journal::batch> born);

/// The body of "shard/<n>": makes new jobs durable, routes messages to its jobs, starts their actors when needed and
/// lets idle ones go.
kit::actor_body shard_actor(std::shared_ptr<const job_environment> env, std::uint32_t shard_number);

/// The shards of a node, in order of their numbers.
struct shard_map {
  std::vector<kit::handle<shard_api>> shards;  // journal::shard_count of them
  const kit::handle<shard_api>& of(const job_key& job) const {
    return shards[journal::shard_of(job.tenant, job.job_id)];
  }
};

}  // namespace horizons::jobs
