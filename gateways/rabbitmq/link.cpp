#include "gateways/rabbitmq/link.hpp"

#include "runtime/telemetry/log.hpp"

namespace horizons::rabbitmq {

namespace {

using namespace std::chrono_literals;

constexpr kit::milliseconds settled_after{5'000};  // a connection that ends sooner is one more failure in a row
/// Then other messages of the actor have their turn: what is finished is acknowledged while more is on its way.
/// A quorum queue's answer to an acknowledgement takes milliseconds, so it must not wait for hundreds of deliveries.
constexpr int events_per_turn = 32;

}  // namespace

link::link(kit::context& self, const options& o, const std::string& role, link_metrics& metrics, hooks h)
    : self_(self),
      options_([&] {
        options mine = o;
        mine.connection.name += "/" + role;
        return mine;
      }()),
      role_(role),
      metrics_(metrics),
      hooks_(std::move(h)),
      plan_(options_.hosts.size(), options_.reconnect) {}

link::~link() {
  metrics_.connected = false;
  connection_.reset();  // before the watch, which it uses
}

void link::start() {
  watch_ = std::make_unique<socket_watch>(
      [run = self_.mailbox_executor(), read = guarded([](link& me) { me.drain(me.hooks_.flowing); })] { run(read); });
  attempt(plan_.start(std::uniform_real_distribution<>{0, 1}(random_)));
}

void link::attempt(reconnect_plan::attempt next) {
  if (closed_) return;
  self_.after(next.after, guarded([host = next.host](link& me) { me.connect(host); }));
}

void link::connect(std::size_t host) {
  if (closed_ || connection_) return;
  auto made = connection::open(options_.hosts[host], options_.connection, *watch_);
  metrics_.cuts = watch_->cuts();
  if (!made) return drop(made.error());
  connection_ = std::move(*made);
  ++connections_;
  ++metrics_.connects;
  is_up_ = true;
  if (auto ready = hooks_.up(*connection_); !ready) return lost(ready.error());
  up_since_ = self_.now();
  metrics_.connected = true;
  state_ = "up";
  log::info("rabbitmq: connected", {{"path", self_.path()}, {"broker", connection_->peer()}});
  serve_heartbeats(connections_);
  drain();
}

void link::lost(const error& why) {
  if (!connection_) return;
  const bool was_up = std::exchange(is_up_, false);
  metrics_.connected = false;
  set_blocked(false);
  if (was_up) hooks_.down(why);
  if (state_ == "up" && self_.now() - up_since_ > settled_after) plan_.succeeded();
  drop(why);
}

void link::drop(const error& why) {
  connection_.reset();
  ++metrics_.losses;
  metrics_.cuts = watch_->cuts();
  if (closed_) return;
  state_ = why.text;
  const auto next = plan_.failed(std::uniform_real_distribution<>{0, 1}(random_));
  log::warn("rabbitmq: " + why.text, {{"path", self_.path()},
                                      {"next", options_.hosts[next.host].name()},
                                      {"in_ms", std::to_string(next.after.count())}});
  attempt(next);
}

void link::drain(std::chrono::microseconds linger) {
  if (draining_) return;  // the loop below is running and goes on
  draining_ = true;
  bool idle = false;
  for (int i = 0; connection_ && is_up_ && !idle && i < events_per_turn; ++i) {
    if (i > 0 && !connection_->has_more()) {
      if (linger > 0us) nap_->lie_down();
      if (hooks_.caught_up) hooks_.caught_up();
      if (!is_up_) break;
      // Asked before it is read: reading the socket in vain takes two calls more for each packet.
      const auto came = linger > 0us ? connection_->wait(*nap_, linger) : nap::ended::readable;
      if (came == nap::ended::interrupted) continue;
      idle = came == nap::ended::timed_out;
      if (idle) break;
    }
    auto event = connection_->next();
    if (!event) {
      lost(event.error());
    } else if (*event) {
      take(**event);
    } else {
      idle = i == 0 || linger == 0us;  // else a part of a message came, and the rest follows
    }
  }
  draining_ = false;
  if (!connection_ || !is_up_) return;
  if (idle) return watch_->arm();
  self_.mailbox_executor()(guarded([](link& me) { me.drain(me.hooks_.flowing); }));
}

void link::take(broker_event& e) {
  if (std::holds_alternative<rabbitmq::blocked>(e)) set_blocked(true);
  if (std::holds_alternative<unblocked>(e)) set_blocked(false);
  hooks_.event(e);
}

void link::serve_heartbeats(std::uint64_t of_connection) {
  if (closed_ || !connection_ || connections_ != of_connection) return;
  drain();
  if (!connection_) return;
  const auto every = std::max(connection_->heartbeat() / 3, kit::milliseconds{100});
  self_.after(every, guarded([of_connection](link& me) { me.serve_heartbeats(of_connection); }));
}

void link::set_blocked(bool on) {
  if (blocked_ == on) return;
  blocked_ = on;
  if (on) {
    blocked_since_ = self_.now();
    log::warn("rabbitmq: the broker takes no publishes: memory or disk alarm", {{"path", self_.path()}});
  } else {
    metrics_.blocked_ns += static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(self_.now() - blocked_since_).count());
  }
}

void link::close() {
  closed_ = true;
  is_up_ = false;
  metrics_.connected = false;
  connection_.reset();
}

}  // namespace horizons::rabbitmq
