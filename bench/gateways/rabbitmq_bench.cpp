// The RabbitMQ bridge beside a bare rabbitmq-c program with the same guarantees (persistent messages, publisher
// confirms within the same window, manual acknowledgements with the same prefetch) and beside amqplib on Node: the same
// cluster, the same messages, in turns.
#include <unistd.h>

#include <cstdlib>
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
  /// A machine's speed changes from one second to the next, so both queues are filled first and emptied one right after
  /// the other, many times.
  void consume(figures& rate) {
    with_vhost([&](const bare::vhost&, const options& mine, const std::string& name) {
      with_vhost([&](const bare::vhost&, const options& other, const std::string&) {
        for (int i = 0; i < consume_turns; ++i) {
          for (const auto* o : {&mine, &other}) bare::publish(o->hosts[0], bare::submission(), consume_count(), window);
          bare::wait_until_idle();
          in_turns([&] { rate.ours.push_back(source_rate(mine, consume_count(), name + "-" + std::to_string(i))); },
                   [&] {
                     rate.theirs.push_back(bare::consume(other.hosts[0], "job-submissions", consume_count(), prefetch));
                   });
        }
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
            ms.theirs.push_back(
                p99(bare::latency(o.hosts[0], far, sample_, "job-events-api", rate_per_s, seconds_), rate_per_s / 2));
          });
    });
  }

private:
  static constexpr int rate_per_s = 2'000, consume_turns = 3;
  std::size_t consume_count() const { return 3 * count_; }  // the faster direction: a second rather than a third

  template <class Ours, class Theirs>
  void in_turns(Ours&& ours, Theirs&& theirs) {
    if (++turns_ % 2 == 0) ours();
    theirs();
    if (turns_ % 2 != 0) ours();
  }
  template <class F>
  void with_vhost(F&& f) {
    const std::string name = "bench-" + std::to_string(::getpid()) + "-" + std::to_string(++vhosts);
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
  const auto gap = [&](const char* what, failover which, const char* goal) {
    if (quick || !wanted(what)) return;
    if (const auto s = failover_gap(which))
      rows.push_back(bench::compare(what, "s", bench::better::lower, s->ours, "bare rabbitmq-c", s->theirs, goal));
  };
  gap("confirm gap, queues' leader killed", failover::leader, "< 1 s");
  gap("confirm gap, connected node killed", failover::connected, "< 5 s");
  gap("confirm gap, node that is both killed", failover::both, "< 5 s");
  bench::print(rows);
  const nlohmann::json conditions{{"cores", std::thread::hardware_concurrency()},
                                  {"nodes", cluster.size()},
                                  {"messages", count},
                                  {"repeats", repeats},
                                  {"window", window},
                                  {"prefetch", prefetch},
                                  {"publish", "job.events: three queues; persistent, confirmed"},
                                  {"consume", "both queues filled, then emptied one right after the other; 3 a repeat"},
                                  {"latency", "from the journal (bare: from publish) to a consumer on another node"},
                                  {"measured", "median, ours and peer in turns; brokers on the same cores"}};
  return bench::write_json(json_file, conditions, rows) ? 0 : 1;
}
