// The kit beside raw CAF 0.17.6 in the same run: one-way messages, ping-pong, request/reply, supervised spawn and
// restart. Interleaved rounds, median of each; the spread is (max - min) / median of our rounds.
//
//   bench-kit [--json FILE] [--rounds N]
#include <malloc.h>
#include <sched.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include <caf/all.hpp>
#include <nlohmann/json.hpp>

#include "runtime/kit/system.hpp"
#include "runtime/supervision/supervisor.hpp"

namespace {

using namespace horizons;
using namespace std::chrono_literals;
using clock_type = std::chrono::steady_clock;

double seconds_since(clock_type::time_point t) { return std::chrono::duration<double>(clock_type::now() - t).count(); }

/// A flag the measuring thread waits for.
struct signal {
  std::mutex m;
  std::condition_variable c;
  bool set = false;
  void give() {
    std::lock_guard l(m);
    set = true;
    c.notify_all();
  }
  void take() {
    std::unique_lock l(m);
    c.wait(l, [&] { return set; });
    set = false;
  }
};

constexpr std::uint64_t one_way_messages = 400'000, round_trips = 150'000, requests = 100'000, spawns = 20'000;

// --- ours -----------------------------------------------------------------------------------------------------------

struct number {
  std::uint64_t n;
};
struct start_peer {};
struct question {
  using reply = std::uint64_t;
  std::uint64_t n;
};
struct crash {};
using sink_api = kit::accepts<number>;
struct ball;
using player_api = kit::accepts<ball>;
struct ball {
  std::uint64_t n;
  kit::handle<player_api> from;
};
using peer_api = kit::accepts<number, start_peer>;
using answer_api = kit::accepts<question>;

struct ours {
  kit::system sys;

  double one_way() {
    signal done;
    auto sink =
        sys.spawn<sink_api>({.name = "sink", .limits = {.messages_max = one_way_messages + 1, .bytes_max = 1ull << 30}},
                            [&](kit::context& self) {
                              return kit::behavior{}.on<number>([&](const number& m) {
                                if (m.n == one_way_messages) {
                                  done.give();
                                  self.quit();
                                }
                              });
                            });
    auto source = sys.spawn<peer_api>({.name = "source"}, [sink](kit::context& self) {
      return kit::behavior{}.on<start_peer>([sink, &self](const start_peer&) {
        for (std::uint64_t i = 1; i <= one_way_messages; ++i) sink.send(number{i});
        self.quit();
      });
    });
    auto t = clock_type::now();
    source.send(start_peer{});
    done.take();
    auto s = seconds_since(t);
    sys.stop(source, 5s);
    sys.stop(sink, 5s);
    return one_way_messages / s;
  }

  double ping_pong() {
    signal done;
    auto pong = sys.spawn<player_api>({.name = "pong"}, [](kit::context& self) {
      return kit::behavior{}.on<ball>([me = self.self_as<player_api>()](const ball& b) { b.from.send(ball{b.n, me}); });
    });
    auto ping = sys.spawn<player_api>({.name = "ping"}, [&, pong](kit::context& self) {
      return kit::behavior{}.on<ball>([&, pong, me = self.self_as<player_api>()](const ball& b) {
        if (b.n == round_trips)
          done.give();
        else
          pong.send(ball{b.n + 1, me});
      });
    });
    auto t = clock_type::now();
    ping.send(ball{0, pong});
    done.take();
    auto s = seconds_since(t);
    sys.stop(ping, 5s);
    sys.stop(pong, 5s);
    return round_trips / s;
  }

