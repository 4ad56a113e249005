#include "gateways/kafka/client.hpp"

#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <thread>

#include "gateways/kafka/patience.hpp"
#include "messages/text.hpp"
#include "messages/ulid.hpp"
#include "runtime/telemetry/log.hpp"

namespace horizons::kafka {
namespace {

using std::chrono::steady_clock;

/// syslog levels 0 … 7.
void on_log(const rd_kafka_t* rk, int level, const char* facility, const char* text) {
  const auto how = level <= 3   ? log::level::error
                   : level == 4 ? log::level::warn
                   : level <= 6 ? log::level::info
                                : log::level::debug;
  log::write(how, text, {{"library", "librdkafka"}, {"client", rd_kafka_name(rk)}, {"facility", facility}});
}

bool is_secret(std::string_view name) {
  return name.find("password") != std::string_view::npos || name.find("secret") != std::string_view::npos ||
         name == "ssl.key.pem" || name == "sasl.jaas.config" || name == "sasl.oauthbearer.config";
}

result<rd_kafka_conf_t*> configured(const setting_list& settings) {
  auto* conf = rd_kafka_conf_new();
  std::array<char, 512> why{};
  for (const auto& [name, value] : settings) {
    if (rd_kafka_conf_set(conf, name.c_str(), value.c_str(), why.data(), why.size()) == RD_KAFKA_CONF_OK) continue;
    rd_kafka_conf_destroy(conf);
    return failure(error_code::invalid_argument,
                   "kafka: " + name + (is_secret(name) ? " cannot be used" : " = " + quote(value) + ": " + why.data()));
  }
  return conf;
}

std::string joined(const std::vector<std::string>& items) {
  std::string out;
  for (const auto& item : items) out += (out.empty() ? "" : ",") + item;
  return out;
}

void add_security(const kafka_options& o, setting_list& s) {
  const bool sasl = !o.sasl_mechanism.empty(), tls = !o.tls_ca.empty() || !o.tls_cert.empty();
  auto protocol = o.security_protocol;
  if (protocol.empty()) protocol = std::string(sasl ? "sasl_" : "") + (tls ? "ssl" : "plaintext");
  s.emplace_back("security.protocol", protocol);
  if (!o.tls_ca.empty()) s.emplace_back("ssl.ca.location", o.tls_ca);
  if (!o.tls_cert.empty()) s.emplace_back("ssl.certificate.location", o.tls_cert);
  if (!o.tls_key.empty()) s.emplace_back("ssl.key.location", o.tls_key);
  if (sasl) {
    s.emplace_back("sasl.mechanism", o.sasl_mechanism);
    s.emplace_back("sasl.username", o.sasl_username);
    s.emplace_back("sasl.password", o.sasl_password);
  }
}

void add_consumer(const kafka_options& o, setting_list& s) {
  s.insert(
      s.end(),
      {{"group.id", o.group},
       {"partition.assignment.strategy", "cooperative-sticky"},
       {"enable.auto.commit", "false"},  // the journal holds the offsets
       {"enable.auto.offset.store", "false"},
       {"auto.offset.reset", "error"},  // K7, K10: a reset is an event that we answer, never a silent jump
       {"isolation.level", "read_committed"},
       {"session.timeout.ms", "10000"},
       {"heartbeat.interval.ms", "1000"},   // 3 s is the default; a rebalance waits for a heartbeat of every member
       {"max.poll.interval.ms", "300000"},  // ineffective in 2.0.2 (K11): progress_watch is ours
       {"fetch.wait.max.ms", "100"},        // a resumed or new partition waits for the fetch that is under way
       {"fetch.error.backoff.ms", "50"},    // K12: 500 ms of pause after every change of a leader
       // K12, K14: at either limit fetching pauses for a whole second (2.0.2 has no setting for it), so the bound is in
       // bytes, over all partitions (their queues are forwarded to one), and more than is handled in a second.
       {"queued.min.messages", "1000000"},
       {"queued.max.messages.kbytes", "65536"}});
}

void add_producer(setting_list& s) {
  s.insert(s.end(), {{"enable.idempotence", "true"},
                     {"acks", "all"},
                     {"partitioner", "murmur2_random"},  // as Java's: a key is on the same partition whoever writes it
                     {"retry.backoff.ms", "50"}});       // K10: fixed in 2.0.2, no exponential growth
}

}  // namespace

result<void> validate(const kafka_options& o) {
  const auto wrong = [](std::string text) { return failure(error_code::invalid_argument, "kafka." + std::move(text)); };
  if (o.brokers.empty()) return wrong("brokers is empty; expected addresses like \"host1:9092\"");
  if (o.group.empty()) return wrong("group is empty; expected a name like \"horizons\"");
  if (o.tls_cert.empty() != o.tls_key.empty())
    return wrong("tls_cert and kafka.tls_key belong together; only one of them is given");
  if (!o.sasl_mechanism.empty() && (o.sasl_username.empty() || o.sasl_password.empty()))
    return wrong("sasl_mechanism needs kafka.sasl_username and kafka.sasl_password");
  if (o.sasl_mechanism.empty() && (!o.sasl_username.empty() || o.security_protocol.starts_with("sasl")))
    return wrong("sasl_mechanism is empty; expected PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512");
  constexpr std::array<std::string_view, 5> protocols{"", "plaintext", "ssl", "sasl_plaintext", "sasl_ssl"};
  if (std::find(protocols.begin(), protocols.end(), o.security_protocol) == protocols.end())
    return wrong("security_protocol = " + quote(o.security_protocol) +
                 " is not known; expected plaintext, ssl, sasl_plaintext or sasl_ssl");
  return {};
}

setting_list settings_of(client_role role, const kafka_options& o, const setting_list& own) {
  setting_list s{{"bootstrap.servers", joined(o.brokers)},
                 // K3: members of a group with the same id spin for ever
                 {"client.id", (o.node.empty() ? "horizons" : o.node) + "-" +
                                   make_ulid(std::chrono::floor<milliseconds>(std::chrono::system_clock::now()))},
                 {"socket.nagle.disable", "true"},  // K12
                 {"socket.keepalive.enable", "true"},
                 {"reconnect.backoff.ms", "50"},
                 {"reconnect.backoff.max.ms", "1000"},
                 {"topic.metadata.refresh.interval.ms", "5000"},
                 {"topic.metadata.refresh.fast.interval.ms", "100"},
                 {"allow.auto.create.topics", "false"},  // topics have partitions and retention: see topics.hpp
                 {"log.connection.close", "false"},
                 {"statistics.interval.ms", role == client_role::admin ? "0" : "1000"}};
  add_security(o, s);
  if (role == client_role::consumer) add_consumer(o, s);
  if (role == client_role::producer) add_producer(s);
  s.insert(s.end(), own.begin(), own.end());
  s.insert(s.end(), o.extra.begin(), o.extra.end());
  return s;
}

setting_list without_secrets(setting_list settings) {
  for (auto& [name, value] : settings)
    if (is_secret(name)) value = "***";
  return settings;
}

error_code kind_of(rd_kafka_resp_err_t code) {
  switch (code) {
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
    case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
    case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
      return error_code::timed_out;
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
      return error_code::not_found;
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR__SSL:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
      return error_code::forbidden;
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
    case RD_KAFKA_RESP_ERR__QUEUE_FULL:
      return error_code::limit_exceeded;
    case RD_KAFKA_RESP_ERR__FENCED:
    case RD_KAFKA_RESP_ERR_PRODUCER_FENCED:
    case RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH:
      return error_code::fenced;
    case RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS:
      return error_code::conflict;
    case RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR:
    case RD_KAFKA_RESP_ERR__FS:
      return error_code::io;
    case RD_KAFKA_RESP_ERR__BAD_MSG:
    case RD_KAFKA_RESP_ERR__BAD_COMPRESSION:
    case RD_KAFKA_RESP_ERR_INVALID_MSG:
    case RD_KAFKA_RESP_ERR_INVALID_RECORD:
      return error_code::unreadable;
    case RD_KAFKA_RESP_ERR__INVALID_ARG:
    case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
    case RD_KAFKA_RESP_ERR_INVALID_PARTITIONS:
    case RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR:
    case RD_KAFKA_RESP_ERR_INVALID_CONFIG:
    case RD_KAFKA_RESP_ERR_POLICY_VIOLATION:
    case RD_KAFKA_RESP_ERR_INVALID_REQUEST:
      return error_code::invalid_argument;
    case RD_KAFKA_RESP_ERR__DESTROY:
      return error_code::cancelled;
    case RD_KAFKA_RESP_ERR__STATE:
    case RD_KAFKA_RESP_ERR__CONFLICT:
    case RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED:
    case RD_KAFKA_RESP_ERR__FATAL:
      return error_code::internal;
    default:
      return error_code::unavailable;  // of the 180 codes the rest speaks of leaders, coordinators, connections
  }
}

error to_error(rd_kafka_resp_err_t code, std::string_view what, std::string_view detail) {
  return {kind_of(code), std::string(what) + ": " + (detail.empty() ? rd_kafka_err2str(code) : std::string(detail)) +
                             " (" + rd_kafka_err2name(code) + ")"};
}

result<void> to_result(rd_kafka_error_t* e, std::string_view what) {
  const error_ptr held(e);
  if (!e) return {};
  return failure(to_error(rd_kafka_error_code(e), what, rd_kafka_error_string(e)));
}

partition_list_ptr make_partition_list(int capacity) {
  return partition_list_ptr(rd_kafka_topic_partition_list_new(capacity));
}

bool run_within(milliseconds limit, std::function<void()> work) {
  struct state {
    std::mutex mutex;
    std::condition_variable changed;
    bool ended = false;
  };
  auto shared = std::make_shared<state>();
  std::thread([shared, work = std::move(work)] {
    work();
    const std::lock_guard lock(shared->mutex);
    shared->ended = true;
    shared->changed.notify_all();
  }).detach();
  std::unique_lock lock(shared->mutex);
  return shared->changed.wait_for(lock, limit, [&] { return shared->ended; });
}

namespace {

std::atomic<int> outliving = 0;

}  // namespace

outliving_threads::outliving_threads() {
  static std::once_flag once;
  std::call_once(once, [] {
    ::on_exit(
        [](int status, void*) {
          if (outliving == 0) return;
          std::fflush(nullptr);
          ::_exit(status);
        },
        nullptr);
  });
  ++outliving;
}

outliving_threads::~outliving_threads() { --outliving; }

result<client> client::open(client_role role, const kafka_options& o, const setting_list& own, hooks h) {
  if (auto ok = validate(o); !ok) return failure(ok.error());
  const auto settings = settings_of(role, o, own);
  auto conf = configured(settings);
  if (!conf) return failure(conf.error());
  rd_kafka_conf_set_log_cb(*conf, on_log);
  if (h.events) rd_kafka_conf_set_events(*conf, h.events);
  std::array<char, 512> why{};
  auto* rk = rd_kafka_new(role == client_role::consumer ? RD_KAFKA_CONSUMER : RD_KAFKA_PRODUCER, *conf, why.data(),
                          why.size());
  if (!rk) {
    rd_kafka_conf_destroy(*conf);
    return failure(error_code::invalid_argument, std::string("kafka: no client can be made: ") + why.data());
  }
  std::string id;
  for (const auto& [name, value] : settings)
    if (name == "client.id") id = value;
  return client(rk, std::move(id), h.close_limit);
}

client::client(rd_kafka_t* rk, std::string id, milliseconds close_limit)
    : rk_(rk), id_(std::move(id)), close_limit_(close_limit) {}

client::client(client&& other) noexcept
    : rk_(std::exchange(other.rk_, nullptr)),
      id_(std::move(other.id_)),
      close_limit_(other.close_limit_),
      abandoned_(other.abandoned_) {}

client& client::operator=(client&& other) noexcept {
  if (this != &other) {
    close();
    rk_ = std::exchange(other.rk_, nullptr);
    id_ = std::move(other.id_);
    close_limit_ = other.close_limit_;
    abandoned_ = other.abandoned_;
  }
  return *this;
}

client::~client() { close(); }

void client::close() noexcept {
  if (!rk_ || abandoned_) return;
  // K4: destroying may hang. A consumer was closed before (source.cpp); RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE keeps
  // destroy from closing it once more.
  auto* rk = std::exchange(rk_, nullptr);
  const auto alive = std::make_shared<outliving_threads>();
  if (!run_within(close_limit_, [rk, alive] { rd_kafka_destroy_flags(rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE); }))
    log::error("a Kafka client did not close in time and is given up",
               {{"client", id_}, {"limit_ms", std::to_string(close_limit_.count())}});
}

void client::abandon() noexcept {
  static const auto& alive = *new outliving_threads;  // until the process ends
  (void)alive;
  abandoned_ = true;
  rd_kafka_set_log_level(rk_, 0);  // whatever it goes through from now on is of no interest
}

result<std::string> client::cluster_id(milliseconds limit) const {
  const owned<char, [](char* p) { rd_kafka_mem_free(nullptr, p); }> id(
      rd_kafka_clusterid(rk_, static_cast<int>(limit.count())));
  if (!id)
    return failure(error_code::unavailable, "kafka: no broker told the cluster's id within " +
                                                std::to_string(limit.count()) + " ms; are kafka.brokers right and up?");
  return std::string(id.get());
}

namespace {

result<client::topic_layout> layout_in(const rd_kafka_metadata_topic_t& t) {
  const auto what = std::string("topic ") + t.topic;
  if (t.err != RD_KAFKA_RESP_ERR_NO_ERROR) return failure(to_error(t.err, what));
  if (t.partition_cnt == 0) return failure(error_code::unavailable, what + " has no partitions yet");
  client::topic_layout layout;
  for (int i = 0; i < t.partition_cnt; ++i) {
    layout.partitions.push_back(t.partitions[i].id);
    if (t.partitions[i].leader < 0) ++layout.leaderless;
  }
  return layout;
}

}  // namespace

result<client::topic_layout> client::layout_of(const std::string& topic, milliseconds limit) const {
  const auto until = steady_clock::now() + limit;
  const topic_ptr handle(rd_kafka_topic_new(rk_, topic.c_str(), nullptr));
  // What a broker said counts for more than that the last question came too late.
  result<topic_layout> found = failure(error_code::unavailable, "topic " + topic + ": no broker answered");
  bool answered = false;
  ask_until(limit, [&] {
    const auto left = std::chrono::ceil<milliseconds>(until - steady_clock::now());
    const rd_kafka_metadata_t* raw = nullptr;
    const auto code =
        rd_kafka_metadata(rk_, 0, handle.get(), &raw, static_cast<int>(std::max<std::int64_t>(left.count(), 1)));
    const metadata_ptr answer(raw);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
      if (!answered) found = failure(to_error(code, "topic " + topic));
      return false;
    }
    if (answer->topic_cnt != 1) return false;
    answered = true;
    found = layout_in(answer->topics[0]);
    return found || found.error().code == error_code::forbidden;
  });
  return found;
}

}  // namespace horizons::kafka
