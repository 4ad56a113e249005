#include <algorithm>
#include <cstring>

#include "gateways/kafka/source_actor.hpp"
#include "runtime/telemetry/log.hpp"

namespace horizons::kafka {
namespace {

constexpr int records_in_a_row = 32;      // of one partition, while its memory is at hand
constexpr milliseconds blocked_max{200};  // then partitions that hold too much are paused for the others' sake
/// Records that cannot be read yet and have no key share a lane, so that they stay in order.
constexpr std::string_view unread_lane = "\x01unread";

std::string_view reason_of_reading(error_code c) {
  return c == error_code::not_found || c == error_code::conflict ? "schema" : "poison";
}

}  // namespace

std::size_t source_actor::runnable() const {
  std::size_t sum = 0;
  for (const auto& [id, p] : parts_)
    if (p.tracker) sum += p.tracker->runnable();
  return sum;
}

/// What cannot be worked on soon stays in librdkafka's queue: pausing would throw it away and fetch it again (K14).
bool source_actor::take_records(int most) {
  if (hold_until_ > self_.now()) return false;
  const auto on = reactions();
  for (int i = 0; i < most; ++i) {
    if (i % 64 == 0 && runnable() >= options_.runnable_max) return blocked(), false;
    if (!in_hand_.event) in_hand_ = consumer_->next_record(on);
    if (!in_hand_.event) return false;
    if (!take(in_hand_)) return blocked(), false;
    in_hand_ = {};
    blocked_since_.reset();
    stuck_ = false;
  }
  return true;
}

/// Mostly that passes by itself; else what holds too much is paused, so that the others are read.
void source_actor::blocked() {
  const auto now = self_.now();
  if (!blocked_since_) blocked_since_ = now;
  if (now - *blocked_since_ < blocked_max) return;
  stuck_ = true;
  for (auto& [id, p] : parts_)
    if (p.now == phase::reading) mind_flow(p);
}

/// False: there is no room for it now.
bool source_actor::take(consumer::fetched& f) {
  const auto* m = f.message;
  const char* topic = rd_kafka_topic_name(m->rkt);
  if (!last_ || last_->id.number != m->partition || last_->id.topic != topic) {
    const auto found = parts_.find({topic, m->partition});
    if (found == parts_.end()) return true;
    last_ = &found->second;
  }
  auto& p = *last_;
  if (p.now != phase::reading || p.tracker->paused()) return true;
  const auto offset = static_cast<std::uint64_t>(m->offset);
  if (offset < p.tracker->expected()) {
    ++metrics_->known;
    return true;
  }
  if (p.tracker->full()) return false;
  auto& h = p.held.push(offset);
  rd_kafka_timestamp_type_t kind{};
  const auto time = rd_kafka_message_timestamp(m, &kind);
  h.message = m;
  h.bytes = static_cast<std::uint32_t>(m->len + m->key_len);
  h.time_kind = kind == RD_KAFKA_TIMESTAMP_CREATE_TIME       ? time_kind::create
                : kind == RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME ? time_kind::log_append
                                                             : time_kind::none;
  if (h.time_kind != time_kind::none) h.time = timestamp(milliseconds(time));
  read_record(p, offset, h);
  switch (p.tracker->receive(offset, h.lane, h.bytes)) {
    case partition_tracker::verdict::taken:
      ++metrics_->received;
      h.event = std::move(f.event);
      return true;
    case partition_tracker::verdict::known:
      ++metrics_->known;
      p.held.pop();
      return true;
    case partition_tracker::verdict::gap:
      ++metrics_->gaps;
      p.held.pop();
      consumer_->seek({{p.id, p.tracker->expected()}});
      return true;
    case partition_tracker::verdict::full:
      break;
  }
  p.held.pop();
  return false;
}

/// Reads it into h: what is to be done, or why it is dead. Neither: it cannot be read yet.
void source_actor::read_record(part& p, std::uint64_t offset, held_record& h) {
  auto r = view(h);
  r.cluster = cluster_;
  r.topic = p.id.topic;
  r.partition = p.id.number;
  r.offset = offset;
  h.sent_back = r.header(replays_header) != nullptr;
  auto read = p.handler->read(r);
  if (read) {
    keep(h, std::move(*read));
    return;
  }
  if (read.error().code == error_code::unavailable) {
    if (h.lane.empty()) h.lane = r.key && !r.key->empty() ? std::string(*r.key) : std::string(unread_lane);
    waits_ = to_string(p.id) + "@" + std::to_string(offset) + ": " + read.error().text;
    waits_at_ = self_.now();
    return;
  }
  const auto* trace = r.header("traceparent");
  h.dead = std::make_unique<failed_record>(failed_record{.reason = std::string(reason_of_reading(read.error().code)),
                                                         .error = read.error().text,
                                                         .traceparent = trace ? std::string(*trace) : std::string()});
}

void source_actor::hand_out() {
  const auto now = self_.now();
  if (hold_until_ > now) return;
  const auto may_go = [this] { return flow_.open() && !(probing_ && flow_.outstanding()); };
  for (bool any = true; any && may_go();) {
    any = false;
    for (auto& [id, p] : parts_) {  // in turn, so that a hot partition does not starve the others
      if (p.now != phase::reading) continue;
      for (int i = 0; i < records_in_a_row && may_go(); ++i) {
        const auto offset = p.tracker->next(now);
        if (!offset) break;
        any = true;
        auto& h = p.held.at(*offset);
        h.credit = flow_.take(h.bytes);
        work(p, *offset);
      }
    }
  }
}

void source_actor::work(part& p, std::uint64_t offset) {
  auto& h = p.held.at(offset);
  const bool parked = !h.lane.empty() && p.tracker->parked(h.lane);
  if (!h.dead && parked && !h.sent_back)
    h.dead = std::make_unique<failed_record>(
        failed_record{.reason = "parked", .error = "an earlier record of lane " + h.lane + " waits for an operator"});
  if (!h.dead && !h.run) read_record(p, offset, h);
  if (h.dead) return bury(p, offset);
  if (!h.run) {  // its schema is not here yet: nobody's fault, so it is never given up
    if (p.tracker->fail(offset, self_.now(), false)) h.credit.reset();
    detach(h);
    return;
  }
  auto place = p.tracker->mark_for(offset);
  h.stored = {.offset = place.offset, .all_before = place.all_before, .releases = parked};
  if (parked) place.release = h.lane;
  ++h.tries;
  h.run({p.source, p.claimed.progress.epoch, std::move(place)}, completion(outside_, p.generation, offset));
}

/// A partition that is full for a moment only is not paused: what was fetched of it would be thrown away (K14).
void source_actor::mind_flow(part& p) {
  if (!stuck_ && !p.tracker->paused()) return;
  // One that holds most of what may be held would stop the others with itself.
  const bool hot = parts_.size() > 1 && p.tracker->runnable() >= options_.runnable_max * 3 / 4;
  switch (p.tracker->change_flow(hot)) {
    case partition_tracker::flow::keep:
      break;
    case partition_tracker::flow::pause:
      ++metrics_->pauses;
      consumer_->pause(p.id);
      break;
    case partition_tracker::flow::resume:
      consumer_->resume({p.id, p.tracker->expected()});
      break;
  }
}

}  // namespace horizons::kafka
