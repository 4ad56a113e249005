#include "gateways/rabbitmq/relay.hpp"

#include "gateways/rabbitmq/confirm_patience.hpp"
#include "gateways/rabbitmq/guarded.hpp"
#include "gateways/rabbitmq/link.hpp"
#include "gateways/rabbitmq/relay_flow.hpp"
#include "gateways/rabbitmq/relay_message.hpp"
#include "gateways/rabbitmq/topology_keeper.hpp"
#include "runtime/telemetry/log.hpp"

namespace horizons::rabbitmq {

namespace {

using namespace std::chrono_literals;
using kit::milliseconds;

constexpr std::uint16_t publishing = 1, declaring = 2;  // channels
constexpr std::size_t page_events = 500;
constexpr std::size_t read_below = 1'500;  // events held: below this the next page is read
constexpr std::uint64_t mark_events = 5'000;
constexpr milliseconds mark_every = 200ms, journal_max = 10s, retry_after = 500ms;
constexpr milliseconds confirms_at_end_max = 2s, mark_at_end_max = 2s;  // a supervisor gives 5 s
constexpr milliseconds watch_confirms_every = 100ms, warn_of_returns_every = 60s;
constexpr int burst_max = 128;  // messages; then the confirms that have come are read

class relay_actor : public guarded_state<relay_actor> {
public:
  relay_actor(kit::context& self, bridges::services s, options o, std::shared_ptr<metrics> m)
      : self_(self), services_(std::move(s)), options_(std::move(o)), metrics_(std::move(m)) {}

  void start() {
    link_ = std::make_shared<link>(self_, options_, "relay", metrics_->relay,
                                   link::hooks{guarded([](relay_actor& me, connection& c) { return me.up(c); }),
                                               guarded([](relay_actor& me, broker_event& e) { me.take(e); }),
                                               guarded([](relay_actor& me, const error&) { me.down(); })});
    link_->start();
    claim();
    watch_confirms();
    self_.on_stop([this] { stop(); });
  }

  void take(const journal::committed& c) {
    if (!flow_ || !live_) return;  // of an earlier subscription
    if (c.after_position < flow_->held_to()) return;
    if (flow_->offer(c.events, c.after_position) != relay_flow::offered::taken) live_ = false;  // read it, later
    pump();
  }

  bridges::bridge_health how() const {
    if (!journal_fault_.empty()) return {false, journal_fault_};
    if (link_->up() && !topology_.fault().empty()) return {topology_.usable(), topology_.fault()};
    if (link_->blocked()) return {false, "the broker takes no publishes: memory or disk alarm; free some there"};
    return {link_->up() != nullptr, link_->state()};
  }

private:
  // -- the journal ----------------------------------------------------------------------------------------------------

  /// Asks where the relay stands; also after each restart of the writer, which forgets its subscribers.
  void claim() {
    live_ = false;
    self_.request(services_.writer, journal::claim_source{std::string(relay_source)}, journal_max,
                  [this](result<journal::store::claimed_source> r) {
                    if (!r) {
                      journal_fault_ = r.error().text;
                      self_.after(retry_after, guarded([](relay_actor& me) { me.claim(); }));
                      return;
                    }
                    journal_fault_.clear();
                    epoch_ = r->progress.epoch;
                    const std::uint64_t done = r->progress.next == 0 ? 0 : r->progress.next - 1;
                    if (!flow_) {
                      flow_.emplace(done, options_.window);
                      marked_to_ = done;
                    }
                    self_.monitor(services_.writer,
                                  guarded([](relay_actor& me, const kit::exit_cause&) { me.claim(); }));
                    read();
                    pump();
                  });
  }

  /// The next page; an empty one means that the head is reached, and what is committed from then on is told.
  void read() {
    if (reading_ || live_ || !flow_ || flow_->held() > read_below || stopping_) return;
    reading_ = true;
    const auto after = flow_->held_to();
    self_.request(
        services_.reader, journal::read_events{{.after_position = after}, page_events}, journal_max,
        [this, after](result<journal::read_events::reply> r) {
          reading_ = false;
          if (!r) {
            journal_fault_ = r.error().text;
            self_.after(retry_after, guarded([](relay_actor& me) { me.read(); }));
            return;
          }
          journal_fault_.clear();
          if (r->events.empty()) {
            live_ = true;
            services_.writer.send(journal::subscribe{self_.self_as<kit::accepts<journal::committed>>(), after});
            return;
          }
          flow_->offer(std::make_shared<const journal::event_list>(std::move(r->events)), after);
          pump();
          read();
        });
  }

