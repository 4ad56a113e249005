// What the source must know before it reads, asked on threads of their own: every one of these may wait for a broker.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gateways/kafka/client.hpp"
#include "messages/timestamp.hpp"
#include "runtime/kit/kit.hpp"

namespace horizons::kafka {

struct partition_id {
  std::string topic;
  std::int32_t number = 0;
  friend auto operator<=>(const partition_id&, const partition_id&) = default;
};

/// "topic[3]".
inline std::string to_string(const partition_id& p) { return p.topic + "[" + std::to_string(p.number) + "]"; }

/// What the cluster knows of a partition.
struct partition_facts {
  std::uint64_t first = 0, end = 0;        // the oldest offset it still has; the one after the newest
  std::optional<std::uint64_t> committed;  // by the group
  std::string committed_by;                // metadata of that commit
};

struct ask_cluster {
  using reply = std::string;  // its id
};

/// Creates missing topics, when there is something to create them with.
struct ask_topics {
  struct reply {};
};

struct ask_facts {
  using reply = partition_facts;
  partition_id of;
};

/// The first offset at or after a time; the end when there is none.
struct ask_time {
  using reply = std::uint64_t;
  partition_id of;
  timestamp at;
};

using questions_api = kit::accepts<ask_cluster, ask_topics, ask_facts, ask_time>;

/// No question waits longer than `limit` for each of the (up to four) requests it takes, unless librdkafka hangs; the
/// actor itself never does.
kit::actor_body broker_questions(std::shared_ptr<client> asker, std::function<result<void>()> create_topics,
                                 milliseconds limit = milliseconds{5'000});

}  // namespace horizons::kafka
