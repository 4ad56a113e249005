#include "gateways/rabbitmq/source.hpp"

#include "gateways/rabbitmq/acknowledgements.hpp"
#include "gateways/rabbitmq/answer.hpp"
#include "gateways/rabbitmq/guarded.hpp"
#include "gateways/rabbitmq/inbox.hpp"
#include "gateways/rabbitmq/lanes.hpp"
#include "gateways/rabbitmq/outbox.hpp"
#include "gateways/rabbitmq/submission.hpp"
#include "gateways/rabbitmq/topology_keeper.hpp"
#include "gateways/rabbitmq/waiting_room.hpp"
#include "messages/ulid.hpp"
#include "runtime/kit/credit.hpp"
#include "runtime/telemetry/log.hpp"

namespace horizons::rabbitmq {

namespace {

using namespace std::chrono_literals;
using kit::milliseconds;

constexpr std::uint16_t consuming = 1, publishing = 2, declaring = 3;  // channels
constexpr milliseconds retry_first = 50ms, retry_max = 5s;
/// A message that is held longer goes back to the queue: RabbitMQ closes the channel of a consumer that has not
/// acknowledged within 30 minutes (consumer_timeout).
constexpr milliseconds hold_max = 20min;
constexpr milliseconds letter_retry = 500ms;
constexpr milliseconds stop_max = 3s;

/// One delivery while it is worked on.
struct work {
  delivery_ptr d;
  std::optional<submission> read;  // nullopt: given to the house; what is tried again is read again
  std::uint64_t lane = 0;
  std::uint64_t generation = 0;  // of the connection it came by
  int attempts = 0;
  std::optional<kit::answered_flow::ticket> credit;  // while the house has it
  kit::instant began{};
  timestamp first_failed_at{};
  milliseconds backoff = retry_first;
};
using work_ptr = std::shared_ptr<work>;

struct answered {
  work_ptr w;
  result<bridges::handled> how;
};

class source_actor : public guarded_state<source_actor> {
public:
  source_actor(kit::context& self, bridges::services s, options o, std::shared_ptr<metrics> m)
      : self_(self),
        services_(std::move(s)),
        options_(std::move(o)),
        metrics_(std::move(m)),
        flow_(services_.intake, kit::gauge_of(self)) {}

  void start() {
    link_ = std::make_shared<link>(self_, options_, "source", metrics_->source,
                                   link::hooks{guarded([](source_actor& me, connection& c) { return me.up(c); }),
                                               guarded([](source_actor& me, broker_event& e) { me.take(e); }),
                                               guarded([](source_actor& me, const error&) { me.down(); })});
    outbox_.emplace(*link_, publishing, metrics_->source);
    acks_ = std::make_shared<acknowledgements>(self_, *link_, consuming, options_.prefetch, metrics_->source);
    answers_ = std::make_shared<inbox<answered>>(
        [run = self_.mailbox_executor(), take = guarded([](source_actor& me) { me.take_answers(); })] { run(take); });
    link_->start();
    self_.on_stop([this] { stop(); });
  }

  bridges::bridge_health how() const {
    if (!link_->up()) return {false, link_->state()};
    if (!topology_.fault().empty()) return {true, topology_.fault()};
    if (!no_room_.empty())
      return {true, "the queue of jobs is full: submissions wait in " + std::string(submissions_queue)};
    return {true, link_->state()};
  }

private:
  // -- the connection -------------------------------------------------------------------------------------------------

  result<void> up(connection& c) {
    ++generation_;
    if (auto open = c.open_confirming(publishing); !open) return open;
    if (auto ready = topology_.up(c); !ready) return ready;
    if (!topology_.usable()) return failure(error_code::unavailable, topology_.fault());
    if (auto open = c.open_channel(consuming); !open) return open;
    auto begun = consume(c);
    if (!begun) topology_.doubt();  // perhaps the queue is gone
    return begun;
  }

