// When a record goes to librdkafka, and when it waits here until the batch before it has been answered.
//
// librdkafka 2.0.2's idempotent producer has one batch per partition under way (RD_KAFKA_IDEMP_MAX_INFLIGHT is compared
// with messages, not with requests), and while records older than linger wait behind it, its broker thread spins: a
// whole core per broker, taken from brokers on the same machine. So what would wait there waits here, and goes out as
// one batch when the answer comes. Only what is expected of librdkafka: a wrong guess of a record's partition costs
// time, never order.
//
// Pure: told the time.
#pragma once

#include <chrono>
#include <cstddef>
#include <deque>

namespace horizons::kafka {

/// Of one partition. `Item` is cheap to copy.
template <class Item>
class batch_turns {
public:
  using instant = std::chrono::steady_clock::time_point;

  struct limits {
    std::chrono::steady_clock::duration gathering;  // a batch takes more for so long after its first record
    std::size_t bytes_max = 980'000;                // and up to so many bytes: librdkafka cuts it at a million
    std::size_t records_max = 9'000;                // … or 10,000 records
    std::size_t records_enough = 64;  // one that begins with so many that have waited takes no more: it is
                                      // large enough, and nothing can come too late for it
  };

  /// Whether a record goes at once. It is under way then; else it waits for its turn.
  bool offer(Item item, std::size_t bytes, instant now, const limits& l) {
    if (under_way_ == 0) begin(now);
    if (!waiting_.empty() || (under_way_ > 0 && (now - began_ >= l.gathering || !fits(bytes, l)))) {
      waiting_.push_back({item, bytes});
      return false;
    }
    count(bytes);
    return true;
  }

  /// One of those under way was answered; `go` gets what goes now, in order. It may not call back.
  template <class F>
  void answered(instant now, const limits& l, F go) {
    if (under_way_ > 0 && --under_way_ > 0) return;
    begin(now);
    while (!waiting_.empty() && (under_way_ == 0 || fits(waiting_.front().bytes, l))) {
      const auto next = waiting_.front();
      waiting_.pop_front();
      count(next.bytes);
      go(next.item);
    }
    if (records_ >= l.records_enough) began_ = now - l.gathering;
  }

  std::size_t waiting() const { return waiting_.size(); }
  std::size_t under_way() const { return under_way_; }

private:
  struct held {
    Item item;
    std::size_t bytes;
  };
  void begin(instant now) {
    began_ = now;
    bytes_ = records_ = 0;
  }
  bool fits(std::size_t bytes, const limits& l) const {
    return bytes_ + bytes <= l.bytes_max && records_ < l.records_max;
  }
  void count(std::size_t bytes) {
    ++under_way_;
    ++records_;
    bytes_ += bytes;
  }

  std::deque<held> waiting_;
  std::size_t under_way_ = 0, bytes_ = 0, records_ = 0;  // the last two: of the present batch
  instant began_{};
};

}  // namespace horizons::kafka
