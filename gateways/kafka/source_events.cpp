#include <algorithm>

#include <nlohmann/json.hpp>

#include "gateways/kafka/source_actor.hpp"
#include "gateways/kafka/submission_handler.hpp"
#include "runtime/telemetry/log.hpp"

namespace horizons::kafka {
namespace {

constexpr milliseconds tick_every{500};  // K15: events may be missed, time is not
constexpr milliseconds ask_limit{30'000};
constexpr int events_per_turn = 200;
constexpr int records_per_turn = 250;         // what is read is handed out while it is in the caches
constexpr std::size_t readahead_min = 1'000;  // of records whose turn comes next, beyond what is in flight

}  // namespace

void source_actor::outside::wake() {
  if (woken || woken.exchange(true)) return;  // mostly it is
  in_actor([me = shared_from_this()] {
    me->woken = false;
    if (const auto a = me->actor.lock()) a->pump();
  });
}

void source_actor::outside::put(answer a) {
  {
    const std::lock_guard lock(mutex);
    answers.push_back(std::move(a));
  }
  wake();
}

void source_actor::outside::completed(std::span<const completion> all, bool stored) {
  {
    const std::lock_guard lock(mutex);
    for (const auto& one : all) answers.push_back({one.generation(), one.offset(), stored});
  }
  wake();
}

source_actor::source_actor(kit::context& self, kafka_source_options options, bridges::services services,
                           dead_letter_sink dead_letters)
    : self_(self),
      options_(std::move(options)),
      services_(std::move(services)),
      bury_(std::move(dead_letters)),
      metrics_(options_.metrics),
      outside_(std::make_shared<outside>()),
      flow_(services_.intake, kit::gauge_of(self)),
      watch_(options_.progress) {
  options_.runnable_max = std::max(options_.runnable_max, services_.intake.messages + readahead_min);
  if (options_.topics.empty())
    options_.topics.push_back({"job-submissions", submissions(services_, options_.kafka.registry)});
}

source_actor::~source_actor() { metrics_->ready = false; }

bool source_actor::start() {
  outside_->in_actor = self_.mailbox_executor();
  outside_->actor = weak_from_this();
  auto opened = consumer::open(options_.kafka, [out = outside_] { out->wake(); });
  if (!opened) {
    self_.fail(opened.error().text);
    return false;
  }
  consumer_ = std::move(*opened);
  questions_ = self_.spawn<questions_api>({.name = "questions", .type = "kafka_questions"},
                                          broker_questions(consumer_->shared(), options_.create_topics));
  for (const auto& t : options_.topics) handlers_[t.name] = t.handler(self_);
  find_cluster();
  again(tick_every, &source_actor::tick);
  return true;
}

void source_actor::again(milliseconds delay, void (source_actor::*what)()) {
  self_.after(delay, [this, what] { (this->*what)(); });
}

void source_actor::find_cluster() {
  self_.request(questions_, ask_cluster{}, ask_limit, [this](result<std::string> id) {
    if (!id) {
      trouble_ = refused_.empty() ? id.error().text : refused_;
      again(options_.retry_first, &source_actor::find_cluster);
      return;
    }
    cluster_ = std::move(*id);
    make_topics();
  });
}

void source_actor::make_topics() {
  making_topics_ = true;
  self_.request(questions_, ask_topics{}, ask_limit, [this](result<ask_topics::reply> r) {
    making_topics_ = false;
    if (!r) {
      trouble_ = "topics cannot be made: " + r.error().text;
      again(options_.retry_max, &source_actor::make_topics);
      if (bridges::may_pass(r.error().code)) return;
    }
    subscribe();  // topics that exist are read, even if others cannot be made
  });
}

void source_actor::subscribe() {
  std::vector<std::string> names;
  for (const auto& t : options_.topics) names.push_back(t.name);
  if (auto ok = consumer_->subscribe(names); !ok) {
    self_.fail(ok.error().text);
    return;
  }
  if (trouble_.empty() || trouble_ == "connecting") trouble_ = "joining group " + options_.kafka.group;
}

/// Everything that can be done now, in small turns so that messages get through.
void source_actor::pump() {
  if (!consumer_) return;
  const bool more_events = consumer_->serve(reactions(), events_per_turn);
  take_answers();
  bool more_records = false;
  if (!closing_) {
    more_records = take_records(records_per_turn);
    hand_out();
  }
  if (more_events || more_records) outside_->wake();
}

void source_actor::tick() {
  again(tick_every, &source_actor::tick);
  pump();
  if (closing_ || !consumer_) return;
  for (auto& [id, p] : parts_) {
    if (p.now != phase::reading) continue;
    if (const auto m = p.tracker->gap_mark(true)) mark(p, *m, true);
    flush_marks(p);
  }
  switch (watch_.look(self_.now(), flow_.outstanding(), answers_)) {
    case progress_watch::verdict::fine:
      stalled_ = false;
      break;
    case progress_watch::verdict::stalled:
      stalled_ = true;
      break;
    case progress_watch::verdict::give_up:
      ++metrics_->restarts;
      self_.fail("work stood still: no answer for " + std::to_string(flow_.outstanding()) + " records");
      return;
  }
  publish_metrics();
}

consumer_events source_actor::reactions() {
  return {.assigned = [this](const auto& ids) { on_assigned(ids); },
          .revoked = [this](const auto& ids) { on_revoked(ids); },
          .failed = [this](const error& e, auto code, const auto& where) { on_failed(e, code, where); },
          .statistics = [this](std::string_view json) { on_statistics(json); }};
}

void source_actor::on_assigned(const std::vector<partition_id>& ids) {
  ++metrics_->rebalances;
  // The group is answered at once; each partition is read as soon as the journal has given it to us.
  if (auto ok = consumer_->assign({}); !ok) log::warn("an assignment was not taken", {{"error", ok.error().text}});
  seek_all();
  trouble_.clear();
  for (const auto& id : ids) {
    auto& p = parts_[id];
    p.id = id;
    p.source = "kafka/" + cluster_ + "/" + id.topic + "/" + std::to_string(id.number);
    const auto handler = handlers_.find(id.topic);
    p.handler = handler == handlers_.end() ? nullptr : handler->second.get();
    claim(p);
  }
  log::info("partitions assigned", {{"count", std::to_string(ids.size())}, {"path", self_.path()}});
}

void source_actor::on_revoked(const std::vector<partition_id>& ids) {
  ++metrics_->rebalances;
  std::vector<partition_id> read;
  for (const auto& id : ids) {
    const auto p = parts_.find(id);
    if (p == parts_.end()) continue;
    if (p->second.now == phase::reading) read.push_back(id);
    by_generation_.erase(p->second.generation);
    parts_.erase(p);
  }
  last_ = nullptr;
  if (auto ok = consumer_->unassign(read); !ok) log::warn("a revocation was not taken", {{"error", ok.error().text}});
  if (!closing_) seek_all();
  log::info("partitions revoked", {{"count", std::to_string(ids.size())}, {"path", self_.path()}});
}

/// K1: every rebalance pauses and resumes what is kept, and may lose or repeat what was fetched.
void source_actor::seek_all() {
  std::vector<partition_offset> to;
  for (auto& [id, p] : parts_)
    if (p.now == phase::reading) to.push_back({id, p.tracker->expected()});
  consumer_->seek(to);
}

void source_actor::on_failed(const error& e, rd_kafka_resp_err_t code, const std::optional<partition_id>& where) {
  log::warn("Kafka reports a failure", {{"error", e.text}, {"path", self_.path()}});
  if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) brokers_down_ = true;
  if (e.code == error_code::forbidden && cluster_.empty()) refused_ = trouble_ = e.text;
  if (code == RD_KAFKA_RESP_ERR__FATAL) self_.fail(e.text);
  if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART && !making_topics_) {
    trouble_ = e.text;
    making_topics_ = true;
    again(options_.retry_first, &source_actor::make_topics);
  }
  const bool reading_ended =
      code == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET || code == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE;
  if (!where || !reading_ended) return;
  // Retention passed us, or the topic is another one. The journal is asked anew; see start_offset.hpp.
  if (const auto p = parts_.find(*where); p != parts_.end() && p->second.now == phase::reading) {
    stop_reading(p->second);
    claim(p->second);
  }
}

