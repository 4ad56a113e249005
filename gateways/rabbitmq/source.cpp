#include "gateways/rabbitmq/source.hpp"

#include "gateways/rabbitmq/source_actor.hpp"
#include "runtime/telemetry/log.hpp"

namespace horizons::rabbitmq {

namespace {

using namespace std::chrono_literals;

constexpr kit::milliseconds stop_max = 3s;
constexpr kit::milliseconds look_every = 5s;  // at a consumer that gets nothing
constexpr auto flowing = 1ms;                 // see link::hooks; answers of the house interrupt it

}  // namespace

source_actor::source_actor(kit::context& self, bridges::services s, options o, std::shared_ptr<metrics> m)
    : self_(self),
      services_(std::move(s)),
      options_(std::move(o)),
      metrics_(std::move(m)),
      flow_(services_.intake, kit::gauge_of(self)) {}

void source_actor::start() {
  link_ = std::make_shared<link>(self_, options_, "source", metrics_->source,
                                 link::hooks{guarded([](source_actor& me, connection& c) { return me.up(c); }),
                                             guarded([](source_actor& me, broker_event& e) { me.take(e); }),
                                             guarded([](source_actor& me, const error&) { me.down(); }),
                                             guarded([](source_actor& me) { me.take_answers(); }), flowing});
  outbox_.emplace(*link_, publishing, metrics_->source);
  acks_ = std::make_shared<acknowledgements>(self_, *link_, consuming, options_.prefetch, metrics_->source);
  answers_ = std::make_shared<inbox<answered>>([run = self_.mailbox_executor(),
                                                take = guarded([](source_actor& me) { me.take_answers(); }),
                                                waits = link_->waits_in()] {
    run(take);
    waits->interrupt();
  });
  link_->start();
  self_.on_stop([this] { stop(); });
}

bridges::bridge_health source_actor::how() const {
  if (!link_->up()) return {false, link_->state()};
  if (!topology_.fault().empty()) return {true, topology_.fault()};
  if (!no_room_.empty())
    return {true, "the queue of jobs is full: submissions wait in " + std::string(submissions_queue)};
  return {true, look_fault_.empty() ? link_->state() : look_fault_};
}

// -- the connection ---------------------------------------------------------------------------------------------------

result<void> source_actor::up(connection& c) {
  ++generation_;
  if (auto open = c.open_confirming(publishing); !open) return open;
  if (auto ready = topology_.up(c); !ready) return ready;
  if (!topology_.usable()) return failure(error_code::unavailable, topology_.fault());
  if (auto open = c.open_channel(consuming); !open) return open;
  auto begun = consume(c);
  if (!begun) topology_.doubt();  // perhaps the queue is gone
  if (begun) watch_consumer();
  return begun;
}

result<void> source_actor::consume(connection& c) {
  if (auto limited = c.prefetch(consuming, options_.prefetch); !limited) return limited;
  consumer_ = "horizons-" + options_.node + "-" + std::to_string(++consumers_);
  return c.consume(consuming, std::string(submissions_queue), consumer_);
}

/// The broker gives everything unacknowledged to somebody again: forget it. What the house is doing with it goes on,
/// and is found when the message comes again.
void source_actor::down() {
  ++generation_;
  look_fault_.clear();
  acks_->clear();
  lanes_.clear();
  no_room_ = {};
  waiting_.clear();
  outbox_->clear();
  if (stopping_) self_.mailbox_executor()(guarded([](source_actor& me) { me.leave(); }));
}

void source_actor::take(broker_event& e) {
  std::visit(overloaded{[this](delivery_ptr& d) { receive(std::move(d)); }, [this](const confirmed& c) { settle(c); },
                        [this](const returned_ptr& r) { outbox_->mark_returned(*r); },
                        [this](const cancelled&) { consume_again(); },
                        [this](const channel_closed& c) { link_->lost(to_error(c)); }, [](const auto&) {}},
             e);
}

/// R2: the queue was deleted, or its leader's node is gone.
void source_actor::consume_again() {
  ++metrics_->consumer_cancels;
  log::warn("rabbitmq: the broker ended the consumer; begins again", {{"path", self_.path()}});
  auto* c = link_->up();
  if (!c || stopping_) return;
  auto done = topology_.declare(*c);
  if (done) done = consume(*c);
  if (!done) link_->lost(done.error());
}

/// R2: RabbitMQ 3.10 forgets to say so when an acknowledgement is under way as a quorum queue is deleted. The channel
/// goes on as if the consumer were there, and breaks when it is cancelled: only a new connection helps.
void source_actor::watch_consumer() {
  after(look_every, [](source_actor& me) {
    auto* c = me.link_->up();
    if (!c || me.stopping_) return;
    const auto delivered = me.metrics_->source.delivered.load();
    if (delivered != std::exchange(me.seen_delivered_, delivered) || me.acks_->open() > 0) {
      me.kept_waiting_ = false;
      return me.watch_consumer();
    }
    me.look(*c);
  });
}

void source_actor::look(connection& c) {
  const auto queue = c.queue_depth(declaring, std::string(submissions_queue));
  if (!queue && ends_connection(queue.error())) return link_->lost(queue.error());
  if (!queue && queue.error().code != error_code::not_found) {  // it says nothing about our consumer
    if (look_fault_ != queue.error().text) log::warn("rabbitmq: " + queue.error().text, {{"path", self_.path()}});
    look_fault_ = queue.error().text;
    if (auto open = c.open_channel(declaring); !open) return link_->lost(open.error());
    return watch_consumer();
  }
  look_fault_.clear();
  if (is_served(queue)) return watch_consumer();
  ++metrics_->consumer_cancels;
  topology_.doubt();
  link_->lost({error_code::unavailable, "the broker has ended the consumer without a word"});
}

bool source_actor::is_served(const result<queue_state>& queue) {
  if (!queue || queue->consumers == 0) return false;
  const bool waited = std::exchange(kept_waiting_, queue->messages > 0);
  return !waited || queue->messages == 0;
}

void source_actor::declare_soon() {
  self_.mailbox_executor()(guarded([](source_actor& me) {
    if (auto* c = me.link_->up())
      if (auto done = me.topology_.declare(*c); !done) me.link_->lost(done.error());
  }));
}

// -- the end ----------------------------------------------------------------------------------------------------------

void source_actor::stop() {
  stopping_ = true;
  auto* c = link_->up();
  if (!c) return leave();
  if (auto done = c->cancel(consuming, consumer_); !done) return leave();
  self_.after(stop_max, guarded([](source_actor& me) { me.leave(); }));  // what is not done by then comes again
  leave_when_acknowledged();
}

void source_actor::leave_when_acknowledged() {
  acks_->flush();
  if (acks_->open() == 0) leave();
}

void source_actor::leave() {
  if (std::exchange(left_, true)) return;
  ++generation_;
  link_->close();
  self_.quit();
}

void source_actor::after(kit::milliseconds delay, std::function<void(source_actor&)> f) {
  self_.after(delay, guarded([generation = generation_, f = std::move(f)](source_actor& me) {
                if (me.generation_ == generation) f(me);
              }));
}

kit::actor_body source(bridges::services services, options o, std::shared_ptr<metrics> m) {
  return [=](kit::context& self) -> kit::behavior {
    auto actor = std::make_shared<source_actor>(self, services, o, m);
    actor->start();
    return kit::behavior{}.on<health>(
        [actor](const health&) -> result<bridges::bridge_health> { return actor->how(); });
  };
}

}  // namespace horizons::rabbitmq
