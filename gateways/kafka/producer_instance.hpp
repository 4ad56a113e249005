// One instance of librdkafka's producer, as producer.cpp makes and replaces it. Only moves records: what becomes of
// them is decided there.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "gateways/kafka/client.hpp"
#include "gateways/kafka/producer.hpp"

namespace horizons::kafka {

/// A record that no broker will take, however often it is asked. Of a batch: at least one of them is such a record.
bool is_refusal(rd_kafka_resp_err_t code);
bool is_unknown_topic(rd_kafka_resp_err_t code);

class producer_instance {
public:
  struct failure_to_send {
    rd_kafka_resp_err_t code;
    std::string words;
  };

  result<void> open(const producer_options& options);
  /// Waits as long as ~client does.
  void close();
  bool is_open() const { return client_.has_value(); }
  /// Good until close().
  rd_kafka_topic_t* handle_of(const std::string& topic);

  /// librdkafka reads the record where it is: it must live until the report with this `opaque`. Nothing: a report will
  /// come; else none will.
  std::optional<failure_to_send> hand_over(rd_kafka_topic_t* topic, const record& r, std::int32_t partition,
                                           void* opaque) const;
  event_ptr next_event(milliseconds limit) const;
  /// A report of everything it has will come, soon.
  void purge() const;
  result<client::topic_layout> layout_of(const std::string& name, milliseconds limit) const;

private:
  std::optional<client> client_;
  queue_ptr queue_;
  std::map<std::string, topic_ptr, std::less<>> topics_;
};

}  // namespace horizons::kafka
