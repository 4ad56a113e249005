#include "gateways/kafka/consumer.hpp"

#include <thread>

#include "runtime/telemetry/log.hpp"

namespace horizons::kafka {
namespace {

partition_list_ptr to_list(const std::vector<partition_offset>& partitions) {
  auto list = make_partition_list(static_cast<int>(partitions.size()));
  for (const auto& p : partitions)
    rd_kafka_topic_partition_list_add(list.get(), p.partition.topic.c_str(), p.partition.number)->offset =
        static_cast<std::int64_t>(p.offset);
  return list;
}

partition_list_ptr to_list(const std::vector<partition_id>& partitions) {
  auto list = make_partition_list(static_cast<int>(partitions.size()));
  for (const auto& p : partitions) rd_kafka_topic_partition_list_add(list.get(), p.topic.c_str(), p.number);
  return list;
}

std::vector<partition_id> from_list(const rd_kafka_topic_partition_list_t* list) {
  std::vector<partition_id> out;
  for (int i = 0; list && i < list->cnt; ++i) out.push_back({list->elems[i].topic, list->elems[i].partition});
  return out;
}

void on_event(rd_kafka_t*, void* wake) { (*static_cast<std::function<void()>*>(wake))(); }

void tell(rd_kafka_event_t* failure, const consumer_events& on) {
  std::optional<partition_id> where;
  using entry_ptr = owned<rd_kafka_topic_partition_t, rd_kafka_topic_partition_destroy>;
  if (const entry_ptr p(rd_kafka_event_topic_partition(failure)); p) where.emplace(p->topic, p->partition);
  const auto code = rd_kafka_event_error(failure);
  const char* text = rd_kafka_event_error_string(failure);
  on.failed(to_error(code, where ? to_string(*where) : "consumer", text ? text : ""), code, where);
}

/// K4: librdkafka 2.0.2 aborts when a consumer is destroyed that has joined a group and was never told its part of it
/// (the sticky assignor has no state to free then). `assigned`: it was told once.
void forget(client& c, bool assigned) {
  if (!assigned) c.abandon();
}

/// Answers the group until it has been left, on a thread of its own.
void leave_group(std::shared_ptr<client> c, queue_ptr control, bool assigned) {
  std::thread([c = std::move(c), control = std::move(control), assigned,
               alive = std::make_shared<outliving_threads>()]() mutable {
    while (rd_kafka_consumer_closed(c->get()) != 1) {
      const event_ptr e(rd_kafka_queue_poll(control.get(), 100));
      if (rd_kafka_event_type(e.get()) != RD_KAFKA_EVENT_REBALANCE) continue;
      assigned |= rd_kafka_event_error(e.get()) == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
      // Of one that closes, librdkafka takes every answer as "I read nothing any more".
      const error_ptr ignored(rd_kafka_incremental_assign(c->get(), make_partition_list().get()));
    }
    control.reset();
    forget(*c, assigned);
  }).detach();
}

}  // namespace

result<std::unique_ptr<consumer>> consumer::open(const kafka_options& options, std::function<void()> wake) {
  auto c = client::open(client_role::consumer, options, {},
                        {.events = RD_KAFKA_EVENT_REBALANCE | RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_STATS |
                                   RD_KAFKA_EVENT_OFFSET_COMMIT | RD_KAFKA_EVENT_FETCH});
  if (!c) return failure(c.error());
  return std::unique_ptr<consumer>(new consumer(std::make_shared<client>(std::move(*c)), std::move(wake)));
}

consumer::consumer(std::shared_ptr<client> c, std::function<void()> wake)
    : client_(std::move(c)), wake_(std::move(wake)) {
  rd_kafka_poll_set_consumer(client_->get());  // errors and statistics come by the consumer's queue, too
  control_.reset(rd_kafka_queue_get_consumer(client_->get()));
  records_.reset(rd_kafka_queue_new(client_->get()));
  rd_kafka_queue_cb_event_enable(control_.get(), on_event, &wake_);
  rd_kafka_queue_cb_event_enable(records_.get(), on_event, &wake_);
}

consumer::~consumer() {
  rd_kafka_queue_cb_event_enable(control_.get(), nullptr, nullptr);
  rd_kafka_queue_cb_event_enable(records_.get(), nullptr, nullptr);
  if (!subscribed_) return;
  if (!closing_) begin_close();
  if (closed() || !closing_)
    forget(*client_, assigned_);
  else
    leave_group(client_, std::move(control_), assigned_);
}

result<void> consumer::subscribe(const std::vector<std::string>& topics) {
  const auto list = make_partition_list(static_cast<int>(topics.size()));
  for (const auto& t : topics) rd_kafka_topic_partition_list_add(list.get(), t.c_str(), RD_KAFKA_PARTITION_UA);
  const auto code = rd_kafka_subscribe(client_->get(), list.get());
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return failure(to_error(code, "subscribing"));
  subscribed_ = true;
  return {};
}

bool consumer::serve(const consumer_events& on, int most) {
  for (int i = 0; i < most; ++i) {
    const event_ptr e(rd_kafka_queue_poll(control_.get(), 0));
    if (!e) return false;
    switch (rd_kafka_event_type(e.get())) {
      case RD_KAFKA_EVENT_REBALANCE: {
        const auto partitions = from_list(rd_kafka_event_topic_partition_list(e.get()));
        if (rd_kafka_event_error(e.get()) == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
          assigned_ = true;
          on.assigned(partitions);
        } else {
          on.revoked(partitions);
        }
        break;
      }
      case RD_KAFKA_EVENT_STATS:
        on.statistics(rd_kafka_event_stats(e.get()));
        break;
      case RD_KAFKA_EVENT_ERROR:
        tell(e.get(), on);
        break;
      case RD_KAFKA_EVENT_OFFSET_COMMIT: {
        const auto code = rd_kafka_event_error(e.get());
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR && code != RD_KAFKA_RESP_ERR__NO_OFFSET)
          log::debug("a commit of offsets failed; only the lag seen by others is late",
                     {{"error", rd_kafka_err2name(code)}});
        break;
      }
      default:
        break;
    }
  }
  return true;
}

