#include "runtime/config/keys.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "messages/text.hpp"

namespace horizons {
namespace {

using check = std::function<std::string(const config_value&)>;

check between(std::int64_t low, std::int64_t high) {
  return [=](const config_value& v) -> std::string {
    const auto n = std::get<std::int64_t>(v);
    if (n >= low && n <= high) return {};
    return "is out of range; expected " + std::to_string(low) + " to " + std::to_string(high);
  };
}

check one_of(std::vector<std::string> words) {
  return [words = std::move(words)](const config_value& v) -> std::string {
    std::string all;
    for (const auto& word : words) {
      if (word == std::get<std::string>(v)) return {};
      all += (all.empty() ? "" : ", ") + word;
    }
    return "is not known; expected one of " + all;
  };
}

check each(std::function<std::string(const std::string&)> fault, std::string when_empty) {
  return [=](const config_value& v) -> std::string {
    const auto& list = std::get<std::vector<std::string>>(v);
    if (list.empty()) return when_empty;
    for (const auto& item : list)
      if (auto text = fault(item); !text.empty()) return "has " + quote(without_password(item)) + ", which " + text;
    return {};
  };
}

std::string address_fault(const std::string& text) {
  const auto address = parse_listen_address(text);
  if (!address) return address.error().text;
  return address->port == 0 ? "has no port; expected host:port" : "";
}

std::string listen_fault(const config_value& v) {
  const auto address = parse_listen_address(std::get<std::string>(v));
  return address ? "" : address.error().text;
}

std::function<std::string(const std::string&)> starts_with(std::vector<std::string> schemes) {
  return [schemes = std::move(schemes)](const std::string& text) -> std::string {
    std::string all;
    for (const auto& scheme : schemes) {
      if (text.starts_with(scheme)) return {};
      all += (all.empty() ? "" : ", ") + scheme + "…";
    }
    return "does not start with " + all;
  };
}

check url(std::vector<std::string> schemes) {
  return [fault = starts_with(std::move(schemes))](const config_value& v) {
    if (std::get<std::string>(v).empty()) return std::string();  // the same as leaving it out
    const auto text = fault(std::get<std::string>(v));
    return text.empty() ? text : "is not an address that can be used: it " + text;
  };
}

std::string journal_fault(const config_value& v) {
  const auto& text = std::get<std::string>(v);
  if (text.empty() || text == "memory:") return {};
  if (text.starts_with("sqlite:")) return text.size() > 7 ? "" : "names no file; expected \"sqlite:/path/journal.db\"";
  if (text.starts_with("postgresql://") || text.starts_with("postgres://")) return {};
  return "is not known; expected \"sqlite:<path>\", \"postgresql://user@host/db\" or \"memory:\"";
}

std::string weight_fault(const std::string& text) {
  const auto weight = parse_weight(text);
  return weight ? "" : weight.error().text;
}

std::string id_fault(const config_value& v) {
  const auto& text = std::get<std::string>(v);
  return text.empty() || is_name(text) ? "" : "is not a name; expected letters, digits, '.', '_', '-', at most 64";
}

std::string directory_fault(const config_value& v) {
  return std::get<std::string>(v).empty() ? "is empty; expected a directory" : "";
}

template <class T>
constexpr value_kind kind_of() {
  if constexpr (std::is_same_v<T, std::string>) return value_kind::text;
  if constexpr (std::is_same_v<T, std::int64_t>) return value_kind::whole;
  if constexpr (std::is_same_v<T, bool>) return value_kind::boolean;
  if constexpr (std::is_same_v<T, device_choice>) return value_kind::devices;
  return value_kind::list;
}

template <class T>
const T& plain(const T& section) {
  return section;
}
template <class T>
T plain(const std::optional<T>& section) {
  return section.value_or(T{});
}

template <class T>
T& present(T& section) {
  return section;
}
template <class T>
T& present(std::optional<T>& section) {
  return section ? *section : section.emplace();
}

/// `Section` and `Member` are member pointers: configuration::*, section::*.
template <auto Section, auto Member>
config_key key(std::string_view section, std::string_view name, std::string_view example, std::string_view doc,
               check fault = nullptr, secrecy secret = secrecy::none) {
  using section_type = std::remove_cvref_t<decltype(plain(std::declval<configuration>().*Section))>;
  using field_type = std::remove_cvref_t<decltype(std::declval<section_type>().*Member)>;
  constexpr bool may_be_absent = std::is_same_v<field_type, std::optional<std::vector<std::string>>>;
  using stored = std::conditional_t<may_be_absent, std::vector<std::string>, field_type>;
  return {.section = section,
          .name = name,
          .kind = kind_of<stored>(),
          .doc = doc,
          .example = example,
          .set = [](configuration& c, config_value v) { present(c.*Section).*Member = std::get<stored>(std::move(v)); },
          .get = [](const configuration& c) -> config_value {
            const section_type owner = plain(c.*Section);
            const auto& value = owner.*Member;
            if constexpr (may_be_absent)
              return value.value_or(std::vector<std::string>{});
            else
              return value;
          },
          .fault = std::move(fault),
          .secret = secret};
}

std::vector<config_key> make_keys() {
  using c = configuration;
  const check roles = each(
      [](const std::string& role) -> std::string {
        for (auto known : {"bridge", "jobs", "gpu", "gateway", "consumers"})
          if (role == known) return {};
        return "is not a role; expected bridge, jobs, gpu, gateway, consumers";
      },
      "is empty; expected at least one of bridge, jobs, gpu, gateway, consumers");
  return {
      key<&c::node, &node_section::id>("node", "id", "\"imaging-1\"", "The node's name; empty: the machine's.",
                                       id_fault),
      key<&c::node, &node_section::roles>("node", "roles", "[\"jobs\", \"gpu\"]", "What this node does.", roles),
      key<&c::node, &node_section::data_dir>("node", "data_dir", "\"/var/lib/horizons\"",
                                             "Journal, results and token live here; one node per directory.",
                                             directory_fault),
      key<&c::http, &http_section::listen>(
          "http", "listen", "\"127.0.0.1:8080\"",
          "Address of the API and the web page; port 0: any free one, named in \"ready "
          "<url>\".",
          listen_fault),
      key<&c::http, &http_section::tls_cert>("http", "tls_cert", "\"/etc/horizons/cert.pem\"",
                                             "Certificate chain, PEM; together with tls_key."),
      key<&c::http, &http_section::tls_key>("http", "tls_key", "\"/etc/horizons/key.pem\"", "Private key, PEM."),
      key<&c::journal, &journal_section::url>("journal", "url", "\"sqlite:/data/journal.db\"",
                                              "\"sqlite:<path>\", \"postgresql://user@host1,host2/db\" or \"memory:\" "
                                              "(forgets everything); empty: <data_dir>/journal.db.",
                                              journal_fault, secrecy::password_in_url),
      key<&c::journal, &journal_section::retention_days>(
          "journal", "retention_days", "90",
          "Events older than this go into compressed archives, which replay reads as well.", between(1, 36'500)),
      key<&c::jobs, &jobs_section::queued_max>(
          "jobs", "queued_max", "1000000", "Jobs that may wait; more are refused (HTTP 429).", between(1, 100'000'000)),
      key<&c::jobs, &jobs_section::queued_max_per_tenant>("jobs", "queued_max_per_tenant", "100000",
                                                          "The same for one tenant.", between(1, 100'000'000)),
      key<&c::jobs, &jobs_section::attempts_max>("jobs", "attempts_max", "3", "Starts of one job before it fails.",
                                                 between(1, 100)),
      key<&c::jobs, &jobs_section::running_max_per_user>("jobs", "running_max_per_user", "4",
                                                         "Jobs of one user that may run at a time; 0: no limit.",
                                                         between(0, 1'000'000)),
      key<&c::jobs, &jobs_section::running_max_per_tenant>("jobs", "running_max_per_tenant", "16",
                                                           "The same for one tenant.", between(0, 1'000'000)),
      key<&c::jobs, &jobs_section::gpus_max_per_user>("jobs", "gpus_max_per_user", "2",
                                                      "GPUs that one user's running jobs may hold; 0: no limit.",
                                                      between(0, 1'000'000)),
      key<&c::jobs, &jobs_section::gpus_max_per_tenant>("jobs", "gpus_max_per_tenant", "8", "The same for one tenant.",
                                                        between(0, 1'000'000)),
      key<&c::jobs, &jobs_section::weights>("jobs", "weights", "[\"physics=2\", \"physics/ada=0.5\"]",
                                            "Shares of device time: of tenants among tenants, of users among the users "
                                            "of their tenant; 1 for whom is not "
                                            "named.",
                                            each(weight_fault, "")),
      key<&c::jobs, &jobs_section::cpu_hour_cents>(
          "jobs", "cpu_hour_cents", "5", "Price of one CPU for an hour, US cents; 0: nothing is said of costs.",
          between(0, 1'000'000)),
      key<&c::jobs, &jobs_section::gpu_hour_cents>("jobs", "gpu_hour_cents", "250",
                                                   "Price of one GPU for an hour, US cents.", between(0, 1'000'000)),
      key<&c::kafka, &kafka_section::brokers>("kafka", "brokers", "a list of addresses like \"host1:9092,host2:9092\"",
                                              "Bootstrap addresses.",
                                              each(address_fault, "is empty; expected addresses like \"host1:9092\"")),
      key<&c::kafka, &kafka_section::registry>("kafka", "registry", "\"http://host:8081\"",
                                               "Schema registry (Confluent API); needed for format = \"avro\".",
                                               url({"http://", "https://"}), secrecy::password_in_url),
      key<&c::kafka, &kafka_section::format>("kafka", "format", "\"json\"",
                                             "How events are written: json, avro, msgpack.",
                                             one_of({"json", "avro", "msgpack"})),
      key<&c::kafka, &kafka_section::group>("kafka", "group", "\"horizons\"", "Prefix of the consumer groups."),
      key<&c::kafka, &kafka_section::create_topics>("kafka", "create_topics", "true",
                                                    "Create missing topics at start."),
      key<&c::kafka, &kafka_section::in_flight_max>(
          "kafka", "in_flight_max", "4096", "Commands read and not yet answered by the jobs; more wait on Kafka.",
          between(1, 100'000)),
      key<&c::kafka, &kafka_section::security_protocol>(
          "kafka", "security_protocol", "\"sasl_ssl\"",
          "plaintext, ssl, sasl_plaintext or sasl_ssl; empty: what the keys below ask for.",
          one_of({"", "plaintext", "ssl", "sasl_plaintext", "sasl_ssl"})),
      key<&c::kafka, &kafka_section::sasl_mechanism>("kafka", "sasl_mechanism", "\"SCRAM-SHA-512\"",
                                                     "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; empty: no user.",
                                                     one_of({"", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"})),
      key<&c::kafka, &kafka_section::sasl_username>("kafka", "sasl_username", "\"horizons\"", "User at the brokers."),
      key<&c::kafka, &kafka_section::sasl_password>(
          "kafka", "sasl_password", "a text", "Its password; better in the environment, or in sasl_password_file.",
          nullptr, secrecy::all),
      key<&c::kafka, &kafka_section::sasl_password_file>(
          "kafka", "sasl_password_file", "\"/etc/horizons/kafka.password\"", "File whose first line is the password."),
      key<&c::kafka, &kafka_section::tls_ca>("kafka", "tls_ca", "\"/etc/horizons/ca.pem\"",
                                             "Whose certificates of brokers are trusted, PEM; empty: the system's."),
      key<&c::kafka, &kafka_section::tls_cert>("kafka", "tls_cert", "\"/etc/horizons/kafka.pem\"",
                                               "Our certificate, PEM; together with tls_key."),
      key<&c::kafka, &kafka_section::tls_key>("kafka", "tls_key", "\"/etc/horizons/kafka.key\"",
                                              "Its private key, PEM."),
      key<&c::rabbitmq, &rabbitmq_section::urls>(
          "rabbitmq", "urls", "a list of addresses like \"amqp://user@host:5672/\"", "Nodes of the cluster.",
          each(starts_with({"amqp://", "amqps://"}), "is empty; expected addresses like \"amqp://user@host\""),
          secrecy::password_in_url),
      key<&c::rabbitmq, &rabbitmq_section::reconnect_ms>("rabbitmq", "reconnect_ms", "1000",
                                                         "First pause before connecting again, milliseconds.",
                                                         between(1, 600'000)),
      key<&c::rabbitmq, &rabbitmq_section::heartbeat_s>("rabbitmq", "heartbeat_s", "30", "AMQP heartbeat, seconds.",
                                                        between(1, 3600)),
      key<&c::rabbitmq, &rabbitmq_section::prefetch>("rabbitmq", "prefetch", "100", "Messages taken without an answer.",
                                                     between(1, 65'535)),
      key<&c::rabbitmq, &rabbitmq_section::dlq_enabled>("rabbitmq", "dlq_enabled", "true",
                                                        "Send what cannot be used to job-dlq."),
      key<&c::rabbitmq, &rabbitmq_section::durable_queues>("rabbitmq", "durable_queues", "true",
                                                           "Queues survive the broker."),
      key<&c::rabbitmq, &rabbitmq_section::durable_exchanges>("rabbitmq", "durable_exchanges", "true",
                                                              "Exchanges survive the broker."),
      key<&c::rabbitmq, &rabbitmq_section::queue_type>(
          "rabbitmq", "queue_type", "\"quorum\"",
          "Of queues that are declared: classic, quorum, or auto: quorum when several urls are given.",
          one_of({"auto", "classic", "quorum"})),
      key<&c::rabbitmq, &rabbitmq_section::format>(
          "rabbitmq", "format", "\"json\"", "How events are written: json, msgpack.", one_of({"json", "msgpack"})),
      key<&c::gpu, &gpu_section::devices>("gpu", "devices", "\"auto\", \"cpu\" or a list like [0, 1]",
                                          "Which devices run jobs: \"auto\", \"cpu\" or CUDA numbers."),
      key<&c::gpu, &gpu_section::memory_cap_mib>("gpu", "memory_cap_mib", "16384",
                                                 "Device memory that jobs may use, MiB; 0: what the device has.",
                                                 between(0, 10'000'000)),
      key<&c::data, &data_section::allow>(
          "data", "allow", "[\"file:///data/\", \"https://archive.example.org/\"]",
          "Where datasets may be read from; absent: embedded, any file that the user can read; "
          "otherwise nothing.",
          each(starts_with({"file:///", "https://", "http://", "s3://"}),
               "is empty; leave it out to allow any file, or name places like \"file:///data/\"")),
      key<&c::auth, &auth_section::mode>(
          "auth", "mode", "\"open\"",
          "\"open\": one person on one machine, loopback only; \"jwt\": tokens of an identity provider.",
          one_of({"open", "jwt"})),
      key<&c::auth, &auth_section::jwks>("auth", "jwks", "\"https://id.example.org/jwks.json\"",
                                         "Keys that sign tokens: URL or file.", nullptr, secrecy::password_in_url),
      key<&c::auth, &auth_section::issuer>("auth", "issuer", "\"https://id.example.org\"", "Who issues tokens."),
      key<&c::auth, &auth_section::audience>("auth", "audience", "\"horizons\"", "Whom tokens must be meant for."),
      key<&c::telemetry, &telemetry_section::otlp_endpoint>("telemetry", "otlp_endpoint", "\"http://127.0.0.1:4318\"",
                                                            "Where spans are sent, OTLP over HTTP; empty: nowhere.",
                                                            url({"http://", "https://"}), secrecy::password_in_url),
      key<&c::telemetry, &telemetry_section::stuck_after_s>(
          "telemetry", "stuck_after_s", "30", "A handler that runs longer is reported, seconds.", between(1, 86'400)),
      key<&c::cluster, &cluster_section::listen>("cluster", "listen", "\"10.0.0.5:7946\"",
                                                 "Address for the other nodes.", listen_fault),
      key<&c::cluster, &cluster_section::secret_file>("cluster", "secret_file", "\"/etc/horizons/secret\"",
                                                      "Shared secret of the nodes."),
      key<&c::cluster, &cluster_section::tls_cert>("cluster", "tls_cert", "\"/etc/horizons/node.pem\"",
                                                   "This node's certificate, PEM."),
      key<&c::cluster, &cluster_section::tls_key>("cluster", "tls_key", "\"/etc/horizons/node.key\"",
                                                  "Its private key, PEM."),
      key<&c::cluster, &cluster_section::tls_ca>("cluster", "tls_ca", "\"/etc/horizons/ca.pem\"",
                                                 "Whose certificates are trusted, PEM."),
  };
}

std::string toml_text(std::string_view text) {
  std::string out = "\"";
  for (const char ch : text) {
    if (ch == '"' || ch == '\\') out += '\\';
    if (static_cast<unsigned char>(ch) < 0x20) {
      constexpr char digits[] = "0123456789ABCDEF";
      out += std::string("\\u00") + digits[(ch >> 4) & 15] + digits[ch & 15];
    } else {
      out += ch;
    }
  }
  return out + '"';
}

}  // namespace

std::span<const config_section> config_sections() {
  static constexpr std::array sections{
      config_section{"node", "Who this node is."},
      config_section{"http", "The API and the web page."},
      config_section{"journal", "Where every event is kept."},
      config_section{"jobs", "Limits of the queue."},
      config_section{"kafka", "The Kafka bridge; absent: none.", true},
      config_section{"rabbitmq", "The RabbitMQ bridge; absent: none.", true},
      config_section{"gpu", "Devices."},
      config_section{"data", "Datasets."},
      config_section{"auth", "Who may do what."},
      config_section{"telemetry", "What the node tells about itself."},
      config_section{"cluster", "Several nodes; absent: this one alone (embedded).", true},
  };
  return sections;
}

std::span<const config_key> config_keys() {
  static const std::vector<config_key> keys = make_keys();
  return keys;
}

std::string to_toml(const config_value& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return toml_text(*text);
  if (const auto* whole = std::get_if<std::int64_t>(&value)) return std::to_string(*whole);
  if (const auto* yes = std::get_if<bool>(&value)) return *yes ? "true" : "false";
  std::string out;
  const auto append = [&out](std::string item) { out += (out.empty() ? "" : ", ") + std::move(item); };
  if (const auto* list = std::get_if<std::vector<std::string>>(&value)) {
    for (const auto& item : *list) append(toml_text(item));
  } else {
    const auto& devices = std::get<device_choice>(value);
    if (devices.mode != "listed") return toml_text(devices.mode);
    for (const int ordinal : devices.listed) append(std::to_string(ordinal));
  }
  return "[" + out + "]";
}

std::string without_password(std::string url) {
  if (const auto word = url.find("password="); word != std::string::npos) {  // libpq takes it as a parameter, too
    const auto from = word + 9;
    url.replace(from, std::min(url.find('&', from), url.size()) - from, "***");
  }
  const auto scheme = url.find("://");
  if (scheme == std::string::npos) return url;
  const auto start = scheme + 3;
  const auto end = std::min(url.find_first_of("/?#", start), url.size());
  const auto at = url.rfind('@', end);
  if (at == std::string::npos || at < start || at >= end) return url;
  const auto colon = url.find(':', start);
  if (colon == std::string::npos || colon > at) return url;
  return url.replace(colon + 1, at - colon - 1, "***");
}

}  // namespace horizons
