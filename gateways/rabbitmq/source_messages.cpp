// What the source does with a message: reads it, gives it to the house, finishes, repeats or refuses it.
#include "gateways/rabbitmq/answer.hpp"
#include "gateways/rabbitmq/source_actor.hpp"
#include "messages/ulid.hpp"
#include "runtime/telemetry/log.hpp"

namespace horizons::rabbitmq {

namespace {

using namespace std::chrono_literals;
using kit::milliseconds;

constexpr milliseconds retry_max = 5s;
/// A message that is held longer goes back to the queue: RabbitMQ closes the channel of a consumer that has not
/// acknowledged within 30 minutes (consumer_timeout).
constexpr milliseconds hold_max = 20min;
constexpr milliseconds letter_retry = 500ms;

}  // namespace

void source_actor::receive(delivery_ptr d) {
  ++metrics_->source.delivered;
  if (d->redelivered) ++metrics_->source.redelivered;
  if (stopping_) return;  // it stays unacknowledged and goes to somebody else
  if (!acks_->delivered(d->tag))
    return link_->lost({error_code::unavailable, "the broker numbers deliveries out of order"});
  const auto w = std::make_shared<work>();
  w->began = self_.now();
  w->generation = generation_;
  w->d = std::move(d);
  submission what;
  if (!read(w, what)) return;
  w->lane = what.lane;
  if (lanes_.add(w->lane, w)) give(w, what);
}

bool source_actor::read(const work_ptr& w, submission& into) {
  const auto no = read_submission(w->d->what, into);
  if (!no) return true;
  refuse(w, no->reason, no->why);
  return false;
}

void source_actor::begin(const work_ptr& w) {
  submission what;
  if (read(w, what)) give(w, what);
}

void source_actor::give(const work_ptr& w, submission& what) {
  if (!flow_.open()) return waiting_.push_back(w);  // for an answer to another one
  ++w->attempts;
  const auto number = at_house_.leave({w, flow_.take(w->d->what.body.size())});
  services_.handle(std::move(what.what), [answers = answers_, number](result<bridges::handled> r) {
    answers->put({number, std::move(r)});
  });
}

void source_actor::take_answers() {
  answers_->take(taken_);
  for (auto& each : taken_) {
    const auto w = at_house_.fetch(each.number).w;  // its credit is back
    begin_waiting();
    if (w->generation == generation_) handled(w, std::move(each.how));
  }
  taken_.clear();
}

void source_actor::begin_waiting() {
  while (!waiting_.empty() && flow_.open()) {
    const auto next = std::move(waiting_.front());
    waiting_.pop_front();
    begin(next);
  }
}

void source_actor::handled(const work_ptr& w, result<bridges::handled> r) {
  if (!r) {
    if (w->attempts == 1) w->first_failed_at = self_.utc();
    if (r.error().code == error_code::limit_exceeded) return wait_for_room(w);
  }
  for (const auto& each : no_room_.answered(w)) begin(each);
  if (!r && bridges::may_pass(r.error().code)) return try_again(w, r.error());
  if (r) {
    count(r->what);
    answer(w, [&] { return accepted(w->d->what.properties, r->job); });
    finish(w);
  } else {
    refuse(w, std::string(to_string(r.error().code)), r.error());
  }
  if (auto following = lanes_.done(w->lane)) begin(*following);
}

void source_actor::count(bridges::handled::outcome o) {
  using outcome = bridges::handled::outcome;
  ++(o == outcome::applied ? metrics_->applied : o == outcome::repeated ? metrics_->repeated : metrics_->rejected);
}

void source_actor::try_again(const work_ptr& w, const error& why) {
  if (self_.now() - w->began > hold_max) return give_back(w, why);
  log::debug("rabbitmq: a submission is tried again", {{"error", why.text}});
  after(w->backoff, [w](source_actor& me) { me.begin(w); });
  w->backoff = std::min(w->backoff * 2, retry_max);
}

/// Nothing is acknowledged and so, with the prefetch used up, nothing more is read. One message asks again.
void source_actor::wait_for_room(const work_ptr& w) {
  if (self_.now() - w->began > hold_max) {
    const auto others = no_room_.answered(w);
    give_back(w, {error_code::limit_exceeded, "the queue of jobs is full"});
    for (const auto& each : others) begin(each);
    return;
  }
  if (no_room_.empty()) ++metrics_->congested;
  if (const auto pause = no_room_.wait(w))
    after(*pause, [](source_actor& me) {
      if (const auto next = me.no_room_.ask()) me.begin(next);
    });
}

/// Back to the queue with its whole lane, in order.
void source_actor::give_back(const work_ptr& w, const error& why) {
  log::warn("rabbitmq: submissions go back to the queue", {{"error", why.text}});
  auto all = lanes_.give_up(w->lane);
  all.insert(all.begin(), w);
  for (const auto& each : all) {
    std::erase(waiting_, each);
    if (!link_->up() || !acks_->withdrawn(each->d->tag)) continue;
    ++metrics_->source.requeued;
    if (auto done = link_->up()->nack(consuming, each->d->tag, false, true); !done) return link_->lost(done.error());
  }
}

void source_actor::finish(const work_ptr& w) {
  acks_->finished(w->d->tag);
  if (auto* c = link_->up()) c->reuse(std::move(w->d));
  if (stopping_) leave_when_acknowledged();
}

// -- refusals ---------------------------------------------------------------------------------------------------------

void source_actor::refuse(const work_ptr& w, const std::string& reason, const error& why) {
  if (w->first_failed_at == timestamp{}) w->first_failed_at = self_.utc();
  log::warn("rabbitmq: a submission is refused",
            {{"reason", reason}, {"error", why.text}, {"message_id", w->d->what.properties.message_id}});
  answer(w, [&] { return refused(w->d->what.properties, reason, why); });
  if (!w->d->what.fault.empty()) return reject(w);  // it is not here as a whole: the broker moves it
  if (!options_.dlq_enabled) {
    ++metrics_->dropped;
    return finish(w);
  }
  auto l = std::make_shared<outbox::letter>();
  l->text = to_letter(w->d->what,
                      {.letter_id = make_ulid(self_.utc()),
                       .reason = reason,
                       .error = why.text,
                       .attempts = std::max(w->attempts, 1),
                       .first_failed_at = w->first_failed_at,
                       .last_failed_at = self_.utc(),
                       .job_id = job_of(w->d->what)},
                      options_.hosts.front().user);
  l->stored = [this, w] {
    ++metrics_->dead_lettered;
    finish(w);
  };
  outbox_->send(l);
}

void source_actor::reject(const work_ptr& w) {
  auto* c = link_->up();
  if (!c || !acks_->withdrawn(w->d->tag)) return;
  ++(options_.dlq_enabled ? metrics_->dead_lettered : metrics_->dropped);
  if (auto done = c->nack(consuming, w->d->tag, false, false); !done) link_->lost(done.error());
}

void source_actor::settle(const confirmed& c) {
  outbox_->settle(c, [this](const outbox::letter_ptr& l) {
    if (l->returned) declare_soon();  // job-dlq, or its binding, is gone
    after(letter_retry, [l](source_actor& me) {
      me.outbox_->renew_unless_proven();
      me.outbox_->send(l);
    });
  });
}

}  // namespace horizons::rabbitmq
