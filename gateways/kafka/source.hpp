// Reads input topics and does what the records ask for, exactly once in effect: how far a partition is finished is
// stored in the journal, in the transaction that stores the effects; commits to Kafka only show the lag to others.
//
//   cooperative rebalance  partitions come and go without stopping the others; each is claimed in the journal first, so
//                          that its former owner's writes are refused (fenced)
//   order                  records of one lane (job) one after the other, lanes side by side; see partition_tracker.hpp
//   failures that may pass retried with backoff in their lane; after attempts_max (counted only while the house works
//                          otherwise) to the dead letters, and the lane is parked: what follows goes there, too, until
//                          an operator sends the first of them back
//   what cannot be used    to the dead letters with a reason
//   queue of jobs full     nothing is handed out until a single record gets through again
//   another journal        its partitions are not read until `adopt` says from where
//   work stands still      told after a minute, started again after five (K11)
//
// Where reading begins is start_offset.hpp.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gateways/bridges/services.hpp"
#include "gateways/kafka/client.hpp"
#include "gateways/kafka/dead_letter_sink.hpp"
#include "gateways/kafka/partition_tracker.hpp"
#include "gateways/kafka/progress_watch.hpp"
#include "gateways/kafka/record_handler.hpp"
#include "gateways/kafka/source_metrics.hpp"

namespace horizons::kafka {

struct source_topic {
  std::string name;
  handler_factory handler;
};

struct kafka_source_options {
  kafka_options kafka;
  std::vector<source_topic> topics;  // empty: job-submissions, its records to services.handle
  /// Makes missing topics; may block. Empty: nobody does.
  std::function<result<void>()> create_topics{};

  tracker_limits limits{};           // per partition
  std::size_t runnable_max = 8'192;  // records held whose lanes move, or 1,000 beyond services.intake when
                                     // that is more; the rest is left in librdkafka
  milliseconds commit_every{5'000};  // to Kafka: the lag signal
  milliseconds retry_first{250}, retry_max{5'000};  // of claims, questions, marks
  milliseconds fenced_pause{15'000};                // before a partition that somebody else took is claimed again
  milliseconds full_pause{500};                     // before the queue of jobs is asked again; doubles up to 16 times
  milliseconds close_limit{1'000};                  // for leaving the group in order; goes on behind our back after it
  progress_limits progress{};
  std::shared_ptr<source_metrics> metrics = std::make_shared<source_metrics>();
};

struct source_health {
  static constexpr auto lane = kit::lane::control;
  using reply = bridges::bridge_health;
};

/// Takes over the partitions that another journal has read so far: from "committed", "earliest" or a time (RFC 3339).
/// Audited. Errors: invalid_argument, conflict (there are none), unavailable.
struct adopt_partitions {
  static constexpr auto lane = kit::lane::control;
  struct reply {
    std::vector<std::string> partitions;  // "job-submissions[3] from offset 17"
  };
  std::string from, by;
};

using source_api = kit::accepts<source_health, adopt_partitions>;

/// For spawn_blocking.
kit::actor_body kafka_source(kafka_source_options options, bridges::services services, dead_letter_sink dead_letters);

}  // namespace horizons::kafka
