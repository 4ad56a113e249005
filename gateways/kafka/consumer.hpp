// librdkafka's consumer as the source needs it: an incremental assignment with explicit offsets, events instead of
// callbacks, records on a queue of their own, so that nobody has to stop answering the group while records wait.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gateways/kafka/broker_questions.hpp"
#include "gateways/kafka/client.hpp"

namespace horizons::kafka {

struct partition_offset {
  partition_id partition;
  std::uint64_t offset = 0;
  std::string metadata{};  // of commits only
};

/// What happens beside records.
struct consumer_events {
  std::function<void(const std::vector<partition_id>&)> assigned, revoked;
  std::function<void(const error&, rd_kafka_resp_err_t, const std::optional<partition_id>&)> failed;
  std::function<void(std::string_view json)> statistics;
};

class consumer {
public:
  /// `wake`: there may be something to serve or to take, and there was nothing; called on librdkafka's threads, must
  /// not call back.
  static result<std::unique_ptr<consumer>> open(const kafka_options& options, std::function<void()> wake);
  /// Waits for nothing: whoever is not closed() leaves the group on a thread of its own.
  ~consumer();
  consumer(const consumer&) = delete;

  result<void> subscribe(const std::vector<std::string>& topics);
  /// Handles at most `most` events; whether more may wait. To be called once a second at least (K15).
  bool serve(const consumer_events& on, int most);
  struct fetched {
    event_ptr event;
    const rd_kafka_message_t* message = nullptr;  // good while the event lives; null: none
  };
  /// The next record, if there is one. What ended the reading of a partition stands among its records.
  fetched next_record(const consumer_events& on);

  /// Answers an assignment or a revocation of the group, with what is read (or read no longer) from now on; may be
  /// empty, and may be called again later with what took longer to decide.
  result<void> assign(const std::vector<partition_offset>& partitions);
  result<void> unassign(const std::vector<partition_id>& partitions);
  /// Reads on from there; what was fetched before is dropped.
  void seek(const std::vector<partition_offset>& partitions);
  void pause(const partition_id& p);
  /// Only of what was paused (K1), and from `at`: a pause forgets what was fetched.
  void resume(const partition_offset& at);
  /// Does not wait; failures come as events.
  void commit(const std::vector<partition_offset>& offsets);

  /// Leaves the group: serve until closed(). That may take as long as the group is being rebalanced: the request to
  /// leave stands behind the one to join, on one connection.
  void begin_close();
  bool closed() const;

  const std::shared_ptr<client>& shared() const { return client_; }

private:
  consumer(std::shared_ptr<client> c, std::function<void()> wake);

  std::shared_ptr<client> client_;
  std::function<void()> wake_;
  queue_ptr control_, records_;
  bool subscribed_ = false, assigned_ = false, closing_ = false;
};

}  // namespace horizons::kafka
