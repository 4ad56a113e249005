// Our side of kafka_bench's throughput: what is done with each record, and one run of it.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bench/gateways/kafka_bridge.hpp"
#include "gateways/kafka/producer.hpp"
#include "gateways/kafka/submission_handler.hpp"
#include "messages/make_event.hpp"

namespace horizons::bench {

using namespace std::chrono_literals;

/// Passes on what was gathered in a turn of the source, behind it.
class gathering_handler : public kafka::record_handler, public std::enable_shared_from_this<gathering_handler> {
protected:
  explicit gathering_handler(kit::context& self) : in_source_(self.mailbox_executor()) {}
  void pass_on_soon() {
    if (std::exchange(coming_, true)) return;
    in_source_([weak = weak_from_this()] {
      const auto me = weak.lock();
      if (!me) return;
      me->coming_ = false;
      me->pass_on();
    });
  }
  virtual void pass_on() = 0;

private:
  std::function<bool(std::function<void()>)> in_source_;
  bool coming_ = false;
};

/// Every record goes on to another topic and is done when the brokers have it.
class copier : public gathering_handler {
public:
  copier(bridge& b, kit::context& self, std::string to) : gathering_handler(self), bridge_(b), to_(std::move(to)) {}
  void open(const kafka::kafka_options& options, int linger_ms) {
    auto opened = kafka::producer::open(
        {.kafka = options, .linger = kafka::milliseconds(linger_ms), .messages_max = 100'000, .topics = {to_}},
        [this] { wake(); });
    producer_ = bare::must(std::move(opened));
  }
  result<kafka::task> read(const kafka::received& r) override {
    bridge_.start();
    auto* s = free_slot();
    s->copy->key.emplace(r.key.value_or(""));
    if (!s->copy->value) s->copy->value.emplace();
    s->copy->value->assign(r.value.value_or(""));
    kafka::task t;  // without a lane: the producer keeps the order of each key by itself, as the relay relies on
    t.run = [this, s](const kafka::record_mark&, kafka::completion then) {
      s->then = std::move(then);
      gathered_.push_back({to_, s->copy, reinterpret_cast<std::uint64_t>(s)});
      pass_on_soon();
    };
    return t;
  }

private:
  /// A record on its way; used again when it has arrived.
  struct slot {
    std::shared_ptr<kafka::record> copy = std::make_shared<kafka::record>();
    std::optional<kafka::completion> then;
  };
  slot* free_slot() {
    if (free_.empty()) {
      const std::lock_guard lock(mutex_);
      free_.swap(arrived_);
    }
    if (free_.empty()) return &slots_.emplace_back();
    auto* s = free_.back();
    free_.pop_back();
    return s;
  }
  void pass_on() override {
    if (producer_->send(gathered_) != gathered_.size()) bare::die("the producer has less room than the source");
    gathered_.clear();
  }
  /// On the producer's thread.
  void wake() {
    producer_->take_deliveries(delivered_);
    for (const auto& d : delivered_) {
      if (d.refused) bare::die(d.refused->text);
      told_.push_back(std::move(*reinterpret_cast<slot*>(d.token)->then));
    }
    {
      const std::lock_guard lock(mutex_);
      for (const auto& d : delivered_) arrived_.push_back(reinterpret_cast<slot*>(d.token));
    }
    bridge_.count(told_.size());
    kafka::completion::tell(told_, true);
    told_.clear();
  }

  bridge& bridge_;
  std::string to_;
  std::vector<kafka::producer::outgoing> gathered_;  // of this turn
  std::deque<slot> slots_;                           // as many as were ever under way
  std::vector<slot*> free_, arrived_;                // arrived_: with the mutex
  std::mutex mutex_;
  std::vector<kafka::delivery> delivered_;
  std::vector<kafka::completion> told_;
  std::unique_ptr<kafka::producer> producer_;  // the last: its thread uses the others
};

/// Our side of the first row.
inline rate pass_through(const kafka::kafka_options& o, const std::string& from, const std::string& to,
                         std::size_t count, int linger_ms, std::size_t in_flight_max) {
  bridge b(
      o, from, "memory:" + bare::unique("bench"),
      [&](bridge& me, kit::context& self) {
        auto c = std::make_shared<copier>(me, self, to);
        c->open(o, linger_ms);
        return c;
      },
      in_flight_max);
  const auto r = b.wait(count);
  b.system.shutdown(10s);
  return r;
}

/// Commands become events in the journal, with their marks in the same transaction: those of a turn in one batch.
class recorder : public gathering_handler {
public:
  recorder(bridge& b, kit::context& self) : gathering_handler(self), bridge_(b), self_(self) {
    auto services = b.services;
    services.handle = [this](bridges::incoming in, bridges::callback<bridges::handled> then) {
      gather(std::move(in), std::move(then));
    };
    commands_ = kafka::submission_handler(services, {}, self);
  }
  result<kafka::task> read(const kafka::received& r) override { return commands_->read(r); }

private:
  void pass_on() override {
    self_.request(bridge_.writer, journal::append{std::exchange(gathered_, {})}, 60s,
                  [this, all = std::exchange(waiting_, {})](const result<journal::append_outcome>& r) {
                    if (!r) bare::die(r.error().text);
                    for (const auto& then : all) {
                      bridge_.count();
                      then(bridges::handled{.marked = true});
                    }
                  });
  }
  void gather(bridges::incoming in, bridges::callback<bridges::handled> then) {
    bridge_.start();
    event_context context{.now = self_.utc(), .correlation_id = in.what.correlation_id};
    gathered_.events.push_back(bare::must(make_event(context, audit_recorded{.action = in.what.command_name,
                                                                             .actor = in.what.user_id,
                                                                             .resource_type = "job",
                                                                             .resource_id = in.what.job_id,
                                                                             .outcome = in.what.idempotency_key})));
    gathered_.marks.push_back(std::move(*in.mark));
    waiting_.push_back(std::move(then));
    pass_on_soon();
  }

  bridge& bridge_;
  kit::context& self_;
  std::shared_ptr<kafka::record_handler> commands_;
  journal::batch gathered_;
  std::vector<bridges::callback<bridges::handled>> waiting_;
};

/// Our side of the PostgreSQL row.
inline rate to_journal(const kafka::kafka_options& o, const std::string& from, const std::string& journal,
                       std::size_t count, std::size_t in_flight_max) {
  bridge b(
      o, from, journal, [](bridge& me, kit::context& self) { return std::make_shared<recorder>(me, self); },
      in_flight_max);
  const auto r = b.wait(count);
  b.system.shutdown(10s);
  return r;
}

}  // namespace horizons::bench
