// librdkafka 2.0.2 made safe to own: its pointers freed by themselves, its errors as values, and the one place that
// turns our settings into its configuration. The defects of exactly this version (K1 … K17) and where each is met are
// listed in README.md. It moves no record: see source.hpp and producer.hpp.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <librdkafka/rdkafka.h>

#include "messages/result.hpp"

namespace horizons::kafka {

using std::chrono::milliseconds;

/// The section [kafka] of the configuration.
struct kafka_options {
  std::vector<std::string> brokers;  // "host:port"
  std::string registry;              // URL of the schema registry; empty: none, Avro cannot be read
  std::string format = "json";       // how events are written: json, avro, msgpack
  std::string group = "horizons";
  bool create_topics = true;

  std::string security_protocol;  // plaintext, ssl, sasl_plaintext, sasl_ssl; empty: what the rest asks for
  std::string sasl_mechanism;     // PLAIN, SCRAM-SHA-256, SCRAM-SHA-512; empty: no SASL
  std::string sasl_username, sasl_password;
  std::string tls_ca, tls_cert, tls_key;  // PEM files

  std::string node;                          // of this process: first part of the client id
  std::map<std::string, std::string> extra;  // librdkafka's own settings; they win (tests, special sites)
};

/// Checks what belongs together (certificate and key, user and mechanism …). Errors name the key.
result<void> validate(const kafka_options& o);

using setting_list = std::vector<std::pair<std::string, std::string>>;

enum class client_role { producer, consumer, admin };

/// What is asked of librdkafka for a role, the caller's `own` settings and `extra` included, in the order they are set.
/// Holds passwords: show `without_secrets` of it.
setting_list settings_of(client_role role, const kafka_options& o, const setting_list& own = {});
setting_list without_secrets(setting_list settings);

template <auto Free>
struct freed_by {
  template <class T>
  void operator()(T* p) const {
    Free(p);
  }
};
template <class T, auto Free>
using owned = std::unique_ptr<T, freed_by<Free>>;

using queue_ptr = owned<rd_kafka_queue_t, rd_kafka_queue_destroy>;
using event_ptr = owned<rd_kafka_event_t, rd_kafka_event_destroy>;
using topic_ptr = owned<rd_kafka_topic_t, rd_kafka_topic_destroy>;
using headers_ptr = owned<rd_kafka_headers_t, rd_kafka_headers_destroy>;
using partition_list_ptr = owned<rd_kafka_topic_partition_list_t, rd_kafka_topic_partition_list_destroy>;
using metadata_ptr = owned<const rd_kafka_metadata_t, rd_kafka_metadata_destroy>;
using error_ptr = owned<rd_kafka_error_t, rd_kafka_error_destroy>;
using message_ptr = owned<rd_kafka_message_t, rd_kafka_message_destroy>;
using admin_options_ptr = owned<rd_kafka_AdminOptions_t, rd_kafka_AdminOptions_destroy>;
using group_metadata_ptr = owned<rd_kafka_consumer_group_metadata_t, rd_kafka_consumer_group_metadata_destroy>;

/// What kind of failure a code of librdkafka or of a broker is. What may pass by itself is `unavailable` or
/// `timed_out`.
error_code kind_of(rd_kafka_resp_err_t code);
/// "<what>: <librdkafka's words> (<NAME>)"; `detail` replaces its words where it says more.
error to_error(rd_kafka_resp_err_t code, std::string_view what, std::string_view detail = {});
/// Takes the error object; null is success.
result<void> to_result(rd_kafka_error_t* e, std::string_view what);

/// A set of partitions and offsets as librdkafka takes it.
partition_list_ptr make_partition_list(int capacity = 8);

/// One librdkafka instance. Destroying it waits at most `close_limit`: an instance that hangs (K4) is given up to a
/// thread of its own and told in the log.
class client {
public:
  struct hooks {
    int events = 0;  // RD_KAFKA_EVENT_…: delivered to the main queue instead of callbacks
    milliseconds close_limit{1'000};
  };

  /// Connects to nobody yet. Errors: invalid_argument, naming the setting (secrets hidden).
  static result<client> open(client_role role, const kafka_options& o, const setting_list& own, hooks h);
  static result<client> open(client_role role, const kafka_options& o) { return open(role, o, {}, {}); }
  ~client();
  client(client&& other) noexcept;
  client& operator=(client&& other) noexcept;

  rd_kafka_t* get() const { return rk_; }
  const std::string& id() const { return id_; }  // client.id, unique (K3)

  /// It is never destroyed, because that would abort the process (K4): its threads go on until the process ends.
  void abandon() noexcept;

  /// What the cluster calls itself; waits for a first connection. Error: unavailable.
  result<std::string> cluster_id(milliseconds limit) const;

  struct topic_layout {
    std::vector<std::int32_t> partitions;
    int leaderless = 0;  // partitions that nobody leads at this moment
  };
  /// One topic as the cluster knows it, asked again until `limit` while the answer may be stale: a broker may not know
  /// a young topic for some 10 ms, or knows it with 0 partitions. Errors: not_found, unavailable, forbidden.
  result<topic_layout> layout_of(const std::string& topic, milliseconds limit) const;

private:
  client(rd_kafka_t* rk, std::string id, milliseconds close_limit);
  void close() noexcept;

  rd_kafka_t* rk_ = nullptr;
  std::string id_;
  milliseconds close_limit_{};
  bool abandoned_ = false;  // read by whoever destroys it only
};

/// Runs `work` on a thread of its own; false when it has not ended within `limit` (it goes on by itself, and whatever
/// it holds is leaked on purpose).
bool run_within(milliseconds limit, std::function<void()> work);

/// While one of these lives, threads of librdkafka may outlive `main`: the process then ends without destroying its
/// static objects, which those threads may still use.
class outliving_threads {
public:
  outliving_threads();
  ~outliving_threads();
  outliving_threads(const outliving_threads&) = delete;
};

}  // namespace horizons::kafka
