// The RabbitMQ bridge beside a bare rabbitmq-c program with the same guarantees (persistent messages, publisher
// confirms within the same window, manual acknowledgements with the same prefetch) and beside amqplib on Node: the same
// cluster, the same messages, in turns.
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <list>
#include <thread>

#include "bench/gateways/rabbitmq_bare.hpp"
#include "bench/gateways/rabbitmq_failover.hpp"
#include "bench/gateways/rabbitmq_subject.hpp"
#include "bench/report.hpp"
#include "gateways/rabbitmq/relay_message.hpp"
#include "gateways/rabbitmq/topology.hpp"

using namespace horizons;
using namespace horizons::rabbitmq;

namespace {

/// Of each turn, in which ours and the peer's are measured one right after the other.
struct figures {
  std::vector<double> ours, theirs;
};

/// How two figures compare when a machine's speed changes from one second to the next: turn by turn.
struct comparison {
  double ours = 0, theirs = 0, ratio = 0;  // medians; above 1, ours is better
  double spread = 0;                       // of the middle half of the turns' ratios, relative
};

double median_of(std::vector<double> all) {
  std::sort(all.begin(), all.end());
  return (all[(all.size() - 1) / 2] + all[all.size() / 2]) / 2;
}

comparison compare(const figures& f, bench::better which) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < std::min(f.ours.size(), f.theirs.size()); ++i)
    ratios.push_back(which == bench::better::higher ? f.ours[i] / f.theirs[i] : f.theirs[i] / f.ours[i]);
  std::sort(ratios.begin(), ratios.end());
  const double ratio = median_of(ratios), half = ratios[ratios.size() * 3 / 4] - ratios[ratios.size() / 4];
  return {median_of(f.ours), median_of(f.theirs), ratio, half / ratio};
}

/// One kind of queue, ours and the peer in turns, each first every other time; each turn on fresh virtual hosts.
class contest {
public:
  contest(std::vector<std::string> cluster, queue_kind kind, std::size_t count, int seconds)
      : cluster_(std::move(cluster)), kind_(kind), count_(count), seconds_(seconds) {}

