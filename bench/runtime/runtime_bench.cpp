// The kit beside raw CAF 0.17.6, Erlang/OTP and Apache Pekko, in the same run: messages, request/reply, fan-in,
// supervised spawn and restart, and how soon a control message is answered under overload. Rounds of the kit and raw
// CAF alternate; the two other runtimes are programs of their own, run right after. Medians; `spread` is
// (max - min) / median of our rounds.
//
//   bench-runtime [--json FILE] [--rounds N] [--no-peers]
#include <sys/utsname.h>

#include <cstdlib>
#include <cstring>

#include "bench/report.hpp"
#include "bench/runtime/runtime_sides/ours.hpp"
#include "bench/runtime/runtime_sides/overload.hpp"
#include "bench/runtime/runtime_sides/peers.hpp"
#include "bench/runtime/runtime_sides/raw_caf.hpp"

using namespace horizons::bench;
using namespace std::chrono_literals;

int main(int argc, char** argv) {
  std::string json_file;
  int rounds = 5;
  bool with_peers = true;
  const auto program = std::filesystem::read_symlink("/proc/self/exe");  // build/bench-runtime
  auto sources = program.parent_path().parent_path() / "bench/runtime", work = program.parent_path() / "bench/peers";
  for (int i = 1; i < argc; ++i) {
    if (!std::strcmp(argv[i], "--json") && i + 1 < argc)
      json_file = argv[++i];
    else if (!std::strcmp(argv[i], "--rounds") && i + 1 < argc)
      rounds = std::max(1, std::atoi(argv[++i]));
    else if (!std::strcmp(argv[i], "--sources") && i + 1 < argc)
      sources = argv[++i];
    else if (!std::strcmp(argv[i], "--no-peers"))
      with_peers = false;
    else
      return std::fprintf(stderr, "usage: %s [--json FILE] [--rounds N] [--no-peers] [--sources bench/runtime]\n",
                          argv[0]),
             2;
  }
  const auto cpus = std::max(2u, std::thread::hardware_concurrency());

  struct task {
    std::string what, unit, peer_key;  // what Erlang and Pekko call it; empty: they do not do it
    better which;
    nlohmann::json goal_raw;
    nlohmann::json goal_peers;
    std::vector<double> kit{}, raw{};
  };
  enum {
    one_way,
    ping_pong,
    request,
    request_infinite,
    fan_in,
    spawn_call,
    spawn_running,
    child_bytes,
    restart,
    restart_p99
  };
  std::vector<task> tasks{
      {"one-way messages", "1/s", "", better::higher, 0.75, nullptr},
      {"ping-pong round trips", "1/s", "ping_pong", better::higher, 0.75, 1.0},
      {"request/reply, 5 s timeout (raw: the same)", "1/s", "", better::higher, 0.75, nullptr},
      {"request/reply, 5 s timeout (raw: none)", "1/s", "", better::higher, 0.75, nullptr},
      {"fan-in, 4 senders", "1/s", "fan_in", better::higher, 0.75, 1.0},
      {"supervised spawn, the call", "us", "", better::lower, "at most 2 us", nullptr},
      {"supervised spawn until it runs", "us", "spawn", better::lower, nullptr, 1.0},
      {"supervised child, memory", "B", "child_bytes", better::lower, "at most 2048 B", nullptr},
      {"crash until the child runs again, median", "us", "restart_p50", better::lower, nullptr, 1.0},
      {"crash until the child runs again, p99", "us", "restart_p99", better::lower, "at most 100 us", 1.0},
  };
  const auto add = [&](int which, double kit, double raw) {
    tasks[static_cast<std::size_t>(which)].kit.push_back(kit);
    tasks[static_cast<std::size_t>(which)].raw.push_back(raw);
  };
  for (int i = 0; i < rounds; ++i)  // before this process has a second thread
    add(child_bytes, in_a_fresh_process([&] { return ours{horizons::kit::system({.threads = cpus})}.spawn().bytes; }),
        in_a_fresh_process([&] { return raw_caf(cpus).spawn().bytes; }));
  std::vector<double> answers_p99, answers_max;
  {
    ours o{horizons::kit::system({.threads = cpus})};
    raw_caf r(cpus);
    for (int i = 0; i < rounds; ++i) {
      add(one_way, o.one_way(), r.one_way());
      add(ping_pong, o.ping_pong(), r.ping_pong());
      add(request, o.request_reply(5s), r.request_reply(5s));
      add(request_infinite, o.request_reply(5s), r.request_reply(0s));
      add(fan_in, o.fan_in(), r.fan_in());
      const auto a = o.spawn();
      const auto b = r.spawn();
      add(spawn_call, a.call_us, b.call_us);
      add(spawn_running, a.running_us, b.running_us);
      const auto kit = o.restart(), caf = r.restart();
      add(restart, kit.median, caf.median);
      add(restart_p99, kit.p99, caf.p99);
      const auto waits = answer_times_under_overload(2s);
      answers_p99.push_back(percentile(waits, 99));
      answers_max.push_back(*std::max_element(waits.begin(), waits.end()));
    }
  }
  utsname host{};
  uname(&host);
  double load = 0;  // of the minute before: other work on the machine makes every figure here worse
  ::getloadavg(&load, 1);
  nlohmann::json conditions{
      {"cpus", cpus},       {"rounds", rounds},  {"compiler", __VERSION__}, {"kernel", host.release},
      {"caf", CAF_VERSION}, {"telemetry", "on"}, {"max_throughput", 50},    {"load_average_before_peers", load}};
  std::map<std::string, peer_figures> others;
  if (with_peers) {
    const peers p(sources, work);
    others["Erlang/OTP"] = p.erlang(rounds);
    others["Apache Pekko"] = p.pekko(rounds);
    conditions["erlang"] = p.erlang_version();
    conditions["java"] = p.java_version();
    conditions["pekko"] = "1.1.3, throughput 50, 2 rounds of warm-up";
  }

  std::vector<row> rows;
  for (auto& t : tasks) {
    const auto kit = median_of(t.kit);
    rows.push_back(compare(t.what, t.unit, t.which, kit.seconds, "raw CAF 0.17.6", median_of(t.raw).seconds, t.goal_raw,
                           kit.spread));
    for (auto& [name, figures] : others)
      if (auto at = figures.find(t.peer_key); at != figures.end() && !t.peer_key.empty())
        rows.push_back(compare(t.what + ", " + name, t.unit, t.which, kit.seconds, name, median_of(at->second).seconds,
                               t.goal_peers, kit.spread));
  }
  const auto overload_row = [&](const char* what, const std::vector<double>& ms) {
    const auto m = median_of(ms);
    rows.push_back(compare(what, "ms", better::lower, m.seconds, "", std::nullopt, "at most 100 ms", m.spread));
  };
  overload_row("control answered under 10x overload, p99", answers_p99);
  overload_row("control answered under 10x overload, worst", answers_max);
  print(rows);
  return write_json(json_file, conditions, rows) ? 0 : 1;
}
