// What the relay reads from the journal and stores there; see relay_actor.hpp.
#include "gateways/kafka/relay_actor.hpp"
#include "messages/make_event.hpp"
#include "runtime/telemetry/log.hpp"

namespace horizons::kafka {
namespace {

constexpr milliseconds look_every{1'000};
constexpr std::size_t read_events_max = 10'000;  // of the journal

}  // namespace

void relay_actor::begin() {
  if (!started_ && options_.kafka.create_topics) restore_topics(options_.kafka, "");
  ask<journal::writer_api, journal::claim_source>(services_.writer, {options_.source},
                                                  [this](result<journal::store::claimed_source> r) {
                                                    if (!r) return journal_away(r.error());
                                                    claimed(*r);
                                                    subscribe();
                                                  });
}

void relay_actor::claimed(const journal::store::claimed_source& source) {
  epoch_ = source.progress.epoch;
  claimed_ = true;
  if (!started_) {
    cursor_ = source.progress.next > 0 ? source.progress.next - 1 : 0;
    window_ = relay_window(cursor_);
    marked_ = cursor_;
    metrics_.acknowledged_position = cursor_;
    started_ = true;
  }
  self_.monitor(services_.writer, [weak = weak_from_this()](const kit::exit_cause& why) {
    if (auto alive = weak.lock())
      alive->journal_away({error_code::unavailable, "the journal's writer ended: " + why.reason});
  });
}

void relay_actor::subscribe() {
  ask<journal::writer_api, journal::journal_status>(
      services_.writer, {}, [this](result<journal::journal_status::reply> r) {
        if (!r) return journal_away(r.error());
        metrics_.last_position = std::max(metrics_.last_position.load(), r->last_position);
        // From the end on: what lies before is read from the reader, not from the writer's own store.
        services_.writer.send(journal::subscribe{self_.self_as<kit::accepts<journal::committed>>(), r->last_position});
        retry_ = options_.retry_first;
        journal_trouble_.clear();
        look();
      });
}

void relay_actor::journal_away(const error& why) {
  claimed_ = false;
  journal_trouble_ = "the journal does not answer: " + why.text;
  tell_health();
  if (std::exchange(beginning_, true)) return;
  later(retry_, [this] {
    beginning_ = false;
    begin();
  });
  retry_ = std::min(retry_ * 2, options_.retry_max);
}

void relay_actor::committed(const journal::committed& c) {
  if (!c.events || c.events->empty()) return;
  const auto last = c.events->back().position;
  metrics_.last_position = std::max(metrics_.last_position.load(), last);
  if (started_ && !reading_ && c.after_position == cursor_ && queued_ < options_.page_events) {
    queue_.push_back({c.events, 0});
    queued_ += c.events->size();
    cursor_ = last;
  }
  pump();  // what was not taken is read
}

void relay_actor::read() {
  if (!started_ || reading_ || stopping_ || queued_ >= options_.page_events) return;
  reading_ = true;
  ask<journal::reader_api, journal::read_events>(
      services_.reader, {{.after_position = cursor_}, std::min(options_.page_events, read_events_max)},
      [this](result<journal::read_events::reply> r) {
        reading_ = false;
        if (!r)  // look() tries again
          return log::warn("the relay cannot read the journal", {{"reason", r.error().text}});
        if (r->events.empty()) return;
        cursor_ = r->events.back().position;
        metrics_.last_position = std::max(metrics_.last_position.load(), cursor_);
        queued_ += r->events.size();
        queue_.push_back({std::make_shared<const journal::event_list>(std::move(r->events)), 0});
        pump();
      });
}

void relay_actor::look() {
  if (self_.now() >= next_look_) {
    next_look_ = self_.now() + look_every;
    later(look_every, [this] { look(); });
  }
  tell_health();
  if (window_.open() == 0 || behind()) read();
  pump();
}

void relay_actor::send_head() {
  later(options_.head_every, [this] { send_head(); });
  ask<journal::reader_api, journal::read_head>(services_.reader, {}, [this](result<journal::store::chain_head> r) {
    if (!r || stopping_) return;
    event_context context{.now = self_.utc()};
    const auto e = make_event(
        context, audit_recorded{"audit-chain.head", services_.node_id, "journal", audit_chain_key,
                                offset_of(r->position) + " count " + std::to_string(r->count) + " sha256 " + r->hash});
    if (!e || (format_ == message_format::avro && !has_schema_id(type_of(e->data)))) return;
    const auto made = record_for(*e, {.node = services_.node_id});
    if (!made) return;
    for (const auto topic : made->topics)
      if (producer_->send(topic, made->what, 0)) ++metrics_.heads;
  });
}

void relay_actor::mark() {
  const auto done = window_.acknowledged();
  if (!claimed_ || marking_ || done <= marked_) return;
  const bool many = window_.completed() - completed_at_mark_ >= options_.mark_events;
  if (const auto now = self_.now(); !many && !stopping_ && now < next_mark_) {
    if (std::exchange(mark_waits_, true)) return;
    return later(std::chrono::ceil<milliseconds>(next_mark_ - now), [this] {
      mark_waits_ = false;
      mark();
    });
  }
  marking_ = true;
  next_mark_ = self_.now() + options_.mark_every;
  completed_at_mark_ = window_.completed();
  journal::batch b{.epoch = services_.epoch};
  b.marks.push_back({.source = options_.source, .epoch = epoch_, .offset = done + 1, .all_before = true});
  ask<journal::writer_api, journal::append>(
      services_.writer, journal::append{std::move(b)},
      [this, done, epoch = epoch_](result<journal::append_outcome> r) { marked(done, epoch, r); });
}

void relay_actor::marked(std::uint64_t done, std::uint64_t epoch, const result<journal::append_outcome>& r) {
  marking_ = false;
  if (r) {
    marked_ = done;
    ++metrics_.marks;
  } else if (r.error().code == error_code::fenced && epoch == epoch_) {
    return self_.fail("fenced: another relay has taken over " + options_.source);
  } else {
    log::warn("the relay's position could not be stored", {{"reason", r.error().text}});
    if (stopping_) return self_.quit();  // what was under way comes twice
  }
  if (stopping_)
    finish();
  else
    mark();
}

}  // namespace horizons::kafka