  void mark_soon() {
    if (flow_->done_to() >= marked_to_ + mark_events) return mark();
    if (marking_soon_ || flow_->done_to() == marked_to_) return;
    marking_soon_ = true;
    self_.after(mark_every, guarded([](relay_actor& me) {
                  me.marking_soon_ = false;
                  me.mark();
                }));
  }

  /// Stores how far everything is confirmed. Losing a mark only repeats events.
  void mark() {
    if (marking_ || !flow_ || flow_->done_to() == marked_to_) return;
    marking_ = true;
    const auto to = flow_->done_to();
    journal::batch what{.epoch = services_.epoch};
    what.marks.push_back({std::string(relay_source), epoch_, to + 1, true, {}, {}});
    self_.request(services_.writer, journal::append{std::move(what)}, journal_max,
                  [this, to](result<journal::append_outcome> r) {
                    marking_ = false;
                    if (r) {
                      marked_to_ = to;
                      metrics_->relay_position = to;
                    } else if (r.error().code == error_code::fenced) {
                      return self_.fail("rabbitmq relay: another owner has claimed " + std::string(relay_source) +
                                        ": " + r.error().text);
                    }
                    if (left_ && (!r || flow_->done_to() == marked_to_)) return self_.quit();
                    if (left_) return mark();
                    mark_soon();
                  });
  }

  // -- the broker -----------------------------------------------------------------------------------------------------

  result<void> up(connection& c) {
    if (auto open = c.open_confirming(publishing); !open) return open;
    if (auto ready = topology_.up(c); !ready) return ready;
    patience_.opened(self_.now());
    self_.mailbox_executor()(guarded([](relay_actor& me) { me.pump(); }));
    return {};
  }

  void down() {
    if (flow_) flow_->lost();
    metrics_->relay.unconfirmed = 0;
    self_.mailbox_executor()(guarded([](relay_actor& me) { me.leave_when_confirmed(); }));
  }

  /// A broker that answers heartbeats but confirms nothing: its part of a split cluster may not be the one that works.
  void watch_confirms() {
    self_.after(watch_confirms_every, guarded([](relay_actor& me) { me.watch_confirms(); }));
    if (!link_->up() || !flow_ || flow_->unconfirmed() == 0) return;
    if (link_->blocked()) return patience_.waits(self_.now());
    if (!patience_.over(self_.now())) return;
    link_->lost(
        {error_code::timed_out, "nothing was confirmed for " + std::to_string(patience_.silence().count()) + " ms"});
  }

  void take(broker_event& e) {
    if (const auto* c = std::get_if<confirmed>(&e)) {
      settle(*c);
    } else if (const auto* closed = std::get_if<channel_closed>(&e)) {
      topology_.doubt();  // 404: an exchange is gone
      return link_->lost(to_error(*closed));
    } else if (const auto* back = std::get_if<returned_ptr>(&e)) {
      came_back(**back);
    }
    if (!pumping_) pump();
  }

  /// Somebody has removed the queues, or what bound them. Nothing is lost: journal and Kafka have it all.
  void came_back(const returned& r) {
    ++metrics_->relay.returned;
    if (self_.now() < warn_again_) return;
    warn_again_ = self_.now() + warn_of_returns_every;
    log::warn(
        "rabbitmq: no queue takes an event; bind one to its exchange; the usual ones come with the next connection",
        {{"path", self_.path()}, {"exchange", r.what.exchange}, {"event", r.what.properties.message_id}});
  }

  void settle(const confirmed& c) {
    std::uint64_t stored = 0;
    const auto before = flow_->unconfirmed();
    const bool known = flow_->settle(c.tag, c.multiple, c.stored, self_.now(), [&](auto took) {
      ++stored;
      metrics_->relay_confirms.observe(took);
    });
    metrics_->relay.confirmed += stored;
    metrics_->relay.nacked += before - flow_->unconfirmed() - stored;
    if (!known) return link_->lost({error_code::unavailable, "the broker confirmed what was never published"});
    if (patience_.settled(c.stored, self_.now())) renew_channel();
    mark_soon();
    leave_when_confirmed();
  }

