#include "gateways/kafka/producer.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <list>
#include <map>
#include <mutex>
#include <thread>

#include <nlohmann/json.hpp>

#include "runtime/telemetry/log.hpp"

namespace horizons::kafka {
namespace {

using std::chrono::steady_clock;

constexpr milliseconds poll_every{100};
constexpr milliseconds drain_limit{5'000};
constexpr milliseconds silence{10'000};  // unacknowledged for longer than this is not "up"

/// A record that no broker will take, however often it is asked. Of a batch: at least one of them is such a record.
bool is_refusal(rd_kafka_resp_err_t code) {
  return code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE || code == RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE ||
         code == RD_KAFKA_RESP_ERR_INVALID_RECORD || code == RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP ||
         code == RD_KAFKA_RESP_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT || code == RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE;
}

bool is_unknown_topic(rd_kafka_resp_err_t code) {
  return code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC || code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION ||
         code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
}

headers_ptr headers_of(const record& r) {
  if (r.headers.empty()) return nullptr;
  headers_ptr list(rd_kafka_headers_new(r.headers.size()));
  for (const auto& [name, value] : r.headers)
    rd_kafka_header_add(list.get(), name.data(), static_cast<ssize_t>(name.size()), value ? value->data() : nullptr,
                        value ? static_cast<ssize_t>(value->size()) : 0);
  return list;
}

/// By name; made again with every instance of librdkafka.
using topics = std::map<std::string, topic_ptr, std::less<>>;

struct entry {
  topics::value_type* topic;
  record_ptr what;
  std::uint64_t token;
  std::int32_t partition;
  std::size_t bytes;
  steady_clock::time_point since;
  bool sent = false;     // librdkafka has it, and a report will come
  bool suspect = false;  // was in a batch that was refused: goes alone next time
  std::list<entry>::iterator self{};
};

class resilient_producer final : public producer {
public:
  resilient_producer(producer_options options, std::function<void()> wake, std::shared_ptr<producer_metrics> metrics)
      : options_(std::move(options)), wake_(std::move(wake)), metrics_(std::move(metrics)) {}

  result<void> start() {
    if (auto opened = reopen(); !opened) return opened;
    metrics_->in_flight = 0;  // a producer before this one may have left its own
    metrics_->in_flight_bytes = 0;
    phase_ = phase::up;
    thread_ = std::thread([this] { run(); });
    return {};
  }

  ~resilient_producer() override {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
    drain();
    close();
  }

  bool has_room(std::size_t bytes) const override {
    const std::lock_guard lock(mutex_);
    return fits(bytes);
  }

  result<void> send(std::string_view topic, record_ptr r, std::uint64_t token, std::int32_t partition) override {
    const std::size_t bytes = bytes_of(*r);
    const std::lock_guard lock(mutex_);
    if (!fits(bytes))
      return failure(error_code::limit_exceeded, std::to_string(entries_.size()) + " records are under way; at most " +
                                                     std::to_string(options_.messages_max));
    entries_.push_back({&named(topic), std::move(r), token, partition, bytes, steady_clock::now()});
    auto& e = entries_.back();
    e.self = std::prev(entries_.end());
    bytes_ += bytes;
    metrics_->in_flight = static_cast<std::int64_t>(entries_.size());
    metrics_->in_flight_bytes = static_cast<std::int64_t>(bytes_);
    if (phase_ == phase::up) hand_over(e);  // else the new producer gets it, after those before it
    return {};
  }

  std::vector<delivery> take_deliveries() override {
    const std::lock_guard lock(mutex_);
    return std::exchange(deliveries_, {});
  }

  bool flush(milliseconds limit) override {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, limit, [&] { return entries_.empty(); });
  }

  condition state() const override {
    const std::lock_guard lock(mutex_);
    condition c;
    if (!entries_.empty())
      c.oldest_unacknowledged = std::chrono::duration_cast<milliseconds>(steady_clock::now() - entries_.front().since);
    c.up = phase_ == phase::up && c.oldest_unacknowledged < (brokers_down_ ? milliseconds{1'000} : silence);
    c.text = c.up ? "up" : trouble_.empty() ? "no acknowledgement from the brokers" : trouble_;
    if (!c.up && c.oldest_unacknowledged.count() > 0)
      c.text += " (for " + std::to_string(c.oldest_unacknowledged.count() / 1000) + " s)";
    return c;
  }

private:
  enum class phase { up, broken, sending_again };

  bool fits(std::size_t bytes) const {
    return entries_.empty() || (entries_.size() < options_.messages_max && bytes_ + bytes <= options_.bytes_max);
  }

  static error refusal(rd_kafka_resp_err_t code, const entry& e) {
    return to_error(code, "topic " + e.topic->first + ", record of " + std::to_string(e.bytes) + " bytes");
  }

  // -- with the lock ------------------------------------------------------------------------------------------------

  topics::value_type& named(std::string_view topic) {
    auto at = topics_.find(topic);
    if (at == topics_.end()) at = topics_.emplace(topic, nullptr).first;
    return *at;
  }

  rd_kafka_topic_t* handle_of(topics::value_type& topic) {
    if (!topic.second) topic.second.reset(rd_kafka_topic_new(client_->get(), topic.first.c_str(), nullptr));
    return topic.second.get();
  }

  void hand_over(entry& e) {
    const record& r = *e.what;
    // K16: a list of headers that we made is freed by us when the call fails, and only then.
    auto headers = headers_of(r);
    rd_kafka_vu_t v[8];
    std::size_t n = 0;
    v[n].vtype = RD_KAFKA_VTYPE_RKT, v[n++].u.rkt = handle_of(*e.topic);
    v[n].vtype = RD_KAFKA_VTYPE_PARTITION, v[n++].u.i32 = e.partition == by_key ? RD_KAFKA_PARTITION_UA : e.partition;
    v[n].vtype = RD_KAFKA_VTYPE_MSGFLAGS, v[n++].u.i = 0;  // the value stays ours: `what` outlives the report
    v[n].vtype = RD_KAFKA_VTYPE_OPAQUE, v[n++].u.ptr = &e;
    if (r.value) {
      v[n].vtype = RD_KAFKA_VTYPE_VALUE;
      v[n].u.mem.ptr = const_cast<char*>(r.value->data());
      v[n++].u.mem.size = r.value->size();
    }
    if (r.key) {
      v[n].vtype = RD_KAFKA_VTYPE_KEY;
      v[n].u.mem.ptr = const_cast<char*>(r.key->data());
      v[n++].u.mem.size = r.key->size();
    }
    if (r.time) v[n].vtype = RD_KAFKA_VTYPE_TIMESTAMP, v[n++].u.i64 = r.time->time_since_epoch().count();
    if (headers) v[n].vtype = RD_KAFKA_VTYPE_HEADERS, v[n++].u.headers = headers.get();
    const error_ptr failed(rd_kafka_produceva(client_->get(), v, n));
    if (!failed) {
      (void)headers.release();
      e.sent = true;
      ++sent_;
      return;
    }
    const auto code = rd_kafka_error_code(failed.get());
    if (is_refusal(code))
      finish(e, {.token = e.token, .refused = refusal(code, e)});
    else
      broke(code, e.topic->first, rd_kafka_error_string(failed.get()));
  }

  void finish(entry& e, delivery d, steady_clock::time_point now = {}) {
    must_wake_ |= deliveries_.empty();
    if (d.refused) {
      ++metrics_->refused;
    } else {
      ++metrics_->acknowledged;
      metrics_->acknowledged_bytes += e.bytes;
      metrics_->latency.add((now - e.since).count(), 1);
    }
    deliveries_.push_back(std::move(d));
    bytes_ -= e.bytes;
    entries_.erase(e.self);
    metrics_->in_flight = static_cast<std::int64_t>(entries_.size());
    metrics_->in_flight_bytes = static_cast<std::int64_t>(bytes_);
    if (entries_.empty()) changed_.notify_all();
  }

  void broke(rd_kafka_resp_err_t code, const std::string& topic, std::string_view words) {
    if (is_unknown_topic(code)) missing_topic_ = topic;
    if (phase_ == phase::broken) return;  // what follows from the first failure does not explain it
    phase_ = phase::broken;
    trouble_ = to_error(code, topic.empty() ? "kafka" : "topic " + topic, words).text;
    changed_.notify_all();
  }

  void reported(const rd_kafka_message_t& m, steady_clock::time_point now) {
    auto& e = *static_cast<entry*>(m._private);
    e.sent = false;
    --sent_;
    if (m.err == RD_KAFKA_RESP_ERR_NO_ERROR) {
      backoff_ = options_.backoff_first;
      brokers_down_ = false;
      return finish(e, {.token = e.token, .refused = {}, .partition = m.partition, .offset = m.offset}, now);
    }
    if (is_refusal(m.err)) {
      if (e.suspect) return finish(e, {.token = e.token, .refused = refusal(m.err, e)});
      e.suspect = true;
    }
    broke(m.err, e.topic->first, rd_kafka_err2str(m.err));
  }

  // -- the producer's thread ------------------------------------------------------------------------------------------

  void run() {
    std::unique_lock lock(mutex_);
    while (!stop_) {
      if (phase_ == phase::broken) {
        rebuild(lock);
        continue;
      }
      const auto silent = silent_topic();
      lock.unlock();
      poll(poll_every);
      if (!silent.empty()) ask_why(silent);
      lock.lock();
    }
  }

  /// The topic whose oldest record waits too long, once per `silence`; else empty.
  std::string silent_topic() {
    const auto now = steady_clock::now();
    if (entries_.empty() || now - entries_.front().since < silence || now < next_question_) return {};
    next_question_ = now + silence;
    return entries_.front().topic->first;
  }

  /// librdkafka waits without a word when nobody leads a topic or we may not see it.
  void ask_why(const std::string& topic) {
    const auto layout = client_->layout_of(topic, milliseconds{1'000});
    const std::lock_guard lock(mutex_);
    if (!layout)
      trouble_ = layout.error().text;
    else if (layout->leaderless > 0)
      trouble_ = "topic " + topic + ": " + std::to_string(layout->leaderless) + " partitions have no leader";
  }

  void poll(milliseconds limit) {
    const event_ptr event(rd_kafka_queue_poll(queue_.get(), static_cast<int>(limit.count())));
    switch (rd_kafka_event_type(event.get())) {  // none when null
      case RD_KAFKA_EVENT_DR: {
        const auto now = steady_clock::now();
        const std::lock_guard lock(mutex_);
        while (const auto* m = rd_kafka_event_message_next(event.get())) reported(*m, now);
        break;
      }
      case RD_KAFKA_EVENT_ERROR: {
        const auto code = rd_kafka_event_error(event.get());
        const std::lock_guard lock(mutex_);
        brokers_down_ |= code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN;
        if (code == RD_KAFKA_RESP_ERR__FATAL || rd_kafka_event_error_is_fatal(event.get()))
          broke(code, "", rd_kafka_event_error_string(event.get()));
        else if (phase_ != phase::broken)
          trouble_ = to_error(code, "kafka", rd_kafka_event_error_string(event.get())).text;
        break;
      }
      case RD_KAFKA_EVENT_STATS:
        note_statistics(rd_kafka_event_stats(event.get()));
        break;
      default:
        break;
    }
    const bool wakes = [&] {
      const std::lock_guard lock(mutex_);
      return std::exchange(must_wake_, false);
    }();
    if (wakes && wake_) wake_();
  }

  void note_statistics(const char* text) {
    using pointer = nlohmann::json::json_pointer;
    static const pointer throttle_max("/throttle/max"), round_trip_avg("/rtt/avg");
    const auto s = nlohmann::json::parse(text, nullptr, false);
    if (!s.is_object() || !s.contains("brokers")) return;
    std::int64_t throttle = 0, round_trip = 0;
    for (const auto& [name, broker] : s["brokers"].items()) {
      throttle = std::max(throttle, broker.value(throttle_max, std::int64_t{0}));
      round_trip = std::max(round_trip, broker.value(round_trip_avg, std::int64_t{0}));
    }
    metrics_->throttle_ms = throttle;
    metrics_->round_trip_us = round_trip;
  }

  /// Throws the producer away and gives a new one everything that is not acknowledged, in the old order.
  void rebuild(std::unique_lock<std::mutex>& lock) {
    const auto trouble = trouble_;
    lock.unlock();
    log::warn("a Kafka producer is replaced", {{"reason", trouble}});
    drain();
    close();
    lock.lock();
    changed_.wait_for(lock, backoff_, [&] { return stop_; });
    backoff_ = std::min(backoff_ * 2, options_.backoff_max);
    if (stop_) return;
    const auto missing = std::exchange(missing_topic_, {});
    lock.unlock();
    if (!missing.empty() && options_.topic_missing) options_.topic_missing(missing);
    auto opened = reopen();
    lock.lock();
    if (!opened) {
      trouble_ = opened.error().text;
      return;  // still broken: again, later
    }
    ++metrics_->rebuilt;
    phase_ = phase::sending_again;
    send_again(lock);
    if (phase_ == phase::sending_again) phase_ = phase::up;
  }

  /// Entries are taken away by this thread only (in poll), and send() only appends.
  void send_again(std::unique_lock<std::mutex>& lock) {
    const auto goes_on = [&] { return phase_ == phase::sending_again && !stop_; };
    const auto wait_for_reports = [&] {
      while (goes_on() && sent_ > 0) {
        lock.unlock();
        poll(poll_every);
        lock.lock();
      }
    };
    for (auto at = entries_.begin(); at != entries_.end() && goes_on();) {
      auto& e = *at++;
      if (e.suspect) {
        wait_for_reports();
        if (!goes_on()) return;
        hand_over(e);
        wait_for_reports();
        at = entries_.begin();  // everything before it is acknowledged, and so is it, or refused
      } else {
        hand_over(e);
      }
      ++metrics_->sent_again;
    }
  }

  // -- librdkafka's instance ------------------------------------------------------------------------------------------

  result<void> reopen() {
    const setting_list own{
        {"linger.ms", std::to_string(options_.linger.count())},
        {"compression.type", options_.compression},
        {"message.max.bytes", std::to_string(options_.record_bytes_max)},
        {"message.timeout.ms", "0"},     // for ever: K9, a record that times out would be skipped
        {"request.timeout.ms", "5000"},  // a frozen broker holds a partition up for so long, not for 30 s
        {"socket.timeout.ms", "10000"},
        {"queue.buffering.max.messages", std::to_string(options_.messages_max + 1'000)},
        {"queue.buffering.max.kbytes", std::to_string(options_.bytes_max / 512 + 16'384)}};  // never the limit: ours is
    auto opened = client::open(client_role::producer, options_.kafka, own,
                               {.events = RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_STATS});
    if (!opened) return failure(opened.error());
    client_.emplace(std::move(*opened));
    queue_.reset(rd_kafka_queue_get_main(client_->get()));
    for (const auto& topic : options_.topics) handle_of(named(topic));
    return {};
  }

  /// Gets a report of everything that librdkafka has.
  void drain() {
    if (!client_) return;
    rd_kafka_purge(client_->get(), RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    const auto until = steady_clock::now() + drain_limit;
    const auto left = [&] {
      const std::lock_guard lock(mutex_);
      return sent_;
    };
    while (left() > 0 && steady_clock::now() < until) poll(milliseconds{20});
    const std::lock_guard lock(mutex_);
    if (sent_ == 0) return;
    // It hangs (K4), and may still read the values: they are never freed.
    log::error("a Kafka producer did not give its records back", {{"records", std::to_string(sent_)}});
    auto* kept = new std::vector<record_ptr>;
    for (auto& e : entries_)
      if (std::exchange(e.sent, false)) kept->push_back(e.what);
    sent_ = 0;
  }

  void close() {
    for (auto& [name, handle] : topics_) handle.reset();
    queue_.reset();
    client_.reset();
  }

  const producer_options options_;
  const std::function<void()> wake_;
  const std::shared_ptr<producer_metrics> metrics_;

  // Replaced by the producer's thread, in phases in which send() does not touch them.
  std::optional<client> client_;
  queue_ptr queue_;
  topics topics_;

  mutable std::mutex mutex_;  // of what follows
  std::condition_variable changed_;
  phase phase_ = phase::broken;
  bool stop_ = false, must_wake_ = false, brokers_down_ = false;
  std::list<entry> entries_;  // not acknowledged, in the order of send()
  std::size_t bytes_ = 0, sent_ = 0;
  std::vector<delivery> deliveries_;
  std::string trouble_, missing_topic_;
  steady_clock::time_point next_question_{};
  milliseconds backoff_ = options_.backoff_first;
  std::thread thread_;
};

}  // namespace

result<std::unique_ptr<producer>> producer::open(producer_options options, std::function<void()> wake,
                                                 std::shared_ptr<producer_metrics> metrics) {
  if (!metrics) metrics = std::make_shared<producer_metrics>();
  auto p = std::make_unique<resilient_producer>(std::move(options), std::move(wake), std::move(metrics));
  if (auto started = p->start(); !started) return failure(started.error());
  return std::unique_ptr<producer>(std::move(p));
}

}  // namespace horizons::kafka
