#include "gateways/kafka/broker_questions.hpp"

#include <atomic>
#include <memory>
#include <thread>

namespace horizons::kafka {
namespace {

int ms(milliseconds limit) { return static_cast<int>(limit.count()); }

/// K13: neither watermarks nor times refresh a leader that moved; a metadata request does.
result<void> refresh_leader(const client& c, const partition_id& p, milliseconds limit) {
  auto layout = c.layout_of(p.topic, limit);
  if (!layout) return failure(layout.error());
  return {};
}

result<partition_facts> facts_of(const client& c, const partition_id& p, milliseconds limit) {
  if (auto ok = refresh_leader(c, p, limit); !ok) return failure(ok.error());
  std::int64_t low = 0, high = 0;
  auto code = rd_kafka_query_watermark_offsets(c.get(), p.topic.c_str(), p.number, &low, &high, ms(limit));
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return failure(to_error(code, to_string(p) + ", first and last offset"));
  const auto list = make_partition_list(1);
  auto* entry = rd_kafka_topic_partition_list_add(list.get(), p.topic.c_str(), p.number);
  code = rd_kafka_committed(c.get(), list.get(), ms(limit));
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) code = entry->err;
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return failure(to_error(code, to_string(p) + ", the group's offset"));
  partition_facts facts{.first = static_cast<std::uint64_t>(low), .end = static_cast<std::uint64_t>(high)};
  if (entry->offset >= 0) facts.committed = static_cast<std::uint64_t>(entry->offset);
  if (entry->metadata_size > 0)
    facts.committed_by.assign(static_cast<const char*>(entry->metadata), entry->metadata_size);
  return facts;
}

result<std::uint64_t> offset_at(const client& c, const ask_time& q, milliseconds limit) {
  if (auto ok = refresh_leader(c, q.of, limit); !ok) return failure(ok.error());
  const auto list = make_partition_list(1);
  auto* entry = rd_kafka_topic_partition_list_add(list.get(), q.of.topic.c_str(), q.of.number);
  entry->offset = q.at.time_since_epoch().count();
  auto code = rd_kafka_offsets_for_times(c.get(), list.get(), ms(limit));
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) code = entry->err;
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return failure(to_error(code, to_string(q.of) + ", the offset of a time"));
  if (entry->offset >= 0) return static_cast<std::uint64_t>(entry->offset);
  std::int64_t low = 0, high = 0;  // RD_KAFKA_OFFSET_END: no record is as young
  code = rd_kafka_query_watermark_offsets(c.get(), q.of.topic.c_str(), q.of.number, &low, &high, ms(limit));
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return failure(to_error(code, to_string(q.of) + ", its end"));
  return static_cast<std::uint64_t>(high);
}

constexpr int asked_max = 32;

/// Answers each question on a thread of its own: several wait for brokers at the same time, and one that hangs (K13;
/// librdkafka's calls cannot be interrupted) holds up nobody, whoever stops included.
class threads {
public:
  template <class Reply, class Question>
  void answer(kit::promise<Reply> promise, Question question) {
    if (*waiting_ >= asked_max)
      return promise.fail({error_code::unavailable, "the brokers have not answered " + std::to_string(asked_max) +
                                                        " questions yet; nothing more is asked until they do"});
    ++*waiting_;
    std::thread([promise = std::move(promise), question = std::move(question), waiting = waiting_,
                 alive = std::make_shared<outliving_threads>()] {
      promise.set(question());
      --*waiting;
    }).detach();
  }

private:
  std::shared_ptr<std::atomic<int>> waiting_ = std::make_shared<std::atomic<int>>(0);
};

}  // namespace

kit::actor_body broker_questions(std::shared_ptr<client> asker, std::function<result<void>()> create_topics,
                                 milliseconds limit) {
  return [asker = std::move(asker), create_topics = std::move(create_topics), limit](kit::context&) {
    auto on_threads = std::make_shared<threads>();
    return kit::behavior{}
        .on<ask_cluster>([=](const ask_cluster&, kit::promise<std::string> p) {
          on_threads->answer(std::move(p), [=] { return asker->cluster_id(limit); });
        })
        .on<ask_topics>([=](const ask_topics&, kit::promise<ask_topics::reply> p) {
          on_threads->answer(std::move(p), [=]() -> result<ask_topics::reply> {
            if (!create_topics) return ask_topics::reply{};
            if (auto ok = create_topics(); !ok) return failure(ok.error());
            return ask_topics::reply{};
          });
        })
        .on<ask_facts>([=](const ask_facts& q, kit::promise<partition_facts> p) {
          on_threads->answer(std::move(p), [=] { return facts_of(*asker, q.of, limit); });
        })
        .on<ask_time>([=](const ask_time& q, kit::promise<std::uint64_t> p) {
          on_threads->answer(std::move(p), [=] { return offset_at(*asker, q, limit); });
        });
  };
}

}  // namespace horizons::kafka
