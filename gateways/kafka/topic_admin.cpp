#include "gateways/kafka/topic_admin.hpp"

#include <algorithm>
#include <array>

#include "gateways/kafka/patience.hpp"

namespace horizons::kafka {
namespace {

using new_topic_ptr = owned<rd_kafka_NewTopic_t, rd_kafka_NewTopic_destroy>;
using new_partitions_ptr = owned<rd_kafka_NewPartitions_t, rd_kafka_NewPartitions_destroy>;
using config_ptr = owned<rd_kafka_ConfigResource_t, rd_kafka_ConfigResource_destroy>;

constexpr std::int32_t right_broker = -1;  // the controller, mostly

/// Sends one administrative request by `send(options, queue)` and waits for its answer.
template <class F>
result<event_ptr> ask(const client& c, rd_kafka_admin_op_t what, milliseconds limit, const char* name, F send,
                      std::int32_t broker = right_broker) {
  const queue_ptr queue(rd_kafka_queue_new(c.get()));
  const admin_options_ptr options(rd_kafka_AdminOptions_new(c.get(), what));
  std::array<char, 256> why{};
  const int ms = static_cast<int>(limit.count());
  rd_kafka_AdminOptions_set_request_timeout(options.get(), ms, why.data(), why.size());
  if (what == RD_KAFKA_ADMIN_OP_CREATETOPICS || what == RD_KAFKA_ADMIN_OP_CREATEPARTITIONS)
    rd_kafka_AdminOptions_set_operation_timeout(options.get(), ms, why.data(), why.size());
  if (broker != right_broker) rd_kafka_AdminOptions_set_broker(options.get(), broker, why.data(), why.size());
  send(options.get(), queue.get());
  event_ptr answer(rd_kafka_queue_poll(queue.get(), ms + 1'000));
  if (!answer) return failure(error_code::timed_out, std::string("kafka: ") + name + ": no answer in time");
  if (const auto code = rd_kafka_event_error(answer.get()); code != RD_KAFKA_RESP_ERR_NO_ERROR)
    return failure(to_error(code, std::string("kafka: ") + name, rd_kafka_event_error_string(answer.get())));
  return answer;
}

result<void> outcome_of(const rd_kafka_topic_result_t* const* results, std::size_t count, const char* what) {
  for (std::size_t i = 0; i < count; ++i)
    if (const auto code = rd_kafka_topic_result_error(results[i]); code != RD_KAFKA_RESP_ERR_NO_ERROR) {
      const char* said = rd_kafka_topic_result_error_string(results[i]);
      return failure(to_error(code, std::string("kafka: ") + what + " " + rd_kafka_topic_result_name(results[i]),
                              said ? said : ""));
    }
  return {};
}

}  // namespace

result<topic_admin> topic_admin::open(const kafka_options& options, milliseconds limit) {
  auto opened = client::open(client_role::admin, options);
  if (!opened) return failure(opened.error());
  return topic_admin(std::move(*opened), limit);
}

result<cluster_view> topic_admin::view() const {
  const rd_kafka_metadata_t* raw = nullptr;
  const auto code = rd_kafka_metadata(client_.get(), 1, nullptr, &raw, static_cast<int>(limit_.count()));
  const metadata_ptr answer(raw);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return failure(to_error(code, "kafka: the cluster's metadata"));
  cluster_view v;
  v.brokers = answer->broker_cnt;
  for (int i = 0; i < answer->topic_cnt; ++i) {
    const auto& t = answer->topics[i];
    if (t.err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) continue;
    auto& state = v.topics[t.topic];
    state.partitions = t.partition_cnt;
    for (int p = 0; p < t.partition_cnt; ++p)  // a reassignment under way shows more: the least is what holds
      state.replication =
          p == 0 ? t.partitions[p].replica_cnt : std::min(state.replication, t.partitions[p].replica_cnt);
  }
  return v;
}

result<void> topic_admin::describe(cluster_view& view, const std::vector<std::string>& names) const {
  std::vector<config_ptr> held;
  std::vector<rd_kafka_ConfigResource_t*> asked;
  for (const auto& name : names) {
    held.emplace_back(rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, name.c_str()));
    asked.push_back(held.back().get());
  }
  if (asked.empty()) return {};
  auto answer = ask(client_, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, limit_, "the settings of topics",
                    [&](auto* options, auto* queue) {
                      rd_kafka_DescribeConfigs(client_.get(), asked.data(), asked.size(), options, queue);
                    });
  if (!answer) return failure(answer.error());
  std::size_t count = 0;
  const auto* resources =
      rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(answer->get()), &count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::string name = rd_kafka_ConfigResource_name(resources[i]);
    if (const auto code = rd_kafka_ConfigResource_error(resources[i]); code != RD_KAFKA_RESP_ERR_NO_ERROR)
      return failure(to_error(code, "kafka: the settings of topic " + name));
    auto& state = view.topics[name];
    std::size_t settings = 0;
    const auto* entries = rd_kafka_ConfigResource_configs(resources[i], &settings);
    for (std::size_t k = 0; k < settings; ++k) {
      const char* value = rd_kafka_ConfigEntry_value(entries[k]);
      const std::string setting = rd_kafka_ConfigEntry_name(entries[k]);
      state.settings[setting] = value ? value : "";
      if (rd_kafka_ConfigEntry_source(entries[k]) == RD_KAFKA_CONFIG_SOURCE_DYNAMIC_TOPIC_CONFIG)
        state.overridden[setting] = value ? value : "";
    }
  }
  return {};
}

result<void> topic_admin::create(const topic_plan& plan) const {
  std::array<char, 512> why{};
  const new_topic_ptr topic(
      rd_kafka_NewTopic_new(plan.name.c_str(), plan.partitions, plan.replication, why.data(), why.size()));
  if (!topic) return failure(error_code::invalid_argument, "kafka: topic " + plan.name + ": " + why.data());
  for (const auto& [name, value] : plan.settings)
    rd_kafka_NewTopic_set_config(topic.get(), name.c_str(), value.c_str());
  rd_kafka_NewTopic_t* asked = topic.get();
  auto answer =
      ask(client_, RD_KAFKA_ADMIN_OP_CREATETOPICS, limit_, "creating topics",
          [&](auto* options, auto* queue) { rd_kafka_CreateTopics(client_.get(), &asked, 1, options, queue); });
  if (!answer) return failure(answer.error());
  std::size_t count = 0;
  const auto* results = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(answer->get()), &count);
  if (auto ok = outcome_of(results, count, "creating topic"); !ok) return ok;
  if (auto layout = client_.layout_of(plan.name, limit_); !layout) return failure(layout.error());
  return wait_until_known(plan.name);
}

