// The peers of the RabbitMQ benchmark: a program on bare rabbitmq-c as its examples show it, with confirms and
// acknowledgements, and one on Node's amqplib; and the cluster to measure on.
#pragma once

#include <amqp.h>
#include <amqp_tcp_socket.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "gateways/rabbitmq/connection.hpp"
#include "gateways/rabbitmq/options.hpp"
#include "gateways/rabbitmq/topology.hpp"
#include "gateways/rabbitmq/wire.hpp"

namespace horizons::bare {

using rabbitmq::endpoint;
using rabbitmq::message;
using clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

/// Of this process so far.
inline double cpu_seconds() {
  rusage r{};
  ::getrusage(RUSAGE_SELF, &r);
  const auto s = [](const timeval& t) { return double(t.tv_sec) + double(t.tv_usec) * 1e-6; };
  return s(r.ru_utime) + s(r.ru_stime);
}

/// Of all brokers on this machine so far.
inline double broker_cpu_seconds() {
  double ticks = 0;
  for (const auto& process : std::filesystem::directory_iterator("/proc")) {
    std::ifstream stat(process.path() / "stat");
    std::string pid, name, skipped;
    double user = 0, system = 0;
    if (!(stat >> pid >> name) || name != "(beam.smp)") continue;
    for (int column = 3; column < 14; ++column) stat >> skipped;
    if (stat >> user >> system) ticks += user + system;
  }
  return ticks / double(::sysconf(_SC_CLK_TCK));
}

/// How fast messages were taken, and what CPU time the client and the brokers spent on each.
struct consumed {
  double per_s = 0, cpu_us = 0, broker_us = 0;
};

/// Begins with the first message.
class consuming {
public:
  consumed until_now(std::uint64_t count) const {
    const double s = std::chrono::duration<double>(clock::now() - began_).count(), us = 1e6 / double(count);
    return {double(count) / s, (cpu_seconds() - cpu_) * us, (broker_cpu_seconds() - brokers_) * us};
  }

private:
  double brokers_ = broker_cpu_seconds(), cpu_ = cpu_seconds();
  clock::time_point began_ = clock::now();
};

inline std::string output_of(const std::string& command) {
  std::string text;
  std::array<char, 4'096> part;
  FILE* pipe = ::popen(command.c_str(), "r");
  while (pipe && std::fgets(part.data(), part.size(), pipe)) text += part.data();
  if (pipe) ::pclose(pipe);
  return text;
}

inline std::vector<std::string> split(const std::string& text, char at) {
  std::vector<std::string> out;
  for (std::size_t from = 0; from < text.size();) {
    const auto end = std::min(text.find(at, from), text.size());
    out.push_back(text.substr(from, end - from));
    from = end + 1;
  }
  return out;
}

/// The urls that `services env` prints: between the quotes.
inline std::vector<std::string> urls_in(const std::string& exports) {
  const auto from = exports.find('\''), to = exports.rfind('\'');
  return from < to && to != std::string::npos ? split(exports.substr(from + 1, to - from - 1), ',')
                                              : std::vector<std::string>{};
}

inline std::vector<std::string> find_cluster() {
  if (const char* urls = std::getenv("HORIZONS_RABBITMQ_URLS")) return split(urls, ',');
  return urls_in(output_of("./dev services up rabbitmq >&2; ./dev services env rabbitmq"));
}

class vhost {
public:
  vhost(const std::vector<std::string>& cluster, std::string name) : name_(std::move(name)) {
    for (const auto& url : cluster) urls.push_back(url + "/" + name_);
    management_ = "http://127.0.0.1:" + std::to_string(rabbitmq::parse_url(cluster.front())->port + 10) + "/api/";
    manage("PUT", "vhosts/" + name_);
    manage("PUT", "permissions/" + name_ + "/guest", R"({"configure":".*","write":".*","read":".*"})");
  }
  ~vhost() { manage("DELETE", "vhosts/" + name_); }
  std::string manage(const std::string& method, const std::string& path, const std::string& body = "{}") const {
    return output_of("curl -s -m 20 -u guest:guest -X " + method + " -H 'content-type: application/json' -d '" + body +
                     "' " + management_ + path);
  }
  std::string queue(const std::string& name) const { return manage("GET", "queues/" + name_ + "/" + name); }
  void purge(const std::string& queue) const { manage("DELETE", "queues/" + name_ + "/" + queue + "/contents"); }
  std::vector<std::string> urls;

private:
  std::string name_, management_;
};

/// Brokers have work to do after a purge or a burst of publishes; what is measured next is not to pay for it.
inline void wait_until_idle() {
  const auto busy_and_all = [] {
    std::ifstream stat("/proc/stat");
    std::string cpu;
    std::array<double, 8> times{};
    stat >> cpu;
    for (double& each : times) stat >> each;
    double all = 0;
    for (const double each : times) all += each;
    return std::pair(all - times[3] - times[4], all);  // idle and waiting for a disk are not busy
  };
  int calm = 0;
  for (const auto end = clock::now() + 2s; calm < 2 && clock::now() < end;) {
    const auto [busy, all] = busy_and_all();
    std::this_thread::sleep_for(100ms);
    const auto [busy_now, all_now] = busy_and_all();
    calm = busy_now - busy < 0.2 * (all_now - all) ? calm + 1 : 0;
  }
}

inline void must(bool good, const char* what) {
  if (good) return;
  std::fprintf(stderr, "rabbitmq bench: %s failed\n", what);
  std::exit(1);
}

inline void declare_topology(const rabbitmq::options& o) {
  rabbitmq::socket_watch watch([] {});
  auto c = rabbitmq::connection::open(o.hosts[0], o.connection, watch);
  must(c && (*c)->open_channel(1), "connecting");
  const auto done = rabbitmq::declare(**c, 1, o);
  must(done && done->usable && done->refused.empty(), "declaring");
}

/// A connection with one channel.
class session {
public:
  explicit session(const endpoint& e) : state_(amqp_new_connection()) {
    auto* socket = amqp_tcp_socket_new(state_);
    must(amqp_socket_open(socket, e.host.c_str(), e.port) == AMQP_STATUS_OK, "opening a socket");
    must(amqp_login(state_, e.vhost.c_str(), 0, AMQP_DEFAULT_FRAME_SIZE, 0, AMQP_SASL_METHOD_PLAIN, e.user.c_str(),
                    e.password.c_str())
                 .reply_type == AMQP_RESPONSE_NORMAL,
         "login");
    amqp_channel_open(state_, 1);
    must(amqp_get_rpc_reply(state_).reply_type == AMQP_RESPONSE_NORMAL, "opening a channel");
  }
  ~session() {
    amqp_connection_close(state_, AMQP_REPLY_SUCCESS);
    amqp_destroy_connection(state_);
  }
  amqp_connection_state_t state() const { return state_; }

private:
  amqp_connection_state_t state_;
};

/// Publishes within a window and counts confirms.
class publisher {
public:
  publisher(const endpoint& e, const message& m)
      : s_(e), m_(m), properties_(rabbitmq::to_wire(m_.properties, tables_)) {
    amqp_confirm_select(s_.state(), 1);
    must(amqp_get_rpc_reply(s_.state()).reply_type == AMQP_RESPONSE_NORMAL, "confirm.select");
  }
  void publish(const std::string* message_id = nullptr) {
    if (message_id) {
      properties_.message_id = rabbitmq::to_bytes(*message_id);
      properties_._flags |= AMQP_BASIC_MESSAGE_ID_FLAG;
    }
    must(amqp_basic_publish(s_.state(), 1, rabbitmq::to_bytes(m_.exchange), rabbitmq::to_bytes(m_.routing_key), 0, 0,
                            &properties_, rabbitmq::to_bytes(m_.body)) == AMQP_STATUS_OK,
         "publish");
    ++sent_;
  }
  /// Reads what has come, waiting at most `wait` for the first.
  void read(std::chrono::microseconds wait) {
    timeval time{0, static_cast<suseconds_t>(wait.count())};
    amqp_frame_t frame;
    while (amqp_simple_wait_frame_noblock(s_.state(), &frame, &time) == AMQP_STATUS_OK) {
      must(frame.frame_type == AMQP_FRAME_METHOD && frame.payload.method.id == AMQP_BASIC_ACK_METHOD, "a confirm");
      const auto& ack = *static_cast<amqp_basic_ack_t*>(frame.payload.method.decoded);
      if (ack.multiple) {
        confirmed_ += ack.delivery_tag - multiple_to_ - singles_;
        multiple_to_ = ack.delivery_tag;
        singles_ = 0;
      } else {
        ++confirmed_;
        ++singles_;
      }
      amqp_maybe_release_buffers(s_.state());
      time = {0, 0};
    }
  }
  std::uint64_t sent() const { return sent_; }
  std::uint64_t confirmed() const { return confirmed_; }

private:
  session s_;
  const message& m_;
  rabbitmq::table_builder tables_;
  amqp_basic_properties_t properties_;
  std::uint64_t sent_ = 0, confirmed_ = 0, multiple_to_ = 0, singles_ = 0;
};

/// Within the window; `next` publishes one more. Messages per second.
template <class Next>
double publish_all(publisher& p, std::uint64_t count, std::uint64_t window, Next&& next) {
  const auto began = clock::now();
  while (p.confirmed() < count) {
    while (p.sent() < count && p.sent() - p.confirmed() < window) {
      next();
      if (p.sent() % 128 == 0) p.read(0us);
    }
    p.read(100'000us);
  }
  return double(count) / std::chrono::duration<double>(clock::now() - began).count();
}

inline double publish(const endpoint& e, const message& m, std::uint64_t count, std::uint64_t window) {
  publisher p(e, m);
  return publish_all(p, count, window, [&] { p.publish(); });
}

/// Submissions, each of a job of its own.
inline void submit(const endpoint& e, std::uint64_t count, std::uint64_t window) {
  message m{"job.submissions", "job-submissions", {}, {}, {}};
  m.properties.content_type = "application/json";
  m.properties.delivery_mode = 2;
  publisher p(e, m);
  publish_all(p, count, window, [&] {
    const auto job = "bench-" + std::to_string(p.sent());
    m.body = R"({"agent":"image-reconstruction","dataset":"file:///data/vla.uvfits","job_id":")" + job +
             R"(","params":{"niter":0,"size":2048}})";
    p.publish(&job);
  });
}

