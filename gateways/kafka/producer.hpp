// Sends records so that none is lost and the order of each key holds, whatever happens to brokers or to librdkafka.
//
// Idempotent, acknowledged by all replicas in sync. What is sent stays here until a broker has acknowledged it. A
// failure that may pass never reaches the owner: librdkafka tries again for ever; when it gives up all the same (a
// fatal error of 2.0.2's idempotence, K8; a deleted topic; a purge), the producer is thrown away, and everything that
// is not acknowledged is given to a new one in the old order. That may repeat records, never skip or reorder them. A
// record that no broker will ever take (too large, invalid) comes back as refused, alone: a batch that is refused for
// one record is taken apart.
//
//   auto p = producer::open({.kafka = options}, [wake] { wake(); });
//   (*p)->send("job-lifecycle", record, token);           // at most messages_max and bytes_max under way
//   for (const delivery& d : (*p)->take_deliveries()) …   // every token once, in order per partition
//
// Thread safe. One thread of its own takes the reports.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gateways/kafka/client.hpp"
#include "gateways/kafka/producer_metrics.hpp"
#include "gateways/kafka/record.hpp"
#include "messages/result.hpp"

namespace horizons::kafka {

struct producer_options {
  kafka_options kafka;
  milliseconds linger{2};                         // one request per partition and so long
  std::string compression = "none";               // none, lz4, zstd, gzip, snappy
  std::size_t messages_max = 20'000;              // under way
  std::size_t bytes_max = std::size_t{64} << 20;  // a larger record passes alone
  std::size_t record_bytes_max = 1'048'000;       // brokers' message.max.bytes is 1,048,588, with the batch's head
  milliseconds backoff_first{100};                // before a new producer; doubles up to backoff_max
  milliseconds backoff_max{5'000};
  std::vector<std::string> topics{};  // known from the start: the first record need not wait for a leader (K12)
  /// Called on the producer's thread when the cluster does not know a topic; may block (and create it). The records are
  /// sent again in any case.
  std::function<void(const std::string& topic)> topic_missing{};
};

/// What became of one record.
struct delivery {
  std::uint64_t token = 0;
  std::optional<error> refused;  // absent: acknowledged
  std::int32_t partition = -1;
  std::int64_t offset = -1;
};

class producer {
public:
  static constexpr std::int32_t by_key = -1;  // murmur2 of the key, as Java's; without a key any

  /// `wake` is called on the producer's thread when there are deliveries to take and there were none.
  static result<std::unique_ptr<producer>> open(producer_options options, std::function<void()> wake,
                                                std::shared_ptr<producer_metrics> metrics = nullptr);
  /// Waits for nothing: flush first.
  virtual ~producer() = default;

  /// Whether a record of so many bytes (bytes_of) may be sent now.
  virtual bool has_room(std::size_t bytes) const = 0;
  /// Errors: limit_exceeded (no room; nothing was done), not a fault of the record.
  virtual result<void> send(std::string_view topic, record_ptr r, std::uint64_t token,
                            std::int32_t partition = by_key) = 0;
  /// As many of them as there is room for, from the first on, in order; returns how many. Takes the records out of
  /// these. For many at a time: it locks once.
  struct outgoing {
    std::string_view topic;
    record_ptr what;
    std::uint64_t token = 0;
    std::int32_t partition = by_key;
  };
  virtual std::size_t send(std::span<outgoing> records) = 0;
  /// What became of records since the last call, instead of what `into` has: for many at a time, it keeps its memory.
  virtual void take_deliveries(std::vector<delivery>& into) = 0;
  std::vector<delivery> take_deliveries() {
    std::vector<delivery> all;
    take_deliveries(all);
    return all;
  }
  /// Waits until nothing is under way; false when it still is after `limit`.
  virtual bool flush(milliseconds limit) = 0;

  struct condition {
    bool up = true;
    std::string text;  // "up", or what is wrong
    milliseconds oldest_unacknowledged{0};
  };
  virtual condition state() const = 0;
};

}  // namespace horizons::kafka
