// A record while the source works on it: in librdkafka's memory, or as a copy of our own.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "gateways/kafka/client.hpp"
#include "gateways/kafka/partition_tracker.hpp"
#include "gateways/kafka/record.hpp"
#include "gateways/kafka/record_handler.hpp"
#include "runtime/kit/credit.hpp"

namespace horizons::kafka {

/// A record that is worked on. Its bytes stay in librdkafka's buffer (of a whole fetch) while it is quick, and are
/// copied when it has to wait. There may be a hundred thousand of them, and each is met again when its memory has left
/// the caches: what every record needs stands first and together.
struct held_record {
  event_ptr event;
  const rd_kafka_message_t* message = nullptr;  // of event
  timestamp time{};
  struct {
    std::uint64_t offset = 0;
    bool all_before = false, releases = false;  // releases: its lane
  } stored;                                     // the mark of the present try
  kit::local_flow::ticket credit;               // while it is in flight
  std::uint32_t bytes = 0;                      // key and value
  kafka::time_kind time_kind = time_kind::none;
  bool sent_back = false;  // from the dead letters

  std::string lane;
  std::function<void(record_mark, completion)> run;  // of its task; empty: to be read again
  struct origin {
    std::string job_id, traceparent;
  };
  std::unique_ptr<origin> about;        // of its task; null: not known
  std::unique_ptr<record> copy;         // instead of event
  std::unique_ptr<failed_record> dead;  // to be buried
  int tries = 0;
  std::optional<timestamp> first_failed;
  instant last_failed{};
};

/// A view of it, wherever its bytes are; where it came from is left out.
received view(const held_record& h);
/// The mark of the present try, without its source and epoch.
journal::source_mark mark_of(const held_record& h);
record copy_of(const held_record& h);
/// What its handler has read of it.
void keep(held_record& h, task t);

/// It will wait, and be read again then: a task is good for one try, and librdkafka's buffer holds a whole fetch.
void detach(held_record& h);

}  // namespace horizons::kafka
