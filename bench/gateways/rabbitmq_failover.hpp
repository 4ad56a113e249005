// How long publishing stands still when a broker's node is killed: the relay and a bare rabbitmq-c program that
// reconnects at once, side by side on one cluster that this program may hurt. (A cluster that was hurt before recovers
// more slowly: see docs/rabbitmq.md.)
#pragma once

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <optional>
#include <string>
#include <thread>

#include "bench/gateways/rabbitmq_bare.hpp"
#include "bench/gateways/rabbitmq_subject.hpp"
#include "gateways/rabbitmq/relay_message.hpp"
#include "runtime/telemetry/log.hpp"

namespace horizons::rabbitmq {

/// The node that is killed: leads the queues, has the publishers' connections and leads none, or is both.
enum class failover { leader, connected, both };

struct gaps {
  double ours = 0, theirs = 0;  // the longest time without a confirm, seconds
};

/// Tells the longest time without a step of a counter.
class longest_pause {
public:
  void see(std::uint64_t counter) {
    const auto now = std::chrono::steady_clock::now();
    longest_ = std::max(longest_, std::chrono::duration<double>(now - last_).count());
    if (counter == seen_) return;
    seen_ = counter;
    last_ = now;
  }
  double seconds() const { return longest_; }

private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
  std::uint64_t seen_ = 0;
  double longest_ = 0;
};

/// Publishes every 2 ms until `stop`, on the first host and, when that is gone, on the next ones.
inline void keep_publishing(const std::vector<endpoint>& hosts, std::size_t first, const message& m,
                            const std::atomic<bool>& stop, std::atomic<std::uint64_t>& confirmed) {
  for (std::size_t host = first; !stop; host = (host + 1) % hosts.size()) {
    auto* state = amqp_new_connection();
    auto* socket = amqp_tcp_socket_new(state);
    const auto& e = hosts[host];
    const timeval limit{1, 0};
    const auto good = [&] { return amqp_get_rpc_reply(state).reply_type == AMQP_RESPONSE_NORMAL; };
    bool up = amqp_socket_open_noblock(socket, e.host.c_str(), e.port, &limit) == AMQP_STATUS_OK &&
              amqp_login(state, e.vhost.c_str(), 0, AMQP_DEFAULT_FRAME_SIZE, 5, AMQP_SASL_METHOD_PLAIN, e.user.c_str(),
                         e.password.c_str())
                      .reply_type == AMQP_RESPONSE_NORMAL;
    if (up) up = (amqp_channel_open(state, 1), good()) && (amqp_confirm_select(state, 1), good());
    table_builder tables;
    const auto properties = to_wire(m.properties, tables);
    for (auto at = std::chrono::steady_clock::now(); up && !stop; at += 2ms) {
      up = amqp_basic_publish(state, 1, to_bytes(m.exchange), to_bytes(m.routing_key), 0, 0, &properties,
                              to_bytes(m.body)) == AMQP_STATUS_OK;
      for (auto now = std::chrono::steady_clock::now(); up && now < at + 2ms; now = std::chrono::steady_clock::now()) {
        const auto left = std::chrono::duration_cast<std::chrono::microseconds>(at + 2ms - now).count();
        const timeval wait{0, static_cast<suseconds_t>(left)};
        amqp_frame_t frame;
        const int status = amqp_simple_wait_frame_noblock(state, &frame, &wait);
        if (status == AMQP_STATUS_TIMEOUT) continue;
        up = status == AMQP_STATUS_OK;
        if (up && frame.frame_type == AMQP_FRAME_METHOD && frame.payload.method.id == AMQP_BASIC_ACK_METHOD)
          ++confirmed;
        amqp_maybe_release_buffers(state);
      }
    }
    amqp_destroy_connection(state);
    if (!up) std::this_thread::sleep_for(10ms);
  }
}

/// Nullopt: no cluster of its own could be started.
inline std::optional<gaps> failover_gap(failover which) {
  const char* shift = std::getenv("HORIZONS_SERVICES_PORT_SHIFT");
  const std::string services = "HORIZONS_SERVICES_HOME=build/services-bench HORIZONS_SERVICES_PORT_SHIFT=" +
                               std::to_string((shift ? std::atoi(shift) : 0) + 50) + " tests/services/services ";
  const auto cluster = bare::urls_in(bare::output_of(services + "up rabbitmq >&2; " + services + "env rabbitmq"));
  if (cluster.empty()) return std::nullopt;
  longest_pause ours, theirs;
  {
    const bare::vhost mine(cluster, "failover");
    const auto all = options_from({.urls = mine.urls, .prefetch = prefetch}, "bench").value();
    auto o = all;
    if (which != failover::both) {  // who declares a queue has its leader
      bare::declare_topology(all);
      o.hosts.erase(o.hosts.begin());
    }
    journal_actors j("failover-" + std::to_string(int(which)));
    auto m = std::make_shared<metrics>();
    std::atomic<int> connected_to{-1};  // index into `all`, as the log says it
    log::configure({.level = log::level::info, .sink = [&](std::string_view line) {
                      for (std::size_t i = 0; i < all.hosts.size(); ++i)
                        if (line.find("connected") != std::string_view::npos &&
                            line.find(":" + std::to_string(all.hosts[i].port) + "/") != std::string_view::npos)
                          connected_to = int(i);
                    }});
    auto actor = j.system.spawn_blocking<relay_api>({.name = "relay", .limits = relay_lane}, relay(j.services, o, m));
    wait_until([&] { return m->relay.connected.load() && connected_to >= 0; }, "connecting");
    const int node = which == failover::leader ? 0 : connected_to.load();

    std::atomic<bool> stop{false};
    std::atomic<std::uint64_t> bare_confirmed{0};
    std::thread stream([&] {
      auto at = std::chrono::steady_clock::now();
      for (std::size_t i = 0; !stop; ++i) {
        std::this_thread::sleep_until(at += 2ms);
        j.append(events_of(1, i));
      }
    });
    std::thread peer([&] {
      const auto sample = *to_message(events_of(1)[0], {.node = "bench"}, message_format::json);
      keep_publishing(all.hosts, std::size_t(connected_to), sample, stop, bare_confirmed);
    });
    wait_until([&] { return m->relay.confirmed > 1'000 && bare_confirmed > 1'000; }, "a steady stream");
    std::thread killer([&] { bare::output_of(services + "node rabbitmq " + std::to_string(node + 1) + " kill"); });
    ours = {}, theirs = {};
    for (const auto end = std::chrono::steady_clock::now() + 15s; std::chrono::steady_clock::now() < end;
         std::this_thread::sleep_for(1ms)) {
      ours.see(m->relay.confirmed);
      theirs.see(bare_confirmed);
    }
    killer.join();
    stop = true;
    stream.join();
    peer.join();
    j.system.stop(actor, 10s);
    log::configure({});
  }
  bare::output_of(services + "down rabbitmq");
  return gaps{ours.seconds(), theirs.seconds()};
}

}  // namespace horizons::rabbitmq
