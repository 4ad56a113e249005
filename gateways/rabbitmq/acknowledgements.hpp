// Acknowledges the source's deliveries when they are finished, many with one frame: each frame is a round of consensus
// on a quorum queue.
#pragma once

#include <cstdint>

#include "gateways/rabbitmq/delivery_ledger.hpp"
#include "gateways/rabbitmq/guarded.hpp"
#include "gateways/rabbitmq/link.hpp"

namespace horizons::rabbitmq {

class acknowledgements : public guarded_state<acknowledgements> {
public:
  /// They leave when half of the prefetch is finished (a fifth costs 7 % of the rate on a quorum queue, which sends
  /// each time as much as it was given room for), or
  static constexpr std::size_t per_prefetch = 2;
  /// so long after the first; a stream that fills half of 1,000 within this time gets by with one for each half.
  static constexpr kit::milliseconds leave_after{20};

  acknowledgements(kit::context& self, link& l, std::uint16_t channel, std::size_t prefetch, link_metrics& m)
      : self_(self), link_(l), channel_(channel), prefetch_(prefetch), metrics_(m) {}

  /// False: see delivery_ledger.
  bool delivered(std::uint64_t tag) {
    const bool in_order = ledger_.delivered(tag);
    show();
    return in_order;
  }
  void finished(std::uint64_t tag) {
    ledger_.finished(tag);
    show();
    if (ledger_.ready() * per_prefetch >= prefetch_) return flush();
    flush_later();
  }
  /// Given back or rejected instead.
  bool withdrawn(std::uint64_t tag) {
    const bool was_open = ledger_.withdrawn(tag);
    show();
    return was_open;
  }
  /// All that is finished, now.
  void flush() {
    auto* c = link_.up();
    if (!c) return;
    ++flushes_;
    metrics_.acked += ledger_.ready();
    for (const auto& ack : ledger_.flush())
      if (auto done = c->ack(channel_, ack.tag, ack.multiple); !done) return link_.lost(done.error());
  }
  /// The connection is gone.
  void clear() {
    ledger_.clear();
    show();
  }
  std::size_t open() const { return ledger_.open(); }

private:
  void show() { metrics_.unacked.store(ledger_.open(), std::memory_order_relaxed); }
  /// For what comes too slowly to fill a frame: one that left meanwhile puts it off.
  void flush_later() {
    if (std::exchange(waiting_, true)) return;
    self_.after(leave_after, guarded([flushed = flushes_](acknowledgements& me) {
                  me.waiting_ = false;
                  if (flushed == me.flushes_) return me.flush();
                  if (me.ledger_.ready() > 0) me.flush_later();
                }));
  }

  kit::context& self_;
  link& link_;
  const std::uint16_t channel_;
  const std::size_t prefetch_;
  link_metrics& metrics_;
  delivery_ledger ledger_;
  std::uint64_t flushes_ = 0;
  bool waiting_ = false;
};

}  // namespace horizons::rabbitmq
