// How old a record is when it arrives, at an even rate on few partitions: written by a producer, read by a source or a
// bare consumer. Ours from end to end, bare librdkafka from end to end, and both readers at the same records.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "bench/gateways/kafka_bridge.hpp"
#include "gateways/kafka/producer.hpp"

namespace horizons::bench {

struct pace {
  int partitions = 1, per_s = 2'000, linger_ms = 2;
  int warm_s = 5;  // not measured: the first seconds on a new topic are slower for everybody
  int seconds = 15;
};

enum class side { ours, bare, both_readers };  // both_readers: our producer, and two readers of the same records

/// ms, in the order of arrival.
struct ages {
  std::vector<double> ours, theirs;
};

/// Takes stamped records.
class paced_writer {
public:
  virtual ~paced_writer() = default;
  virtual void send(std::int32_t partition, const std::string& key, const std::string& value) = 0;

  /// At an even rate, until `stop`; how many.
  int write(int partitions, int per_s, const std::function<bool(int sent)>& stop, char whose = 'x') {
    std::string value(256, whose);
    const auto began = bare::steady::now();
    int i = 0;
    for (; !stop(i); ++i) {
      std::this_thread::sleep_until(began + std::chrono::nanoseconds(std::int64_t{1'000'000'000} / per_s * i));
      const std::int64_t stamp = bare::steady::now().time_since_epoch().count();
      std::memcpy(value.data(), &stamp, sizeof stamp);
      send(i % partitions, std::to_string(i), value);
    }
    return i;
  }
};

class bare_writer : public paced_writer {
public:
  bare_writer(const kafka::kafka_options& o, const std::string& topic, int linger_ms)
      : producer_(o, bare::producing(linger_ms)),
        topic_(rd_kafka_topic_new(producer_.client.get(), topic.c_str(), nullptr)) {}
  void send(std::int32_t partition, const std::string& key, const std::string& value) override {
    producer_.send(topic_.get(), partition, value.data(), value.size(), key.data(), key.size());
  }

private:
  bare::counting_producer producer_;
  kafka::topic_ptr topic_;
};

class our_writer : public paced_writer {
public:
  our_writer(const kafka::kafka_options& o, std::string topic, int linger_ms) : topic_(std::move(topic)) {
    producer_ = bare::must(kafka::producer::open(
        {.kafka = o, .linger = kafka::milliseconds(linger_ms), .topics = {topic_}}, [this] { acknowledged(); }));
  }
  void send(std::int32_t partition, const std::string& key, const std::string& value) override {
    auto r = std::make_shared<kafka::record>();
    r->key = key;
    r->value = value;
    bare::must(producer_->send(topic_, std::move(r), 0, partition));
  }

private:
  void acknowledged() {
    for (const auto& d : producer_->take_deliveries())
      if (d.refused) bare::die(d.refused->text);
  }
  std::string topic_;
  std::unique_ptr<kafka::producer> producer_;
};

inline ages measure_ages(const kafka::kafka_options& o, side who, const pace& p) {
  const bare::own_topic hot(o, "hot", p.partitions);
  const auto& topic = hot.name();
  ages found;
  std::optional<bridge> ours;
  if (who != side::bare)
    ours.emplace(o, topic, "memory:" + bare::unique("bench"), [&found](bridge& me, kit::context&) {
      return std::make_shared<age_handler>(me, [&found](double ms, char) { found.ours.push_back(ms); });
    });
  std::atomic<std::size_t> seen{0};
  std::jthread theirs;
  if (who != side::ours)
    theirs = std::jthread([&](const std::stop_token& stop) {
      const auto c = bare::consumer_of(o, topic, p.partitions, 0);
      while (!stop.stop_requested()) {
        const kafka::message_ptr m(rd_kafka_consumer_poll(c.get(), 100));
        if (!m || m->err) continue;
        found.theirs.push_back(bare::age_ms(m->payload));
        ++seen;
      }
    });
  const auto arrived = [&](int seconds) {
    const auto count = static_cast<std::size_t>(p.per_s) * static_cast<std::size_t>(seconds);
    while ((ours && ours->done < count) || (theirs.joinable() && seen < count)) std::this_thread::sleep_for(1ms);
  };
  {
    const std::unique_ptr<paced_writer> writer =
        who == side::bare ? std::unique_ptr<paced_writer>(std::make_unique<bare_writer>(o, topic, p.linger_ms))
                          : std::make_unique<our_writer>(o, topic, p.linger_ms);
    const auto write = [&](int seconds) {
      writer->write(p.partitions, p.per_s, [end = p.per_s * seconds](int sent) { return sent == end; });
    };
    write(p.warm_s);
    arrived(p.warm_s);
    write(p.seconds);
    arrived(p.warm_s + p.seconds);
  }
  if (ours) ours->system.shutdown(10s);
  theirs = {};  // stopped and joined
  const auto warm = static_cast<std::ptrdiff_t>(p.per_s) * p.warm_s;
  if (ours) found.ours.erase(found.ours.begin(), found.ours.begin() + warm);
  if (who != side::ours) found.theirs.erase(found.theirs.begin(), found.theirs.begin() + warm);
  return found;
}

}  // namespace horizons::bench
