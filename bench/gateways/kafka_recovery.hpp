// How long records stand still when a broker is killed: ours and a bare consumer, the same records, the same kills.
#pragma once

#include <signal.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <optional>

#include "bench/gateways/kafka_bridge.hpp"

namespace horizons::bench {

using namespace std::chrono_literals;

/// The brokers as `./dev services` started them. Only one at a time is ever away.
class killable_brokers {
public:
  killable_brokers() {
    const char* home = std::getenv("HORIZONS_SERVICES_HOME");
    home_ = home ? std::filesystem::path(home) : std::filesystem::path(HORIZONS_BINARY_DIR "/services");
  }
  bool known() const { return pid_of(1) > 1; }
  void kill(int broker) const {
    const auto pid = pid_of(broker);
    if (pid <= 1) bare::die("broker " + std::to_string(broker) + " is not there");  // kill(-1) would be everybody
    ::kill(-pid, SIGKILL);
  }
  void restart(int broker) const {
    const auto command = HORIZONS_SOURCE_DIR "/tests/services/services restart kafka-" + std::to_string(broker);
    if (std::system(command.c_str()) != 0) bare::die("broker " + std::to_string(broker) + " does not come back");
  }

private:
  pid_t pid_of(int broker) const {
    std::ifstream file(home_ / ("kafka-" + std::to_string(broker) + ".pid"));
    pid_t pid = 0;
    file >> pid;
    return pid;
  }
  std::filesystem::path home_;
};

/// Every replica of the topic is in sync.
inline bool whole(const kafka::client& c, const std::string& topic) {
  const kafka::topic_ptr handle(rd_kafka_topic_new(c.get(), topic.c_str(), nullptr));
  const rd_kafka_metadata_t* raw = nullptr;
  if (rd_kafka_metadata(c.get(), 0, handle.get(), &raw, 2'000) != RD_KAFKA_RESP_ERR_NO_ERROR) return false;
  const kafka::metadata_ptr view(raw);
  if (view->topic_cnt != 1 || view->topics[0].partition_cnt == 0) return false;
  for (int i = 0; i < view->topics[0].partition_cnt; ++i)
    if (view->topics[0].partitions[i].isr_cnt < 3) return false;
  return true;
}

struct standstills {
  std::vector<double> ours, theirs;  // s, one per kill: the oldest record that arrived
};

/// Records in 3 partitions, 300 a second, while one broker after the other is killed.
inline standstills measure_recovery(const kafka::kafka_options& o, const killable_brokers& brokers, int kills) {
  constexpr int partitions = 3, per_s = 300;
  const auto topic = bare::unique("kill");
  bare::make_topic(o, topic, partitions);
  const auto asker = bare::must(kafka::client::open(kafka::client_role::admin, o));
  std::mutex mutex;
  double oldest_ours = 0, oldest_theirs = 0;  // since the last kill, ms
  std::atomic<std::size_t> sent{0}, seen{0};
  bridge b(o, topic, "memory:" + bare::unique("bench"), [&](bridge& me, kit::context&) {
    return std::make_shared<age_handler>(me, [&](double ms) {
      const std::lock_guard lock(mutex);
      oldest_ours = std::max(oldest_ours, ms);
    });
  });
  std::jthread reader([&](const std::stop_token& stop) {
    const auto c = bare::consumer_of(o, topic, partitions, 0);
    while (!stop.stop_requested()) {
      const kafka::message_ptr m(rd_kafka_consumer_poll(c.get(), 100));
      if (!m || m->err) continue;
      const std::lock_guard lock(mutex);
      oldest_theirs = std::max(oldest_theirs, bare::age_ms(m->payload));
      ++seen;
    }
  });
  std::jthread writer([&](const std::stop_token& stop) {
    bare::counting_producer p(o, bare::producing(2));
    const kafka::topic_ptr to(rd_kafka_topic_new(p.client.get(), topic.c_str(), nullptr));
    std::string value(256, 'x');
    for (auto next = bare::steady::now(); !stop.stop_requested(); next += 1'000'000us / per_s) {
      std::this_thread::sleep_until(next);
      const std::int64_t stamp = bare::steady::now().time_since_epoch().count();
      std::memcpy(value.data(), &stamp, sizeof stamp);
      const auto key = std::to_string(sent);
      p.send(to.get(), static_cast<std::int32_t>(sent % partitions), value.data(), value.size(), key.data(),
             key.size());
      ++sent;
    }
    p.wait(sent);
  });
  // All that was sent by now has arrived on both sides.
  const auto caught_up = [&] {
    const auto goal = sent + per_s;
    while (b.done < goal || seen < goal) std::this_thread::sleep_for(1ms);
  };
  caught_up();
  standstills found;
  for (int i = 0; i < kills; ++i) {
    {
      const std::lock_guard lock(mutex);
      oldest_ours = oldest_theirs = 0;
    }
    const int broker = 1 + i % 3;
    brokers.kill(broker);
    caught_up();
    {
      const std::lock_guard lock(mutex);
      found.ours.push_back(oldest_ours / 1000);
      found.theirs.push_back(oldest_theirs / 1000);
    }
    brokers.restart(broker);
    while (!whole(asker, topic)) std::this_thread::sleep_for(50ms);
    caught_up();
  }
  writer.request_stop();
  writer.join();
  b.system.shutdown(10s);
  return found;
}

}  // namespace horizons::bench
