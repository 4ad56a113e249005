#include "gateways/kafka/broker_questions.hpp"

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

}  // namespace

kit::actor_body broker_questions(std::shared_ptr<client> asker, std::function<result<void>()> create_topics,
                                 milliseconds limit) {
  return [asker = std::move(asker), create_topics = std::move(create_topics), limit](kit::context&) {
    return kit::behavior{}
        .on<ask_cluster>([asker, limit](const ask_cluster&) { return asker->cluster_id(limit); })
        .on<ask_topics>([create_topics](const ask_topics&) -> result<ask_topics::reply> {
          if (!create_topics) return ask_topics::reply{};
          if (auto ok = create_topics(); !ok) return failure(ok.error());
          return ask_topics::reply{};
        })
        .on<ask_facts>([asker, limit](const ask_facts& q) { return facts_of(*asker, q.of, limit); })
        .on<ask_time>([asker, limit](const ask_time& q) { return offset_at(*asker, q, limit); });
  };
}

}  // namespace horizons::kafka
