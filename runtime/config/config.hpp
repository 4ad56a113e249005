// What a node may be told, once: the typed values, where they come from (a TOML file, the environment, --set) and
// how mistakes are reported. Nothing here starts anything; the keys themselves are described in keys.cpp.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "messages/result.hpp"

namespace horizons {

struct node_section {
  std::string id;  // empty: the machine's name
  std::vector<std::string> roles{"bridge", "jobs", "gpu", "gateway", "consumers"};
  std::string data_dir = "horizons-data";
};

struct http_section {
  std::string listen = "127.0.0.1:8080";  // port 0: any free one
  std::string tls_cert, tls_key;          // both or none
};

struct journal_section {
  std::string url;  // after load(): never empty
  std::int64_t retention_days = 90;
};

struct jobs_section {
  std::int64_t queued_max = 1'000'000;
  std::int64_t queued_max_per_tenant = 100'000;
  std::int64_t attempts_max = 3;
  std::int64_t running_max_per_user = 0, running_max_per_tenant = 0;  // 0: no limit
  std::int64_t gpus_max_per_user = 0, gpus_max_per_tenant = 0;        // 0: no limit
  std::vector<std::string> weights;                                   // "tenant=2", "tenant/user=0.5"; others 1
  std::int64_t cpu_hour_cents = 0, gpu_hour_cents = 0;                // both 0: nothing is said of costs
};

struct kafka_section {
  std::vector<std::string> brokers;
  std::string registry;
  std::string format = "json";
  std::string group = "horizons";
  bool create_topics = true;
  std::int64_t in_flight_max = 4'096;
  std::string security_protocol, sasl_mechanism, sasl_username, sasl_password, sasl_password_file;
  std::string tls_ca, tls_cert, tls_key;
};

struct rabbitmq_section {
  std::vector<std::string> urls;
  std::int64_t reconnect_ms = 1000;
  std::int64_t heartbeat_s = 30;
  std::int64_t prefetch = 100;
  bool dlq_enabled = true;
  bool durable_queues = true;
  bool durable_exchanges = true;
  std::string queue_type = "auto";
  std::string format = "json";
};

/// Which devices jobs run on.
struct device_choice {
  std::string mode = "auto";  // auto, cpu, or "listed"
  std::vector<int> listed;    // CUDA ordinals, when mode is "listed"

  friend bool operator==(const device_choice&, const device_choice&) = default;
};

struct gpu_section {
  device_choice devices;
  std::int64_t memory_cap_mib = 0;  // 0: what the device has
};

struct data_section {
  std::optional<std::vector<std::string>> allow;  // absent: embedded, any file that the user can read
};

struct auth_section {
  std::string mode = "open";
  std::string jwks, issuer, audience;
};

struct telemetry_section {
  std::string otlp_endpoint;  // empty: spans are not exported
  std::int64_t stuck_after_s = 30;
};

struct cluster_section {
  std::string listen, secret_file, tls_cert, tls_key, tls_ca;
};

struct configuration {
  node_section node;
  http_section http;
  journal_section journal;
  jobs_section jobs;
  std::optional<kafka_section> kafka;        // absent: no Kafka bridge
  std::optional<rabbitmq_section> rabbitmq;  // absent: no RabbitMQ bridge
  gpu_section gpu;
  data_section data;
  auth_section auth;
  telemetry_section telemetry;
  std::optional<cluster_section> cluster;  // absent: embedded

  std::map<std::string, std::string> origins;  // "http.listen" -> "configs/node.toml:3"; only what was given
};

/// Where values come from; the later wins: file, environment, set.
struct config_sources {
  std::optional<std::filesystem::path> file;
  std::map<std::string, std::string> environment;  // HORIZONS_SECTION_KEY; see horizons_environment()
  std::vector<std::string> set;                    // "section.key=value"
};

struct loaded_configuration {
  configuration config;
  std::vector<std::string> warnings;  // one line each; to be shown once
};

/// Reads and checks everything. The error's text has one line per mistake ("file:line: key = value is …; expected …"),
/// at most 20 of them. `journal.url` is filled in from `node.data_dir` when it was not given.
result<loaded_configuration> load_configuration(const config_sources& sources);

/// The HORIZONS_ variables of this process.
std::map<std::string, std::string> horizons_environment();

/// What is asked for and not in this build yet, one line each ("kafka (configs/node.toml:9) is not in this build yet;
/// …"). A node that is given any of it must not start.
std::vector<std::string> unsupported(const configuration& config);

/// The configuration as TOML, passwords hidden.
std::string describe(const configuration& config);

/// `configs/reference.toml`: every key, commented out, with its default and what it means.
std::string reference_toml();

/// `configs/embedded.toml`: what one person on one machine may want to change.
std::string embedded_toml();

/// One entry of jobs.weights.
struct named_weight {
  std::string tenant, user;  // user empty: the tenant's own
  double weight = 1;
};

/// "tenant=2" or "tenant/user=0.5"; a weight is from 0.001 to 1000.
result<named_weight> parse_weight(std::string_view text);

/// "host:port" or "[v6]:port" in its parts. Errors say what is wrong with `text`.
struct listen_address {
  std::string host;
  std::uint16_t port = 0;
};
result<listen_address> parse_listen_address(std::string_view text);

/// Whether `host` names this machine only: localhost, 127.0.0.0/8 or ::1.
bool is_loopback(std::string_view host);

}  // namespace horizons
