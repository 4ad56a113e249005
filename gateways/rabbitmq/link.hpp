// Keeps one connection alive inside a blocking actor: connects, connects again over the host list, reads what arrives,
// serves heartbeats, counts. What travels over it is the owner's business.
#pragma once

#include <functional>
#include <memory>
#include <random>
#include <string>

#include "gateways/rabbitmq/connection.hpp"
#include "gateways/rabbitmq/guarded.hpp"
#include "gateways/rabbitmq/metrics.hpp"
#include "gateways/rabbitmq/options.hpp"
#include "gateways/rabbitmq/reconnect.hpp"
#include "runtime/kit/kit.hpp"

namespace horizons::rabbitmq {

class link : public guarded_state<link> {
public:
  struct hooks {
    /// A fresh connection: open channels, declare, consume. On an error the next host is tried.
    std::function<result<void>(connection&)> up;
    std::function<void(broker_event&)> event;
    /// The connection that was up is gone.
    std::function<void(const error&)> down;
    /// All that had come was handed on: what can be done now must not wait for what comes next. May be empty.
    std::function<void()> caught_up;
    /// Where something has come, more follows soon: so long it is waited for here, which spares two changes of threads
    /// for each packet. Other messages of the actor wait as long (at most 32 times, while single ones come), unless
    /// that is interrupted.
    std::chrono::microseconds flowing{100};
  };

  link(kit::context& self, const options& o, const std::string& role, link_metrics& metrics, hooks h);
  ~link();

  void start();
  /// Null while there is none.
  connection* up() const { return is_up_ ? connection_.get() : nullptr; }
  bool blocked() const { return blocked_; }
  /// A call on the connection failed for good: it is dropped, and the next one made.
  void lost(const error& why);
  /// Reads all that has arrived, waiting `linger` for more each time. Safe inside the hooks.
  void drain(std::chrono::microseconds linger = {});
  /// Where it waits for more. Who interrupts that, on any thread and also when this is gone, has caught_up called.
  std::shared_ptr<nap> waits_in() const { return nap_; }
  /// Says goodbye; nothing is connected afterwards.
  void close();

  /// "up", or why not and since when it is tried.
  const std::string& state() const { return state_; }

private:
  void attempt(reconnect_plan::attempt next);
  void connect(std::size_t host);
  void drop(const error& why);
  void serve_heartbeats(std::uint64_t of_connection);
  void take(broker_event& e);
  void set_blocked(bool on);

  kit::context& self_;
  const options options_;
  const std::string role_;
  link_metrics& metrics_;
  const hooks hooks_;
  reconnect_plan plan_;
  std::minstd_rand random_{std::random_device{}()};
  const std::shared_ptr<nap> nap_ = std::make_shared<nap>();
  std::unique_ptr<socket_watch> watch_;
  std::unique_ptr<connection> connection_;
  std::uint64_t connections_ = 0;
  bool is_up_ = false, draining_ = false, closed_ = false, blocked_ = false;
  kit::instant up_since_{}, blocked_since_{};
  std::string state_ = "connecting";
};

}  // namespace horizons::rabbitmq