/// A consumer that acknowledges `together` messages at once: each acknowledgement is a round of consensus on a quorum
/// queue.
class receiver {
public:
  receiver(const endpoint& e, const std::string& queue, std::uint16_t prefetch, std::uint64_t together)
      : s_(e), together_(together) {
    amqp_basic_qos(s_.state(), 1, 0, prefetch, 0);
    amqp_basic_consume(s_.state(), 1, rabbitmq::to_bytes(queue), amqp_empty_bytes, 0, 0, 0, amqp_empty_table);
    must(amqp_get_rpc_reply(s_.state()).reply_type == AMQP_RESPONSE_NORMAL, "consuming");
  }
  void run(std::uint64_t count, const std::function<void(std::string_view message_id, clock::time_point)>& got) {
    for (std::uint64_t i = 1; i <= count; ++i) {
      amqp_envelope_t envelope;
      const timeval limit{60, 0};
      amqp_maybe_release_buffers(s_.state());
      must(amqp_consume_message(s_.state(), &envelope, &limit, 0).reply_type == AMQP_RESPONSE_NORMAL, "a delivery");
      got(rabbitmq::to_view(envelope.message.properties.message_id), clock::now());
      if (i % together_ == 0 || i == count) amqp_basic_ack(s_.state(), 1, envelope.delivery_tag, 1);
      amqp_destroy_envelope(&envelope);
    }
  }

private:
  session s_;
  const std::uint64_t together_;
};