  result<void> consume(connection& c) {
    if (auto limited = c.prefetch(consuming, options_.prefetch); !limited) return limited;
    consumer_ = "horizons-" + options_.node + "-" + std::to_string(++consumers_);
    return c.consume(consuming, std::string(submissions_queue), consumer_);
  }

  /// The broker gives everything unacknowledged to somebody again: forget it. What the house is doing with it goes on,
  /// and is found when the message comes again.
  void down() {
    ++generation_;
    acks_->clear();
    lanes_.clear();
    no_room_ = {};
    waiting_.clear();
    outbox_->clear();
    if (stopping_) self_.mailbox_executor()(guarded([](source_actor& me) { me.leave(); }));
  }

  void take(broker_event& e) {
    std::visit(overloaded{[this](delivery_ptr& d) { receive(std::move(d)); }, [this](const confirmed& c) { settle(c); },
                          [this](const returned_ptr& r) { outbox_->mark_returned(*r); },
                          [this](const cancelled&) { consume_again(); },
                          [this](const channel_closed& c) { link_->lost(to_error(c)); }, [](const auto&) {}},
               e);
  }

  /// R2: the queue was deleted, or its leader's node is gone.
  void consume_again() {
    ++metrics_->consumer_cancels;
    log::warn("rabbitmq: the broker ended the consumer; begins again", {{"path", self_.path()}});
    auto* c = link_->up();
    if (!c || stopping_) return;
    auto done = topology_.declare(*c);
    if (done) done = consume(*c);
    if (!done) link_->lost(done.error());
  }

  // -- a message ------------------------------------------------------------------------------------------------------

  void receive(delivery_ptr d) {
    ++metrics_->source.delivered;
    if (d->redelivered) ++metrics_->source.redelivered;
    if (stopping_) return;  // it stays unacknowledged and goes to somebody else
    if (!acks_->delivered(d->tag))
      return link_->lost({error_code::unavailable, "the broker numbers deliveries out of order"});
    auto w = std::make_shared<work>();
    w->began = self_.now();
    w->generation = generation_;
    w->d = std::move(d);
    if (!read(w)) return;
    w->lane = w->read->lane;
    if (lanes_.add(w->lane, w)) begin(w);
  }

  bool read(const work_ptr& w) {
    auto read = read_submission(w->d->what);
    if (auto* no = std::get_if<refusal>(&read)) {
      refuse(w, no->reason, no->why);
      return false;
    }
    w->read = std::move(std::get<submission>(read));
    return true;
  }

  void begin(const work_ptr& w) {
    if (!w->read && !read(w)) return;
    if (!flow_.open()) return waiting_.push_back(w);  // for an answer to another one
    w->credit = flow_.take(w->d->what.body.size());
    ++w->attempts;
    services_.handle(std::move(w->read->what), [answers = answers_, w](result<bridges::handled> r) {
      answers->put({w, std::move(r)});
    });
    w->read.reset();
  }

  void take_answers() {
    answers_->take(taken_);
    for (auto& each : taken_)
      if (each.w->generation == generation_) handled(each.w, std::move(each.how));
    taken_.clear();
  }

