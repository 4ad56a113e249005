// The RabbitMQ bridge beside a bare rabbitmq-c program with the same guarantees (persistent messages, publisher
// confirms within the same window, manual acknowledgements with the same prefetch) and beside amqplib on Node: the same
// cluster, the same messages, in turns.
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "bench/gateways/rabbitmq_bare.hpp"
#include "bench/report.hpp"
#include "gateways/rabbitmq/relay.hpp"
#include "gateways/rabbitmq/relay_message.hpp"
#include "gateways/rabbitmq/source.hpp"
#include "gateways/rabbitmq/topology.hpp"
#include "messages/ulid.hpp"
#include "runtime/journal/memory_store.hpp"
#include "runtime/kit/system.hpp"
#include "runtime/telemetry/log.hpp"

using namespace horizons;
using namespace horizons::rabbitmq;
using namespace std::chrono_literals;

namespace {

constexpr std::uint16_t prefetch = 1'000;
constexpr std::size_t window = 1'000;

double cpu_seconds() {
  rusage r{};
  ::getrusage(RUSAGE_SELF, &r);
  const auto s = [](const timeval& t) { return double(t.tv_sec) + double(t.tv_usec) * 1e-6; };
  return s(r.ru_utime) + s(r.ru_stime);
}

void wait_until(const std::function<bool()>& condition, const char* what) {
  const auto end = std::chrono::steady_clock::now() + 120s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) {
      std::fprintf(stderr, "rabbitmq bench: %s did not happen within 120 s\n", what);
      std::exit(1);
    }
    std::this_thread::sleep_for(1ms);
  }
}

std::vector<event> events_of(std::size_t count) {
  std::vector<event> all(count);
  const auto now = std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
  for (std::size_t i = 0; i < count; ++i) {
    all[i].event_id = make_ulid(now);
    all[i].time = now;
    all[i].job_id = "bench-" + std::to_string(i);
    all[i].sequence = 1;
    all[i].user_id = "ada";
    all[i].data = job_progress{.progress = 0.5, .stage = "gridding", .eta_s = 12.5};
  }
  return all;
}

/// A journal in memory with its actors.
struct journal_actors {
  explicit journal_actors(const std::string& name) : kept(name), url("memory:" + name) {
    services.writer = system.spawn_blocking<journal::writer_api>(
        {.name = "journal", .limits = {.messages_max = 1'000'000, .bytes_max = std::size_t{4} << 30}},
        journal::journal_writer([u = url] {
          return journal::open_store(u, {"bench", "localhost", {}});
        }));
    services.reader = system.spawn_blocking<journal::reader_api>(
        {.name = "reader"}, journal::journal_reader([u = url] { return journal::open_reader(u); }));
    services.node_id = "bench";
  }
  ~journal_actors() { system.shutdown(10s); }
  void append(std::vector<event> events) {
    journal::batch b;
    b.events = std::move(events);
    if (auto r = system.ask(services.writer, journal::append{std::move(b)}, 60s); !r) {
      std::fprintf(stderr, "rabbitmq bench: %s\n", r.error().text.c_str());
      std::exit(1);
    }
  }
  journal::memory_journal kept;
  std::string url;
  kit::system system;
  bridges::services services;
};

options options_of(const std::vector<std::string>& urls, queue_kind kind) {
  auto o = options_from({.urls = urls, .prefetch = prefetch}, "bench").value();
  o.kind = kind;
  o.window = window;
  return o;
}