  double request_reply(std::chrono::milliseconds timeout) {
    signal done;
    auto server = sys.spawn<answer_api>({.name = "server"}, [](kit::context&) {
      return kit::behavior{}.on<question>([](const question& q) -> result<std::uint64_t> { return q.n; });
    });
    auto client = sys.spawn<peer_api>({.name = "client"}, [&, server, timeout](kit::context& self) {
      auto ask = std::make_shared<std::function<void(std::uint64_t)>>();
      *ask = [&, server, timeout, weak = ask.get()](std::uint64_t n) {
        if (n == requests) return done.give();
        self.request(server, question{n}, timeout, [weak, n](result<std::uint64_t>) { (*weak)(n + 1); });
      };
      return kit::behavior{}.on<start_peer>([ask](const start_peer&) { (*ask)(0); });
    });
    auto t = clock_type::now();
    client.send(start_peer{});
    done.take();
    auto s = seconds_since(t);
    sys.stop(client, 5s);
    sys.stop(server, 5s);
    return requests / s;
  }

  /// Microseconds and bytes of one supervised, running child.
  std::pair<double, double> spawn() {
    signal done;
    std::atomic<std::uint64_t> running{0};
    double us = 0, bytes = 0;
    auto parent = sys.spawn<peer_api>({.name = "parent"}, [&](kit::context& self) {
      return kit::behavior{}.on<start_peer>([&](const start_peer&) {
        auto before = mallinfo2().uordblks;
        auto t = clock_type::now();
        for (std::uint64_t i = 0; i < spawns; ++i)
          self.spawn<sink_api>({.name = std::to_string(i), .type = "child"}, [&](kit::context&) {
            ++running;
            return kit::behavior{}.on<number>([](const number&) {});
          });
        us = seconds_since(t) * 1e6 / spawns;
        std::thread([&, before] {
          while (running < spawns) std::this_thread::yield();
          bytes = static_cast<double>(mallinfo2().uordblks - before) / spawns;
          done.give();
        }).detach();
      });
    });
    parent.send(start_peer{});
    done.take();
    sys.stop(parent, 60s);
    return {us, bytes};
  }

  /// p99 of "a child fails" to "its next life runs", without backoff, µs.
  double restart_p99() {
    constexpr int crashes = 2000;
    std::vector<double> us;
    signal running;
    clock_type::time_point failed_at;
    supervision::child_spec child{.options = {.name = "child"}, .body = [&](kit::context&) {
                                    us.push_back(seconds_since(failed_at) * 1e6);
                                    running.give();
                                    return kit::behavior{}.on<crash>([&](const crash&) {
                                      failed_at = clock_type::now();
                                      throw 1;
                                    });
                                  }};
    auto sup = sys.spawn<supervision::supervisor_api>(
        {.name = "sup"},
        supervision::supervisor(supervision::strategy::one_for_one,
                                {.restarts_max = crashes + 1, .backoff_first = 0ms, .backoff_max = 0ms}, {child}));
    running.take();
    us.clear();
    for (int i = 0; i < crashes; ++i) {
      auto h = kit::handle<kit::accepts<crash>>(sys.find("/sup/child").cell());
      while (h.send(crash{}) != kit::delivery::accepted) std::this_thread::yield();
      running.take();
    }
    sys.stop(sup, 5s);
    std::sort(us.begin(), us.end());
    return us[us.size() * 99 / 100];
  }
};

// --- raw CAF --------------------------------------------------------------------------------------------------------

struct raw {
  caf::actor_system_config cfg;
  std::unique_ptr<caf::actor_system> sys;
  explicit raw(std::size_t threads) {
    cfg.set("scheduler.max-threads", threads);
    cfg.set("scheduler.max-throughput", std::size_t{50});
    sys = std::make_unique<caf::actor_system>(cfg);
  }

  double one_way() {
    signal done;
    auto sink = sys->spawn([&](caf::event_based_actor* self) -> caf::behavior {
      return {[&, self](std::uint64_t n) {
        if (n == one_way_messages) {
          done.give();
          self->quit();
        }
      }};
    });
    auto t = clock_type::now();
    sys->spawn([sink](caf::event_based_actor* self) {
      for (std::uint64_t i = 1; i <= one_way_messages; ++i) self->send(sink, i);
    });
    done.take();
    return one_way_messages / seconds_since(t);
  }

