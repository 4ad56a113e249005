// How long records stand still when a broker is killed: ours and a bare consumer, the same records, the same kills.
#pragma once

#include <signal.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <optional>

#include "bench/gateways/kafka_latency.hpp"

namespace horizons::bench {

using namespace std::chrono_literals;

/// The brokers as `./dev services` started them. Only one at a time is ever away.
class killable_brokers {
public:
  bool known() const { return broker_processes().size() == 3; }
  /// Their JVM's options, as the first one was started; empty: unknown.
  std::string jvm() const {
    std::ifstream file(services_home() / "kafka-1.json");
    const auto how = nlohmann::json::parse(file, nullptr, false);
    std::string options;
    if (how.is_object() && how.contains("argv"))
      for (const std::string word : how["argv"])
        if (word.starts_with("-X")) options += (options.empty() ? "" : " ") + word;
    return options;
  }
  void kill(int broker) const {
    const auto processes = broker_processes();
    if (processes.size() != 3) bare::die("the brokers' processes are not known");
    ::kill(-processes[static_cast<std::size_t>(broker) - 1], SIGKILL);
  }
  void restart(int broker) const {
    const auto command = HORIZONS_SOURCE_DIR "/tests/services/services restart kafka-" + std::to_string(broker);
    if (std::system(command.c_str()) != 0) bare::die("broker " + std::to_string(broker) + " does not come back");
  }
};

/// Who leads each partition of a topic whose replicas are all in sync; empty: they are not.
inline std::vector<int> leaders(const kafka::client& c, const std::string& topic) {
  const kafka::topic_ptr handle(rd_kafka_topic_new(c.get(), topic.c_str(), nullptr));
  const rd_kafka_metadata_t* raw = nullptr;
  if (rd_kafka_metadata(c.get(), 0, handle.get(), &raw, 2'000) != RD_KAFKA_RESP_ERR_NO_ERROR) return {};
  const kafka::metadata_ptr view(raw);
  if (view->topic_cnt != 1) return {};
  const auto& t = view->topics[0];
  std::vector<int> found(static_cast<std::size_t>(t.partition_cnt), 0);
  for (int i = 0; i < t.partition_cnt; ++i) {
    const auto& p = t.partitions[i];
    if (p.isr_cnt < 3 || p.leader < 1) return {};
    found[static_cast<std::size_t>(p.id)] = p.leader;
  }
  return found;
}

struct standstills {
  std::vector<double> ours, theirs;  // s, one per kill: the oldest record that arrived
};

/// Records of one side on their way: its producer, its reader.
struct standing {
  std::atomic<std::size_t> sent{0}, seen{0};
  std::mutex mutex;
  double oldest = 0;  // since the last kill, ms
  void arrived(double ms) {
    const std::lock_guard lock(mutex);
    oldest = std::max(oldest, ms);
    ++seen;
  }
  double take_oldest_s() {
    const std::lock_guard lock(mutex);
    return std::exchange(oldest, 0) / 1000;
  }
};

/// Records in 3 partitions, 300 a second of either side, while one leader after the other is killed: each time that of
/// the next partition, so that no kill goes by unnoticed. Ours go through our producer and our source, theirs through
/// a bare producer and a bare consumer; both on the same topic.
inline standstills measure_recovery(const kafka::kafka_options& o, const killable_brokers& brokers, int kills) {
  constexpr int partitions = 3, per_s = 300;
  constexpr char our_mark = 'o', their_mark = 'b';
  const bare::own_topic killed(o, "kill", partitions);
  const auto& topic = killed.name();
  const auto asker = bare::must(kafka::client::open(kafka::client_role::admin, o));
  standing ours, theirs;
  bridge b(o, topic, "memory:" + bare::unique("bench"), [&](bridge& me, kit::context&) {
    return std::make_shared<age_handler>(me, [&](double ms, char whose) {
      if (whose == our_mark) ours.arrived(ms);
    });
  });
  std::jthread reader([&](const std::stop_token& stop) {
    const auto c = bare::consumer_of(o, topic, partitions, 0);
    while (!stop.stop_requested()) {
      const kafka::message_ptr m(rd_kafka_consumer_poll(c.get(), 100));
      if (m && !m->err && static_cast<const char*>(m->payload)[sizeof(std::int64_t)] == their_mark)
        theirs.arrived(bare::age_ms(m->payload));
    }
  });
  const auto write = [&](standing& s, std::unique_ptr<paced_writer> w, char mark) {
    return std::jthread([&s, mark, w = std::move(w)](const std::stop_token& stop) {
      w->write(
          partitions, per_s,
          [&](int sent) {
            s.sent = static_cast<std::size_t>(sent);
            return stop.stop_requested();
          },
          mark);
    });
  };
  const auto our_records = write(ours, std::make_unique<our_writer>(o, topic, 2), our_mark);
  const auto their_records = write(theirs, std::make_unique<bare_writer>(o, topic, 2), their_mark);
  // All that was sent by now, and a second's more, has arrived.
  const auto caught_up = [&] {
    for (auto* s : {&ours, &theirs})
      for (const auto goal = s->sent + per_s; s->seen < goal;) std::this_thread::sleep_for(1ms);
  };
  const auto whole = [&] {
    for (;; std::this_thread::sleep_for(50ms))
      if (auto now = leaders(asker, topic); !now.empty()) return now;
  };
  caught_up();
  standstills found;
  for (int i = 0; i < kills; ++i) {
    const int broker = whole()[static_cast<std::size_t>(i % partitions)];
    ours.take_oldest_s();
    theirs.take_oldest_s();
    brokers.kill(broker);
    caught_up();
    found.ours.push_back(ours.take_oldest_s());
    found.theirs.push_back(theirs.take_oldest_s());
    std::fprintf(stderr, "kill %d of %d, broker %d: %.2f s, bare %.2f s\n", i + 1, kills, broker, found.ours.back(),
                 found.theirs.back());
    brokers.restart(broker);
    whole();
    caught_up();
  }
  b.system.shutdown(10s);
  return found;
}

}  // namespace horizons::bench