consumer::fetched consumer::next_record(const consumer_events& on) {
  for (;;) {
    fetched f{event_ptr(rd_kafka_queue_poll(records_.get(), 0))};
    if (!f.event) return f;
    if (rd_kafka_event_type(f.event.get()) == RD_KAFKA_EVENT_ERROR) tell(f.event.get(), on);
    f.message = rd_kafka_event_message_next(f.event.get());
    if (f.message && f.message->err == RD_KAFKA_RESP_ERR_NO_ERROR && f.message->rkt) return f;
  }
}

result<void> consumer::assign(const std::vector<partition_offset>& partitions) {
  for (const auto& p : partitions)
    if (const queue_ptr own(
            rd_kafka_queue_get_partition(client_->get(), p.partition.topic.c_str(), p.partition.number));
        own)
      rd_kafka_queue_forward(own.get(), records_.get());
  return to_result(rd_kafka_incremental_assign(client_->get(), to_list(partitions).get()), "assigning partitions");
}

result<void> consumer::unassign(const std::vector<partition_id>& partitions) {
  return to_result(rd_kafka_incremental_unassign(client_->get(), to_list(partitions).get()), "giving up partitions");
}

void consumer::seek(const std::vector<partition_offset>& partitions) {
  if (partitions.empty()) return;
  // Without waiting: its only error is a partition that is not being read yet, which begins where it was told to.
  if (auto ok = to_result(rd_kafka_seek_partitions(client_->get(), to_list(partitions).get(), 0), "seeking"); !ok)
    log::warn("seeking failed", {{"error", ok.error().text}});
}

void consumer::pause(const partition_id& p) {
  rd_kafka_pause_partitions(client_->get(), to_list(std::vector{p}).get());
}

void consumer::resume(const partition_offset& at) {
  seek({at});
  rd_kafka_resume_partitions(client_->get(), to_list(std::vector{at}).get());
}

void consumer::commit(const std::vector<partition_offset>& offsets) {
  const auto list = to_list(offsets);
  for (int i = 0; i < list->cnt; ++i) {
    const auto& metadata = offsets[static_cast<std::size_t>(i)].metadata;
    list->elems[i].metadata = rd_kafka_mem_malloc(nullptr, metadata.size() + 1);
    list->elems[i].metadata_size = metadata.copy(static_cast<char*>(list->elems[i].metadata), metadata.size());
  }
  rd_kafka_commit(client_->get(), list.get(), 1);
}

void consumer::begin_close() {
  const auto begun = to_result(rd_kafka_consumer_close_queue(client_->get(), control_.get()), "closing");
  closing_ = begun.has_value();  // else it is closed already, or broken
}

bool consumer::closed() const { return rd_kafka_consumer_closed(client_->get()) == 1; }

}  // namespace horizons::kafka
