// Kafka's administrative requests about topics as plain calls that wait: see topics.hpp for what they are used for.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "gateways/kafka/client.hpp"
#include "gateways/kafka/topics.hpp"
#include "messages/result.hpp"

namespace horizons::kafka {

/// What the cluster's metadata say of it.
struct cluster_view {
  int brokers = 0;
  std::map<std::string, topic_state> topics;  // partitions and replication; settings by describe()
};

class topic_admin {
public:
  static result<topic_admin> open(const kafka_options& options, milliseconds limit);

  result<cluster_view> view() const;
  /// Fills in the settings of the topics named.
  result<void> describe(cluster_view& view, const std::vector<std::string>& names) const;

  /// Waits until every broker knows it. A topic that exists is conflict.
  result<void> create(const topic_plan& plan) const;
  result<void> add_partitions(const std::string& topic, int total) const;
  /// Sets these beside what was set before: librdkafka 2.0.2 has only the AlterConfigs that resets what it does not
  /// name, so all overridden settings are sent again.
  result<void> alter(const std::string& topic, const topic_state& before,
                     const std::map<std::string, std::string>& settings) const;

private:
  topic_admin(client c, milliseconds limit) : client_(std::move(c)), limit_(limit) {}
  result<void> wait_until_known(const std::string& topic) const;
  result<bool> known_at(std::int32_t broker, const std::string& topic) const;

  client client_;
  milliseconds limit_;
};

}  // namespace horizons::kafka
