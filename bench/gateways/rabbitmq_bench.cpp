// The RabbitMQ bridge beside a bare rabbitmq-c program with the same guarantees (persistent messages, publisher
// confirms within the same window, manual acknowledgements with the same prefetch) and beside amqplib on Node: the same
// cluster, the same messages, in turns.
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <optional>
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

std::vector<event> events_of(std::size_t count, std::size_t first = 0) {
  std::vector<event> all(count);
  const auto now = std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
  for (std::size_t i = 0; i < count; ++i) {
    all[i].event_id = make_ulid(now);
    all[i].time = now;
    all[i].job_id = "bench-" + std::to_string(first + i);
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

/// On one node, as its peers are: which node leads the queues makes a difference of its own.
options options_of(const std::vector<std::string>& urls, queue_kind kind) {
  auto o = options_from({.urls = {urls.front()}, .prefetch = prefetch}, "bench").value();
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

/// From the moment an event is given to the journal until a consumer at `reader` has it, at `rate` per second.
double relay_latency(const options& o, const endpoint& reader, int rate, int seconds, const std::string& name) {
  journal_actors j(name);
  auto m = std::make_shared<metrics>();
  auto actor = j.system.spawn_blocking<relay_api>({.name = "relay", .limits = relay_lane}, relay(j.services, o, m));
  wait_until([&] { return m->relay.connected.load(); }, "connecting");
  auto events = events_of(std::size_t(rate * seconds));
  std::unordered_map<std::string, std::size_t> number;
  for (std::size_t i = 0; i < events.size(); ++i) number[events[i].event_id] = i;
  std::vector<std::chrono::steady_clock::time_point> sent(events.size());
  bare::receiver receiver(reader, "job-events-api", prefetch);
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

enum class victim { queue_leader, connected };

/// The longest time without a confirm, in seconds, when a node is killed: at 500 events per second, on a fresh cluster
/// of its own, which this program may hurt. (One that was hurt before recovers more slowly: see docs/rabbitmq.md.)
std::optional<double> failover_gap(victim which) {
  const char* shift = std::getenv("HORIZONS_SERVICES_PORT_SHIFT");
  const std::string services = "HORIZONS_SERVICES_HOME=build/services-bench HORIZONS_SERVICES_PORT_SHIFT=" +
                               std::to_string((shift ? std::atoi(shift) : 0) + 50) + " tests/services/services ";
  const auto cluster = bare::urls_in(bare::output_of(services + "up rabbitmq >&2; " + services + "env rabbitmq"));
  if (cluster.empty()) return std::nullopt;
  double longest = 0;
  {
    const bare::vhost mine(cluster, "failover");
    const auto o = options_from({.urls = mine.urls, .prefetch = prefetch}, "bench").value();
    bare::declare_topology(o);
    journal_actors j("failover-" + std::to_string(int(which)));
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
      auto at = std::chrono::steady_clock::now();
      for (std::size_t i = 0; !stop; ++i) {
        std::this_thread::sleep_until(at += 2ms);
        j.append(events_of(1, i));
      }
    });
    int leader = 0;
    wait_until(
        [&] {
          const auto queue = nlohmann::json::parse(mine.queue("job-events-api"), nullptr, false);
          const auto name = queue.is_object() ? queue.value("leader", "") : "";  // "r1@localhost"
          leader = name.size() > 1 ? name[1] - '0' : 0;
          return leader > 0;
        },
        "a queue's leader");
    wait_until([&] { return m->relay.confirmed > 1'000; }, "a steady stream");
    const int node = which == victim::queue_leader ? leader : connected_to.load();
    std::thread killer([&] { bare::output_of(services + "node rabbitmq " + std::to_string(node) + " kill"); });
    auto last = std::chrono::steady_clock::now();
    auto seen = m->relay.confirmed.load();
    for (const auto end = last + 10s; std::chrono::steady_clock::now() < end; std::this_thread::sleep_for(1ms)) {
      const auto now = std::chrono::steady_clock::now();
      longest = std::max(longest, std::chrono::duration<double>(now - last).count());
      if (m->relay.confirmed == seen) continue;
      seen = m->relay.confirmed;
      last = now;
    }
    killer.join();
    stop = true;
    stream.join();
    j.system.stop(actor, 10s);
    log::configure({});
  }
  bare::output_of(services + "down rabbitmq");
  return longest;
}

struct figures {
  std::vector<double> ours, theirs;
};

/// One kind of queue, ours and the peer in turns, each first every other time; each repeat on a fresh virtual host.
class comparison {
public:
  comparison(std::vector<std::string> cluster, queue_kind kind, std::size_t count, int seconds)
      : cluster_(std::move(cluster)), kind_(kind), count_(count), seconds_(seconds) {}

  void publish(figures& rate, figures* cpu_us) {
    with_vhost([&](const bare::vhost& mine, const options& o, const std::string& name) {
      bare::publish(o.hosts[0], sample_, 10'000, window);  // the brokers are warm
      double our_cpu = 0;
      in_turns(
          [&] {
            purge(mine);
            const auto [per_s, cpu] = relay_rate(o, count_, name);
            rate.ours.push_back(per_s);
            our_cpu = cpu;
          },
          [&] {
            purge(mine);
            rate.theirs.push_back(bare::publish(o.hosts[0], sample_, count_, window));
          });
      if (!cpu_us) return;
      purge(mine);
      if (const auto us = bare::node_publish(mine.urls[0], sample_.body, count_, window)) {
        cpu_us->ours.push_back(our_cpu * 1e6);
        cpu_us->theirs.push_back(*us);
      }
    });
  }
  void consume(figures& rate) {
    with_vhost([&](const bare::vhost&, const options& o, const std::string& name) {
      const auto fill = [&] {
        bare::publish(o.hosts[0], bare::submission(), count_, window);
        bare::wait_until_idle();
      };
      in_turns(
          [&] {
            fill();
            rate.ours.push_back(source_rate(o, count_, name));
          },
          [&] {
            fill();
            rate.theirs.push_back(bare::consume(o.hosts[0], "job-submissions", count_, prefetch));
          });
    });
  }
  void latency(figures& ms) {
    with_vhost([&](const bare::vhost& mine, const options& o, const std::string& name) {
      const auto far = parse_url(mine.urls.back()).value();
      in_turns(
          [&] {
            purge(mine);
            ms.ours.push_back(relay_latency(o, far, rate_per_s, seconds_, name));
          },
          [&] {
            purge(mine);
            ms.theirs.push_back(p99(bare::latency(o.hosts[0], far, sample_, "job-events-api", rate_per_s, seconds_)));
          });
    });
  }

private:
  static constexpr int rate_per_s = 2'000;

  template <class Ours, class Theirs>
  void in_turns(Ours&& ours, Theirs&& theirs) {
    if (++turns_ % 2 == 0) ours();
    theirs();
    if (turns_ % 2 != 0) ours();
  }
  template <class F>
  void with_vhost(F&& f) {
    static int number = 0;
    const std::string name = "bench-" + std::to_string(::getpid()) + "-" + std::to_string(++number);
    const bare::vhost mine(cluster_, name);
    const auto o = options_of(mine.urls, kind_);
    bare::declare_topology(o);
    f(mine, o, name);
  }
  static void purge(const bare::vhost& v) {
    for (const auto* queue : {"job-events-api", "job-events-audit", "websocket-broadcast"}) v.purge(queue);
    bare::wait_until_idle();
  }

  const std::vector<std::string> cluster_;
  const queue_kind kind_;
  const std::size_t count_;
  const int seconds_;
  int turns_ = 0;
  const message sample_ = *to_message(events_of(1)[0], {.node = "bench"}, message_format::json);
};

}  // namespace

/// --quick: fewer messages, once. --only TEXT: the rows whose name contains it ("consume, quorum").
int main(int argc, char** argv) {
  std::string json_file, only;
  bool quick = false;
  for (int i = 1; i < argc; ++i) {
    if (std::string_view(argv[i]) == "--json" && i + 1 < argc) json_file = argv[++i];
    if (std::string_view(argv[i]) == "--only" && i + 1 < argc) only = argv[++i];
    if (std::string_view(argv[i]) == "--quick") quick = true;
  }
  const auto cluster = bare::find_cluster();
  if (cluster.empty()) {
    std::fprintf(stderr, "rabbitmq bench: no cluster; ./dev services up rabbitmq\n");
    return 1;
  }
  const std::size_t count = quick ? 10'000 : 20'000;
  const int repeats = quick ? 2 : 3, seconds = quick ? 2 : 4;
  std::vector<bench::row> rows;
  const auto wanted = [&](const std::string& what) { return what.find(only) != std::string::npos; };
  const auto row = [&](const std::string& what, const char* unit, bench::better which, const figures& f,
                       const std::string& peer, double goal) {
    if (f.ours.empty()) return;
    const auto us = bench::median_of(f.ours), them = bench::median_of(f.theirs);
    std::fprintf(stderr, "%s: %.3g, %s %.3g\n", what.c_str(), us.seconds, peer.c_str(), them.seconds);
    rows.push_back(
        bench::compare(what, unit, which, us.seconds, peer, them.seconds, goal, std::max(us.spread, them.spread)));
  };
  for (const auto kind : {queue_kind::classic, queue_kind::quorum}) {
    const std::string word = kind == queue_kind::classic ? "classic" : "quorum";
    const auto publish = "publish, " + word, consume = "consume, " + word, late = "latency p99 at 2,000/s, " + word,
               cpu = std::string("client CPU per event published");
    const bool node = kind == queue_kind::classic && wanted(cpu);
    comparison c(cluster, kind, count, seconds);
    figures out, in, ms, cpu_us;
    for (int i = 0; i < repeats; ++i) {
      if (wanted(publish) || node) c.publish(out, node ? &cpu_us : nullptr);
      if (wanted(consume)) c.consume(in);
      if (wanted(late)) c.latency(ms);
    }
    row(publish, "events/s", bench::better::higher, out, "bare rabbitmq-c", 0.9);
    row(consume, "msg/s", bench::better::higher, in, "bare rabbitmq-c", 0.9);
    row(late, "ms", bench::better::lower, ms, "bare rabbitmq-c", 1 / 1.2);
    row(cpu, "us", bench::better::lower, cpu_us, "amqplib 0.10 on Node", 2.0);
    if (node && cpu_us.ours.empty())
      std::fprintf(stderr, "rabbitmq bench: npm is not here, or could not install amqplib: no row beside it\n");
  }
  const auto gap = [&](const char* what, victim which, const char* goal) {
    if (quick || !wanted(what)) return;
    if (const auto s = failover_gap(which))
      rows.push_back(bench::compare(what, "s", bench::better::lower, *s, "", {}, goal));
  };
  gap("confirm gap, leader's node killed", victim::queue_leader, "< 1 s");
  gap("confirm gap, connected node killed", victim::connected, "< 5 s");
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
