#include <algorithm>

#include "gateways/kafka/producer_statistics.hpp"
#include "gateways/kafka/resilient_producer.hpp"
#include "runtime/telemetry/log.hpp"

namespace horizons::kafka {
namespace {

constexpr milliseconds poll_every{100};
constexpr milliseconds drain_limit{1'500};
constexpr milliseconds ask_again{10'000};  // what a topic waits for, and how many partitions it has

}  // namespace

resilient_producer::~resilient_producer() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
  drain();
  instance_.close();
}

void resilient_producer::reported(rd_kafka_event_t* event) {
  const auto now = steady_clock::now();
  const std::lock_guard lock(mutex_);
  acknowledged_now seen;
  while (const auto* m = rd_kafka_event_message_next(event)) reported(*m, now, seen);
  settle(now);
  show_load();
  seen.tell(*metrics_, now);
}

void resilient_producer::reported(const rd_kafka_message_t& m, steady_clock::time_point now, acknowledged_now& seen) {
  auto& e = *static_cast<entry*>(m._private);
  e.sent = false;
  --sent_;
  auto* turn = std::exchange(e.turn, nullptr);
  if (m.err == RD_KAFKA_RESP_ERR_NO_ERROR) {
    backoff_ = options_.backoff_first;
    brokers_down_ = false;
    seen.add(e, *metrics_, now);
    finish(e, {.token = e.token, .refused = {}, .partition = m.partition, .offset = m.offset});
    if (turn && phase_ == phase::up && !stop_) give_on(*turn, now);
    return;
  }
  if (is_refusal(m.err)) {
    if (e.suspect) return finish(e, {.token = e.token, .refused = refusal(m.err, e)});
    e.suspect = true;
  }
  broke(m.err, e.to->topic, rd_kafka_err2str(m.err));
}

void resilient_producer::run() {
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

std::string resilient_producer::silent_topic() {
  const auto now = steady_clock::now();
  if (ledger_.empty() || now < next_question_) return {};
  const auto& oldest = ledger_.entries().front();
  if (now - oldest.since < ask_again) return {};
  next_question_ = now + ask_again;
  return oldest.to->topic;
}

std::string resilient_producer::unknown_topic() {
  const auto now = steady_clock::now();
  for (auto& [topic, r] : routes_) {
    if (!r.turns.empty() || now < r.next_question) continue;
    r.next_question = now + ask_again;
    return topic;
  }
  return {};
}

void resilient_producer::ask_partitions(const std::string& topic) {
  const auto layout = instance_.layout_of(topic, milliseconds{500});
  if (!layout) return;
  const std::lock_guard lock(mutex_);
  note_partitions(topic, layout->partitions.size());
}

void resilient_producer::ask_why(const std::string& topic) {
  const auto layout = instance_.layout_of(topic, milliseconds{1'000});
  const std::lock_guard lock(mutex_);
  if (!layout)
    trouble_ = layout.error().text;
  else if (layout->leaderless > 0)
    trouble_ = "topic " + topic + ": " + std::to_string(layout->leaderless) + " partitions have no leader";
}

void resilient_producer::poll(milliseconds limit) {
  const event_ptr event = instance_.next_event(limit);
  switch (rd_kafka_event_type(event.get())) {  // none when null
    case RD_KAFKA_EVENT_DR:
      reported(event.get());
      break;
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

void resilient_producer::note_statistics(const char* text) {
  const auto s = read_producer_statistics(text);
  metrics_->wire_bytes = s.wire_bytes;
  metrics_->throttle_ms = s.throttle_ms;
  metrics_->round_trip_us = s.round_trip_us;
  const std::lock_guard lock(mutex_);
  for (const auto& [topic, partitions] : s.topics) note_partitions(topic, partitions);
}

void resilient_producer::rebuild(std::unique_lock<std::mutex>& lock) {
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
  for (auto& e : ledger_.entries()) e.turn = nullptr;
  routes_.begin_anew();
  phase_ = phase::sending_again;
  send_again(lock);
  if (phase_ == phase::sending_again) phase_ = phase::up;
}

void resilient_producer::send_again(std::unique_lock<std::mutex>& lock) {
  const auto goes_on = [&] { return phase_ == phase::sending_again && !stop_; };
  const auto wait_for_reports = [&] {
    while (goes_on() && sent_ > 0) {
      lock.unlock();
      poll(poll_every);
      lock.lock();
    }
  };
  auto& entries = ledger_.entries();
  for (auto at = entries.begin(); at != entries.end() && goes_on();) {
    auto& e = *at++;
    if (e.suspect) {
      wait_for_reports();
      if (!goes_on()) return;
      hand_over(e);
      wait_for_reports();
      at = entries.begin();  // everything before it is acknowledged, and so is it, or refused
    } else {
      hand_over(e);
    }
    ++metrics_->sent_again;
  }
}

void resilient_producer::drain() {
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
  for (auto& e : ledger_.entries())
    if (std::exchange(e.sent, false)) kept->push_back(e.what);
  sent_ = 0;  // NOLINT(clang-analyzer-cplusplus.NewDeleteLeaks): kept on purpose
}

}  // namespace horizons::kafka
