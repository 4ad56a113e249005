// The other side of kafka_bench: the same work with bare librdkafka and libpqxx, in the smallest programs that give the
// same guarantees. And what both sides need: topics, records, a paced writer.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <librdkafka/rdkafka.h>
#include <pqxx/pqxx>

#include "bench/gateways/kafka_cost.hpp"
#include "gateways/kafka/client.hpp"
#include "gateways/kafka/topic_admin.hpp"
#include "messages/ulid.hpp"

namespace horizons::bench::bare {

using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

inline std::string unique(const std::string& what) {
  return what + "-" + make_ulid(std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now()));
}

[[noreturn]] inline void die(const std::string& text) {
  std::fprintf(stderr, "kafka bench: %s\n", text.c_str());
  std::exit(1);
}
template <class T>
T must(result<T> r) {
  if (!r) die(r.error().text);
  if constexpr (!std::is_void_v<T>) return std::move(*r);
}

/// A topic of one part of the bench, deleted behind it: brokers look at all their partitions with every fetch of a
/// replica, so that what is left over makes the next part dearer.
class own_topic {
public:
  own_topic(kafka::kafka_options o, const std::string& what, int partitions)
      : options_(std::move(o)), name_(unique(what)) {
    must(must(kafka::topic_admin::open(options_, 30s)).create({name_, partitions, 3, {}}));
  }
  own_topic(const own_topic&) = delete;
  ~own_topic() {
    const auto c = must(kafka::client::open(kafka::client_role::admin, options_));
    const kafka::queue_ptr answers(rd_kafka_queue_new(c.get()));
    auto* topic = rd_kafka_DeleteTopic_new(name_.c_str());
    rd_kafka_DeleteTopics(c.get(), &topic, 1, nullptr, answers.get());
    const kafka::event_ptr answer(rd_kafka_queue_poll(answers.get(), 30'000));
    rd_kafka_DeleteTopic_destroy(topic);
    if (rd_kafka_event_error(answer.get())) std::fprintf(stderr, "kafka bench: %s is left over\n", name_.c_str());
  }
  const std::string& name() const { return name_; }

private:
  kafka::kafka_options options_;
  std::string name_;
};

/// A record's fate is counted; a lost one ends the bench.
struct counting_producer {
  counting_producer(const kafka::kafka_options& o, const kafka::setting_list& own)
      : client(must(kafka::client::open(kafka::client_role::producer, o, own, {.events = RD_KAFKA_EVENT_DR}))),
        queue(rd_kafka_queue_get_main(client.get())) {
    reports = std::jthread([this](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        const kafka::event_ptr e(rd_kafka_queue_poll(queue.get(), 100));
        if (!e || rd_kafka_event_type(e.get()) != RD_KAFKA_EVENT_DR) continue;
        while (const auto* m = rd_kafka_event_message_next(e.get())) {
          if (m->err) die(std::string("a record was not taken: ") + rd_kafka_err2str(m->err));
          ++acknowledged;
        }
      }
    });
  }
  void send(rd_kafka_topic_t* topic, std::int32_t partition, const void* value, std::size_t size, const void* key,
            std::size_t key_size) {
    while (rd_kafka_produce(topic, partition, RD_KAFKA_MSG_F_COPY, const_cast<void*>(value), size, key, key_size,
                            nullptr) != 0) {
      if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL) die(rd_kafka_err2str(rd_kafka_last_error()));
      std::this_thread::sleep_for(1ms);
    }
  }
  void wait(std::size_t count) const {
    while (acknowledged < count) std::this_thread::sleep_for(200us);
  }
  kafka::client client;
  kafka::queue_ptr queue;
  std::atomic<std::size_t> acknowledged{0};
  std::jthread reports;
};

inline kafka::setting_list producing(int linger_ms) {
  return {{"linger.ms", std::to_string(linger_ms)},
          {"queue.buffering.max.messages", "1000000"},
          {"statistics.interval.ms", "0"}};
}

/// `count` records of `bytes`, `keys` different ones, as JSON orders about jobs.
inline void fill(const kafka::kafka_options& o, const std::string& topic, std::size_t count, std::size_t bytes,
                 std::size_t keys) {
  counting_producer p(o, producing(5));
  const kafka::topic_ptr to(rd_kafka_topic_new(p.client.get(), topic.c_str(), nullptr));
  for (std::size_t i = 0; i < count; ++i) {
    const auto job = "job-" + std::to_string(i % keys);
    auto value = R"({"command":"pause","job_id":")" + job + R"(","user_id":"karl","idempotency_key":")" +
                 std::to_string(i) + R"(","correlation_id":")";
    value.append(bytes > value.size() + 2 ? bytes - value.size() - 2 : 0, 'x');
    value += "\"}";
    p.send(to.get(), RD_KAFKA_PARTITION_UA, value.data(), value.size(), job.data(), job.size());
  }
  p.wait(count);
}

