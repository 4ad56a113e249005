#include "gateways/kafka/broker_questions.hpp"

#include <atomic>
#include <condition_variable>
#include <mutex>
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

constexpr int hanging_max = 8;

/// Runs a question on a thread of its own and stops waiting when nobody wants to know any more, or when it takes much
/// longer than it was told: K13, and librdkafka's calls cannot be interrupted. The thread ends when the library lets
/// it.
template <class Question>
auto asked(milliseconds limit, const std::stop_token& given_up, const std::shared_ptr<std::atomic<int>>& hanging,
           Question question) -> decltype(question()) {
  struct state {
    std::mutex mutex;
    std::condition_variable_any changed;
    std::optional<decltype(question())> answer;
  };
  if (*hanging >= hanging_max)
    return failure(error_code::unavailable, "the brokers have left " + std::to_string(*hanging) +
                                                " questions unanswered; nothing more is asked until they answer");
  ++*hanging;
  const auto shared = std::make_shared<state>();
  std::thread([shared, hanging, question = std::move(question), alive = std::make_shared<outliving_threads>()] {
    auto answer = question();
    --*hanging;
    const std::lock_guard lock(shared->mutex);
    shared->answer = std::move(answer);
    shared->changed.notify_all();
  }).detach();
  std::unique_lock lock(shared->mutex);
  if (shared->changed.wait_for(lock, given_up, 4 * limit, [&] { return shared->answer.has_value(); }))
    return std::move(*shared->answer);
  if (given_up.stop_requested()) return failure(error_code::cancelled, "the source stops");
  return failure(error_code::timed_out, "no broker answered within " + std::to_string(4 * limit.count()) + " ms");
}

}  // namespace

kit::actor_body broker_questions(std::shared_ptr<client> asker, std::function<result<void>()> create_topics,
                                 std::stop_token given_up, milliseconds limit) {
  return [asker = std::move(asker), create_topics = std::move(create_topics), given_up = std::move(given_up),
          limit](kit::context&) {
    const auto ask = [limit, given_up, hanging = std::make_shared<std::atomic<int>>(0)](auto question) {
      return asked(limit, given_up, hanging, std::move(question));
    };
    return kit::behavior{}
        .on<ask_cluster>([=](const ask_cluster&) { return ask([=] { return asker->cluster_id(limit); }); })
        .on<ask_topics>([=](const ask_topics&) -> result<ask_topics::reply> {
          if (!create_topics) return ask_topics::reply{};
          if (auto ok = ask([=] { return create_topics(); }); !ok) return failure(ok.error());
          return ask_topics::reply{};
        })
        .on<ask_facts>([=](const ask_facts& q) { return ask([=] { return facts_of(*asker, q.of, limit); }); })
        .on<ask_time>([=](const ask_time& q) { return ask([=] { return offset_at(*asker, q, limit); }); });
  };
}

}  // namespace horizons::kafka
