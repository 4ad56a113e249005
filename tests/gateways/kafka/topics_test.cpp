// The catalogue against a cluster: plans and comparison by themselves, the rest on real brokers.
#include "gateways/kafka/topics.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/gateways/kafka/brokers.hpp"
#include "tests/runtime/kit/wait.hpp"

namespace horizons::kafka {
namespace {

using namespace std::chrono_literals;
using testing::unique;

TEST(topic_plans, follow_the_catalogue) {
  const auto plans = topic_plans(3);
  ASSERT_EQ(plans.size(), 2 * kafka_topics.size());
  EXPECT_EQ(plans[0].name, "job-submissions");
  EXPECT_EQ(plans[0].partitions, 10);
  EXPECT_EQ(plans[0].replication, 3);
  EXPECT_EQ(plans[0].settings.at("retention.ms"), "2592000000") << "30 days";
  EXPECT_EQ(plans[0].settings.at("min.insync.replicas"), "2");
  EXPECT_EQ(plans[1].name, "job-submissions.dlq");
  EXPECT_EQ(plans[1].partitions, 10);
  EXPECT_GT(std::stoll(plans[1].settings.at("max.message.bytes")), 1'048'588) << "the largest record and its errors";
  EXPECT_EQ(plans[8].name, "audit-trail");
  EXPECT_EQ(plans[8].settings.at("retention.ms"), "7776000000") << "90 days";
}

TEST(topic_plans, ask_no_more_replicas_than_brokers) {
  EXPECT_EQ(topic_plans(1)[0].replication, 1);
  EXPECT_EQ(topic_plans(1)[0].settings.at("min.insync.replicas"), "1");
  EXPECT_EQ(topic_plans(2)[0].replication, 2);
  EXPECT_EQ(topic_plans(9)[0].replication, 3);
}

TEST(topic_plans, dead_letters_have_the_partitions_of_their_source) {
  const auto plans = topic_plans(3, {{"job-submissions", 24}, {"job-lifecycle", 3}});
  EXPECT_EQ(plans[0].partitions, 10) << "the catalogue's figure";
  EXPECT_EQ(plans[1].partitions, 24) << "the source has more";
  EXPECT_EQ(plans[3].partitions, 10) << "the source will have as many";
}

TEST(topic_compare, names_every_difference) {
  const topic_plan plan{"t", 10, 3, {{"retention.ms", "1000"}, {"min.insync.replicas", "2"}}};
  topic_state same{10, 3, {{"retention.ms", "1000"}, {"min.insync.replicas", "2"}, {"cleanup.policy", "delete"}}, {}};
  EXPECT_TRUE(compare(plan, same).empty());
  same.partitions = 12;
  same.replication = 1;
  same.settings["retention.ms"] = "7";
  const std::vector<topic_difference> expected{
      {"partitions", "10", "12"}, {"replication", "3", "1"}, {"retention.ms", "1000", "7"}};
  EXPECT_EQ(compare(plan, same), expected);
}

TEST(topics_report, reads_for_people_and_machines) {
  const topics_report report{{{"audit-trail", "ok", {}, ""},
                              {"notifications", "differs", {{"retention.ms", "604800000", "86400000"}}, ""},
                              {"x", "missing", {}, ""}},
                             3};
  EXPECT_FALSE(report.good());
  EXPECT_EQ(report.text(),
            "TOPIC          STATE    DETAIL\n"
            "audit-trail    ok\n"
            "notifications  differs  retention 1 d, expected 7 d\n"
            "x              missing\n"
            "3 topics on 3 brokers: 2 not as the catalogue says\n");
  const auto parsed = nlohmann::json::parse(report.json_text());
  EXPECT_FALSE(parsed.at("good"));
  EXPECT_EQ(parsed.at("topics").at(1).at("differences").at(0).at("found"), "86400000");
}

class topics_on_brokers : public testing::with_brokers {
protected:
  void SetUp() override {
    with_brokers::SetUp();
    name_ = unique("topics");
    catalogue_ = {kafka_topic{name_, 3, "job_id", 7, "job.", "of a test"}};
  }
  const topics_report::row& row(const result<topics_report>& report, std::size_t i) {
    EXPECT_TRUE(report) << report.error().text;
    return report->rows.at(i);
  }
  std::string name_;
  std::vector<kafka_topic> catalogue_;
};

TEST_F(topics_on_brokers, missing_ones_are_said_and_then_made) {
  const auto before = topics_check(options, 30s, catalogue_);
  EXPECT_EQ(row(before, 0).state, "missing");
  EXPECT_EQ(row(before, 1).state, "missing");
  EXPECT_FALSE(before->good());

  const auto made = create_missing_topics(options, 30s, catalogue_);
  ASSERT_TRUE(made) << made.error().text;
  EXPECT_EQ(*made, (std::vector<std::string>{name_, name_ + ".dlq"}));
  const auto again = create_missing_topics(options, 30s, catalogue_);
  ASSERT_TRUE(again) << again.error().text;
  EXPECT_TRUE(again->empty());

  const auto after = topics_check(options, 30s, catalogue_);
  ASSERT_TRUE(after) << after.error().text;
  EXPECT_TRUE(after->good()) << after->text();
}

TEST_F(topics_on_brokers, existing_ones_are_left_alone_unless_asked) {
  auto admin = topic_admin::open(options, 30s);
  ASSERT_TRUE(admin);
  ASSERT_TRUE(admin->create(
      {name_, 2, 3, {{"retention.ms", "3600000"}, {"min.insync.replicas", "1"}, {"segment.ms", "1800000"}}}));
  ASSERT_TRUE(admin->create({name_ + ".dlq", 5, 1, {}}));

  ASSERT_TRUE(create_missing_topics(options, 30s, catalogue_));
  const auto drift = topics_check(options, 30s, catalogue_);
  EXPECT_EQ(row(drift, 0).state, "differs");
  const std::vector<topic_difference> expected{
      {"partitions", "3", "2"}, {"min.insync.replicas", "2", "1"}, {"retention.ms", "604800000", "3600000"}};
  EXPECT_EQ(row(drift, 0).differences, expected);

  const auto applied = topics_apply(options, 30s, catalogue_);
  EXPECT_EQ(row(applied, 0).state, "altered") << applied->text();
  EXPECT_EQ(row(applied, 1).state, "differs");
  EXPECT_NE(row(applied, 1).note.find("partitions cannot be taken away"), std::string::npos);
  EXPECT_NE(row(applied, 1).note.find("kafka-reassign-partitions"), std::string::npos);
  EXPECT_FALSE(applied->good());

  result<cluster_view> view;
  const auto seen = [&] {  // a broker may tell what was before for a moment
    view = admin->view();
    return view && admin->describe(*view, {name_, name_ + ".dlq"}) && view->topics[name_].partitions == 3 &&
           view->topics[name_].settings["retention.ms"] == "604800000" &&
           view->topics[name_ + ".dlq"].settings["retention.ms"] == "2592000000";
  };
  ASSERT_TRUE(horizons::testing::eventually(seen));
  EXPECT_EQ(view->topics[name_].settings["segment.ms"], "1800000") << "what nobody asked for stays";
  EXPECT_EQ(view->topics[name_ + ".dlq"].partitions, 5);
}

TEST_F(topics_on_brokers, two_nodes_may_make_them_at_once) {
  result<std::vector<std::string>> one, other;
  std::thread beside([&] { other = create_missing_topics(options, 30s, catalogue_); });
  one = create_missing_topics(options, 30s, catalogue_);
  beside.join();
  ASSERT_TRUE(one) << one.error().text;
  ASSERT_TRUE(other) << other.error().text;
  EXPECT_EQ(one->size() + other->size(), 2u);
}

TEST(topics_without_brokers, say_so) {
  kafka_options nobody;
  nobody.brokers = {"127.0.0.1:1"};
  const auto report = topics_check(nobody, 500ms);
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code, error_code::unavailable) << report.error().text;
}

}  // namespace
}  // namespace horizons::kafka
