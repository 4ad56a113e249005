#include <algorithm>
#include <cstring>

#include "gateways/kafka/source_actor.hpp"
#include "runtime/telemetry/log.hpp"

namespace horizons::kafka {
namespace {

constexpr milliseconds append_limit{30'000};
constexpr std::size_t marks_per_batch = 1'000;
constexpr int full_doublings_max = 4;
constexpr milliseconds blocked_max{200};  // then partitions that hold too much are paused for the others' sake
/// Records that cannot be read yet and have no key share a lane, so that they stay in order.
constexpr std::string_view unread_lane = "\x01unread";

std::string_view bytes(const void* data, std::size_t size) { return {static_cast<const char*>(data), size}; }

template <class Add>
void each_header(const rd_kafka_message_t* m, Add add) {
  rd_kafka_headers_t* headers = nullptr;
  if (rd_kafka_message_headers(m, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) return;
  const char* name = nullptr;
  const void* value = nullptr;
  std::size_t size = 0;
  for (std::size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR; ++i)
    add(std::string_view(name), value ? std::optional(bytes(value, size)) : std::nullopt);
}

/// A view of it, wherever its bytes are.
received view(const held_record& h) {
  received r{.time = h.time, .time_kind = h.time_kind};
  if (h.copy) {
    if (h.copy->key) r.key = *h.copy->key;
    if (h.copy->value) r.value = *h.copy->value;
    for (const auto& [name, value] : h.copy->headers)
      r.headers.emplace_back(name, value ? std::optional<std::string_view>(*value) : std::nullopt);
    return r;
  }
  if (h.message->key) r.key = bytes(h.message->key, h.message->key_len);
  if (h.message->payload) r.value = bytes(h.message->payload, h.message->len);
  each_header(h.message, [&r](std::string_view name, auto value) { r.headers.emplace_back(name, value); });
  return r;
}

record copy_of(const held_record& h) {
  if (h.copy) return *h.copy;
  const auto r = view(h);
  record c;
  if (r.key) c.key.emplace(*r.key);
  if (r.value) c.value.emplace(*r.value);
  for (const auto& [name, value] : r.headers)
    c.headers.emplace_back(name, value ? std::optional<std::string>(*value) : std::nullopt);
  if (h.time_kind != time_kind::none) c.time = h.time;
  return c;
}

std::size_t size_of(const held_record& h) {
  if (!h.copy) return h.message->len + h.message->key_len;
  return (h.copy->key ? h.copy->key->size() : 0) + (h.copy->value ? h.copy->value->size() : 0);
}

/// It will wait, and be read again then: a task is good for one try, and librdkafka's buffer holds a whole fetch.
void detach(held_record& h) {
  h.to_do.reset();
  if (h.copy) return;
  h.copy = std::make_unique<record>(copy_of(h));
  h.message = nullptr;
  h.event.reset();
}

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
  held_record h;
  rd_kafka_timestamp_type_t kind{};
  const auto time = rd_kafka_message_timestamp(m, &kind);
  h.message = m;
  h.time_kind = kind == RD_KAFKA_TIMESTAMP_CREATE_TIME       ? time_kind::create
                : kind == RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME ? time_kind::log_append
                                                             : time_kind::none;
  if (h.time_kind != time_kind::none) h.time = timestamp(milliseconds(time));
  read_record(p, offset, h);
  switch (p.tracker->receive(offset, h.lane, m->len + m->key_len)) {
    case partition_tracker::verdict::taken:
      ++metrics_->received;
      h.event = std::move(f.event);
      p.held.emplace(offset, std::move(h));
      break;
    case partition_tracker::verdict::known:
      ++metrics_->known;
      break;
    case partition_tracker::verdict::gap:
      ++metrics_->gaps;
      consumer_->seek({{p.id, p.tracker->expected()}});
      break;
    case partition_tracker::verdict::full:
      return false;
  }
  return true;
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
    h.lane = std::move(read->lane);
    h.to_do = std::move(*read);
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
      if (p.now != phase::reading || !may_go()) continue;
      if (const auto offset = p.tracker->next(now)) {
        any = true;
        auto& h = p.held.at(*offset);
        h.credit = flow_.take(size_of(h));
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
  if (!h.dead && !h.to_do) read_record(p, offset, h);
  if (h.dead) return bury(p, offset);
  if (!h.to_do) {  // its schema is not here yet: nobody's fault, so it is never given up
    if (p.tracker->fail(offset, self_.now(), false)) h.credit.reset();
    detach(h);
    return;
  }
  h.mark = p.tracker->mark_for(offset);
  if (parked) h.mark.release = h.lane;
  auto mark = h.mark;
  mark.source = p.source;
  mark.epoch = p.claimed.progress.epoch;
  ++h.tries;
  h.to_do->run(std::move(mark), [out = outside_, g = p.generation, offset](result<bool> outcome) {
    out->put({.generation = g, .offset = offset, .outcome = std::move(outcome)});
  });
}

void source_actor::take_answers() {
  answers_now_.clear();
  {
    const std::lock_guard lock(outside_->mutex);
    answers_now_.swap(outside_->answers);
  }
  const auto& answers = answers_now_;
  for (const auto& a : answers) {
    ++answers_;
    auto* p = find(a.generation);
    if (!p || p->now != phase::reading) continue;
    if (a.buried)
      buried(*p, a.offset, a.outcome);
    else
      answered(*p, a.offset, a.outcome);
  }
  if (answers.empty()) return;
  for (auto& [id, p] : parts_) {
    if (p.now != phase::reading) continue;
    if (const auto m = p.tracker->gap_mark(false)) mark(p, *m, true);
    flush_marks(p);
    if (p.now == phase::reading) mind_flow(p);
  }
}

void source_actor::answered(part& p, std::uint64_t offset, const result<bool>& outcome) {
  auto& h = p.held.at(offset);
  if (outcome) {
    house_ok_ = self_.now();
    probing_ = false;
    full_in_a_row_ = 0;
    if (*outcome) {
      ++metrics_->applied;
      done(p, offset, h.mark);
    } else {
      ++metrics_->repeated;
      mark(p, h.mark);
    }
    return;
  }
  const auto& e = outcome.error();
  if (e.code == error_code::fenced) return give_up(p, e.text);
  if (e.code == error_code::limit_exceeded) return queue_full(p, offset);
  if (e.code == error_code::cancelled) return failed(p, offset, e, false);
  if (bridges::may_pass(e.code)) return failed(p, offset, e, true);
  h.dead = std::make_unique<failed_record>(failed_record{.reason = std::string(to_string(e.code)), .error = e.text});
  bury(p, offset);
}

/// Charged against the record only if the house has worked since its last failure: an outage of the journal must not
/// send everything to the dead letters.
void source_actor::failed(part& p, std::uint64_t offset, const error& e, bool may_be_charged) {
  auto& h = p.held.at(offset);
  ++metrics_->retries;
  const bool first = !h.first_failed;
  if (first) h.first_failed = self_.utc();
  const bool charged = may_be_charged && (first || e.code == error_code::internal || house_ok_ > h.last_failed);
  h.last_failed = self_.now();
  probe_house();
  if (const auto at = p.tracker->fail(offset, self_.now(), charged)) {
    h.credit.reset();
    detach(h);
    self_.after(std::chrono::ceil<milliseconds>(*at - self_.now()), [out = outside_] { out->wake(); });
    return;
  }
  h.dead = std::make_unique<failed_record>(failed_record{.reason = "transient", .error = e.text});
  bury(p, offset);
}

void source_actor::probe_house() {
  const auto now = self_.now();
  if (now - last_probe_ < milliseconds{1'000} && last_probe_ != instant{}) return;
  last_probe_ = now;
  self_.request(services_.writer, journal::journal_status{}, milliseconds{1'000},
                [this](const result<journal::journal_status::reply>& r) {
                  if (r && r->last_error.empty()) house_ok_ = self_.now();
                });
}

/// Nothing failed: it is asked again later, and so is everything else.
void source_actor::queue_full(part& p, std::uint64_t offset) {
  ++metrics_->refused_full;
  const auto now = self_.now();
  if (hold_until_ <= now) {
    const auto pause = options_.full_pause * (1 << std::min(full_in_a_row_, full_doublings_max));
    ++full_in_a_row_;
    hold_until_ = now + pause;
    self_.after(pause, [out = outside_] { out->wake(); });
  }
  probing_ = true;
  p.held.at(offset).credit.reset();
  p.tracker->postpone(offset, hold_until_);
  detach(p.held.at(offset));
}

void source_actor::bury(part& p, std::uint64_t offset) {
  auto& h = p.held.at(offset);
  auto& d = *h.dead;
  if (d.topic.empty()) {
    d.topic = p.id.topic;
    d.partition = p.id.number;
    d.offset = offset;
    d.original = copy_of(h);
    d.time = h.time_kind;
    d.attempts = h.tries;
    d.first_failed_at = h.first_failed.value_or(self_.utc());
    d.last_failed_at = self_.utc();
    if (h.to_do) {
      d.job_id = h.to_do->job_id;
      d.traceparent = h.to_do->traceparent;
    }
    log::warn("a record goes to the dead letters", {{"record", to_string(p.id) + "@" + std::to_string(offset)},
                                                    {"reason", d.reason},
                                                    {"error", d.error},
                                                    {"job_id", d.job_id}});
  }
  bury_(d, [out = outside_, g = p.generation, offset](const result<void>& r) {
    out->put({.generation = g,
              .offset = offset,
              .outcome = r ? result<bool>(true) : result<bool>(failure(r.error())),
              .buried = true});
  });
}

void source_actor::buried(part& p, std::uint64_t offset, const result<bool>& outcome) {
  auto& h = p.held.at(offset);
  if (!outcome) {  // the dead letters are away, too: this record waits, with its lane
    log::warn("the dead letters do not take a record", {{"error", outcome.error().text}});
    if (const auto at = p.tracker->fail(offset, self_.now(), false)) {
      h.credit.reset();
      self_.after(std::chrono::ceil<milliseconds>(*at - self_.now()), [out = outside_] { out->wake(); });
    }
    return;
  }
  ++metrics_->dead_letters;
  auto m = p.tracker->mark_for(offset);
  if (h.dead->reason == "transient" && !h.lane.empty() &&
      p.tracker->parked_lanes() < journal::source_progress::parked_max)
    m.park = h.lane;
  mark(p, std::move(m));
}

void source_actor::mark(part& p, journal::source_mark m, bool of_gap) {
  m.source = p.source;
  m.epoch = p.claimed.progress.epoch;
  p.marks.emplace_back(std::move(m), of_gap);
}

void source_actor::flush_marks(part& p) {
  if (p.marking || p.marks.empty()) return;
  p.marking = true;
  const auto count = std::min(p.marks.size(), marks_per_batch);
  journal::batch b{.epoch = services_.epoch};
  for (std::size_t i = 0; i < count; ++i) b.marks.push_back(p.marks[i].first);
  self_.request(services_.writer, journal::append{std::move(b)}, append_limit,
                [this, g = p.generation, count](const result<journal::append_outcome>& r) {
                  auto* p = find(g);
                  if (!p || p->now != phase::reading) return;
                  if (!r && r.error().code == error_code::fenced) return give_up(*p, r.error().text);
                  p->marking = false;
                  if (!r) {  // they stay, and storing them twice does no harm: the tick tries again
                    log::warn("marks are not stored", {{"partition", to_string(p->id)}, {"error", r.error().text}});
                    return;
                  }
                  std::vector<std::pair<journal::source_mark, bool>> stored(
                      p->marks.begin(), p->marks.begin() + static_cast<std::ptrdiff_t>(count));
                  p->marks.erase(p->marks.begin(), p->marks.begin() + static_cast<std::ptrdiff_t>(count));
                  for (const auto& [m, of_gap] : stored) {
                    if (of_gap)
                      p->tracker->closed(m, true);
                    else
                      done(*p, m.all_before ? m.offset - 1 : m.offset, m);
                  }
                  outside_->wake();
                });
}

void source_actor::done(part& p, std::uint64_t offset, const journal::source_mark& m) {
  const auto h = p.held.find(offset);
  ++p.finished;
  if (h->second.time_kind != time_kind::none)
    metrics_->latency.add(std::chrono::duration<double>(self_.utc() - h->second.time).count());
  if (!m.park.empty()) p.tracker->park(m.park);
  if (!m.release.empty()) p.tracker->release(m.release);
  p.held.erase(h);
  p.tracker->finish(offset, m);
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
