#include "gateways/rabbitmq/source.hpp"

#include <deque>

#include "gateways/rabbitmq/answer.hpp"
#include "gateways/rabbitmq/delivery_ledger.hpp"
#include "gateways/rabbitmq/lanes.hpp"
#include "gateways/rabbitmq/outbox.hpp"
#include "gateways/rabbitmq/submission.hpp"
#include "gateways/rabbitmq/topology_keeper.hpp"
#include "messages/ulid.hpp"
#include "runtime/telemetry/log.hpp"

namespace horizons::rabbitmq {

namespace {

using namespace std::chrono_literals;
using kit::milliseconds;

constexpr std::uint16_t consuming = 1, publishing = 2, declaring = 3;  // channels
constexpr milliseconds retry_first = 50ms, retry_max = 5s;
constexpr milliseconds congested_first = 100ms, congested_max = 5s;
/// A message that is held longer goes back to the queue: RabbitMQ closes the channel of a consumer that has not
/// acknowledged within 30 minutes (consumer_timeout).
constexpr milliseconds hold_max = 20min;
constexpr milliseconds letter_retry = 500ms;
constexpr milliseconds stop_max = 3s;
constexpr std::size_t acks_per_prefetch = 5;  // acknowledged when a fifth of the prefetch is done, or
constexpr milliseconds ack_after = 5ms;       // this long after the first

/// One delivery while it is worked on.
struct work {
  delivery d;
  submission what;
  int attempts = 0;
  kit::instant began{};
  timestamp first_failed_at{};
  milliseconds backoff = retry_first;
};
using work_ptr = std::shared_ptr<work>;

class source_actor : public std::enable_shared_from_this<source_actor> {
public:
  source_actor(kit::context& self, bridges::services s, options o, std::shared_ptr<metrics> m)
      : self_(self), services_(std::move(s)), options_(std::move(o)), metrics_(std::move(m)) {}

  void start() {
    const auto weak = weak_from_this();
    link_ = std::make_shared<link>(
        self_, options_, "source", metrics_->source,
        link::hooks{[weak](connection& c) { return weak.lock()->up(c); },
                    [weak](broker_event& e) { weak.lock()->take(e); }, [weak](const error&) { weak.lock()->down(); }});
    outbox_.emplace(*link_, publishing, metrics_->source);
    link_->start();
    self_.on_stop([this] { stop(); });
  }

  bridges::bridge_health how() const {
    if (!link_->up()) return {false, link_->state()};
    if (!topology_.fault().empty()) return {true, topology_.fault()};
    if (!congested_.empty())
      return {true, "the queue of jobs is full: submissions wait in " + std::string(submissions_queue)};
    return {true, link_->state()};
  }

private:
  // -- the connection -------------------------------------------------------------------------------------------------

  result<void> up(connection& c) {
    ++generation_;
    if (auto open = c.open_channel(publishing); !open) return open;
    if (auto confirms = c.confirm_select(publishing); !confirms) return confirms;
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
    unacked_.clear();
    lanes_.clear();
    congested_.clear();
    probe_.reset();
    asking_ = false;
    congested_backoff_ = congested_first;
    outbox_->clear();
    metrics_->source.unacked = 0;
  }

