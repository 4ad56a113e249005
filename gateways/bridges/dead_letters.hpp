// Messages that could not be processed, the same for every broker: what is known of one, and what an operator can do
// with it. Each bridge that has a dead-letter queue offers a `dead_letter_box`.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gateways/bridges/services.hpp"
#include "messages/timestamp.hpp"

namespace horizons::bridges {

/// A message in a dead-letter queue: the original, byte-identical, and what went wrong.
struct dead_letter {
  std::string id;      // "kafka:<topic>.dlq:<partition>:<offset>", "rabbitmq:<hash>": stable, safe in a URL's path
  std::string bridge;  // "kafka", "rabbitmq"
  std::string origin;  // topic[partition]@offset, or exchange/routing key
  std::string reason;  // class: poison, schema, conflict, no-identity, transient …; x-death's reason
  std::string error;   // one sentence
  int attempts = 1;
  int replays = 0;    // how often it was sent back already
  std::string state;  // "open", "replayed", "parked"
  std::optional<timestamp> first_failed_at, last_failed_at;
  std::string job_id, type, traceparent;  // as far as they could be read
  std::optional<std::string> key, value;
  std::vector<std::pair<std::string, std::string>> headers;  // of the original, in order
};

struct dead_letter_filter {
  std::string id, bridge, job_id, type, reason, state;  // empty: any
  std::optional<timestamp> start, end;                  // of the last failure; end exclusive
  std::size_t limit = 100;                              // 1 … 10,000
};

struct replay_options {
  bool dry_run = false;
  double rate_per_s = 100;
  int replays_max = 3;  // a letter that came back as often stays
  std::string by;       // who asks, for the audit
};

struct replay_report {
  std::size_t matched = 0, replayed = 0, skipped = 0;  // skipped: over replays_max, parked
  std::vector<std::string> ids;                        // of what was (or would be) replayed, at most 1,000
  std::vector<std::string> notes;
};

/// Functions return at once and call `then` exactly once, on any thread. Every act is audited.
class dead_letter_box {
public:
  virtual ~dead_letter_box() = default;
  virtual void list(dead_letter_filter filter, callback<std::vector<dead_letter>> then) = 0;
  /// Sends matching letters back where they came from, in the order they came; lanes that were parked go on.
  virtual void replay(dead_letter_filter filter, replay_options options, callback<replay_report> then) = 0;
  /// Keeps a letter from any further replay.
  virtual void park(std::string id, std::string by, callback<bool> then) = 0;
};

/// As the API shows it: key and value as text, or in base64 ("value_base64") when they are not UTF-8. `whole`: with
/// key, value and headers.
json to_json(const dead_letter& letter, bool whole);

/// Several boxes as one: lists are merged by the time of the last failure, orders go to the box whose letter it is.
/// The names are those of `dead_letter::bridge`.
std::shared_ptr<dead_letter_box> all_of(std::vector<std::pair<std::string, std::shared_ptr<dead_letter_box>>> boxes);

}  // namespace horizons::bridges