void source_actor::on_statistics(std::string_view text) {
  const auto stats = nlohmann::json::parse(text, nullptr, false);
  if (!stats.is_object()) return;
  std::int64_t throttle = 0;
  bool any_up = false;
  const auto brokers = stats.value("brokers", nlohmann::json::object());
  for (const auto& b : brokers) {
    any_up = any_up || (b.value("state", "") == "UP" && b.value("nodeid", -1) >= 0);
    throttle = std::max(throttle, b.value("throttle", nlohmann::json::object()).value("max", std::int64_t{0}));
  }
  if (any_up) brokers_down_ = false;
  metrics_->throttle_ms = throttle;
  for (auto& [id, p] : parts_) {
    const auto at = "/topics/" + id.topic + "/partitions/" + std::to_string(id.number) + "/ls_offset";
    p.end = std::max<std::int64_t>(p.end, stats.value(nlohmann::json::json_pointer(at), std::int64_t{0}));
  }
  // K2: a commit that meets a rebalance may cost the assignment.
  const auto group = stats.value("cgrp", nlohmann::json::object());
  if (group.value("join_state", "") == "steady" && group.value("state", "") == "up") commit();
}

/// Shows others how far we are, and whose journal it is.
void source_actor::commit() {
  std::vector<partition_offset> offsets;
  const bool due = self_.now() - last_commit_ >= options_.commit_every;
  for (auto& [id, p] : parts_) {
    if (p.now != phase::reading || (p.committed && !due)) continue;
    const auto offset = p.tracker->lowest_unfinished();
    if (p.committed == offset) continue;
    p.committed = offset;
    offsets.push_back({id, offset, commit_metadata(services_.journal_id, p.claimed.progress.epoch)});
  }
  if (due) last_commit_ = self_.now();
  if (!offsets.empty()) consumer_->commit(offsets);
}