  double ping_pong() {
    signal done;
    auto pong = sys->spawn([](caf::event_based_actor* self) -> caf::behavior {
      return {[self](std::uint64_t n) { self->send(caf::actor_cast<caf::actor>(self->current_sender()), n); }};
    });
    auto t = clock_type::now();
    sys->spawn([&, pong](caf::event_based_actor* self) -> caf::behavior {
      self->send(pong, std::uint64_t{0});
      return {[&, self, pong](std::uint64_t n) {
        if (n == round_trips) {
          done.give();
          self->quit();
        } else {
          self->send(pong, n + 1);
        }
      }};
    });
    done.take();
    return round_trips / seconds_since(t);
  }

  double request_reply(std::chrono::milliseconds timeout) {
    signal done;
    auto server =
        sys->spawn([](caf::event_based_actor*) -> caf::behavior { return {[](std::uint64_t n) { return n; }}; });
    auto t = clock_type::now();
    sys->spawn([&, server, timeout](caf::event_based_actor* self) -> caf::behavior {
      auto ask = std::make_shared<std::function<void(std::uint64_t)>>();
      *ask = [&, self, server, timeout, weak = ask.get()](std::uint64_t n) {
        if (n == requests) {
          done.give();
          self->quit();
          return;
        }
        auto next = [weak](std::uint64_t m) { (*weak)(m + 1); };
        if (timeout.count())
          self->request(server, timeout, n).then(next);
        else
          self->request(server, caf::infinite, n).then(next);
      };
      (*ask)(0);
      return {[ask](caf::unit_t) {}};
    });
    done.take();
    return requests / seconds_since(t);
  }

  /// A monitored child: the nearest thing raw CAF has.
  std::pair<double, double> spawn() {
    signal done;
    std::atomic<std::uint64_t> running{0};
    double us = 0, bytes = 0;
    auto parent = sys->spawn([&](caf::event_based_actor* self) {
      self->set_down_handler([](caf::down_msg&) {});
      auto children = std::make_shared<std::vector<caf::actor>>();
      auto before = mallinfo2().uordblks;
      auto t = clock_type::now();
      for (std::uint64_t i = 0; i < spawns; ++i)
        children->push_back(self->spawn<caf::monitored>([&](caf::event_based_actor*) -> caf::behavior {
          ++running;
          return {[](std::uint64_t) {}};
        }));
      us = seconds_since(t) * 1e6 / spawns;
      std::thread([&, before] {
        while (running < spawns) std::this_thread::yield();
        bytes = static_cast<double>(mallinfo2().uordblks - before) / spawns;
        done.give();
      }).detach();
      self->attach_functor([children](const caf::error&) {
        for (auto& c : *children) caf::anon_send_exit(c, caf::exit_reason::kill);
      });
    });
    done.take();
    sys->await_all_actors_done();
    return {us, bytes};
  }