  void take(broker_event& e) {
    std::visit(overloaded{[this](delivery& d) { receive(std::move(d)); }, [this](const confirmed& c) { settle(c); },
                          [this](const returned& r) { outbox_->mark_returned(r); },
                          [this](const cancelled&) { consume_again(); },
                          [this](const channel_closed& c) {
                            link_->lost({error_code::unavailable, "channel closed by the broker: " + c.text});
                          },
                          [](const auto&) {}},
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

  void receive(delivery d) {
    ++metrics_->source.delivered;
    if (d.redelivered) ++metrics_->source.redelivered;
    if (stopping_) return;  // it stays unacknowledged and goes to somebody else
    unacked_.delivered(d.tag);
    metrics_->source.unacked = unacked_.open();
    auto w = std::make_shared<work>();
    w->began = self_.now();
    w->d = std::move(d);
    auto read = read_submission(w->d.what);
    if (auto* no = std::get_if<refusal>(&read)) return refuse(w, no->reason, no->why);
    w->what = std::move(std::get<submission>(read));
    if (lanes_.add(w->what.lane, w)) begin(w);
  }

  void begin(const work_ptr& w) {
    ++w->attempts;
    auto incoming = w->what.what;
    services_.handle(std::move(incoming), [run = self_.mailbox_executor(), weak = weak_from_this(), w,
                                           generation = generation_](result<bridges::handled> r) {
      run([weak, w, generation, r = std::move(r)]() mutable {
        if (auto me = weak.lock(); me && me->generation_ == generation) me->handled(w, std::move(r));
      });
    });
  }

  void handled(const work_ptr& w, result<bridges::handled> r) {
    if (r) {
      count(r->what);
      answer(w, [&] { return accepted(w->d.what.properties, r->job); });
      finish(w);
      if (w == probe_) decongest();
      return next(w);
    }
    if (w->attempts == 1) w->first_failed_at = self_.utc();
    if (r.error().code == error_code::limit_exceeded) return wait_for_room(w);
    if (w == probe_) decongest();
    if (bridges::may_pass(r.error().code)) return try_again(w, r.error());
    refuse(w, std::string(to_string(r.error().code)), r.error());
    next(w);
  }

  void count(bridges::handled::outcome o) {
    using outcome = bridges::handled::outcome;
    ++(o == outcome::applied ? metrics_->applied : o == outcome::repeated ? metrics_->repeated : metrics_->rejected);
  }

  void next(const work_ptr& w) {
    if (auto following = lanes_.done(w->what.lane)) begin(*following);
  }

  void try_again(const work_ptr& w, const error& why) {
    if (self_.now() - w->began > hold_max) return give_back(w, why);
    log::debug("rabbitmq: a submission is tried again", {{"error", why.text}});
    after(w->backoff, [w](source_actor& me) { me.begin(w); });
    w->backoff = std::min(w->backoff * 2, retry_max);
  }

  // -- the queue of jobs is full --------------------------------------------------------------------------------------

  /// Nothing is acknowledged and so, with the prefetch used up, nothing more is read. One message asks again.
  void wait_for_room(const work_ptr& w) {
    if (self_.now() - w->began > hold_max) {
      if (w == probe_) probe_.reset();
      return give_back(w, {error_code::limit_exceeded, "the queue of jobs is full"});
    }
    if (congested_.empty() && w != probe_) ++metrics_->congested;
    if (w == probe_)
      congested_.push_front(std::exchange(probe_, nullptr));
    else
      congested_.push_back(w);
    if (asking_ || probe_) return;
    asking_ = true;
    after(congested_backoff_, [](source_actor& me) { me.ask_again(); });
    congested_backoff_ = std::min(congested_backoff_ * 2, congested_max);
  }

  void ask_again() {
    asking_ = false;
    if (congested_.empty()) return;
    probe_ = std::move(congested_.front());
    congested_.pop_front();
    begin(probe_);
  }

  void decongest() {
    probe_.reset();
    congested_backoff_ = congested_first;
    for (const auto& w : std::exchange(congested_, {})) begin(w);
  }

  /// Back to the queue with its whole lane, in order.
  void give_back(const work_ptr& w, const error& why) {
    log::warn("rabbitmq: submissions go back to the queue", {{"error", why.text}});
    auto* c = link_->up();
    for (const auto& each : lanes_.give_up(w->what.lane)) {
      if (!c || !unacked_.withdrawn(each->d.tag)) continue;
      ++metrics_->source.requeued;
      if (auto done = c->nack(consuming, each->d.tag, false, true); !done) return link_->lost(done.error());
    }
    metrics_->source.unacked = unacked_.open();
  }

  // -- acknowledgements -----------------------------------------------------------------------------------------------

  void finish(const work_ptr& w) {
    unacked_.finished(w->d.tag);
    metrics_->source.unacked = unacked_.open();
    // Many with one frame: each acknowledgement is a round of consensus on a quorum queue.
    if (stopping_ || unacked_.ready() * acks_per_prefetch >= options_.prefetch) return flush();
    if (std::exchange(flushing_, true)) return;
    self_.after(ack_after, guarded([](source_actor& me) { me.flush(); }));
  }

  void flush() {
    flushing_ = false;
    auto* c = link_->up();
    if (!c) return;
    metrics_->source.acked += unacked_.ready();
    for (const auto& ack : unacked_.flush())
      if (auto done = c->ack(consuming, ack.tag, ack.multiple); !done) return link_->lost(done.error());
    if (stopping_ && unacked_.open() == 0) leave();
  }

  // -- refusals -------------------------------------------------------------------------------------------------------

  void refuse(const work_ptr& w, const std::string& reason, const error& why) {
    if (w->first_failed_at == timestamp{}) w->first_failed_at = self_.utc();
    log::warn("rabbitmq: a submission is refused",
              {{"reason", reason}, {"error", why.text}, {"message_id", w->d.what.properties.message_id}});
    answer(w, [&] { return refused(w->d.what.properties, reason, why); });
    if (!w->d.what.fault.empty()) return reject(w);  // it is not here as a whole: the broker moves it
    if (!options_.dlq_enabled) {
      ++metrics_->dropped;
      return finish(w);
    }
    const auto& c = w->what.what.what;
    auto l = std::make_shared<outbox::letter>();
    l->text = to_letter(w->d.what,
                        {.letter_id = make_ulid(self_.utc()),
                         .reason = reason,
                         .error = why.text,
                         .attempts = std::max(w->attempts, 1),
                         .first_failed_at = w->first_failed_at,
                         .last_failed_at = self_.utc(),
                         .job_id = c.job_id.empty() ? w->what.what.fallback_job_id : c.job_id},
                        options_.hosts.front().user);
    l->stored = [this, w] {
      ++metrics_->dead_lettered;
      finish(w);
    };
    outbox_->send(l);
  }

  void reject(const work_ptr& w) {
    auto* c = link_->up();
    if (!c || !unacked_.withdrawn(w->d.tag)) return;
    ++(options_.dlq_enabled ? metrics_->dead_lettered : metrics_->dropped);
    metrics_->source.unacked = unacked_.open();
    if (auto done = c->nack(consuming, w->d.tag, false, false); !done) link_->lost(done.error());
  }

  void settle(const confirmed& c) {
    outbox_->settle(c, [this](const outbox::letter_ptr& l) {
      if (l->returned) declare_soon();  // job-dlq, or its binding, is gone
      after(letter_retry, [l](source_actor& me) { me.outbox_->send(l); });
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
    if (!w->d.what.properties.reply_to.empty() && outbox_->answer(made())) ++metrics_->replies;
  }

  // -- the end --------------------------------------------------------------------------------------------------------

  void stop() {
    stopping_ = true;
    auto* c = link_->up();
    if (!c) return leave();
    if (auto done = c->cancel(consuming, consumer_); !done) return leave();
    flush();
    if (left_) return;
    self_.after(stop_max, guarded([](source_actor& me) { me.leave(); }));  // what is not done by then comes again
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

  std::function<void()> guarded(std::function<void(source_actor&)> f) {
    return [weak = weak_from_this(), f = std::move(f)] {
      if (auto alive = weak.lock()) f(*alive);
    };
  }

  kit::context& self_;
  bridges::services services_;
  const options options_;
  std::shared_ptr<metrics> metrics_;
  topology_keeper topology_{options_, *metrics_, declaring};
  std::shared_ptr<link> link_;
  std::optional<outbox> outbox_;
  std::uint64_t generation_ = 0;  // of the connection: what belongs to an older one is dropped
  std::string consumer_;
  int consumers_ = 0;
  bool flushing_ = false, stopping_ = false, left_ = false;
  delivery_ledger unacked_;
  lanes<work_ptr> lanes_;
  std::deque<work_ptr> congested_;  // refused for want of room; at most the prefetch
  work_ptr probe_;                  // the one of them that asks again
  bool asking_ = false;
  milliseconds congested_backoff_ = congested_first;
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