  void publish(int turn, figures& rate, figures* cpu_us) {
    with_vhost([&](const bare::vhost& mine, const options& o, const std::string& name) {
      bare::publish(o.hosts[0], sample_, 10'000, window);  // the brokers are warm
      double our_cpu = 0;
      const auto ours = [&] {
        purge(mine);
        const auto [per_s, cpu] = relay_rate(o, count_, name);
        rate.ours.push_back(per_s);
        our_cpu = cpu;
      };
      const auto theirs = [&] {
        purge(mine);
        rate.theirs.push_back(bare::publish(o.hosts[0], sample_, count_, window));
      };
      both(turn, ours, theirs);
      if (!cpu_us) return;
      purge(mine);
      if (const auto us = bare::node_publish(mine.urls[0], sample_.body, count_, window)) {
        cpu_us->ours.push_back(our_cpu * 1e6);
        cpu_us->theirs.push_back(*us);
      }
    });
  }
  /// Five queues are filled first and then emptied one right after the other: the first one, not counted, by a client
  /// that only warms the brokers up, the others by ours, theirs, theirs and ours, every other turn the other way round.
  /// How fast a queue is emptied depends by a third on how many have been before it.
  void consume(int turn, figures& rate, figures& cpu_us, figures& broker_us) {
    const auto count = 2 * count_;  // of each queue
    std::list<house> queues;
    for (int i = 0; i < 5; ++i) bare::submit(queues.emplace_back(*this).o.hosts[0], count, window);
    bare::wait_until_idle();
    take(queues.front().o, count);
    queues.pop_front();
    bare::consumed ours, theirs;
    for (int i = 0; i < 4; ++i, queues.pop_front()) {
      const bool mine = (i == 0 || i == 3) == (turn % 2 == 0);
      const auto& q = queues.front();
      auto& sum = mine ? ours : theirs;
      const auto c = mine ? source_rate(q.o, count, q.name) : take(q.o, count);
      std::fprintf(stderr, "  %s %6.0f/s, client %.2f us, brokers %.1f us;", mine ? "ours" : "theirs", c.per_s,
                   c.cpu_us, c.broker_us);
      sum.per_s += 0.5 / c.per_s;  // seconds a message
      sum.cpu_us += 0.5 * c.cpu_us;
      sum.broker_us += 0.5 * c.broker_us;
    }
    std::fprintf(stderr, "\n");
    const auto keep = [&](const bare::consumed& c, std::vector<double> figures::*side) {
      (rate.*side).push_back(1 / c.per_s);
      (cpu_us.*side).push_back(c.cpu_us);
      (broker_us.*side).push_back(c.broker_us);
    };
    keep(ours, &figures::ours);
    keep(theirs, &figures::theirs);
  }
  void latency(int turn, figures& ms) {
    with_vhost([&](const bare::vhost& mine, const options& o, const std::string& name) {
      const auto far = parse_url(mine.urls.back()).value();
      const auto ours = [&] {
        purge(mine);
        ms.ours.push_back(relay_latency(o, far, rate_per_s, seconds_, name));
      };
      const auto theirs = [&] {
        purge(mine);
        ms.theirs.push_back(
            p99(bare::latency(o.hosts[0], far, sample_, "job-events-api", rate_per_s, seconds_), rate_per_s / 2));
      };
      both(turn, ours, theirs);
    });
  }

private:
  static constexpr int rate_per_s = 2'000;

  /// A virtual host with everything declared, for as long as it lives.
  struct house {
    explicit house(const contest& c)
        : name("bench-" + std::to_string(::getpid()) + "-" + std::to_string(++vhosts)),
          host(c.cluster_, name),
          o(options_of(host.urls, c.kind_)) {
      bare::declare_topology(o);
    }
    const std::string name;
    const bare::vhost host;
    const options o;
  };

  static bare::consumed take(const options& o, std::size_t count) {
    return bare::consume(o.hosts[0], "job-submissions", count, prefetch, prefetch / 2);
  }
  template <class Ours, class Theirs>
  static void both(int turn, Ours&& ours, Theirs&& theirs) {
    if (turn % 2 == 0) ours();
    theirs();
    if (turn % 2 != 0) ours();
  }
  template <class F>
  void with_vhost(F&& f) {
    const house h(*this);
    f(h.host, h.o, h.name);
  }
  static void purge(const bare::vhost& v) {
    for (const auto* queue : {"job-events-api", "job-events-audit", "websocket-broadcast"}) v.purge(queue);
    bare::wait_until_idle();
  }

  const std::vector<std::string> cluster_;
  const queue_kind kind_;
  const std::size_t count_;
  const int seconds_;
  inline static int vhosts = 0;  // so far: each has a name of its own
  const message sample_ = *to_message(events_of(1)[0], {.node = "bench"}, message_format::json);
};

}  // namespace

