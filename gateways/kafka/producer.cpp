#include "gateways/kafka/producer.hpp"

#include "gateways/kafka/resilient_producer.hpp"

namespace horizons::kafka {
namespace {

constexpr milliseconds silence{10'000};  // unacknowledged for longer than this is not "up"
/// The time is read so often while many records are sent: what goes to librdkafka later than batch_turns believes makes
/// its threads spin.
constexpr std::size_t records_per_look = 8;

}  // namespace

result<void> resilient_producer::start() {
  if (auto opened = instance_.open(options_); !opened) return opened;
  metrics_->in_flight = 0;  // a producer before this one may have left its own
  metrics_->in_flight_bytes = 0;
  phase_ = phase::up;
  thread_ = std::thread([this] { run(); });
  return {};
}

bool resilient_producer::has_room(std::size_t bytes) const {
  const std::lock_guard lock(mutex_);
  return ledger_.fits(bytes);
}

result<void> resilient_producer::send(std::string_view topic, record_ptr r, std::uint64_t token,
                                      std::int32_t partition) {
  outgoing one{topic, std::move(r), token, partition};
  if (send({&one, 1}) == 1) return {};
  return failure(error_code::limit_exceeded, std::to_string(metrics_->in_flight) + " records are under way; at most " +
                                                 std::to_string(options_.messages_max));
}

std::size_t resilient_producer::send(std::span<outgoing> records) {
  const std::lock_guard lock(mutex_);
  auto now = steady_clock::now();
  std::size_t sent = 0;
  for (auto& r : records) {
    const std::size_t bytes = bytes_of(*r.what);
    if (!ledger_.fits(bytes)) break;
    if (++sent % records_per_look == 0) now = steady_clock::now();
    auto& e = ledger_.add({&routes_.of(r.topic), std::move(r.what), r.token, r.partition, bytes, now});
    if (phase_ != phase::up) continue;  // the new producer gets it, after those before it
    e.turn = e.to->turn_of(e);
    if (!e.turn || e.turn->offer(&e, wire_bytes_of(*e.what), now, turn_limits_)) hand_over(e);
  }
  settle(now);
  show_load();
  return sent;
}

void resilient_producer::take_deliveries(std::vector<delivery>& into) {
  const std::lock_guard lock(mutex_);
  ledger_.take_deliveries(into);
}

bool resilient_producer::flush(milliseconds limit) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, limit, [&] { return ledger_.empty(); });
}

producer::condition resilient_producer::state() const {
  const std::lock_guard lock(mutex_);
  condition c;
  if (!ledger_.empty())
    c.oldest_unacknowledged =
        std::chrono::duration_cast<milliseconds>(steady_clock::now() - ledger_.entries().front().since);
  c.up = phase_ == phase::up && c.oldest_unacknowledged < (brokers_down_ ? milliseconds{1'000} : silence);
  c.text = c.up ? "up" : trouble_.empty() ? "no acknowledgement from the brokers" : trouble_;
  if (!c.up && c.oldest_unacknowledged.count() > 0)
    c.text += " (for " + std::to_string(c.oldest_unacknowledged.count() / 1000) + " s)";
  return c;
}

error resilient_producer::refusal(rd_kafka_resp_err_t code, const entry& e) {
  return to_error(code, "topic " + e.to->topic + ", record of " + std::to_string(e.bytes) + " bytes");
}

void resilient_producer::show_load() {
  metrics_->in_flight = static_cast<std::int64_t>(ledger_.size());
  metrics_->in_flight_bytes = static_cast<std::int64_t>(ledger_.bytes());
}

void resilient_producer::note_partitions(const std::string& topic, std::size_t count) {
  auto* route = routes_.find(topic);
  if (!route || count == 0 || route->turns.size() == count) return;
  for (auto& e : ledger_.entries()) {
    if (e.to != route) continue;
    e.turn = nullptr;
    if (!e.sent && phase_ == phase::up) again_.push_back(&e);
  }
  route->turns.assign(count, {});
  for (auto* e : std::exchange(again_, {})) hand_over(*e);
}

void resilient_producer::settle(steady_clock::time_point now) {
  while (!refused_turns_.empty()) {
    auto* turn = refused_turns_.back();
    refused_turns_.pop_back();
    give_on(*turn, now);
  }
}

void resilient_producer::give_on(batch_turns<entry*>& turn, steady_clock::time_point now) {
  turn.answered(now, turn_limits_, [this](entry* next) {
    if (phase_ == phase::up) hand_over(*next);  // else it is sent again with all the others
  });
}

void resilient_producer::hand_over(entry& e) {
  if (!e.to->handle) e.to->handle = instance_.handle_of(e.to->topic);
  const auto failed = instance_.hand_over(e.to->handle, *e.what, e.partition, &e);
  if (!failed) {
    e.sent = true;
    ++sent_;
  } else if (is_refusal(failed->code)) {
    if (e.turn) refused_turns_.push_back(e.turn);
    finish(e, {.token = e.token, .refused = refusal(failed->code, e)});
  } else {
    broke(failed->code, e.to->topic, failed->words);
  }
}

void resilient_producer::finish(entry& e, delivery d) {
  must_wake_ |= !ledger_.has_deliveries();
  if (d.refused) ++metrics_->refused;
  const bool refused = d.refused.has_value();
  ledger_.finish(e, std::move(d));
  if (refused || ledger_.empty()) show_load();
  if (ledger_.empty()) changed_.notify_all();
}

void resilient_producer::broke(rd_kafka_resp_err_t code, const std::string& topic, std::string_view words) {
  if (is_unknown_topic(code)) missing_topic_ = topic;
  if (phase_ == phase::broken) return;  // what follows from the first failure does not explain it
  phase_ = phase::broken;
  trouble_ = to_error(code, topic.empty() ? "kafka" : "topic " + topic, words).text;
  changed_.notify_all();
}

result<std::unique_ptr<producer>> producer::open(producer_options options, std::function<void()> wake,
                                                 std::shared_ptr<producer_metrics> metrics) {
  if (!metrics) metrics = std::make_shared<producer_metrics>();
  auto p = std::make_unique<resilient_producer>(std::move(options), std::move(wake), std::move(metrics));
  if (auto started = p->start(); !started) return failure(started.error());
  return std::unique_ptr<producer>(std::move(p));
}

}  // namespace horizons::kafka
