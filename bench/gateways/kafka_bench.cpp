// The Kafka bridge beside bare librdkafka: the same brokers, records and guarantees, in turns (the latencies at the
// same time, from the same records).
//
//   HORIZONS_SERVICES_KAFKA_HEAP_MB=1024 ./dev services up kafka postgres; eval "$(./dev services env)"
//   build/bench-kafka [--json FILE] [--quick] [--only kafka|postgres|latency|recovery|bridge|bare|recorder]
//   --only keeps the rows of the other parts that FILE has
//   bridge, bare: one side of the first row alone, to be profiled; recorder: our side of the PostgreSQL row
//   [--in-flight N]  kafka.in_flight_max of the bridge, but for the latencies, which leave it at its default
#include <fstream>
#include <mutex>

#include "bench/gateways/kafka_bare.hpp"
#include "bench/gateways/kafka_bridge.hpp"
#include "bench/gateways/kafka_latency.hpp"
#include "bench/gateways/kafka_recovery.hpp"
#include "bench/gateways/kafka_streams.hpp"
#include "bench/report.hpp"
#include "gateways/kafka/producer.hpp"
#include "gateways/kafka/source.hpp"
#include "gateways/kafka/submission_handler.hpp"
#include "messages/make_event.hpp"
#include "runtime/kit/system.hpp"
#include "runtime/telemetry/log.hpp"

namespace {

using namespace horizons;
using namespace std::chrono_literals;
using bench::bridge;
using kafka::milliseconds;

constexpr int partitions = 10;

/// Passes on what was gathered in a turn of the source, behind it.
class gathering_handler : public kafka::record_handler, public std::enable_shared_from_this<gathering_handler> {
protected:
  explicit gathering_handler(kit::context& self) : in_source_(self.mailbox_executor()) {}
  void pass_on_soon() {
    if (std::exchange(coming_, true)) return;
    in_source_([weak = weak_from_this()] {
      const auto me = weak.lock();
      if (!me) return;
      me->coming_ = false;
      me->pass_on();
    });
  }
  virtual void pass_on() = 0;

private:
  std::function<bool(std::function<void()>)> in_source_;
  bool coming_ = false;
};

/// Every record goes on to another topic and is done when the brokers have it.
class copier : public gathering_handler {
public:
  copier(bridge& b, kit::context& self, std::string to) : gathering_handler(self), bridge_(b), to_(std::move(to)) {}
  void open(const kafka::kafka_options& options, int linger_ms) {
    auto opened = kafka::producer::open({.kafka = options, .linger = milliseconds(linger_ms), .messages_max = 100'000},
                                        [this] { wake(); });
    producer_ = bench::bare::must(std::move(opened));
  }
  result<kafka::task> read(const kafka::received& r) override {
    bridge_.start();
    auto copy = std::make_shared<kafka::record>();
    copy->key.emplace(r.key.value_or(""));
    copy->value.emplace(r.value.value_or(""));
    kafka::task t;  // without a lane: the producer keeps the order of each key by itself, as the relay relies on
    t.run = [this, copy = kafka::record_ptr(std::move(copy))](const journal::source_mark&,
                                                              kafka::completion then) mutable {
      const auto token = reinterpret_cast<std::uint64_t>(new kafka::completion(std::move(then)));
      gathered_.push_back({to_, std::move(copy), token});
      pass_on_soon();
    };
    return t;
  }

private:
  void pass_on() override {
    if (producer_->send(gathered_) != gathered_.size()) bench::bare::die("the producer has less room than the source");
    gathered_.clear();
  }
  void wake() {
    for (const auto& d : producer_->take_deliveries()) {
      const std::unique_ptr<kafka::completion> then(reinterpret_cast<kafka::completion*>(d.token));
      bridge_.count();
      (*then)(true);
    }
  }
  bridge& bridge_;
  std::string to_;
  std::unique_ptr<kafka::producer> producer_;
  std::vector<kafka::producer::outgoing> gathered_;  // of this turn
};

bench::bare::rate pass_through(const kafka::kafka_options& o, const std::string& from, const std::string& to,
                               std::size_t count, int linger_ms, std::size_t in_flight_max) {
  bridge b(
      o, from, "memory:" + bench::bare::unique("bench"),
      [&](bridge& me, kit::context& self) {
        auto c = std::make_shared<copier>(me, self, to);
        c->open(o, linger_ms);
        return c;
      },
      in_flight_max);
  const auto r = b.wait(count);
  b.system.shutdown(10s);
  return r;
}

/// Commands become events in the journal, with their marks in the same transaction: those of a turn in one batch.
class recorder : public gathering_handler {
public:
  recorder(bridge& b, kit::context& self) : gathering_handler(self), bridge_(b), self_(self) {
    auto services = b.services;
    services.handle = [this](bridges::incoming in, bridges::callback<bridges::handled> then) {
      gather(std::move(in), std::move(then));
    };
    commands_ = kafka::submission_handler(services, {}, self);
  }
  result<kafka::task> read(const kafka::received& r) override { return commands_->read(r); }

private:
  void pass_on() override {
    self_.request(bridge_.writer, journal::append{std::exchange(gathered_, {})}, 60s,
                  [this, all = std::exchange(waiting_, {})](const result<journal::append_outcome>& r) {
                    if (!r) bench::bare::die(r.error().text);
                    for (const auto& then : all) {
                      bridge_.count();
                      then(bridges::handled{.marked = true});
                    }
                  });
  }
  void gather(bridges::incoming in, bridges::callback<bridges::handled> then) {
    bridge_.start();
    event_context context{.now = self_.utc(), .correlation_id = in.what.correlation_id};
    gathered_.events.push_back(
        bench::bare::must(make_event(context, audit_recorded{.action = in.what.command_name,
                                                             .actor = in.what.user_id,
                                                             .resource_type = "job",
                                                             .resource_id = in.what.job_id,
                                                             .outcome = in.what.idempotency_key})));
    gathered_.marks.push_back(std::move(*in.mark));
    waiting_.push_back(std::move(then));
    pass_on_soon();
  }

