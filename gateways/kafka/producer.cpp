#include "gateways/kafka/producer.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <list>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include <nlohmann/json.hpp>

#include "gateways/kafka/batch_turns.hpp"
#include "gateways/kafka/producer_instance.hpp"
#include "runtime/telemetry/log.hpp"

namespace horizons::kafka {
namespace {

using std::chrono::steady_clock;

constexpr milliseconds poll_every{100};
constexpr milliseconds drain_limit{1'500};
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

struct entry;

/// What is known of a topic that something was sent to.
struct route {
  std::vector<batch_turns<entry*>> turns;    // one per partition; empty: their number is not known, nothing waits
  steady_clock::time_point next_question{};  // how many there are
};
using routes = std::map<std::string, route, std::less<>>;

struct entry {
  routes::value_type* to;
  record_ptr what;
  std::uint64_t token;
  std::int32_t partition;
  std::size_t bytes;
  steady_clock::time_point since;
  bool sent = false;                    // librdkafka has it, and a report will come
  bool suspect = false;                 // was in a batch that was refused: goes alone next time
  batch_turns<entry*>* turn = nullptr;  // it is counted in, or waits in
  std::list<entry>::iterator self{};
};

class resilient_producer final : public producer {
public:
  resilient_producer(producer_options options, std::function<void()> wake, std::shared_ptr<producer_metrics> metrics)
      : options_(std::move(options)), wake_(std::move(wake)), metrics_(std::move(metrics)) {}

  result<void> start() {
    if (auto opened = instance_.open(options_); !opened) return opened;
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
    instance_.close();
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
    const auto now = steady_clock::now();
    entries_.push_back({&route_to(topic), std::move(r), token, partition, bytes, now});
    auto& e = entries_.back();
    e.self = std::prev(entries_.end());
    bytes_ += bytes;
    metrics_->in_flight = static_cast<std::int64_t>(entries_.size());
    metrics_->in_flight_bytes = static_cast<std::int64_t>(bytes_);
    if (phase_ != phase::up) return {};  // the new producer gets it, after those before it
    e.turn = turn_of(e);
    if (!e.turn || e.turn->offer(&e, bytes, now, turn_limits_)) hand_over(e);
    settle(now);
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
    return to_error(code, "topic " + e.to->first + ", record of " + std::to_string(e.bytes) + " bytes");
  }

  // -- with the lock ------------------------------------------------------------------------------------------------

  routes::value_type& route_to(std::string_view topic) {
    auto at = routes_.find(topic);
    if (at == routes_.end()) at = routes_.emplace(topic, route{}).first;
    return *at;
  }

  /// Of the partition that librdkafka will most likely choose.
  batch_turns<entry*>* turn_of(const entry& e) {
    auto& turns = e.to->second.turns;
    auto partition = e.partition;
    if (partition == by_key && e.what->key && !turns.empty())
      partition = rd_kafka_msg_partitioner_murmur2(nullptr, e.what->key->data(), e.what->key->size(),
                                                   static_cast<std::int32_t>(turns.size()), nullptr, nullptr);
    const auto at = static_cast<std::size_t>(partition);
    return partition >= 0 && at < turns.size() ? &turns[at] : nullptr;
  }

  /// Keys may move with the number of partitions: everything that waits goes now, in order, and the turns begin anew.
  void note_partitions(const std::string& topic, std::size_t count) {
    const auto at = routes_.find(topic);
    if (at == routes_.end() || count == 0 || at->second.turns.size() == count) return;
    for (auto& e : entries_) {
      if (e.to != &*at) continue;
      e.turn = nullptr;
      if (!e.sent && phase_ == phase::up) again_.push_back(&e);
    }
    at->second.turns.assign(count, {});
    for (auto* e : std::exchange(again_, {})) hand_over(*e);
  }

  /// Those of whom no report will come give their turn on.
  void settle(steady_clock::time_point now) {
    while (!refused_turns_.empty()) {
      auto* turn = refused_turns_.back();
      refused_turns_.pop_back();
      give_on(*turn, now);
    }
  }

  void give_on(batch_turns<entry*>& turn, steady_clock::time_point now) {
    turn.answered(now, turn_limits_, [this](entry* next) {
      if (phase_ == phase::up) hand_over(*next);  // else it is sent again with all the others
    });
  }

  void hand_over(entry& e) {
    const auto failed = instance_.hand_over(e.to->first, *e.what, e.partition, &e);
    if (!failed) {
      e.sent = true;
      ++sent_;
    } else if (is_refusal(failed->code)) {
      if (e.turn) refused_turns_.push_back(e.turn);
      finish(e, {.token = e.token, .refused = refusal(failed->code, e)});
    } else {
      broke(failed->code, e.to->first, failed->words);
    }
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
    auto* turn = std::exchange(e.turn, nullptr);
    if (m.err == RD_KAFKA_RESP_ERR_NO_ERROR) {
      backoff_ = options_.backoff_first;
      brokers_down_ = false;
      finish(e, {.token = e.token, .refused = {}, .partition = m.partition, .offset = m.offset}, now);
      if (turn && phase_ == phase::up && !stop_) give_on(*turn, now), settle(now);
      return;
    }
    if (is_refusal(m.err)) {
      if (e.suspect) return finish(e, {.token = e.token, .refused = refusal(m.err, e)});
      e.suspect = true;
    }
    broke(m.err, e.to->first, rd_kafka_err2str(m.err));
  }

  // -- the producer's thread ------------------------------------------------------------------------------------------

  void run() {
    std::unique_lock lock(mutex_);
    while (!stop_) {
      if (phase_ == phase::broken) {
        rebuild(lock);
        continue;
      }
      const auto silent = silent_topic(), unknown = unknown_topic();
      lock.unlock();
      if (!unknown.empty()) ask_partitions(unknown);
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
    return entries_.front().to->first;
  }

  /// A topic whose number of partitions is not known, now and then; else empty.
  std::string unknown_topic() {
    const auto now = steady_clock::now();
    for (auto& [topic, r] : routes_) {
      if (!r.turns.empty() || now < r.next_question) continue;
      r.next_question = now + silence;
      return topic;
    }
    return {};
  }

  void ask_partitions(const std::string& topic) {
    const auto layout = instance_.layout_of(topic, milliseconds{500});
    if (!layout) return;
    const std::lock_guard lock(mutex_);
    note_partitions(topic, layout->partitions.size());
  }

  /// librdkafka waits without a word when nobody leads a topic or we may not see it.
  void ask_why(const std::string& topic) {
    const auto layout = instance_.layout_of(topic, milliseconds{1'000});
    const std::lock_guard lock(mutex_);
    if (!layout)
      trouble_ = layout.error().text;
    else if (layout->leaderless > 0)
      trouble_ = "topic " + topic + ": " + std::to_string(layout->leaderless) + " partitions have no leader";
  }

  void poll(milliseconds limit) {
    const event_ptr event = instance_.next_event(limit);
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
    if (!s.contains("topics")) return;
    const std::lock_guard lock(mutex_);
    for (const auto& [topic, t] : s["topics"].items()) {
      const auto partitions = t.value("partitions", nlohmann::json::object());
      note_partitions(topic, partitions.size() - partitions.contains("-1"));  // those that are not assigned yet
    }
  }

  /// Throws the producer away and gives a new one everything that is not acknowledged, in the old order.
  void rebuild(std::unique_lock<std::mutex>& lock) {
    const auto trouble = trouble_;
    lock.unlock();
    log::warn("a Kafka producer is replaced", {{"reason", trouble}});
    drain();
    instance_.close();
    lock.lock();
    changed_.wait_for(lock, backoff_, [&] { return stop_; });
    backoff_ = std::min(backoff_ * 2, options_.backoff_max);
    if (stop_) return;
    const auto missing = std::exchange(missing_topic_, {});
    lock.unlock();
    if (!missing.empty() && options_.topic_missing) options_.topic_missing(missing);
    auto opened = instance_.open(options_);
    lock.lock();
    if (!opened) {
      trouble_ = opened.error().text;
      return;  // still broken: again, later
    }
    ++metrics_->rebuilt;
    for (auto& e : entries_) e.turn = nullptr;
    for (auto& [topic, r] : routes_) r.turns.assign(r.turns.size(), {});
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

  /// Gets a report of everything that librdkafka has.
  void drain() {
    if (!instance_.is_open()) return;
    instance_.purge();
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
    sent_ = 0;  // NOLINT(clang-analyzer-cplusplus.NewDeleteLeaks): kept on purpose
  }

  const producer_options options_;
  const std::function<void()> wake_;
  const std::shared_ptr<producer_metrics> metrics_;

  producer_instance instance_;  // replaced by the producer's thread, in phases in which send() does not touch it

  mutable std::mutex mutex_;  // of what follows
  std::condition_variable changed_;
  phase phase_ = phase::broken;
  bool stop_ = false, must_wake_ = false, brokers_down_ = false;
  routes routes_;
  const batch_turns<entry*>::limits turn_limits_{.gathering = options_.linger * 3 / 5};
  std::vector<batch_turns<entry*>*> refused_turns_;
  std::vector<entry*> again_;
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
