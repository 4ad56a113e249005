// Publishes every event of the journal on Kafka: in the journal's order per key, none skipped, repeated only after a
// crash (readers drop what they have by (job_id, sequence)).
//
// It starts at the position stored for its source, reads the journal while it is behind and takes the writer's live
// commits when it is not, keeps a bounded window of events under way, and stores how far everything is acknowledged.
// What it does when something is wrong, and never more than wait:
//   brokers away            the window fills, the journal keeps the rest; goes on by itself
//   producer beyond repair  replaced, see producer.hpp
//   a topic is gone         created again when kafka.create_topics; else waits and says so
//   registry away (Avro)    waits with backoff and says so
//   record refused for good (too large, invalid): published nowhere, audited as "relay.refused" with the event's
//   offset,
//                           counted; the event stays in the journal, where replay finds it
//   writer restarted        claims its source and subscribes again
//   another relay took over ends with "fenced"
#pragma once

#include <memory>
#include <string>

#include "gateways/bridges/services.hpp"
#include "gateways/kafka/event_record.hpp"
#include "gateways/kafka/producer.hpp"
#include "gateways/kafka/relay_metrics.hpp"
#include "runtime/kit/kit.hpp"

namespace horizons::kafka {

struct kafka_relay_options {
  kafka_options kafka;                 // kafka.format, kafka.create_topics …
  std::string source = "relay/kafka";  // under which the journal keeps the position
  schema_id_of schema_id{};            // Avro only; may block
  milliseconds linger{2};
  std::string compression = "none";
  double requests_per_s_max = 600;       // produce requests; about 1,400 saturate three brokers on two cores
  std::size_t events_open_max = 10'000;  // sent and not acknowledged
  std::size_t bytes_open_max = std::size_t{32} << 20;
  std::size_t page_events = 5'000;  // read at once when behind
  std::size_t record_bytes_max = 1'048'000;
  milliseconds mark_every{200};     // the stored position follows the acknowledged one so closely …
  std::size_t mark_events = 5'000;  // … or after so many events
  milliseconds head_every{60'000};  // the head of the audit chain goes to audit-trail
  milliseconds retry_first{500}, retry_max{10'000};
  std::shared_ptr<relay_metrics> metrics = std::make_shared<relay_metrics>();
};

using relay_api = kit::accepts<journal::committed>;

/// For spawn_blocking. Health and figures are in `options.metrics`.
kit::actor_body kafka_relay(kafka_relay_options options, bridges::services services);

/// The key under which the heads of the audit chain lie on audit-trail.
inline constexpr const char* audit_chain_key = "audit-chain";

}  // namespace horizons::kafka