/// A consumer at the beginning of every partition.
inline kafka::client consumer_of(const kafka::kafka_options& options, const std::string& topic, int partitions,
                                 std::int64_t from) {
  auto o = options;
  o.group = unique("bare");
  auto c = must(kafka::client::open(kafka::client_role::consumer, o));
  rd_kafka_poll_set_consumer(c.get());
  const auto list = kafka::make_partition_list(partitions);
  for (int i = 0; i < partitions; ++i) rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), i)->offset = from;
  rd_kafka_assign(c.get(), list.get());
  return c;
}

/// Consume, produce, count the acknowledgements: the loop everybody writes first.
inline rate pass_through(const kafka::kafka_options& o, const std::string& from, int partitions, const std::string& to,
                         std::size_t count, int linger_ms) {
  const auto c = consumer_of(o, from, partitions, RD_KAFKA_OFFSET_BEGINNING);
  counting_producer p(o, producing(linger_ms));
  const kafka::topic_ptr topic(rd_kafka_topic_new(p.client.get(), to.c_str(), nullptr));
  std::size_t seen = 0;
  std::optional<cost_meter> meter;
  while (seen < count) {
    const kafka::message_ptr m(rd_kafka_consumer_poll(c.get(), 1'000));
    if (!m || m->err) continue;
    if (seen++ == 0) meter.emplace();
    p.send(topic.get(), RD_KAFKA_PARTITION_UA, m->payload, m->len, m->key, m->key_len);
  }
  p.wait(count);
  return meter->of(count);
}

/// Consume, insert `batch` rows and the offsets in one transaction.
inline rate to_postgres(const kafka::kafka_options& o, const std::string& from, int partitions, const std::string& url,
                        std::size_t count, std::size_t batch) {
  pqxx::connection db(url);
  const auto suffix = std::to_string(::getpid());
  {
    pqxx::work w(db);
    w.exec("DROP TABLE IF EXISTS bare_events_" + suffix + ", bare_offsets_" + suffix);
    w.exec("CREATE TABLE bare_events_" + suffix +
           " (part int, pos bigint, key text, value text, PRIMARY KEY (part, pos))");
    w.exec("CREATE TABLE bare_offsets_" + suffix + " (part int PRIMARY KEY, next bigint)");
    w.commit();
  }
  const auto c = consumer_of(o, from, partitions, RD_KAFKA_OFFSET_BEGINNING);
  std::size_t seen = 0;
  std::optional<cost_meter> meter;
  while (seen < count) {
    std::vector<kafka::message_ptr> held;
    while (held.size() < batch && seen + held.size() < count) {
      kafka::message_ptr m(rd_kafka_consumer_poll(c.get(), 1'000));
      if (!m || m->err) continue;
      if (!meter) meter.emplace();
      held.push_back(std::move(m));
    }
    pqxx::work w(db);
    std::string rows;
    std::vector<std::int64_t> next(static_cast<std::size_t>(partitions), -1);
    for (const auto& m : held) {
      rows += (rows.empty() ? "" : ",") + std::string("(") + std::to_string(m->partition) + "," +
              std::to_string(m->offset) + "," + w.quote(std::string(static_cast<const char*>(m->key), m->key_len)) +
              "," + w.quote(std::string(static_cast<const char*>(m->payload), m->len)) + ")";
      next[static_cast<std::size_t>(m->partition)] = m->offset + 1;
    }
    w.exec("INSERT INTO bare_events_" + suffix + " VALUES " + rows);
    for (int i = 0; i < partitions; ++i)
      if (next[static_cast<std::size_t>(i)] >= 0)
        w.exec("INSERT INTO bare_offsets_" + suffix + " VALUES (" + std::to_string(i) + "," +
               std::to_string(next[static_cast<std::size_t>(i)]) +
               ") ON CONFLICT (part) DO UPDATE SET next = excluded.next");
    w.commit();
    seen += held.size();
  }
  const auto r = meter->of(count);
  pqxx::work w(db);
  w.exec("DROP TABLE bare_events_" + suffix + ", bare_offsets_" + suffix);
  w.commit();
  return r;
}

/// Milliseconds since the record's stamp, which its first eight bytes hold.
inline double age_ms(const void* value) {
  std::int64_t stamp = 0;
  std::memcpy(&stamp, value, sizeof stamp);
  return 1e-6 * static_cast<double>(steady::now().time_since_epoch().count() - stamp);
}

inline double percentile(std::vector<double> values, double part) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[static_cast<std::size_t>(part * static_cast<double>(values.size() - 1))];
}

}  // namespace horizons::bench::bare
