#include "messages/topics.hpp"

#include <gtest/gtest.h>

namespace horizons {
namespace {

TEST(topics, every_event_type_has_exactly_one_home) {
  for_each_event_type([]<class T>() {
    std::vector<std::string_view> homes;
    for (const auto& topic : kafka_topics)
      if (carries(topic, name_of<T>())) homes.push_back(topic.name);
    // The audit trail repeats the life cycle; everything else is on one topic.
    const bool life_cycle = is_life_cycle(event_data{T{}});
    ASSERT_EQ(homes.size(), life_cycle ? 2u : 1u) << name_of<T>();
    EXPECT_EQ(topic_of(event_data{T{}}), homes[0]) << name_of<T>();
  });
  EXPECT_EQ(topic_of(job_running{}), "job-lifecycle");
  EXPECT_EQ(topic_of(job_metrics{}), "job-metrics");
  EXPECT_EQ(topic_of(notification_read{}), "notifications");
  EXPECT_EQ(topic_of(audit_recorded{}), "audit-trail");
  EXPECT_EQ(topic_of(alert_cleared{}), "system-health");
}

TEST(topics, keys_follow_the_topic) {
  event e;
  e.job_id = "job-1";
  e.user_id = "ann";
  e.data = job_progress{};
  EXPECT_EQ(partition_key(e, "node-1"), "job-1");
  e.data = notification_sent{};
  EXPECT_EQ(partition_key(e, "node-1"), "ann");
  e.data = audit_recorded{"a", "b", "job", "job-7", "done"};
  EXPECT_EQ(partition_key(e, "node-1"), "job-7");
  e.data = system_health{};
  EXPECT_EQ(partition_key(e, "node-1"), "node-1");
  EXPECT_EQ(dead_letter_topic("job-submissions"), "job-submissions.dlq");
}

}  // namespace
}  // namespace horizons
