// One connection to one broker over rabbitmq-c, owned by one thread (R3). Calls block, but never for ever: the watch
// cuts the socket of a broker that does not answer (R1). After an error that ends_connection() it must be dropped; the
// others leave it usable.
#pragma once

#include <amqp.h>

#include <array>
#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateways/rabbitmq/message.hpp"
#include "gateways/rabbitmq/nap.hpp"
#include "gateways/rabbitmq/socket_watch.hpp"
#include "gateways/rabbitmq/url.hpp"
#include "gateways/rabbitmq/wire.hpp"

namespace horizons::rabbitmq {

struct connection_options {
  using milliseconds = std::chrono::milliseconds;
  int heartbeat_s = 30;
  milliseconds connect_max{5'000};  // TCP, TLS and AMQP handshake, each
  milliseconds answer_max{10'000};  // one question to the broker, or one write that it does not read
  std::string name = "horizons";    // shown in the management interface
};

/// Whether `e`, of a call on a connection, means that it is gone; else the broker refused and the connection is good.
inline bool ends_connection(const error& e) {
  return e.code == error_code::unavailable || e.code == error_code::timed_out;
}

struct queue_state {
  std::uint32_t messages = 0, consumers = 0;
};

class connection {
public:
  using milliseconds = std::chrono::milliseconds;
  static constexpr std::uint16_t channels_max = 8;

  /// Logs in with the capabilities that make the broker tell of cancelled consumers and alarms (R2).
  static result<std::unique_ptr<connection>> open(const endpoint& where, const connection_options& options,
                                                  socket_watch& watch);
  ~connection();
  connection(const connection&) = delete;

  /// The next event, waiting at most `wait`; nullopt: none. Serves heartbeats (R4), so it must be called at least
  /// every heartbeat/2.
  result<std::optional<broker_event>> next(milliseconds wait = milliseconds{0});
  /// Whether next() may find something without a look at the socket.
  bool has_more() const;
  /// Waits for something to arrive, when there is no more. (The library waits in whole milliseconds.)
  nap::ended wait(nap& in, std::chrono::microseconds at_most) const;

  result<void> open_channel(std::uint16_t channel);
  void close_channel(std::uint16_t channel);
  result<void> confirm_select(std::uint16_t channel);
  /// Both: a channel to publish on.
  result<void> open_confirming(std::uint16_t channel);
  /// Closes it first: what the broker knew of it is forgotten, numbers of publishes begin anew.
  result<void> reopen_confirming(std::uint16_t channel);
  result<void> prefetch(std::uint16_t channel, std::uint16_t messages);

  // A refusal of the broker (conflict: 406, not_found: 404, forbidden: 403) closes the channel; open it again.
  result<void> declare_exchange(std::uint16_t channel, const std::string& name, const std::string& type, bool durable);
  result<queue_state> declare_queue(std::uint16_t channel, const std::string& name, bool durable,
                                    const field_table& arguments);
  result<queue_state> queue_depth(std::uint16_t channel, const std::string& name);  // passive
  result<void> bind(std::uint16_t channel, const std::string& queue, const std::string& exchange,
                    const std::string& routing_key);
  result<void> consume(std::uint16_t channel, const std::string& queue, const std::string& consumer);
  result<void> cancel(std::uint16_t channel, const std::string& consumer);
  /// Null: the queue is empty.
  result<delivery_ptr> get(std::uint16_t channel, const std::string& queue);

  /// A delivery that nobody needs any more: the next one has the room of its texts.
  void reuse(delivery_ptr d);

  result<void> ack(std::uint16_t channel, std::uint64_t tag, bool multiple = false);
  result<void> nack(std::uint16_t channel, std::uint64_t tag, bool multiple, bool requeue);

  /// Reads what has arrived before it writes, at least every tenth of a second (R1).
  result<void> publish(std::uint16_t channel, const message& m, bool mandatory);

  /// While it lives, what is written leaves in full segments: many messages with one packet, which spares both sides'
  /// kernels most of the work (the library writes each message with three calls). What is left leaves at the end.
  class burst {
  public:
    explicit burst(connection& c);
    ~burst();
    burst(const burst&) = delete;

  private:
    connection& connection_;
  };

  /// The broker's own name for its cluster, or empty.
  const std::string& cluster_name() const { return cluster_name_; }
  const std::string& peer() const { return peer_; }
  milliseconds heartbeat() const { return heartbeat_; }

private:
  using clock = std::chrono::steady_clock;

  connection(amqp_connection_state_t state, socket_watch& watch, const connection_options& options, std::string peer);

  /// A message on its way in: method, header, then bodies.
  struct assembly {
    broker_event event;
    message* into = nullptr;  // of `event`; null: no message is on its way
    std::uint64_t missing = 0;
    bool has_header = false;
    bool asked_for = false;  // by get()

    template <class Event>
    Event& begin(std::unique_ptr<Event> one = std::make_unique<Event>()) {
      auto& made = *event.emplace<std::unique_ptr<Event>>(std::move(one));
      into = &made.what;
      missing = 0;
      has_header = asked_for = false;
      return made;
    }
  };

  result<void> login(const endpoint& where);
  result<bool> read_frame(milliseconds wait);  // within a limit of the watch
  result<void> take(const amqp_frame_t& frame);
  /// One of the calls above, but for `next`. What it may read beside its answer must not wait until the socket speaks
  /// again, which may be a heartbeat later.
  class call {
  public:
    explicit call(connection& c) : of_(c), limit_(c.watch_, c.options_.answer_max) {}
    ~call();
    call(const call&) = delete;

  private:
    connection& of_;
    const socket_watch::limit limit_;
  };

  result<void> take_method(const amqp_frame_t& frame);
  void take_header(assembly& a, const amqp_frame_t& frame);
  void finish(assembly& a);
  delivery_ptr fresh_delivery();
  result<void> answer_of(std::uint16_t channel, const std::string& what);
  error lost(const std::string& why);
  error lost_status(int status);

  amqp_connection_state_t state_;
  socket_watch& watch_;
  const connection_options options_;
  const std::string peer_;
  std::string cluster_name_;
  milliseconds heartbeat_{0};
  std::array<assembly, channels_max> assemblies_;
  std::deque<broker_event> waiting_;  // came while an answer was awaited; bounded by prefetch and confirm window
  delivery_ptr got_;
  std::vector<delivery_ptr> spare_;  // see reuse()
  table_builder tables_;
  clock::time_point drained_at_;
  std::string broken_;  // why the connection is lost; empty: it is not
};

}  // namespace horizons::rabbitmq
