// The kit at the tasks of runtime_bench.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <thread>

#include "bench/runtime/runtime_sides/memory.hpp"
#include "bench/runtime/runtime_sides/signal.hpp"
#include "runtime/kit/system.hpp"
#include "runtime/supervision/supervisor.hpp"

namespace horizons::bench {

struct number {
  std::uint64_t n;
};
struct start_peer {};
struct question {
  using reply = std::uint64_t;
  std::uint64_t n;
};
struct crash {};
struct ball;
using sink_api = kit::accepts<number>;
using player_api = kit::accepts<ball>;
struct ball {
  std::uint64_t n;
  kit::handle<player_api> from;
};
using starter_api = kit::accepts<start_peer>;
using answer_api = kit::accepts<question>;

struct ours {
  kit::system sys;
  static constexpr std::chrono::seconds patience{60};

  double one_way() { return many_to_one(1, one_way_messages); }
  double fan_in() { return many_to_one(fan_in_senders, fan_in_each); }

  double many_to_one(std::uint64_t senders, std::uint64_t each) {
    signal done;
    const auto total = senders * each;
    auto sink = sys.spawn<sink_api>({.name = "sink", .limits = {.messages_max = total + 1, .bytes_max = 1ull << 30}},
                                    [&](kit::context&) {
                                      return kit::behavior{}.on<number>([&, left = total](const number&) mutable {
                                        if (--left == 0) done.give();
                                      });
                                    });
    std::vector<kit::handle<starter_api>> sources;
    for (std::uint64_t i = 0; i < senders; ++i)
      sources.push_back(
          sys.spawn<starter_api>({.name = "source" + std::to_string(i), .type = "source"}, [sink, each](kit::context&) {
            return kit::behavior{}.on<start_peer>([sink, each](const start_peer&) {
              for (std::uint64_t n = 0; n < each; ++n) sink.send(number{n});
            });
          }));
    auto t = clock_type::now();
    for (auto& s : sources) s.send(start_peer{});
    done.take();
    auto s = seconds_since(t);
    for (auto& source : sources) sys.stop(source, patience);
    sys.stop(sink, patience);
    return static_cast<double>(total) / s;
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
    sys.stop(ping, patience);
    sys.stop(pong, patience);
    return round_trips / s;
  }

  double request_reply(std::chrono::milliseconds timeout) {
    signal done;
    auto server = sys.spawn<answer_api>({.name = "server"}, [](kit::context&) {
      return kit::behavior{}.on<question>([](const question& q) -> result<std::uint64_t> { return q.n; });
    });
    auto client = sys.spawn<starter_api>({.name = "client"}, [&, server, timeout](kit::context& self) {
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
    sys.stop(client, patience);
    sys.stop(server, patience);
    return requests / s;
  }

  spawn_figures spawn() {
    signal done;
    std::atomic<std::uint64_t> running{0};
    spawn_figures f;
    double before = 0;
    clock_type::time_point t;
    auto parent = sys.spawn<starter_api>({.name = "parent"}, [&](kit::context& self) {
      return kit::behavior{}.on<start_peer>([&](const start_peer&) {
        before = resident_bytes();
        t = clock_type::now();
        for (std::uint64_t i = 0; i < spawns; ++i)
          self.spawn<sink_api>({.name = std::to_string(i), .type = "child"}, [&](kit::context&) {
            if (++running == spawns) done.give();
            return kit::behavior{}.on<number>([](const number&) {});
          });
        f.call_us = seconds_since(t) * 1e6 / spawns;
      });
    });
    parent.send(start_peer{});
    done.take();
    f.running_us = seconds_since(t) * 1e6 / spawns;
    sys.stop(sys.find("/parent/0"), patience);  // the parent has come out of its handler
    f.bytes = (resident_bytes() - before) / spawns;
    sys.stop(parent, patience);
    return f;
  }

  /// From a child's crash to its next life, without backoff.
  restart_figures restart() {
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
        {.name = "sup"}, supervision::supervisor(supervision::strategy::one_for_one,
                                                 {.restarts_max = crashes + 1,
                                                  .backoff_first = std::chrono::milliseconds{0},
                                                  .backoff_max = std::chrono::milliseconds{0}},
                                                 {child}));
    running.take();
    us.clear();
    for (int i = 0; i < crashes; ++i) {
      auto h = kit::handle<kit::accepts<crash>>(sys.find("/sup/child").cell());
      while (h.send(crash{}) != kit::delivery::accepted) std::this_thread::yield();
      running.take();
    }
    sys.stop(sup, patience);
    return figures_of(us);
  }
};

}  // namespace horizons::bench