/// Events per second and CPU seconds of this process per event, journal included.
std::pair<double, double> relay_rate(const options& o, std::size_t count, const std::string& name) {
  journal_actors j(name);
  const auto events = events_of(count);
  for (std::size_t i = 0; i < count; i += 1'000)
    j.append({events.begin() + long(i), events.begin() + long(std::min(count, i + 1'000))});
  auto m = std::make_shared<metrics>();
  auto actor = j.system.spawn_blocking<relay_api>({.name = "relay", .limits = relay_lane}, relay(j.services, o, m));
  wait_until([&] { return m->relay.published > 0; }, "the first publish");
  const double cpu = cpu_seconds();
  const auto already = m->relay.confirmed.load();
  const double s =
      bench::seconds_of([&] { wait_until([&] { return m->relay.confirmed >= count; }, "the last confirm"); });
  const double used = cpu_seconds() - cpu;
  j.system.stop(actor, 10s);
  return {double(count - already) / s, used / double(count - already)};
}

double source_rate(const options& o, std::size_t count, const std::string& name) {
  journal_actors j(name);
  j.services.handle = [](const bridges::incoming&, const bridges::callback<bridges::handled>& then) {
    then(bridges::handled{});
  };
  auto m = std::make_shared<metrics>();
  auto actor = j.system.spawn_blocking<source_api>({.name = "source"}, source(j.services, o, m));
  wait_until([&] { return m->source.delivered > 0; }, "the first delivery");
  const double s = bench::seconds_of([&] { wait_until([&] { return m->source.acked >= count; }, "the last ack"); });
  j.system.stop(actor, 10s);
  return double(count) / s;
}

double p99(std::vector<double> ms) {
  std::sort(ms.begin(), ms.end());
  return ms.empty() ? 0 : ms[ms.size() * 99 / 100];
}

/// From the moment an event is given to the journal until a consumer of `queue` has it, at `rate` per second.
double relay_latency(const options& o, const std::string& queue, int rate, int seconds, const std::string& name) {
  journal_actors j(name);
  auto m = std::make_shared<metrics>();
  auto actor = j.system.spawn_blocking<relay_api>({.name = "relay", .limits = relay_lane}, relay(j.services, o, m));
  wait_until([&] { return m->relay.connected.load(); }, "connecting");
  auto events = events_of(std::size_t(rate * seconds));
  std::unordered_map<std::string, std::size_t> number;
  for (std::size_t i = 0; i < events.size(); ++i) number[events[i].event_id] = i;
  std::vector<std::chrono::steady_clock::time_point> sent(events.size());
  bare::receiver receiver(o.hosts.back(), queue, prefetch);
  std::thread sender([&] {
    auto at = std::chrono::steady_clock::now();
    for (std::size_t i = 0; i < events.size(); ++i) {
      std::this_thread::sleep_until(at += std::chrono::nanoseconds(1'000'000'000 / rate));
      sent[i] = std::chrono::steady_clock::now();
      journal::batch b;
      b.events.push_back(std::move(events[i]));
      j.system.ask(j.services.writer, journal::append{std::move(b)}, 60s, [](const auto&) {});
    }
  });
  std::vector<double> ms;
  receiver.run(number.size(), [&](std::string_view message_id, auto now) {
    ms.push_back(std::chrono::duration<double, std::milli>(now - sent[number.at(std::string(message_id))]).count());
  });
  sender.join();
  j.system.stop(actor, 10s);
  return p99(std::move(ms));
}

/// The longest time without a confirm, in seconds, when a node is killed: at 500 events per second, on a cluster of its
/// own, which this program may hurt. First the node that leads the queues, then the one that the relay speaks to.
std::vector<bench::row> failover_gaps() {
  const std::string services =
      "HORIZONS_SERVICES_HOME=build/services-bench HORIZONS_SERVICES_PORT_SHIFT=400 tests/services/services ";
  const auto cluster = bare::urls_in(bare::output_of(services + "up rabbitmq >&2; " + services + "env rabbitmq"));
  if (cluster.empty()) return {};
  std::vector<bench::row> rows;
  {
    const bare::vhost mine(cluster, "failover");
    const auto o = options_of(mine.urls, queue_kind::quorum);
    bare::declare_topology(o);
    journal_actors j("failover");
    auto m = std::make_shared<metrics>();
    static std::atomic<int> connected_to{0};  // the node's number, as the log says it
    log::configure({.level = log::level::info, .sink = [&o](std::string_view line) {
                      for (std::size_t i = 0; i < o.hosts.size(); ++i)
                        if (line.find("connected") != std::string_view::npos &&
                            line.find(":" + std::to_string(o.hosts[i].port) + "/") != std::string_view::npos)
                          connected_to = int(i) + 1;
                    }});
    auto actor = j.system.spawn_blocking<relay_api>({.name = "relay", .limits = relay_lane}, relay(j.services, o, m));
    wait_until([&] { return m->relay.connected.load(); }, "connecting");
    std::atomic<bool> stop{false};
    std::thread stream([&] {
      for (auto at = std::chrono::steady_clock::now(); !stop;) {
        std::this_thread::sleep_until(at += 2ms);
        j.append(events_of(1));
      }
    });
    const auto gap_after = [&](int node) {
      const auto before = m->relay.confirmed.load();
      wait_until([&] { return m->relay.confirmed > before + 1'000; }, "a steady stream");
      bare::output_of(services + "node rabbitmq " + std::to_string(node) + " kill");
      auto last = std::chrono::steady_clock::now();
      double longest = 0;
      auto seen = m->relay.confirmed.load();
      for (const auto end = last + 10s; std::chrono::steady_clock::now() < end; std::this_thread::sleep_for(1ms)) {
        const auto now = std::chrono::steady_clock::now();
        longest = std::max(longest, std::chrono::duration<double>(now - last).count());
        if (m->relay.confirmed == seen) continue;
        seen = m->relay.confirmed;
        last = now;
      }
      bare::output_of(services + "node rabbitmq " + std::to_string(node) + " start");
      return longest;
    };
    const auto led_by =
        nlohmann::json::parse(mine.queue("job-events-api"), nullptr, false).value("leader", "r1@localhost");
    const int leader = led_by.size() > 1 ? led_by[1] - '0' : 1;
    rows.push_back(bench::compare("confirm gap, leader's node killed", "s", bench::better::lower, gap_after(leader), "",
                                  {}, "< 1 s"));
    rows.push_back(bench::compare("confirm gap, connected node killed", "s", bench::better::lower,
                                  gap_after(connected_to), "", {}, "< 5 s"));
    stop = true;
    stream.join();
    j.system.stop(actor, 10s);
    log::configure({});
  }
  bare::output_of(services + "down rabbitmq");
  return rows;
}

}  // namespace

int main(int argc, char** argv) {
  std::string json_file;
  bool quick = false;
  for (int i = 1; i < argc; ++i) {
    if (std::string_view(argv[i]) == "--json" && i + 1 < argc) json_file = argv[++i];
    if (std::string_view(argv[i]) == "--quick") quick = true;
  }
  const auto cluster = bare::find_cluster();
  if (cluster.empty()) {
    std::fprintf(stderr, "rabbitmq bench: no cluster; ./dev services up rabbitmq\n");
    return 1;
  }
  const std::size_t count = quick ? 10'000 : 40'000;
  const int repeats = quick ? 1 : 3, seconds = quick ? 2 : 5, rate = 2'000;
  std::vector<bench::row> rows;
  int run = 0;
  double node_cpu_us = 0;
  for (const auto kind : {queue_kind::classic, queue_kind::quorum}) {
    const std::string word = kind == queue_kind::classic ? "classic" : "quorum";
    std::vector<double> ours, theirs, ours_in, theirs_in, ours_ms, theirs_ms, our_cpu, node_cpu;
    const auto sample = *to_message(events_of(1)[0], {.node = "bench"}, message_format::json);
    for (int i = 0; i < repeats; ++i) {
      const std::string name = "bench-" + std::to_string(::getpid()) + "-" + std::to_string(++run);
      const bare::vhost mine(cluster, name);
      const auto o = options_of(mine.urls, kind);
      bare::declare_topology(o);
      bare::publish(o.hosts[0], sample, 10'000, window);  // the brokers are warm
      bare::purge(mine, {"job-events-api", "job-events-audit", "websocket-broadcast"});
      const auto [rate_out, cpu] = relay_rate(o, count, name);
      ours.push_back(rate_out);
      our_cpu.push_back(cpu * 1e6);
      bare::purge(mine, {"job-events-api", "job-events-audit", "websocket-broadcast"});
      theirs.push_back(bare::publish(o.hosts[0], sample, count, window));
      bare::purge(mine, {"job-events-api", "job-events-audit", "websocket-broadcast"});
      if (kind == queue_kind::classic)
        if (const auto us = bare::node_publish(mine.urls[0], sample.body, count, window)) node_cpu.push_back(*us);
      bare::purge(mine, {"job-events-api", "job-events-audit", "websocket-broadcast"});

      const auto submission = bare::submission();
      bare::publish(o.hosts[0], submission, count, window);
      ours_in.push_back(source_rate(o, count, name + "s"));
      bare::publish(o.hosts[0], submission, count, window);
      theirs_in.push_back(bare::consume(o.hosts[0], "job-submissions", count, prefetch));

      ours_ms.push_back(relay_latency(o, "job-events-api", rate, seconds, name + "l"));
      bare::purge(mine, {"job-events-api", "job-events-audit", "websocket-broadcast"});
      theirs_ms.push_back(p99(bare::latency(o.hosts[0], o.hosts.back(), sample, "job-events-api", rate, seconds)));
    }
    const auto row = [&](const std::string& what, const char* unit, bench::better which, const std::vector<double>& us,
                         const std::string& peer, const std::vector<double>& them, double goal) {
      const auto u = bench::median_of(us), t = bench::median_of(them);
      rows.push_back(bench::compare(what, unit, which, u.seconds, peer, t.seconds, goal, std::max(u.spread, t.spread)));
    };
    row("publish, " + word, "events/s", bench::better::higher, ours, "bare rabbitmq-c", theirs, 0.9);
    row("consume, " + word, "msg/s", bench::better::higher, ours_in, "bare rabbitmq-c", theirs_in, 0.9);
    row("latency p99 at 2,000/s, " + word, "ms", bench::better::lower, ours_ms, "bare rabbitmq-c", theirs_ms, 1 / 1.2);
    if (!node_cpu.empty()) {
      node_cpu_us = bench::median_of(node_cpu).seconds;
      row("client CPU per event published", "us", bench::better::lower, our_cpu, "amqplib 0.10 on Node", node_cpu, 2.0);
    }
  }
  if (node_cpu_us == 0)
    std::fprintf(stderr, "rabbitmq bench: npm is not here, or could not install amqplib: no row beside it\n");
  if (!quick)
    for (const auto& gap : failover_gaps()) rows.push_back(gap);
  bench::print(rows);
  const nlohmann::json conditions{{"cores", std::thread::hardware_concurrency()},
                                  {"nodes", cluster.size()},
                                  {"messages", count},
                                  {"repeats", repeats},
                                  {"window", window},
                                  {"prefetch", prefetch},
                                  {"publish", "job.events: three queues; persistent, confirmed"},
                                  {"latency", "from the journal (bare: from publish) to a consumer on another node"},
                                  {"measured", "median, ours and peer in turns; brokers on the same cores"}};
  return bench::write_json(json_file, conditions, rows) ? 0 : 1;
}
