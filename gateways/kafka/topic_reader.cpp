#include "gateways/kafka/topic_reader.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "gateways/kafka/patience.hpp"

namespace horizons::kafka {
namespace {

using std::chrono::steady_clock;
constexpr milliseconds attempt{2'000};  // K13: one question may be answered by a stale leader, or not at all

/// Repeats `ask` until it succeeds or fails for good, `limit` at most.
template <class F>
result<void> until_answered(milliseconds limit, F ask) {
  result<void> answer;
  ask_until(limit, [&] {
    answer = ask();
    return answer || (answer.error().code != error_code::unavailable && answer.error().code != error_code::timed_out);
  });
  return answer;
}

}  // namespace

record to_record(const rd_kafka_message_t& m) {
  record r;
  if (m.key) r.key.emplace(static_cast<const char*>(m.key), m.key_len);
  if (m.payload) r.value.emplace(static_cast<const char*>(m.payload), m.len);
  rd_kafka_headers_t* headers = nullptr;
  if (rd_kafka_message_headers(&m, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR) {
    const char* name = nullptr;
    const void* value = nullptr;
    std::size_t size = 0;
    for (std::size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR;
         ++i)
      r.headers.emplace_back(name,
                             value ? std::optional(std::string(static_cast<const char*>(value), size)) : std::nullopt);
  }
  rd_kafka_timestamp_type_t kind = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
  const auto ms = rd_kafka_message_timestamp(&m, &kind);
  if (kind != RD_KAFKA_TIMESTAMP_NOT_AVAILABLE && ms >= 0) r.time = timestamp(milliseconds(ms));
  return r;
}

result<topic_reader> topic_reader::open(const kafka_options& options) {
  auto opened = client::open(client_role::consumer, options,
                             {{"group.id", options.group + ".reader"},  // librdkafka wants one; it is never joined
                              {"enable.partition.eof", "true"},
                              {"auto.offset.reset", "earliest"},  // what retention took meanwhile is gone
                              {"queued.max.messages.kbytes", "16384"},
                              {"fetch.wait.max.ms", "100"}},
                             {.events = RD_KAFKA_EVENT_FETCH | RD_KAFKA_EVENT_ERROR});
  if (!opened) return failure(opened.error());
  rd_kafka_poll_set_consumer(opened->get());
  return topic_reader(std::move(*opened));
}

result<std::vector<partition_range>> topic_reader::all_of(const std::string& topic, milliseconds limit) const {
  auto layout = client_.layout_of(topic, limit);  // K13: refreshes the leaders first
  if (!layout) return failure(layout.error());
  std::vector<partition_range> ranges;
  for (const auto partition : layout->partitions) {
    partition_range r{topic, partition};
    auto known = until_answered(limit, [&]() -> result<void> {
      const auto code = rd_kafka_query_watermark_offsets(client_.get(), topic.c_str(), partition, &r.first, &r.end,
                                                         static_cast<int>(std::min(attempt, limit).count()));
      if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return {};
      return failure(to_error(code, "topic " + topic + " partition " + std::to_string(partition)));
    });
    if (!known) return failure(known.error());
    ranges.push_back(std::move(r));
  }
  return ranges;
}

result<void> topic_reader::look_up(std::vector<partition_range>& ranges, timestamp when,
                                   std::int64_t partition_range::*what, milliseconds limit) const {
  std::map<std::int32_t, partition_range*> left;
  for (auto& r : ranges) left.emplace(r.partition, &r);
  const std::string topic = ranges.empty() ? "" : ranges.front().topic;
  return until_answered(limit, [&]() -> result<void> {
    if (left.empty()) return {};
    const auto list = make_partition_list(static_cast<int>(left.size()));
    for (const auto& [partition, range] : left)
      rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), partition)->offset = when.time_since_epoch().count();
    auto code =
        rd_kafka_offsets_for_times(client_.get(), list.get(), static_cast<int>(std::min(attempt, limit).count()));
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return failure(to_error(code, "topic " + topic + ": offsets by time"));
    for (int i = 0; i < list->cnt; ++i) {
      const auto& answer = list->elems[i];
      if (answer.err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        code = answer.err;
        continue;
      }
      auto& range = *left.at(answer.partition);
      if (answer.offset >= 0)
        range.*what = std::clamp(answer.offset, range.first, range.end);
      else
        range.*what = range.end;  // -1: nothing is as young
      left.erase(answer.partition);
    }
    if (left.empty()) return {};
    // K13: librdkafka 2.0.2 does not ask for the new leader by itself.
    (void)client_.layout_of(topic, std::min(attempt, limit));
    auto e = to_error(code, "topic " + topic + ": offsets by time");
    if (e.code == error_code::not_found) e.code = error_code::unavailable;
    return failure(std::move(e));
  });
}

result<std::vector<partition_range>> topic_reader::between(const std::string& topic, std::optional<timestamp> start,
                                                           std::optional<timestamp> end, milliseconds limit) const {
  auto ranges = all_of(topic, limit);
  if (!ranges) return ranges;
  if (end)
    if (auto found = look_up(*ranges, *end, &partition_range::end, limit); !found) return failure(found.error());
  if (start)
    if (auto found = look_up(*ranges, *start, &partition_range::first, limit); !found) return failure(found.error());
  return ranges;
}

result<void> topic_reader::read(const std::vector<partition_range>& ranges, milliseconds idle_limit,
                                const std::function<bool(stored_record&&)>& take) const {
  using place = std::pair<std::string, std::int32_t>;
  std::map<place, std::int64_t> ends;  // of what is not read to its end
  const auto list = make_partition_list(static_cast<int>(ranges.size()));
  for (const auto& r : ranges) {
    if (r.first >= r.end) continue;
    rd_kafka_topic_partition_list_add(list.get(), r.topic.c_str(), r.partition)->offset = r.first;
    ends[{r.topic, r.partition}] = r.end;
  }
  if (ends.empty()) return {};
  if (const auto code = rd_kafka_assign(client_.get(), list.get()); code != RD_KAFKA_RESP_ERR_NO_ERROR)
    return failure(to_error(code, "kafka: reading"));
  struct unassign {
    rd_kafka_t* rk;
    ~unassign() { rd_kafka_assign(rk, nullptr); }
  } const at_the_end{client_.get()};

  const queue_ptr queue(rd_kafka_queue_get_consumer(client_.get()));
  auto last = steady_clock::now();
  while (!ends.empty()) {
    const event_ptr event(rd_kafka_queue_poll(queue.get(), 100));
    if (!event) {
      if (steady_clock::now() - last > idle_limit)
        return failure(error_code::unavailable, "kafka: nothing came from " + ends.begin()->first.first + " for " +
                                                    std::to_string(idle_limit.count()) + " ms");
      continue;
    }
    if (rd_kafka_event_type(event.get()) == RD_KAFKA_EVENT_ERROR) {
      const auto code = rd_kafka_event_error(event.get());
      if (code == RD_KAFKA_RESP_ERR__PARTITION_EOF) {  // 2.0.2 tells it as an error of the queue or as a message
        const owned<rd_kafka_topic_partition_t, rd_kafka_topic_partition_destroy> at(
            rd_kafka_event_topic_partition(event.get()));
        if (at) ends.erase({at->topic, at->partition});
      } else if (kind_of(code) == error_code::forbidden) {
        return failure(to_error(code, "kafka: reading", rd_kafka_event_error_string(event.get())));
      }
      continue;
    }
    while (const auto* m = rd_kafka_event_message_next(event.get())) {
      last = steady_clock::now();
      const auto at = ends.find({rd_kafka_topic_name(m->rkt), m->partition});
      if (at == ends.end()) continue;
      if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        ends.erase(at);
        continue;
      }
      if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        if (kind_of(m->err) == error_code::forbidden || kind_of(m->err) == error_code::not_found)
          return failure(to_error(m->err, "topic " + at->first.first));
        continue;  // it tries again by itself
      }
      const bool past = m->offset >= at->second;
      if (!past && !take({at->first.first, m->partition, m->offset, to_record(*m)})) return {};
      if (m->offset + 1 >= at->second) ends.erase(at);
    }
  }
  return {};
}

}  // namespace horizons::kafka
