// The Kafka bridge beside bare librdkafka: the same brokers, records and guarantees, in turns (the latencies at the
// same time, from the same records).
//
//   HORIZONS_SERVICES_KAFKA_HEAP_MB=1024 ./dev services up kafka postgres; eval "$(./dev services env)"
//   build/bench-kafka [--json FILE] [--quick] [--only kafka|postgres|latency|recovery|bridge|bare|both|recorder]
//   --only keeps the rows of the other parts that FILE has
//   bridge, bare, both: sides of the first row alone, to be profiled; recorder: our side of the PostgreSQL row
//   [--in-flight N]  kafka.in_flight_max of the bridge, but for the latencies, which leave it at its default
#include <string_view>

#include "bench/gateways/kafka_bare.hpp"
#include "bench/gateways/kafka_handlers.hpp"
#include "bench/gateways/kafka_latency.hpp"
#include "bench/gateways/kafka_recovery.hpp"
#include "bench/gateways/kafka_streams.hpp"
#include "bench/report.hpp"
#include "runtime/telemetry/log.hpp"

namespace {

using namespace horizons;
using bench::better, bench::rate;
using bench::bare::own_topic;

constexpr int partitions = 10, linger_ms = 5;
constexpr std::size_t record_bytes = 256, keys = 10'000;

void say(const char* who, const rate& r) {
  std::printf("%s: %.0f records/s; us a record: client %.2f, brokers %.2f, others %.2f, idle %.2f (--time %.6f,%.6f)\n",
              who, r.per_s, r.cpu_us, r.brokers_us, r.others_us, r.idle_us, r.began_s, r.ended_s);
}

class kafka_bench {
public:
  struct options {
    kafka::kafka_options kafka;
    std::string brokers;  // as Java's clients want them
    std::size_t count = 400'000;
    int repeats = 3;
    bool quick = false;
    // As many as full batches on every partition need, one under way and one gathered; the bare loop has room for a
    // million.
    std::size_t in_flight_max = 100'000;
  };
  explicit kafka_bench(options o) : o_(std::move(o)) {}

  void one_side(std::string_view which) const {
    const own_topic from(o_.kafka, "in", partitions), to(o_.kafka, "out", partitions);
    fill(from, to);
    for (int i = 0; i < o_.repeats; ++i) {
      if (which != "bridge") say("bare", bare(from, to));
      if (which != "bare") say("bridge", ours(from, to));
    }
  }

