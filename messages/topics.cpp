#include "messages/topics.hpp"

namespace horizons {

std::string dead_letter_topic(std::string_view topic) { return std::string(topic) + ".dlq"; }

bool carries(const kafka_topic& topic, std::string_view type) {
  if (topic.content == "job.metrics") return type == "job.metrics";
  if (type == "job.metrics") return false;
  for (std::size_t at = 0; at < topic.content.size();) {
    const std::size_t space = topic.content.find(' ', at);
    const std::size_t end = space == std::string_view::npos ? topic.content.size() : space;
    if (type.starts_with(topic.content.substr(at, end - at))) return true;
    at = end + 1;
  }
  return false;
}

std::string_view topic_of(const event_data& data) {
  for (const kafka_topic& topic : kafka_topics)
    if (carries(topic, type_of(data))) return topic.name;
  return "system-health";  // unreachable: a test holds that every type has its topic
}

std::string partition_key(const event& e, std::string_view node) {
  if (const auto* audit = std::get_if<audit_recorded>(&e.data)) return audit->resource_id;
  const std::string_view topic = topic_of(e.data);
  if (topic == "notifications") return e.user_id;
  if (topic == "system-health") return std::string(node);
  return e.job_id;
}

}  // namespace horizons
