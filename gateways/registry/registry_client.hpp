// A Confluent-compatible schema registry over HTTP (Confluent, Apicurio's /apis/ccompat/v7, Karapace): register, look
// up, test for compatibility. It knows nothing about Kafka.
//
// When the registry is down: ids and schemas seen before keep working from the cache; an id never seen is
// `unavailable`, so that a consumer pauses instead of losing the record; registering fails and loses nothing (it
// is idempotent: say it again). After a failure the registry is left alone for `pause`, and every question that
// needs it fails at once.
#pragma once

#include <chrono>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "messages/avro/compatibility.hpp"
#include "messages/avro/schema.hpp"
#include "messages/result.hpp"

namespace horizons::registry {

struct registry_options {
  std::string url;  // "http://user:password@host:8081/apis/ccompat/v7"; the user part never appears in an error
  std::chrono::milliseconds connect_timeout{2'000};
  std::chrono::milliseconds timeout{5'000};      // of one attempt, everything included
  int attempts_max = 3;                          // 5xx, 429 and connection faults are tried again
  std::chrono::milliseconds backoff_first{100};  // doubles with every attempt
  std::chrono::milliseconds backoff_max{2'000};
  std::chrono::milliseconds pause{1'000};        // after the last attempt failed
  std::chrono::milliseconds unknown_for{5'000};  // how long "no such id" is believed
  std::size_t cache_entries_max = 1'024;         // schemas by id
  std::size_t response_bytes_max = 1 << 20;      // what parse_json reads
};

struct registered_schema {
  std::uint32_t id = 0;
  int version = 0;  // 0: the registry did not say
  std::string subject;
};

struct compatibility_answer {
  bool compatible = false;
  std::vector<std::string> reasons;  // the registry's words, if it gives any
};

/// What happened so far; for metrics.
struct registry_counts {
  std::uint64_t requests = 0;
  std::uint64_t retries = 0;
  std::uint64_t failures = 0;  // questions that ended without an answer
  std::uint64_t cache_hits = 0;
};

class registry_client {
public:
  using schema_ptr = std::shared_ptr<const avro::schema>;

  explicit registry_client(registry_options options);
  ~registry_client();
  registry_client(const registry_client&) = delete;
  registry_client& operator=(const registry_client&) = delete;

  /// Gives the schema an id (the old one if it has one). Errors: `conflict` (incompatible with what is there),
  /// `invalid_argument` (no valid schema), `forbidden`, `unavailable`.
  result<std::uint32_t> register_schema(std::string_view subject, const std::string& schema_text);

  /// The schema of an id. Errors: `not_found`, `unavailable`, `unreadable` (not a schema that can be read here).
  result<schema_ptr> schema_by_id(std::uint32_t id);

  /// Id and version of a schema under a subject; `not_found` when it is not registered there.
  result<registered_schema> look_up(std::string_view subject, const std::string& schema_text);

  /// Whether the subject's own rule would let the schema in, against `version` ("latest" or a number). A subject that
  /// does not exist is compatible with everything.
  result<compatibility_answer> test(std::string_view subject, const std::string& schema_text,
                                    std::string_view version = "latest");

  /// The rule of a subject; empty: the registry's own.
  result<avro::compatibility_mode> mode(std::string_view subject = {});
  result<void> set_mode(avro::compatibility_mode mode, std::string_view subject = {});

  registry_counts counts() const;

private:
  struct connection;
  struct reply {
    long status = 0;
    std::string body;
  };
  struct cached {
    schema_ptr schema;                            // null: the registry does not know the id
    std::chrono::steady_clock::time_point until;  // for the unknown
    std::list<std::uint32_t>::iterator recent;
  };

  result<reply> ask(const char* method, const std::string& path, const std::string& body);
  result<std::uint32_t> enroll(std::string_view subject, const std::string& schema_text);
  result<reply> ask_once(const char* method, const std::string& path, const std::string& body);
  std::optional<result<schema_ptr>> cached_schema(std::uint32_t id);
  void remember(std::uint32_t id, schema_ptr schema);

  registry_options options_;
  std::string base_;  // the URL without user and password
  std::string user_;
  std::string password_;
  bool loopback_ = false;

  mutable std::mutex mutex_;  // of what follows; never held while the network is waited for
  std::vector<std::unique_ptr<connection>> idle_;
  std::unordered_map<std::uint32_t, cached> cache_;
  std::list<std::uint32_t> recent_;                     // most recent first
  std::unordered_map<std::string, std::uint32_t> ids_;  // of what was registered here: subject and text
  std::chrono::steady_clock::time_point paused_until_{};
  registry_counts counts_;
};

/// `url` without "user:password@": for messages and logs.
std::string without_secrets(std::string_view url);

}  // namespace horizons::registry