  bridge& bridge_;
  kit::context& self_;
  std::shared_ptr<kafka::record_handler> commands_;
  journal::batch gathered_;
  std::vector<bridges::callback<bridges::handled>> waiting_;
};

bench::bare::rate to_journal(const kafka::kafka_options& o, const std::string& from, const std::string& journal,
                             std::size_t count, std::size_t in_flight_max) {
  bridge b(
      o, from, journal, [](bridge& me, kit::context& self) { return std::make_shared<recorder>(me, self); },
      in_flight_max);
  const auto r = b.wait(count);
  b.system.shutdown(10s);
  return r;
}

double spread_of(std::vector<double> values) { return bench::median_of(std::move(values)).spread; }

}  // namespace

int main(int argc, char** argv) {
  std::string json_file, only;
  bool quick = false;
  // kafka.in_flight_max: as many as full batches on every partition need; the bare loops have no limit.
  std::size_t in_flight_max = 16'384;
  for (int i = 1; i < argc; ++i) {
    if (std::string_view(argv[i]) == "--json" && i + 1 < argc) json_file = argv[++i];
    if (std::string_view(argv[i]) == "--only" && i + 1 < argc) only = argv[++i];
    if (std::string_view(argv[i]) == "--in-flight" && i + 1 < argc) in_flight_max = std::stoul(argv[++i]);
    if (std::string_view(argv[i]) == "--quick") quick = true;
  }
  const char* brokers = std::getenv("HORIZONS_KAFKA_BROKERS");
  if (!brokers)
    bench::bare::die("HORIZONS_KAFKA_BROKERS is not set: ./dev services up kafka; eval $(./dev services env)");
  horizons::log::configure({.level = horizons::log::level::error});
  kafka::kafka_options o;
  for (std::string rest = brokers; !rest.empty();) {
    const auto comma = rest.find(',');
    o.brokers.push_back(rest.substr(0, comma));
    rest = comma == std::string::npos ? "" : rest.substr(comma + 1);
  }
  o.node = "bench";
  const std::size_t count = quick ? 50'000 : 400'000;
  const auto cpu_before = bench::machine_cpu_time();
  const int repeats = quick ? 1 : 3, linger_ms = 5;
  const auto from = bench::bare::unique("in"), to = bench::bare::unique("out");
  if (only != "latency" && only != "recovery" && only != "postgres") {
    bench::bare::make_topic(o, from, partitions);
    bench::bare::make_topic(o, to, partitions);
    bench::bare::fill(o, to, count / 2, 256, 10'000);  // the brokers are warm
    bench::bare::fill(o, from, count, 256, 10'000);
  }

  std::vector<bench::row> rows;
  const auto compare = [&](const std::string& what, const std::vector<bench::bare::rate>& ours,
                           const std::vector<bench::bare::rate>& theirs, const std::string& peer, double goal) {
    std::vector<double> a, b, a_cpu, b_cpu;
    for (const auto& r : ours) a.push_back(r.per_s), a_cpu.push_back(r.cpu_us);
    for (const auto& r : theirs) b.push_back(r.per_s), b_cpu.push_back(r.cpu_us);
    rows.push_back(bench::compare(what, "records/s", bench::better::higher, bench::median_of(a).seconds, peer,
                                  bench::median_of(b).seconds, goal, std::max(spread_of(a), spread_of(b))));
    rows.push_back(bench::compare(what + ", CPU of the client", "us", bench::better::lower,
                                  bench::median_of(a_cpu).seconds, peer, bench::median_of(b_cpu).seconds, nullptr,
                                  std::max(spread_of(a_cpu), spread_of(b_cpu))));
  };

  const auto wanted = [&](std::string_view part) { return only.empty() || only == part; };
  if (only == "recorder") {
    const auto r = to_journal(o, from, std::getenv("HORIZONS_JOURNAL_URL"), 200'000, in_flight_max);
    std::printf("%.0f records/s, %.2f us\n", r.per_s, r.cpu_us);
    return 0;
  }
  if (only == "bridge" || only == "bare") {
    const auto r = only == "bridge" ? pass_through(o, from, to, count, linger_ms, in_flight_max)
                                    : bench::bare::pass_through(o, from, partitions, to, count, linger_ms);
    std::printf("%.0f records/s, %.2f us\n", r.per_s, r.cpu_us);
    return 0;
  }
  if (wanted("kafka")) {
    std::vector<bench::bare::rate> ours, theirs;
    for (int i = 0; i < repeats; ++i) {
      theirs.push_back(bench::bare::pass_through(o, from, partitions, to, count, linger_ms));
      ours.push_back(pass_through(o, from, to, count, linger_ms, in_flight_max));
    }
    compare("Kafka to Kafka, 256 B", ours, theirs, "bare librdkafka", 0.8);
    const auto streams = bench::kafka_streams(brokers, from, to, count, repeats, linger_ms);
    if (!streams.empty()) {
      std::vector<double> a, b;  // records per CPU second of the client
      for (const auto& r : ours) a.push_back(1e6 / r.cpu_us);
      for (const auto& r : streams) b.push_back(1e6 / r.cpu_us);
      rows.push_back(bench::compare("Kafka to Kafka, 256 B, per CPU second of the client", "records",
                                    bench::better::higher, bench::median_of(a).seconds, "Kafka Streams",
                                    bench::median_of(b).seconds, 2.0, std::max(spread_of(a), spread_of(b))));
      b.clear();
      for (const auto& r : streams) b.push_back(r.per_s);
      a.clear();
      for (const auto& r : ours) a.push_back(r.per_s);
      rows.push_back(bench::compare("Kafka to Kafka, 256 B, beside Kafka Streams", "records/s", bench::better::higher,
                                    bench::median_of(a).seconds, "Kafka Streams", bench::median_of(b).seconds, nullptr,
                                    std::max(spread_of(a), spread_of(b))));
    }
  }

  if (const char* url = std::getenv("HORIZONS_JOURNAL_URL"); url && wanted("postgres")) {
    const auto some = std::min<std::size_t>(count, 200'000);
    std::vector<bench::bare::rate> stored, inserted;
    for (int i = 0; i < repeats; ++i) {
      // A topic for each round: the journal knows how far it has read the one before.
      const auto topic = bench::bare::unique("orders");
      bench::bare::make_topic(o, topic, partitions);
      bench::bare::fill(o, topic, some, 256, 10'000);
      inserted.push_back(bench::bare::to_postgres(o, topic, partitions, url, some, 500));
      stored.push_back(to_journal(o, topic, url, some, in_flight_max));
    }
    compare("Kafka to PostgreSQL, exactly once, 256 B", stored, inserted, "bare librdkafka, INSERT of 500", 0.8);
  } else if (!url) {
    std::fprintf(stderr, "kafka bench: HORIZONS_JOURNAL_URL is not set, no PostgreSQL rows\n");
  }

  if (wanted("latency")) {
    const auto warm = bench::bare::unique("warm");
    bench::bare::make_topic(o, warm, partitions);
    bench::bare::fill(o, warm, quick ? 50'000 : 300'000, 256, 10'000);  // brokers are slow at first
  }
  for (const int hot : {1, 3}) {
    if (!wanted("latency")) break;
    const bench::pace pace{.partitions = hot, .warm_s = quick ? 2 : 5, .seconds = quick ? 3 : 15};
    const auto bare = bench::measure_ages(o, bench::side::bare, pace).theirs;
    const auto ours = bench::measure_ages(o, bench::side::ours, pace).ours;
    const auto same = bench::measure_ages(o, bench::side::both_readers, pace);
    const auto at = [](const std::vector<double>& ms, double part) { return bench::bare::percentile(ms, part); };
    const auto where = "2,000/s, " + std::to_string(hot) + " hot partition" + (hot > 1 ? "s" : "");
    rows.push_back(bench::compare("end to end p50, " + where, "ms", bench::better::lower, at(ours, 0.5),
                                  "bare librdkafka", at(bare, 0.5), nullptr));
    rows.push_back(bench::compare("end to end p99, " + where, "ms", bench::better::lower, at(ours, 0.99),
                                  "bare librdkafka", at(bare, 0.99), "< 20 ms"));
    rows.push_back(bench::compare("same records read p99, " + where, "ms", bench::better::lower, at(same.ours, 0.99),
                                  "bare librdkafka", at(same.theirs, 0.99), nullptr));
    rows.push_back(bench::compare("added latency p99, " + where, "ms", bench::better::lower,
                                  at(same.ours, 0.99) - at(same.theirs, 0.99), "", std::nullopt, "<= 2 ms"));
  }
  const bench::killable_brokers killable;
  if (wanted("recovery") && killable.known()) {
    const auto found = bench::measure_recovery(o, killable, quick ? 3 : 10);
    rows.push_back(bench::compare("standstill p50 when a broker is killed", "s", bench::better::lower,
                                  bench::bare::percentile(found.ours, 0.5), "bare librdkafka",
                                  bench::bare::percentile(found.theirs, 0.5), nullptr));
    rows.push_back(bench::compare("standstill p99 when a broker is killed", "s", bench::better::lower,
                                  *std::ranges::max_element(found.ours), "bare librdkafka",
                                  *std::ranges::max_element(found.theirs), "< 5 s"));
  }
  bench::print(rows);
  std::printf("%.1f %% of the machine's CPU time went to its neighbours\n", 100 * bench::stolen_since(cpu_before));
  const nlohmann::json conditions{
      {"brokers", "3 x Apache Kafka 3.9.2 on this machine, replication 3, acks=all, JVM " + killable.jvm()},
      {"records", count},
      {"partitions", partitions},
      {"linger_ms", linger_ms},
      {"kafka.in_flight_max", in_flight_max},
      {only.empty() ? "cpu_stolen" : "cpu_stolen, " + only, bench::stolen_since(cpu_before)},
      {"repeats", repeats}};
  return bench::write_json(json_file, conditions, rows, !only.empty()) ? 0 : 1;
}