inline consumed consume(const endpoint& e, const std::string& queue, std::uint64_t count, std::uint16_t prefetch,
                        std::uint64_t together) {
  receiver r(e, queue, prefetch, together);
  std::optional<consuming> from;
  r.run(count, [&](std::string_view, clock::time_point) {
    if (!from) from.emplace();
  });
  return from->until_now(count);
}

/// Milliseconds from publish to a consumer at another node.
inline std::vector<double> latency(const endpoint& from, const endpoint& to, const message& m, const std::string& queue,
                                   int rate, int seconds) {
  const auto count = static_cast<std::size_t>(rate) * static_cast<std::size_t>(seconds);
  std::vector<clock::time_point> sent(count);
  receiver r(to, queue, 1'000, 200);
  std::thread sender([&] {
    publisher p(from, m);
    auto at = clock::now();
    for (std::size_t i = 0; i < count; ++i) {
      at += std::chrono::nanoseconds(1'000'000'000 / rate);
      while (clock::now() < at) p.read(std::chrono::ceil<std::chrono::microseconds>(at - clock::now()));
      const auto number = std::to_string(i);
      sent[i] = clock::now();
      p.publish(&number);
    }
    while (p.confirmed() < count) p.read(100'000us);
  });
  std::vector<double> ms;
  r.run(count, [&](std::string_view id, clock::time_point now) {
    ms.push_back(std::chrono::duration<double, std::milli>(now - sent[std::stoul(std::string(id))]).count());
  });
  sender.join();
  return ms;
}

/// CPU microseconds per message of a Node program that publishes the same body with confirms; nullopt without npm.
inline std::optional<double> node_publish(const std::string& url, const std::string& body, std::size_t count,
                                          std::size_t window) {
  const std::filesystem::path folder = "build/rabbitmq-clients";
  std::filesystem::create_directories(folder);
  if (!std::filesystem::exists(folder / "node_modules/amqplib"))
    output_of("npm install --no-audit --no-fund --prefix " + folder.string() + " amqplib@0.10.9 2>&1");
  if (!std::filesystem::exists(folder / "node_modules/amqplib")) return std::nullopt;
  std::ofstream(folder / "body.json") << body;
  std::ofstream(folder / "publish.js") << R"(
const amqp = require("amqplib"), fs = require("fs");
const [url, count, window] = [process.argv[2], +process.argv[3], +process.argv[4]];
(async () => {
  const event = JSON.parse(fs.readFileSync(__dirname + "/body.json"));
  const channel = await (await amqp.connect(url)).createConfirmChannel();
  const before = process.cpuUsage();
  let open = 0, wake = null;
  for (let i = 0; i < count; ++i) {
    if (open >= window) await new Promise((resolve) => { wake = resolve; });
    ++open;
    channel.publish("job.events", event.event_type, Buffer.from(JSON.stringify(event)), {
      persistent: true, contentType: "application/json", messageId: event.event_id, type: event.event_type,
      headers: { "ce-specversion": "1.0", "ce-id": event.event_id, "ce-type": event.event_type, "ce-source": "/horizons/bench",
                 "ce-subject": event.job_id, "ce-time": event.timestamp, "ce-userid": event.user_id, "ce-tenant": event.tenant },
    }, () => { --open; if (wake && open < window / 2) { wake(); wake = null; } });
  }
  await channel.waitForConfirms();
  const used = process.cpuUsage(before);
  console.log((used.user + used.system) / count);
  process.exit(0);
})();
)";
  const auto said = output_of("node " + (folder / "publish.js").string() + " '" + url + "' " + std::to_string(count) +
                              " " + std::to_string(window) + " 2>&1");
  const double us = std::strtod(said.c_str(), nullptr);
  if (us > 0) return us;
  std::fprintf(stderr, "rabbitmq bench: amqplib: %s\n", said.c_str());
  return std::nullopt;
}

}  // namespace horizons::bare