/// A broker that has not heard of a young topic says that it has no partitions, and librdkafka 2.0.2 believes it: its
/// producers give up the records they have, its groups are assigned nothing and stay at that.
result<void> topic_admin::wait_until_known(const std::string& topic) const {
  const rd_kafka_metadata_t* raw = nullptr;
  const auto code = rd_kafka_metadata(client_.get(), 0, nullptr, &raw, static_cast<int>(limit_.count()));
  const metadata_ptr answer(raw);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return failure(to_error(code, "kafka: the cluster's brokers"));
  for (int i = 0; i < answer->broker_cnt; ++i) {
    const auto id = answer->brokers[i].id;
    const auto knows = [&] {
      const auto known = known_at(id, topic);
      return !known || *known;  // or it went away, and will know when it comes back
    };
    if (!ask_until(limit_, knows))
      return failure(error_code::timed_out, "kafka: broker " + std::to_string(id) + " does not know topic " + topic +
                                                " after " + std::to_string(limit_.count()) + " ms");
  }
  return {};
}

result<bool> topic_admin::known_at(std::int32_t broker, const std::string& topic) const {
  const config_ptr resource(rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic.c_str()));
  rd_kafka_ConfigResource_t* asked = resource.get();
  auto answer = ask(
      client_, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, std::min(limit_, milliseconds{1'000}), "the settings of topics",
      [&](auto* options, auto* queue) { rd_kafka_DescribeConfigs(client_.get(), &asked, 1, options, queue); }, broker);
  if (!answer) return failure(answer.error());
  std::size_t count = 0;
  const auto* resources =
      rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(answer->get()), &count);
  return count == 1 && rd_kafka_ConfigResource_error(resources[0]) == RD_KAFKA_RESP_ERR_NO_ERROR;
}

result<void> topic_admin::add_partitions(const std::string& topic, int total) const {
  std::array<char, 512> why{};
  const new_partitions_ptr wanted(
      rd_kafka_NewPartitions_new(topic.c_str(), static_cast<std::size_t>(total), why.data(), why.size()));
  if (!wanted) return failure(error_code::invalid_argument, "kafka: topic " + topic + ": " + why.data());
  rd_kafka_NewPartitions_t* asked = wanted.get();
  auto answer =
      ask(client_, RD_KAFKA_ADMIN_OP_CREATEPARTITIONS, limit_, "adding partitions",
          [&](auto* options, auto* queue) { rd_kafka_CreatePartitions(client_.get(), &asked, 1, options, queue); });
  if (!answer) return failure(answer.error());
  std::size_t count = 0;
  const auto* results =
      rd_kafka_CreatePartitions_result_topics(rd_kafka_event_CreatePartitions_result(answer->get()), &count);
  return outcome_of(results, count, "adding partitions to topic");
}

result<void> topic_admin::alter(const std::string& topic, const topic_state& before,
                                const std::map<std::string, std::string>& settings) const {
  const config_ptr resource(rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic.c_str()));
  auto all = settings;
  all.insert(before.overridden.begin(), before.overridden.end());  // what is new stays
  for (const auto& [name, value] : all) rd_kafka_ConfigResource_set_config(resource.get(), name.c_str(), value.c_str());
  rd_kafka_ConfigResource_t* asked = resource.get();
  auto answer = ask(client_, RD_KAFKA_ADMIN_OP_ALTERCONFIGS, limit_, "setting topics", [&](auto* options, auto* queue) {
    rd_kafka_AlterConfigs(client_.get(), &asked, 1, options, queue);
  });
  if (!answer) return failure(answer.error());
  std::size_t count = 0;
  const auto* results =
      rd_kafka_AlterConfigs_result_resources(rd_kafka_event_AlterConfigs_result(answer->get()), &count);
  for (std::size_t i = 0; i < count; ++i)
    if (const auto code = rd_kafka_ConfigResource_error(results[i]); code != RD_KAFKA_RESP_ERR_NO_ERROR) {
      const char* said = rd_kafka_ConfigResource_error_string(results[i]);
      return failure(to_error(code, "kafka: setting topic " + topic, said ? said : ""));
    }
  return {};
}

}  // namespace horizons::kafka