  void recorder(const char* url) const {
    const own_topic from(o_.kafka, "orders", partitions);
    const auto some = std::min<std::size_t>(o_.count, 200'000);
    bench::bare::fill(o_.kafka, from.name(), some, record_bytes, keys);
    say("recorder", bench::to_journal(o_.kafka, from.name(), url, some, o_.in_flight_max));
  }

  void kafka_to_kafka() {
    const own_topic from(o_.kafka, "in", partitions), to(o_.kafka, "out", partitions);
    fill(from, to);
    std::vector<rate> our, their;
    for (int i = 0; i < o_.repeats; ++i) {
      their.push_back(bare(from, to));
      our.push_back(ours(from, to));
    }
    compare("Kafka to Kafka, 256 B", our, their, "bare librdkafka", 0.8);
    const auto streams = bench::kafka_streams(o_.brokers, from.name(), to.name(), o_.count, o_.repeats, linger_ms);
    if (streams.empty()) return;
    const auto per_cpu_second = [](const rate& r) { return 1e6 / r.cpu_us; };
    row("Kafka to Kafka, 256 B, per CPU second of the client", "records", better::higher, per_cpu_second, our, streams,
        "Kafka Streams", 2.0);
    row("Kafka to Kafka, 256 B, beside Kafka Streams", "records/s", better::higher, &rate::per_s, our, streams,
        "Kafka Streams", nullptr);
  }

  void kafka_to_postgres(const char* url) {
    const auto some = std::min<std::size_t>(o_.count, 200'000);
    std::vector<rate> stored, inserted;
    for (int i = 0; i < o_.repeats; ++i) {
      // A topic for each round: the journal knows how far it has read the one before.
      const own_topic topic(o_.kafka, "orders", partitions);
      bench::bare::fill(o_.kafka, topic.name(), some, record_bytes, keys);
      inserted.push_back(bench::bare::to_postgres(o_.kafka, topic.name(), partitions, url, some, 500));
      stored.push_back(bench::to_journal(o_.kafka, topic.name(), url, some, o_.in_flight_max));
    }
    compare("Kafka to PostgreSQL, exactly once, 256 B", stored, inserted, "bare librdkafka, INSERT of 500", 0.8);
  }

  void latency() {
    {
      const own_topic warm(o_.kafka, "warm", partitions);  // brokers are slow at first
      bench::bare::fill(o_.kafka, warm.name(), o_.quick ? 50'000 : 300'000, record_bytes, keys);
    }
    for (const int hot : {1, 3}) {
      const bench::pace pace{.partitions = hot, .warm_s = o_.quick ? 2 : 5, .seconds = o_.quick ? 3 : 15};
      const auto bare = bench::measure_ages(o_.kafka, bench::side::bare, pace).theirs;
      const auto ours = bench::measure_ages(o_.kafka, bench::side::ours, pace).ours;
      const auto same = bench::measure_ages(o_.kafka, bench::side::both_readers, pace);
      const auto where = "2,000/s, " + std::to_string(hot) + " hot partition" + (hot > 1 ? "s" : "");
      const auto ms = [&](const std::string& what, const std::vector<double>& a, const std::vector<double>& b,
                          double part, const nlohmann::json& goal) {
        rows.push_back(bench::compare(what + ", " + where, "ms", better::lower, bench::bare::percentile(a, part),
                                      "bare librdkafka", bench::bare::percentile(b, part), goal));
      };
      ms("end to end p50", ours, bare, 0.5, nullptr);
      ms("end to end p99", ours, bare, 0.99, "< 20 ms");
      ms("same records read p99", same.ours, same.theirs, 0.99, nullptr);
      const double added = bench::bare::percentile(same.ours, 0.99) - bench::bare::percentile(same.theirs, 0.99);
      rows.push_back(
          bench::compare("added latency p99, " + where, "ms", better::lower, added, "", std::nullopt, "<= 2 ms"));
    }
  }

  void recovery() {
    if (!killable.known()) return;
    const auto found = bench::measure_recovery(o_.kafka, killable, o_.quick ? 3 : 10);
    const auto stands = [&](const char* what, double part, const nlohmann::json& goal) {
      rows.push_back(bench::compare(what, "s", better::lower, bench::bare::percentile(found.ours, part),
                                    "bare librdkafka", bench::bare::percentile(found.theirs, part), goal));
    };
    stands("standstill p50 when a broker is killed", 0.5, nullptr);
    stands("standstill p99 when a broker is killed", 1, "< 5 s");
  }

  bench::killable_brokers killable;
  std::vector<bench::row> rows;

private:
  /// And the brokers are warm.
  void fill(const own_topic& from, const own_topic& to) const {
    bench::bare::fill(o_.kafka, to.name(), o_.count / 2, record_bytes, keys);
    bench::bare::fill(o_.kafka, from.name(), o_.count, record_bytes, keys);
  }
  rate bare(const own_topic& from, const own_topic& to) const {
    return bench::bare::pass_through(o_.kafka, from.name(), partitions, to.name(), o_.count, linger_ms);
  }
  rate ours(const own_topic& from, const own_topic& to) const {
    return bench::pass_through(o_.kafka, from.name(), to.name(), o_.count, linger_ms, o_.in_flight_max);
  }

  template <class Of>
  void row(const std::string& what, const char* unit, better which, Of of, const std::vector<rate>& ours,
           const std::vector<rate>& theirs, const std::string& peer, const nlohmann::json& goal) {
    std::vector<double> a, b;
    for (const auto& r : ours) a.push_back(std::invoke(of, r));
    for (const auto& r : theirs) b.push_back(std::invoke(of, r));
    const auto ma = bench::median_of(a), mb = bench::median_of(b);
    rows.push_back(
        bench::compare(what, unit, which, ma.seconds, peer, mb.seconds, goal, std::max(ma.spread, mb.spread)));
  }
  void compare(const std::string& what, const std::vector<rate>& ours, const std::vector<rate>& theirs,
               const std::string& peer, double goal) {
    const auto cost = [&](const char* whose, double rate::*of) {
      row(what + ", " + whose, "us", better::lower, of, ours, theirs, peer, nullptr);
    };
    row(what, "records/s", better::higher, &rate::per_s, ours, theirs, peer, goal);
    cost("CPU of the client", &rate::cpu_us);
    if (killable.known()) cost("CPU of the brokers", &rate::brokers_us);
    cost("CPU of everything else", &rate::others_us);
    cost("idle time of all cores", &rate::idle_us);
  }

  options o_;
};

std::vector<std::string> parts_of(const std::string& list) {
  std::vector<std::string> parts;
  std::istringstream rest(list);
  for (std::string part; std::getline(rest, part, ',');) parts.push_back(part);
  return parts;
}

}  // namespace

int main(int argc, char** argv) {
  std::string json_file, only;
  kafka_bench::options o;
  for (int i = 1; i < argc; ++i) {
    if (std::string_view(argv[i]) == "--json" && i + 1 < argc) json_file = argv[++i];
    if (std::string_view(argv[i]) == "--only" && i + 1 < argc) only = argv[++i];
    if (std::string_view(argv[i]) == "--in-flight" && i + 1 < argc) o.in_flight_max = std::stoul(argv[++i]);
    if (std::string_view(argv[i]) == "--quick") o.quick = true;
  }
  if (o.quick) o.count = 50'000, o.repeats = 1;
  const char* brokers = std::getenv("HORIZONS_KAFKA_BROKERS");
  if (!brokers)
    bench::bare::die("HORIZONS_KAFKA_BROKERS is not set: ./dev services up kafka; eval $(./dev services env)");
  const char* url = std::getenv("HORIZONS_JOURNAL_URL");
  log::configure({.level = log::level::error});
  o.brokers = brokers;
  o.kafka.brokers = parts_of(brokers);
  o.kafka.node = "bench";
  const auto cpu_before = bench::machine_cpu_time();
  kafka_bench all(o);
  if (only == "bridge" || only == "bare" || only == "both") return all.one_side(only), 0;
  if (only == "recorder") return all.recorder(url ? url : "memory:recorder"), 0;

  const auto wanted = [&](std::string_view part) { return only.empty() || only == part; };
  if (wanted("kafka")) all.kafka_to_kafka();
  if (!url) std::fprintf(stderr, "kafka bench: HORIZONS_JOURNAL_URL is not set, no PostgreSQL rows\n");
  if (url && wanted("postgres")) all.kafka_to_postgres(url);
  if (wanted("latency")) all.latency();
  if (wanted("recovery")) all.recovery();

  bench::print(all.rows);
  std::printf("%.1f %% of the machine's CPU time went to its neighbours\n", 100 * bench::stolen_since(cpu_before));
  const nlohmann::json conditions{
      {"brokers", "3 x Apache Kafka 3.9.2 on this machine, replication 3, acks=all, JVM " + all.killable.jvm()},
      {"records", o.count},
      {"partitions", partitions},
      {"linger_ms", linger_ms},
      {"kafka.in_flight_max", o.in_flight_max},
      {only.empty() ? "cpu_stolen" : "cpu_stolen, " + only, bench::stolen_since(cpu_before)},
      {"repeats", o.repeats}};
  return bench::write_json(json_file, conditions, all.rows, !only.empty()) ? 0 : 1;
}
