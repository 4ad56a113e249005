// CAF 0.17.6 without the kit at the tasks of runtime_bench: what the kit's guards cost.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <thread>

#include <caf/all.hpp>

#include "bench/runtime/runtime_sides/memory.hpp"
#include "bench/runtime/runtime_sides/signal.hpp"

namespace horizons::bench {

struct raw_caf {
  caf::actor_system_config cfg;
  std::unique_ptr<caf::actor_system> sys;
  explicit raw_caf(std::size_t threads) {
    cfg.set("scheduler.max-threads", threads);
    cfg.set("scheduler.max-throughput", std::size_t{50});  // as the kit
    sys = std::make_unique<caf::actor_system>(cfg);
  }

  double one_way() { return many_to_one(1, one_way_messages); }
  double fan_in() { return many_to_one(fan_in_senders, fan_in_each); }

  double many_to_one(std::uint64_t senders, std::uint64_t each) {
    signal done;
    const auto total = senders * each;
    auto sink = sys->spawn([&](caf::event_based_actor* self) -> caf::behavior {
      auto left = std::make_shared<std::uint64_t>(total);
      return {[&, self, left](std::uint64_t) {
        if (--*left == 0) {
          done.give();
          self->quit();
        }
      }};
    });
    auto t = clock_type::now();
    for (std::uint64_t i = 0; i < senders; ++i)
      sys->spawn([sink, each](caf::event_based_actor* self) {
        for (std::uint64_t n = 0; n < each; ++n) self->send(sink, n);
      });
    done.take();
    return static_cast<double>(total) / seconds_since(t);
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

  /// Monitored children: the nearest thing raw CAF has.
  spawn_figures spawn() {
    signal done;
    std::atomic<std::uint64_t> running{0};
    std::atomic<bool> spawned{false};
    spawn_figures f;
    double before = 0;
    clock_type::time_point t;
    auto parent = sys->spawn([&](caf::event_based_actor* self) -> caf::behavior {
      self->set_down_handler([](caf::down_msg&) {});
      auto children = std::make_shared<std::vector<caf::actor>>();
      children->reserve(spawns);
      before = resident_bytes();
      t = clock_type::now();
      for (std::uint64_t i = 0; i < spawns; ++i)
        children->push_back(self->spawn<caf::monitored>([&](caf::event_based_actor*) -> caf::behavior {
          if (++running == spawns) done.give();
          return {[](std::uint64_t) {}};
        }));
      f.call_us = seconds_since(t) * 1e6 / spawns;
      spawned = true;
      return {[self, children](caf::unit_t) {
        for (auto& c : *children) caf::anon_send_exit(c, caf::exit_reason::kill);
        self->quit();
      }};
    });
    done.take();
    f.running_us = seconds_since(t) * 1e6 / spawns;
    while (!spawned) std::this_thread::yield();
    f.bytes = (resident_bytes() - before) / spawns;
    caf::anon_send(parent, caf::unit);
    parent = nullptr;
    sys->await_all_actors_done();
    return f;
  }

  restart_figures restart() {
    std::vector<double> us;
    signal running;
    std::atomic<std::int64_t> failed_at{0};
    auto now = [] { return clock_type::now().time_since_epoch().count(); };
    std::function<void(caf::event_based_actor*)> start;
    // The parent passes the crash on: it alone always knows its present child.
    auto supervisor = sys->spawn([&](caf::event_based_actor* self) -> caf::behavior {
      auto child = std::make_shared<caf::actor>();
      start = [&, child](caf::event_based_actor* parent) {
        *child = parent->spawn<caf::monitored>([&](caf::event_based_actor* me) -> caf::behavior {
          us.push_back(static_cast<double>(now() - failed_at) * 1e-3);
          me->set_exception_handler([](std::exception_ptr&) { return caf::make_error(caf::sec::runtime_error); });
          running.give();
          return {[&](std::uint64_t) {
            failed_at = now();
            throw 1;
          }};
        });
      };
      self->set_down_handler([&, self](caf::down_msg&) { start(self); });
      start(self);
      return {[self, child](std::uint64_t n) { self->send(*child, n); },
              [self, child](caf::unit_t) {
                self->set_down_handler([](caf::down_msg&) {});
                caf::anon_send_exit(*child, caf::exit_reason::kill);
                self->quit();
              }};
    });
    running.take();
    us.clear();
    for (int i = 0; i < crashes; ++i) {
      caf::anon_send(supervisor, std::uint64_t{1});
      running.take();
    }
    caf::anon_send(supervisor, caf::unit);
    supervisor = nullptr;
    sys->await_all_actors_done();
    return figures_of(us);
  }
};

}  // namespace horizons::bench
