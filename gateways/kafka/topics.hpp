// The topics of the catalogue (messages/topics.hpp) in a cluster: made when they are missing, compared on request,
// never altered unasked. What `horizons topics check` and `horizons topics apply` do; printing and exit status are the
// command line's.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gateways/kafka/client.hpp"
#include "messages/result.hpp"
#include "messages/topics.hpp"

namespace horizons::kafka {

/// What a topic should be.
struct topic_plan {
  std::string name;
  int partitions = 0;
  int replication = 0;                          // 3, or as many as there are brokers
  std::map<std::string, std::string> settings;  // Kafka's names: retention.ms, min.insync.replicas …
  friend bool operator==(const topic_plan&, const topic_plan&) = default;
};

/// What a topic is.
struct topic_state {
  int partitions = 0, replication = 0;
  std::map<std::string, std::string> settings;    // effective values of every setting
  std::map<std::string, std::string> overridden;  // of these, what was set on the topic itself
};

/// The catalogue's topics, each followed by its dead letters. `present`: partitions of topics that exist, because
/// dead letters keep the partition of their source.
using topic_catalogue = std::span<const kafka_topic>;
std::vector<topic_plan> topic_plans(int brokers, const std::map<std::string, int>& present = {},
                                    topic_catalogue catalogue = kafka_topics);

struct topic_difference {
  std::string what, expected, found;  // "partitions", "replication" or the name of a setting
  friend bool operator==(const topic_difference&, const topic_difference&) = default;
};
std::vector<topic_difference> compare(const topic_plan& plan, const topic_state& state);

struct topics_report {
  struct row {
    std::string topic;
    std::string state;  // ok, missing, differs; after apply also created, altered, failed
    std::vector<topic_difference> differences;
    std::string note;  // what could not be done and what to do about it
  };
  std::vector<row> rows;
  int brokers = 0;

  /// Every topic is as the catalogue says.
  bool good() const;
  /// A table for people, the last line a summary.
  std::string text() const;
  /// One JSON object for `--json`.
  std::string json_text() const;
};

/// Compares; changes nothing. Errors: unavailable (no broker), forbidden.
result<topics_report> topics_check(const kafka_options& options, milliseconds limit = milliseconds{30'000},
                                   topic_catalogue catalogue = kafka_topics);

/// Creates what is missing, adds partitions and sets settings where they differ. What it cannot do (fewer partitions,
/// another replication) stands in the notes. A topic that is refused is a row, not an error.
result<topics_report> topics_apply(const kafka_options& options, milliseconds limit = milliseconds{30'000},
                                   topic_catalogue catalogue = kafka_topics);

/// Creates what is missing and touches nothing else; returns what it made. Several nodes may do it at once.
result<std::vector<std::string>> create_missing_topics(const kafka_options& options,
                                                       milliseconds limit = milliseconds{30'000},
                                                       topic_catalogue catalogue = kafka_topics);

}  // namespace horizons::kafka
