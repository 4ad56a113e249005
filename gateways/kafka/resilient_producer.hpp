// The producer of producer.hpp. producer.cpp: what is sent, and what becomes of it. producer_thread.cpp: reports, and a
// new instance of librdkafka's producer when the old one gave up. Used by them only.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "gateways/kafka/producer_instance.hpp"
#include "gateways/kafka/producer_ledger.hpp"
#include "gateways/kafka/producer_routes.hpp"

namespace horizons::kafka {

using std::chrono::steady_clock;

class resilient_producer final : public producer {
public:
  using entry = producer_entry;

  resilient_producer(producer_options options, std::function<void()> wake, std::shared_ptr<producer_metrics> metrics)
      : options_(std::move(options)),
        wake_(std::move(wake)),
        metrics_(std::move(metrics)),
        ledger_(options_.messages_max, options_.bytes_max) {}

  result<void> start();

  ~resilient_producer() override;
  bool has_room(std::size_t bytes) const override;
  result<void> send(std::string_view topic, record_ptr r, std::uint64_t token, std::int32_t partition) override;
  std::size_t send(std::span<outgoing> records) override;
  using producer::take_deliveries;
  void take_deliveries(std::vector<delivery>& into) override;
  bool flush(milliseconds limit) override;
  condition state() const override;

private:
  enum class phase { up, broken, sending_again };

  static error refusal(rd_kafka_resp_err_t code, const entry& e);

  // -- with the lock ------------------------------------------------------------------------------------------------

  void show_load();

  /// Keys may move with the number of partitions: everything that waits goes now, in order, and the turns begin anew.
  void note_partitions(const std::string& topic, std::size_t count);

  /// Those of whom no report will come give their turn on.
  void settle(steady_clock::time_point now);
  void give_on(batch_turns<entry*>& turn, steady_clock::time_point now);
  void hand_over(entry& e);
  void finish(entry& e, delivery d);
  void broke(rd_kafka_resp_err_t code, const std::string& topic, std::string_view words);
  void reported(rd_kafka_event_t* event);

  /// What is counted once for many: records that were sent together are mostly acknowledged together.
  struct acknowledged_now {
    steady_clock::time_point since{};
    std::uint64_t alike = 0, records = 0, bytes = 0;
    void add(const entry& e, producer_metrics& m, steady_clock::time_point now) {
      if (e.since != since) {
        m.latency.add((now - since).count(), std::exchange(alike, 0));
        since = e.since;
      }
      ++alike;
      ++records;
      bytes += e.bytes;
    }
    void tell(producer_metrics& m, steady_clock::time_point now) const {
      m.latency.add((now - since).count(), alike);
      m.acknowledged += records;
      m.acknowledged_bytes += bytes;
    }
  };

  void reported(const rd_kafka_message_t& m, steady_clock::time_point now, acknowledged_now& seen);

  // -- the producer's thread ------------------------------------------------------------------------------------------

  void run();

  /// The topic whose oldest record waits too long, once per `silence`; else empty.
  std::string silent_topic();

  /// A topic whose number of partitions is not known, now and then; else empty.
  std::string unknown_topic();
  void ask_partitions(const std::string& topic);

  /// librdkafka waits without a word when nobody leads a topic or we may not see it.
  void ask_why(const std::string& topic);
  void poll(milliseconds limit);
  void note_statistics(const char* text);

  /// Throws the producer away and gives a new one everything that is not acknowledged, in the old order.
  void rebuild(std::unique_lock<std::mutex>& lock);

  /// Entries are taken away by this thread only (in poll), and send() only appends.
  void send_again(std::unique_lock<std::mutex>& lock);

  /// Gets a report of everything that librdkafka has.
  void drain();

  const producer_options options_;
  const std::function<void()> wake_;
  const std::shared_ptr<producer_metrics> metrics_;

  producer_instance instance_;  // replaced by the producer's thread, in phases in which send() does not touch it

  mutable std::mutex mutex_;  // of what follows
  std::condition_variable changed_;
  phase phase_ = phase::broken;
  bool stop_ = false, must_wake_ = false, brokers_down_ = false;
  producer_routes routes_;
  const batch_turns<entry*>::limits turn_limits_{.gathering = options_.linger * 3 / 5};
  std::vector<batch_turns<entry*>*> refused_turns_;
  std::vector<entry*> again_;
  producer_ledger ledger_;
  std::size_t sent_ = 0;  // librdkafka has so many
  std::string trouble_, missing_topic_;
  steady_clock::time_point next_question_{};
  milliseconds backoff_ = options_.backoff_first;
  std::thread thread_;
};

}  // namespace horizons::kafka