bridges::bridge_health source_actor::health() const {
  if (closing_) return {false, "closing"};
  if (!trouble_.empty()) return {false, trouble_};
  if (brokers_down_) return {false, "no broker can be reached; what was read is worked on, the rest is read later"};
  std::string text;
  for (const auto& [id, p] : parts_) {
    if (p.now == phase::reading) continue;
    if (!text.empty() && text.size() > 500) break;
    text += (text.empty() ? "" : "; ") + to_string(id) + ": " + (p.trouble.empty() ? "being claimed" : p.trouble);
  }
  if (!text.empty()) return {false, text};
  if (stalled_) return {false, "no record was finished for a while although some are in flight"};
  if (!waits_.empty() && self_.now() - waits_at_ < options_.limits.backoff_max * 2)
    return {true, "up; some records cannot be read yet: " + waits_};
  if (probing_) return {true, "up; the queue of jobs is full, reading waits"};
  return {true, "up"};
}

void source_actor::publish_metrics() {
  std::map<partition_id, source_metrics::partition> now;
  for (const auto& [id, p] : parts_) {
    auto& m = now[id];
    m.finished = p.finished;
    m.reading = p.now == phase::reading;
    if (!p.tracker) continue;
    const auto done = static_cast<std::int64_t>(p.tracker->lowest_unfinished());
    m.lag = std::max<std::int64_t>(0, p.end - done);
    m.held = p.tracker->held();
    m.in_flight = p.tracker->in_flight();
    m.waiting = p.tracker->waiting();
    m.parked_lanes = p.tracker->parked_lanes();
    m.paused = p.tracker->paused();
  }
  metrics_->set(std::move(now));
  metrics_->ready = health().ready;
}

/// Leaving waits for a rebalance that is under way; after close_limit the consumer goes on with it by itself, and with
/// the end of the process the group notices.
void source_actor::close() {
  if (closing_ || !consumer_) return self_.quit();
  closing_ = true;
  close_by_ = self_.now() + options_.close_limit;
  consumer_->begin_close();
  const auto look = std::make_shared<std::function<void()>>();
  *look = [this, weak = std::weak_ptr(look)] {
    pump();
    const bool late = self_.now() >= close_by_;
    if (!consumer_->closed() && !late) {
      if (const auto me = weak.lock()) self_.after(milliseconds{10}, [me] { (*me)(); });
      return;
    }
    if (late)
      log::info("the group is being rebalanced and left without waiting for its answer", {{"path", self_.path()}});
    self_.quit();
  };
  (*look)();
}

kit::actor_body kafka_source(kafka_source_options options, bridges::services services, dead_letter_sink dead_letters) {
  return [options = std::move(options), services = std::move(services),
          dead_letters = std::move(dead_letters)](kit::context& self) {
    auto me = std::make_shared<source_actor>(self, options, services, dead_letters);
    if (!me->start()) return kit::behavior{};
    self.on_stop([me] { me->close(); });
    return kit::behavior{}
        .on<source_health>([me](const source_health&) -> result<bridges::bridge_health> { return me->health(); })
        .on<adopt_partitions>(
            [me](const adopt_partitions& m, kit::promise<adopt_partitions::reply> p) { me->adopt(m, p); });
  };
}

}  // namespace horizons::kafka