/// --quick: fewer messages, once. --only TEXT: the rows whose name contains it ("consume, quorum").
int main(int argc, char** argv) {
  std::string json_file, only;
  std::size_t messages = 0;
  bool quick = false;
  for (int i = 1; i < argc; ++i) {
    if (std::string_view(argv[i]) == "--json" && i + 1 < argc) json_file = argv[++i];
    if (std::string_view(argv[i]) == "--only" && i + 1 < argc) only = argv[++i];
    if (std::string_view(argv[i]) == "--messages" && i + 1 < argc) messages = std::strtoul(argv[++i], nullptr, 10);
    if (std::string_view(argv[i]) == "--quick") quick = true;
  }
  const auto cluster = bare::find_cluster();
  if (cluster.empty()) {
    std::fprintf(stderr, "rabbitmq bench: no cluster; ./dev services up rabbitmq\n");
    return 1;
  }
  const std::size_t count = messages ? messages : quick ? 10'000 : 20'000;
  const int turns = quick ? 2 : 6, seconds = quick ? 2 : 4;
  const auto before = bench::machine_cpu_time();
  std::vector<bench::row> rows;
  const auto wanted = [&](const std::string& what) { return what.find(only) != std::string::npos; };
  const auto row = [&](const std::string& what, const char* unit, bench::better which, const figures& f,
                       const std::string& peer, nlohmann::json goal) {
    if (f.theirs.empty()) return;
    const auto all = compare(f, which);
    std::fprintf(stderr, "%s: %.3g, %s %.3g\n", what.c_str(), all.ours, peer.c_str(), all.theirs);
    rows.push_back({what, unit, all.ours, peer, all.theirs, all.ratio, std::move(goal), all.spread});
  };
  for (const auto kind : {queue_kind::classic, queue_kind::quorum}) {
    const std::string word = kind == queue_kind::classic ? ", classic" : ", quorum";
    const auto publish = "publish" + word, consume = "consume" + word, late = "latency p99 at 2,000/s" + word,
               cpu = "client CPU per event published" + word;
    const bool node = kind == queue_kind::classic && wanted(cpu);
    contest c(cluster, kind, count, seconds);
    figures out, in, in_cpu, in_brokers, ms, cpu_us;
    for (int turn = 0; turn < turns; ++turn) {
      if (wanted(publish) || node) c.publish(turn, out, node ? &cpu_us : nullptr);
      if (wanted(consume)) c.consume(turn, in, in_cpu, in_brokers);
      if (wanted(late)) c.latency(turn, ms);
    }
    const std::string bare_client = "bare rabbitmq-c";
    row(publish, "events/s", bench::better::higher, out, bare_client, 0.9);
    row(consume, "msg/s", bench::better::higher, in, bare_client, 0.9);
    row("client CPU per message consumed" + word, "us", bench::better::lower, in_cpu, bare_client, nullptr);
    row("brokers' CPU per message consumed" + word, "us", bench::better::lower, in_brokers, bare_client, nullptr);
    row(late, "ms", bench::better::lower, ms, bare_client, 1 / 1.2);
    row(cpu, "us", bench::better::lower, cpu_us, "amqplib 0.10 on Node", 2.0);
    if (node && cpu_us.ours.empty())
      std::fprintf(stderr, "rabbitmq bench: npm is not here, or could not install amqplib: no row beside it\n");
  }
  const auto gap = [&](const char* what, failover which, const char* goal) {
    if (quick || !wanted(what)) return;
    if (const auto s = failover_gap(which))
      rows.push_back(bench::compare(what, "s", bench::better::lower, s->ours, "bare rabbitmq-c", s->theirs, goal));
  };
  gap("confirm gap, queues' leader killed", failover::leader, "< 1 s");
  gap("confirm gap, connected node that leads no queue killed", failover::connected, "< 5 s");
  gap("confirm gap, node that is both killed", failover::both, "< 5 s");
  bench::print(rows);
  const nlohmann::json conditions{
      {"cores", std::thread::hardware_concurrency()},
      {"nodes", cluster.size()},
      {"messages", count},
      {"turns", turns},
      {"window", window},
      {"prefetch", prefetch},
      {"publish", "job.events: three queues; persistent, confirmed"},
      {"consume",
       "2 x messages a queue, each of a job of its own; five queues filled, then emptied one right after the other: "
       "one "
       "for warming up, then ours, theirs, theirs, ours (the other way round every other turn). "
       "Both sides acknowledge half of the prefetch at once; ours reads the command of each message and "
       "acknowledges what the house has answered, bare reads the message's id"},
      {"latency", "from the journal (bare: from publish) to a consumer on another node"},
      {"ratio",
       "median of the turns' ratios, ours and peer one right after the other, each first every other turn; "
       "spread: of their middle half"},
      {"brokers", "on the same cores"},
      {"cpu_stolen" + (only.empty() ? "" : ", " + only), bench::stolen_since(before)}};
  return bench::write_json(json_file, conditions, rows, !only.empty()) ? 0 : 1;
}
