// Our side of the RabbitMQ benchmark: the bridge's own actors with a journal in memory.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "bench/gateways/rabbitmq_bare.hpp"
#include "bench/report.hpp"
#include "gateways/rabbitmq/relay.hpp"
#include "gateways/rabbitmq/source.hpp"
#include "messages/ulid.hpp"
#include "runtime/journal/memory_store.hpp"
#include "runtime/kit/system.hpp"

namespace horizons::rabbitmq {

using namespace std::chrono_literals;

inline constexpr std::uint16_t prefetch = 1'000;
inline constexpr std::size_t window = 1'000;

/// `every`: what looks more often takes time from what it looks at.
inline void wait_until(const std::function<bool()>& condition, const char* what,
                       std::chrono::milliseconds every = 1ms) {
  const auto end = std::chrono::steady_clock::now() + 120s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) {
      std::fprintf(stderr, "rabbitmq bench: %s did not happen within 120 s\n", what);
      std::exit(1);
    }
    std::this_thread::sleep_for(every);
  }
}

inline std::vector<event> events_of(std::size_t count, std::size_t first = 0) {
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
inline options options_of(const std::vector<std::string>& urls, queue_kind kind) {
  auto o = options_from({.urls = {urls.front()}, .prefetch = prefetch}, "bench").value();
  o.kind = kind;
  o.window = window;
  return o;
}

/// Events per second and CPU seconds of this process per event, journal included.
inline std::pair<double, double> relay_rate(const options& o, std::size_t count, const std::string& name) {
  journal_actors j(name);
  const auto events = events_of(count);
  for (std::size_t i = 0; i < count; i += 1'000)
    j.append({events.begin() + long(i), events.begin() + long(std::min(count, i + 1'000))});
  auto m = std::make_shared<metrics>();
  auto actor = j.system.spawn_blocking<relay_api>({.name = "relay", .limits = relay_lane}, relay(j.services, o, m));
  wait_until([&] { return m->relay.published > 0; }, "the first publish");
  const double cpu = bare::cpu_seconds();
  const auto already = m->relay.confirmed.load();
  const double s =
      bench::seconds_of([&] { wait_until([&] { return m->relay.confirmed >= count; }, "the last confirm"); });
  const double used = bare::cpu_seconds() - cpu;
  j.system.stop(actor, 10s);
  return {double(count - already) / s, used / double(count - already)};
}

inline bare::consumed source_rate(const options& o, std::size_t count, const std::string& name) {
  journal_actors j(name);
  j.services.handle = [](const bridges::incoming&, const bridges::callback<bridges::handled>& then) {
    then(bridges::handled{});
  };
  auto m = std::make_shared<metrics>();
  auto actor = j.system.spawn_blocking<source_api>({.name = "source"}, source(j.services, o, m));
  wait_until([&] { return m->source.delivered > 0; }, "the first delivery");
  const bare::consuming from;
  const auto already = m->source.acked.load();
  wait_until([&] { return m->source.acked >= count; }, "the last ack", 5ms);
  const auto all = from.until_now(count - already);
  j.system.stop(actor, 10s);
  return all;
}

/// Without the first ones: a fresh channel's first publishes make it known to every queue.
inline double p99(std::vector<double> ms, std::size_t warm_up) {
  ms.erase(ms.begin(), ms.begin() + long(std::min(warm_up, ms.size())));
  std::sort(ms.begin(), ms.end());
  return ms.empty() ? 0 : ms[ms.size() * 99 / 100];
}

/// From the moment an event is given to the journal until a consumer at `reader` has it, at `rate` per second.
inline double relay_latency(const options& o, const endpoint& reader, int rate, int seconds, const std::string& name) {
  journal_actors j(name);
  auto m = std::make_shared<metrics>();
  auto actor = j.system.spawn_blocking<relay_api>({.name = "relay", .limits = relay_lane}, relay(j.services, o, m));
  wait_until([&] { return m->relay.connected.load(); }, "connecting");
  auto events = events_of(std::size_t(rate) * std::size_t(seconds));
  std::unordered_map<std::string, std::size_t> number;
  for (std::size_t i = 0; i < events.size(); ++i) number[events[i].event_id] = i;
  std::vector<std::chrono::steady_clock::time_point> sent(events.size());
  bare::receiver receiver(reader, "job-events-api", prefetch, 200);
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
  return p99(std::move(ms), std::size_t(rate / 2));
}

}  // namespace horizons::rabbitmq