  void renew_channel() {
    log::info("rabbitmq: everything is refused on this channel; opens another", {{"path", self_.path()}});
    flow_->lost();
    if (auto fresh = link_->up()->reopen_confirming(publishing); !fresh) return link_->lost(fresh.error());
    patience_.opened(self_.now());
  }

  /// Publishes what may go now; returns how many.
  result<int> send_burst(connection& c) {
    const connection::burst together(c);
    const auto now = self_.now();
    if (flow_->unconfirmed() == 0) patience_.waits(now);
    int sent = 0;
    while (sent < burst_max) {
      const event* e = flow_->next(now);
      if (!e) break;
      const auto m = to_message(*e, {.node = options_.node}, options_.format);
      if (!m) {
        flow_->skipped();
        mark_soon();
        continue;
      }
      const bool mandatory = m->exchange == events_exchange;  // a notification may have no reader
      if (auto done = c.publish(publishing, *m, mandatory); !done) return failure(std::move(done.error()));
      flow_->sent(now);
      ++sent;
    }
    metrics_->relay.published += static_cast<std::uint64_t>(sent);
    return sent;
  }

  void pump() {
    if (pumping_ || stopping_ || !flow_) return;
    pumping_ = true;
    int sent = 0;
    while (auto* c = link_->up()) {
      if (link_->blocked()) break;
      const auto some = send_burst(*c);
      if (!some) {
        link_->lost(some.error());
        break;
      }
      sent += *some;
      if (*some < burst_max) break;
      link_->drain();
    }
    pumping_ = false;
    metrics_->relay.unconfirmed = flow_->unconfirmed();
    if (sent > 0) link_->drain();
    if (const auto at = flow_->resume_at(); at && flow_->unconfirmed() == 0 && !resuming_) {
      resuming_ = true;
      const auto wait = std::chrono::ceil<milliseconds>(*at - self_.now());
      self_.after(std::max(wait, 0ms), guarded([](relay_actor& me) {
                    me.resuming_ = false;
                    me.pump();
                  }));
    }
    read();
  }

  /// What is under way is waited for, so that the next start does not publish it again; then its mark is stored.
  void stop() {
    stopping_ = true;
    self_.after(confirms_at_end_max, guarded([](relay_actor& me) { me.leave(); }));
    link_->drain();
    leave_when_confirmed();
  }

  void leave_when_confirmed() {
    if (stopping_ && !(link_->up() && flow_ && flow_->unconfirmed() > 0)) leave();
  }

  void leave() {
    if (std::exchange(left_, true)) return;
    link_->close();
    if (!flow_ || (flow_->done_to() == marked_to_ && !marking_)) return self_.quit();
    self_.after(mark_at_end_max, guarded([](relay_actor& me) { me.self_.quit(); }));
    mark();
  }

  kit::context& self_;
  bridges::services services_;
  const options options_;
  std::shared_ptr<metrics> metrics_;
  topology_keeper topology_{options_, *metrics_, declaring};
  std::shared_ptr<link> link_;
  std::optional<relay_flow> flow_;
  std::uint64_t epoch_ = 0, marked_to_ = 0;
  bool live_ = false, reading_ = false, marking_ = false, marking_soon_ = false;
  confirm_patience patience_{options_.confirm_max};
  kit::instant warn_again_{};
  bool pumping_ = false, resuming_ = false, stopping_ = false, left_ = false;
  std::string journal_fault_;
};

}  // namespace

kit::actor_body relay(bridges::services services, options o, std::shared_ptr<metrics> m) {
  return [=](kit::context& self) -> kit::behavior {
    auto actor = std::make_shared<relay_actor>(self, services, o, m);
    actor->start();
    return kit::behavior{}
        .on<journal::committed>([actor](const journal::committed& c) { actor->take(c); })
        .on<health>([actor](const health&) -> result<bridges::bridge_health> { return actor->how(); });
  };
}

}  // namespace horizons::rabbitmq
