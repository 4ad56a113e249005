// Kafka's dead letters: written by the source, looked at and sent back by people.
//
// Two actors. The writer puts what the source cannot use on "<topic>.dlq", on the partition of the same number, and
// answers when it is acknowledged. The desk lists, sends back and parks. What was done with a letter stands in the
// journal, as audit.recorded of resource type "dead-letter": a Kafka record cannot be changed or taken out.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "gateways/bridges/dead_letters.hpp"
#include "gateways/bridges/services.hpp"
#include "gateways/kafka/dead_letter_sink.hpp"
#include "gateways/kafka/producer.hpp"
#include "runtime/kit/system.hpp"

namespace horizons::kafka {

struct dead_letter_options {
  kafka_options kafka;
  std::vector<std::string> sources;               // topics whose dead letters are meant; empty: the catalogue's
  std::size_t scanned_max = 100'000;              // records looked at for one question, the newest of each partition
  std::size_t bytes_max = std::size_t{64} << 20;  // of the letters in one answer
  milliseconds limit{30'000};                     // for one question to the brokers
  std::shared_ptr<producer_metrics> metrics = std::make_shared<producer_metrics>();
};

// -- the writer -------------------------------------------------------------------------------------------------------

struct put_dead_letter {
  struct reply {};
  failed_record what;
  friend std::size_t bytes_of(const put_dead_letter& p) { return bytes_of(p.what.original); }
};
using dead_letter_writer_api = kit::accepts<put_dead_letter>;

/// For spawn_blocking.
kit::actor_body dead_letter_writer(dead_letter_options options, bridges::services services);
/// What the source calls. Errors: unavailable (the queue is full, brokers are away): ask again.
dead_letter_sink sink_of(kit::system& system, kit::handle<dead_letter_writer_api> writer);

// -- the desk ---------------------------------------------------------------------------------------------------------

struct list_dead_letters {
  using reply = std::vector<bridges::dead_letter>;
  bridges::dead_letter_filter filter;
};
struct replay_dead_letters {
  using reply = bridges::replay_report;
  bridges::dead_letter_filter filter;
  bridges::replay_options options;
};
struct park_dead_letter {
  using reply = bool;
  std::string id, by;
};
using dead_letter_desk_api = kit::accepts<list_dead_letters, replay_dead_letters, park_dead_letter>;

/// For spawn_blocking.
kit::actor_body dead_letter_desk(dead_letter_options options, bridges::services services);
/// List: oldest failure first, at most `limit`. Replay: in that order; leaves out parked letters, those sent back
/// `replays_max` times, and, unless asked for by id or state, those that were replayed already. Park: false when it was
/// parked already. Errors: not_found (no such letter), invalid_argument, unavailable.
std::shared_ptr<bridges::dead_letter_box> box_of(kit::system& system, kit::handle<dead_letter_desk_api> desk);

}  // namespace horizons::kafka