  double restart_p99() {
    constexpr int crashes = 2000;
    std::vector<double> us;
    signal running;
    clock_type::time_point failed_at;
    caf::actor child;
    std::function<void(caf::event_based_actor*)> start = [&](caf::event_based_actor* self) {
      child = self->spawn<caf::monitored>([&](caf::event_based_actor* me) -> caf::behavior {
        us.push_back(seconds_since(failed_at) * 1e6);
        me->set_exception_handler([](std::exception_ptr&) { return caf::make_error(caf::sec::runtime_error); });
        running.give();
        return {[&](std::uint64_t) {
          failed_at = clock_type::now();
          throw 1;
        }};
      });
    };
    auto sup = sys->spawn([&](caf::event_based_actor* self) -> caf::behavior {
      self->set_down_handler([&, self](caf::down_msg&) { start(self); });
      start(self);
      return {[](caf::unit_t) {}};
    });
    running.take();
    us.clear();
    for (int i = 0; i < crashes; ++i) {
      caf::anon_send(child, std::uint64_t{1});
      running.take();
    }
    caf::anon_send_exit(sup, caf::exit_reason::kill);
    caf::anon_send_exit(child, caf::exit_reason::kill);
    child = nullptr;
    std::sort(us.begin(), us.end());
    return us[us.size() * 99 / 100];
  }
};

double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v[v.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  std::string json_file;
  int rounds = 5;
  for (int i = 1; i < argc; ++i) {
    if (!std::strcmp(argv[i], "--json") && i + 1 < argc)
      json_file = argv[++i];
    else if (!std::strcmp(argv[i], "--rounds") && i + 1 < argc)
      rounds = std::max(1, std::atoi(argv[++i]));
    else
      return std::fprintf(stderr, "usage: %s [--json FILE] [--rounds N]\n", argv[0]), 2;
  }
  auto cpus = std::max(2u, std::thread::hardware_concurrency());
  struct row {
    const char *what, *unit;
    double goal;
    bool goal_is_ratio;  // else: an upper limit in the unit
    std::function<double(ours&)> us;
    std::function<double(raw&)> them;
    std::vector<double> a{}, b{};
  };
  std::vector<row> rows{
      {"one-way messages", "1/s", 0.75, true, [](ours& o) { return o.one_way(); }, [](raw& r) { return r.one_way(); }},
      {"ping-pong round trips", "1/s", 0.75, true, [](ours& o) { return o.ping_pong(); },
       [](raw& r) { return r.ping_pong(); }},
      {"request/reply, 5 s timeout (raw: same)", "1/s", 0.75, true, [](ours& o) { return o.request_reply(5s); },
       [](raw& r) { return r.request_reply(5s); }},
      {"request/reply, 5 s timeout (raw: infinite)", "1/s", 0.75, true, [](ours& o) { return o.request_reply(5s); },
       [](raw& r) { return r.request_reply(0s); }},
      {"supervised spawn", "us", 2, false, [](ours& o) { return o.spawn().first; },
       [](raw& r) { return r.spawn().first; }},
      {"supervised child, memory", "B", 2048, false, [](ours& o) { return o.spawn().second; },
       [](raw& r) { return r.spawn().second; }},
      {"DOWN to child running, p99", "us", 100, false, [](ours& o) { return o.restart_p99(); },
       [](raw& r) { return r.restart_p99(); }},
  };
  ours o{kit::system({.threads = cpus})};
  raw r(cpus);
  for (int i = 0; i < rounds; ++i)
    for (auto& x : rows) {
      x.a.push_back(x.us(o));
      x.b.push_back(x.them(r));
    }
  nlohmann::ordered_json out;
  utsname host{};
  uname(&host);
  out["conditions"] = {{"cpus", cpus},       {"rounds", rounds},  {"compiler", __VERSION__}, {"kernel", host.release},
                       {"caf", CAF_VERSION}, {"telemetry", "on"}, {"max_throughput", 50}};
  std::printf("%-46s %6s %12s %12s %7s %9s %7s\n", "what", "unit", "kit", "raw CAF", "ratio", "goal", "spread");
  for (auto& x : rows) {
    auto us = median(x.a), them = median(x.b);
    auto [low, high] = std::minmax_element(x.a.begin(), x.a.end());
    auto spread = (*high - *low) / us;
    std::printf("%-46s %6s %12.4g %12.4g %7.2f %s%8.4g %6.0f%%\n", x.what, x.unit, us, them, us / them,
                x.goal_is_ratio ? ">" : "<", x.goal, 100 * spread);
    out["rows"].push_back({{"what", x.what},
                           {"unit", x.unit},
                           {"ours", us},
                           {"peer", "raw CAF 0.17.6"},
                           {"theirs", them},
                           {"ratio", us / them},
                           {"goal", x.goal},
                           {"spread", spread}});
  }
  if (!json_file.empty()) std::ofstream(json_file) << out.dump(2) << "\n";
}
