// Three brokers of a test's own, to be killed.
#pragma once

#include <gtest/gtest.h>

#include <signal.h>

#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <string>
#include <vector>

#include "gateways/kafka/client.hpp"
#include "tests/gateways/kafka/brokers.hpp"
#include "tests/services/own_servers.hpp"

namespace horizons::kafka::testing {

/// Between two faults, or two records.
inline void pause(const std::stop_token& stop, milliseconds time) {
  std::mutex mutex;
  std::unique_lock lock(mutex);
  std::condition_variable_any().wait_for(lock, stop, time, [] { return false; });
}

class own_cluster {
public:
  own_cluster() : servers_({"kafka"}), brokers_(split(servers_["HORIZONS_KAFKA_BROKERS"])) {}

  bool up() const { return servers_.up(); }
  const std::vector<std::string>& brokers() const { return brokers_; }
  const std::filesystem::path& home() const { return servers_.home(); }

  /// Broker 1 to 3: SIGKILL, SIGSTOP, SIGCONT …
  void signal(int broker, int number) const { servers_.signal("kafka-" + std::to_string(broker), number); }
  /// Kills it, if it still runs, and starts it again with its data.
  bool restart(int broker) const { return servers_.restart("kafka-" + std::to_string(broker)); }

  /// As `broker` sees it, every replica of the topic is in sync, its own included: only then may the next broker die.
  /// Others may not have noticed yet that it was away.
  bool in_sync(int broker, kafka_options options, const std::string& topic, milliseconds limit) const {
    options.brokers = {brokers_[static_cast<std::size_t>(broker) - 1]};
    auto c = client::open(client_role::admin, options);
    if (!c) return false;
    return eventually(
        [&] {
          const rd_kafka_metadata_t* raw = nullptr;
          if (rd_kafka_metadata(c->get(), 1, nullptr, &raw, 2'000) != RD_KAFKA_RESP_ERR_NO_ERROR) return false;
          const metadata_ptr view(raw);
          bool seen = false;
          for (int t = 0; t < view->topic_cnt; ++t) {
            seen = seen || view->topics[t].topic == topic;
            for (int p = 0; p < view->topics[t].partition_cnt; ++p)
              if (view->topics[t].partitions[p].isr_cnt < view->topics[t].partitions[p].replica_cnt ||
                  view->topics[t].partitions[p].leader < 0)
                return false;
          }
          return seen && view->broker_cnt == 3;
        },
        limit);
  }
  bool in_sync(const kafka_options& options, const std::string& topic, milliseconds limit) const {
    for (int i = 1; i <= 3; ++i)
      if (!in_sync(i, options, topic, limit)) return false;
    return true;
  }

private:
  test::own_servers servers_;
  std::vector<std::string> brokers_;
};

}  // namespace horizons::kafka::testing
