// What the relay sends, and what becomes of it; see relay_actor.hpp.
#include "gateways/kafka/relay.hpp"

#include <algorithm>

#include "gateways/kafka/relay_actor.hpp"
#include "gateways/kafka/topics.hpp"
#include "runtime/telemetry/log.hpp"

namespace horizons::kafka {
namespace {

constexpr milliseconds topics_limit{3'000};
constexpr milliseconds stop_limit{3'000};  // acknowledgements are waited for so long at the end
constexpr std::size_t origins_max = 10'000;
constexpr std::size_t batch_records = 1'000;  // given to the producer at once, which holds its lock so long

}  // namespace

void touched_partitions::note(std::string_view topic, const std::optional<std::string>& key) {
  for (std::size_t i = 0; i < kafka_topics.size(); ++i) {
    if (kafka_topics[i].name != topic) continue;
    const auto partition = !key ? 0
                                : rd_kafka_msg_partitioner_murmur2(nullptr, key->data(), key->size(),
                                                                   kafka_topics[i].partitions, nullptr, nullptr);
    bits_[i].set(static_cast<std::size_t>(partition) % partitions_max);
  }
}

std::size_t touched_partitions::take_count() {
  std::size_t sum = 0;
  for (auto& b : bits_) {
    sum += b.count();
    b.reset();
  }
  return sum;
}

void restore_topics(const kafka_options& kafka, const std::string& topic) {
  if (!kafka.create_topics)
    return log::error("a topic is missing; create it, or set kafka.create_topics = true", {{"topic", topic}});
  const auto made = create_missing_topics(kafka, topics_limit);
  if (!made) return log::warn("topics could not be created", {{"reason", made.error().text}});
  for (const auto& name : *made) log::info("topic created", {{"topic", name}});
}

relay_actor::relay_actor(kit::context& self, kafka_relay_options options, bridges::services services)
    : self_(self),
      options_(std::move(options)),
      services_(std::move(services)),
      metrics_(*options_.metrics),
      pacing_(options_.requests_per_s_max),
      origins_(origins_max) {}

result<void> relay_actor::start() {
  auto format = parse_format(options_.kafka.format);
  if (!format) return failure(format.error());
  format_ = *format;
  if (format_ == message_format::avro && !options_.schema_id)
    return failure(error_code::invalid_argument, "kafka.format = \"avro\" needs kafka.registry; it is not given");
  producer_options p{.kafka = options_.kafka,
                     .linger = options_.linger,
                     .compression = options_.compression,
                     .messages_max = options_.events_open_max * 2,  // most events go to two topics
                     .bytes_max = options_.bytes_open_max,
                     .record_bytes_max = options_.record_bytes_max};
  p.kafka.extra.emplace("topic.metadata.propagation.max.ms", "3000");  // 30 s: so long a young topic is waited for
  for (const auto& t : kafka_topics)
    if (!t.content.empty()) p.topics.emplace_back(t.name);
  p.topic_missing = [kafka = options_.kafka](const std::string& topic) { restore_topics(kafka, topic); };
  const auto settle = guarded([this] {
    take_deliveries();
    progressed();
  });
  auto opened = producer::open(
      std::move(p), [post = self_.mailbox_executor(), settle] { post(settle); }, metrics_.producer);
  if (!opened) return failure(opened.error());
  producer_ = std::move(*opened);
  self_.on_stop(guarded([this] { stop(); }));
  later(milliseconds{0}, [this] { begin(); });
  later(options_.head_every, [this] { send_head(); });
  return {};
}

void relay_actor::pump() {
  if (behind()) read();
  if (stopping_ || waiting_for_ids_) return;
  if (const auto now = self_.now(); now < pacing_.next()) {
    if ((gathered_.empty() && queue_.empty()) || std::exchange(paced_, true)) return;
    return later(std::chrono::ceil<milliseconds>(pacing_.next() - now), [this] {
      paced_ = false;
      pump();
    });
  }
  while (send_gathered() && gather()) {
  }
  if (const auto requests = touched_.take_count(); requests > 0) pacing_.sent(self_.now(), requests);
  metrics_.open = static_cast<std::int64_t>(window_.open());
  if (behind()) read();
}

result<event_record> relay_actor::record_for(const event& e, const cloudevents_origin& origin) const {
  return record_of(e, origin, format_,
                   [this](std::string_view type) -> result<std::uint32_t> { return ids_.find(type)->second; });
}

bool relay_actor::gather() {
  while (!queue_.empty() && window_.open() < options_.events_open_max && gathered_.size() < batch_records) {
    auto& front = queue_.front();
    if (!add((*front.events)[front.at])) break;
    --queued_;
    if (++front.at == front.events->size()) queue_.pop_front();
  }
  return !gathered_.empty();
}

bool relay_actor::add(const event& e) {
  if (format_ == message_format::avro && !has_schema_id(type_of(e.data))) return false;
  const auto made = record_for(e, origins_.of(e, services_.node_id));
  const int records = made ? static_cast<int>(made->topics.size()) : 1;
  const auto token = window_.add({e.position, records, e.time, std::holds_alternative<audit_recorded>(e.data)});
  if (!made) {
    refused(token, made.error());
    return true;
  }
  for (const auto topic : made->topics) {
    touched_.note(topic, made->what->key);
    gathered_.push_back({topic, made->what, token});
  }
  return true;
}

bool relay_actor::send_gathered() {
  const auto sent = producer_->send(gathered_);
  gathered_.erase(gathered_.begin(), gathered_.begin() + static_cast<std::ptrdiff_t>(sent));
  return gathered_.empty();
}

bool relay_actor::has_schema_id(std::string_view type) {
  if (ids_.contains(type)) return true;
  const auto id = options_.schema_id(type);
  if (id) {
    ids_.emplace(type, *id);
    registry_trouble_.clear();
    registry_retry_ = options_.retry_first;
    return true;
  }
  registry_trouble_ = "the schema registry gives no id for " + std::string(type) + ": " + id.error().text;
  tell_health();
  if (std::exchange(waiting_for_ids_, true)) return false;
  later(registry_retry_, [this] {
    waiting_for_ids_ = false;
    pump();
  });
  registry_retry_ = std::min(registry_retry_ * 2, options_.retry_max);
  return false;
}

namespace {
/// An event's time may be any that its producer's clock told, 1970 to 9999: more than nanoseconds can count.
std::int64_t delay_ns(timestamp now, timestamp happened) {
  using namespace std::chrono_literals;
  const auto delay = std::clamp<timestamp::duration>(now - happened, 0h, 24h);
  return std::chrono::nanoseconds(delay).count();
}
}  // namespace

void relay_actor::take_deliveries() {
  const auto now = self_.utc();
  producer_->take_deliveries(delivered_);
  for (const auto& d : delivered_) {
    if (d.token == 0) continue;  // a head of the audit chain
    if (d.refused) {
      refused(d.token, *d.refused);
      continue;
    }
    const auto* e = window_.find(d.token);
    if (e && e->records == 1) metrics_.delay.add(delay_ns(now, e->time), 1);
    window_.done(d.token);
  }
}

void relay_actor::progressed() {
  metrics_.acknowledged_position = window_.acknowledged();
  metrics_.events = window_.completed();
  metrics_.open = static_cast<std::int64_t>(window_.open());
  if (stopping_) return finish();
  mark();
  pump();
}

void relay_actor::refused(std::uint64_t token, const error& why) {
  const auto* e = window_.find(token);
  if (!e) return;
  if (e->audit || !services_.audit) return give_up(token, why);  // an audit of an audit would have no end
  services_.audit("relay.refused", services_.node_id, "event", offset_of(e->position), why.text,
                  [post = self_.mailbox_executor(), weak = weak_from_this(), token, why](result<std::uint64_t> r) {
                    post([weak, token, why, ok = r.has_value()] {
                      if (auto alive = weak.lock()) alive->audited(token, why, ok);
                    });
                  });
}

void relay_actor::audited(std::uint64_t token, const error& why, bool ok) {
  if (!ok) return later(options_.retry_first, [this, token, why] { refused(token, why); });
  give_up(token, why);
  progressed();
}

void relay_actor::give_up(std::uint64_t token, const error& why) {
  const auto* e = window_.find(token);
  if (!e) return;
  ++metrics_.refused;
  log::error("an event cannot be published on Kafka; it stays in the journal",
             {{"offset", offset_of(e->position)}, {"reason", why.text}});
  window_.done(token);
}

void relay_actor::tell_health() {
  const auto p = producer_->state();
  bridges::bridge_health h{claimed_ && p.up && registry_trouble_.empty(), "up"};
  if (!claimed_)
    h.state = journal_trouble_.empty() ? "starting" : journal_trouble_;
  else if (!p.up)
    h.state = p.text;
  else if (!registry_trouble_.empty())
    h.state = registry_trouble_;
  metrics_.set_health(std::move(h));
}

void relay_actor::stop() {
  stopping_ = true;
  later(stop_limit, [this] { self_.quit(); });
  finish();
}

void relay_actor::finish() {
  take_deliveries();
  if (metrics_.producer->in_flight > 0 || marking_) return;
  if (claimed_ && window_.acknowledged() > marked_) return mark();
  metrics_.set_health({false, "stopped"});
  self_.quit();
}

kit::actor_body kafka_relay(kafka_relay_options options, bridges::services services) {
  return [options = std::move(options), services = std::move(services)](kit::context& self) -> kit::behavior {
    auto r = std::make_shared<relay_actor>(self, options, services);
    if (auto started = r->start(); !started) {
      options.metrics->set_health({false, started.error().text});
      self.fail(started.error().text);
      return {};
    }
    return kit::behavior{}.on<journal::committed>([r](const journal::committed& c) { r->committed(c); });
  };
}

}  // namespace horizons::kafka