  void handled(const work_ptr& w, result<bridges::handled> r) {
    w->credit.reset();
    while (!waiting_.empty() && flow_.open()) {
      const auto next = std::move(waiting_.front());
      waiting_.pop_front();
      begin(next);
    }
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

  void count(bridges::handled::outcome o) {
    using outcome = bridges::handled::outcome;
    ++(o == outcome::applied ? metrics_->applied : o == outcome::repeated ? metrics_->repeated : metrics_->rejected);
  }

  void try_again(const work_ptr& w, const error& why) {
    if (self_.now() - w->began > hold_max) return give_back(w, why);
    log::debug("rabbitmq: a submission is tried again", {{"error", why.text}});
    after(w->backoff, [w](source_actor& me) { me.begin(w); });
    w->backoff = std::min(w->backoff * 2, retry_max);
  }

  /// Nothing is acknowledged and so, with the prefetch used up, nothing more is read. One message asks again.
  void wait_for_room(const work_ptr& w) {
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
  void give_back(const work_ptr& w, const error& why) {
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

  void finish(const work_ptr& w) {
    acks_->finished(w->d->tag);
    if (stopping_) leave_when_acknowledged();
  }

  // -- refusals -------------------------------------------------------------------------------------------------------

  void refuse(const work_ptr& w, const std::string& reason, const error& why) {
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

  void reject(const work_ptr& w) {
    auto* c = link_->up();
    if (!c || !acks_->withdrawn(w->d->tag)) return;
    ++(options_.dlq_enabled ? metrics_->dead_lettered : metrics_->dropped);
    if (auto done = c->nack(consuming, w->d->tag, false, false); !done) link_->lost(done.error());
  }

  void settle(const confirmed& c) {
    outbox_->settle(c, [this](const outbox::letter_ptr& l) {
      if (l->returned) declare_soon();  // job-dlq, or its binding, is gone
      after(letter_retry, [l](source_actor& me) {
        me.outbox_->renew_unless_proven();
        me.outbox_->send(l);
      });
    });
  }

  void declare_soon() {
    self_.mailbox_executor()(guarded([](source_actor& me) {
      if (auto* c = me.link_->up())
        if (auto done = me.topology_.declare(*c); !done) me.link_->lost(done.error());
    }));
  }

  /// Nobody there to hear it: the answer is lost, the job is not.
  void answer(const work_ptr& w, const std::function<message()>& made) {
    if (!w->d->what.properties.reply_to.empty() && outbox_->answer(made())) ++metrics_->replies;
  }

  // -- the end --------------------------------------------------------------------------------------------------------

  void stop() {
    stopping_ = true;
    auto* c = link_->up();
    if (!c) return leave();
    if (auto done = c->cancel(consuming, consumer_); !done) return leave();
    self_.after(stop_max, guarded([](source_actor& me) { me.leave(); }));  // what is not done by then comes again
    leave_when_acknowledged();
  }

  void leave_when_acknowledged() {
    acks_->flush();
    if (acks_->open() == 0) leave();
  }

  void leave() {
    if (std::exchange(left_, true)) return;
    ++generation_;
    link_->close();
    self_.quit();
  }

  /// Runs `f` later unless the connection has changed.
  void after(milliseconds delay, std::function<void(source_actor&)> f) {
    self_.after(delay, guarded([generation = generation_, f = std::move(f)](source_actor& me) {
                  if (me.generation_ == generation) f(me);
                }));
  }

  kit::context& self_;
  bridges::services services_;
  const options options_;
  std::shared_ptr<metrics> metrics_;
  topology_keeper topology_{options_, *metrics_, declaring};
  std::shared_ptr<link> link_;
  std::optional<outbox> outbox_;
  std::shared_ptr<acknowledgements> acks_;
  std::shared_ptr<inbox<answered>> answers_;
  std::vector<answered> taken_;   // of them, while they are gone through
  std::uint64_t generation_ = 0;  // of the connection: what belongs to an older one is dropped
  std::string consumer_;
  int consumers_ = 0;
  bool stopping_ = false, left_ = false;
  lanes<work_ptr> lanes_;
  waiting_room<work_ptr> no_room_;
  kit::answered_flow flow_;       // what the house has been given and has not answered
  std::deque<work_ptr> waiting_;  // for credit; at most the prefetch
};

}  // namespace

kit::actor_body source(bridges::services services, options o, std::shared_ptr<metrics> m) {
  return [=](kit::context& self) -> kit::behavior {
    auto actor = std::make_shared<source_actor>(self, services, o, m);
    actor->start();
    return kit::behavior{}.on<health>(
        [actor](const health&) -> result<bridges::bridge_health> { return actor->how(); });
  };
}

}  // namespace horizons::rabbitmq
