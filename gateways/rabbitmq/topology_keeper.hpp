// What one actor knows about the topology: declares it, remembers what was refused, looks at depths and at what is
// missing. Declaring waits for the whole cluster (its metadata, a quorum's leader), so whoever must not stand still
// does it only when it cannot work otherwise.
#pragma once

#include <string>
#include <utility>

#include "gateways/rabbitmq/metrics.hpp"
#include "gateways/rabbitmq/topology.hpp"

namespace horizons::rabbitmq {

class topology_keeper {
public:
  topology_keeper(const options& o, metrics& m, std::uint16_t channel) : options_(o), metrics_(m), channel_(channel) {}

  /// On a fresh connection: opens the channel, and declares unless that was done before and lasts.
  result<void> up(connection& c);
  /// The error: the connection is lost.
  result<void> declare(connection& c);
  /// Notes how deep the queues are; declares again when one is missing.
  result<void> look(connection& c);
  /// Something proved to be missing: up() declares again.
  void doubt() { usable_ = false; }

  bool usable() const { return usable_; }
  /// What the broker refused, in one line; empty: all is as it should be.
  const std::string& fault() const { return fault_; }

private:
  const options& options_;
  metrics& metrics_;
  const std::uint16_t channel_;
  bool usable_ = false;
  std::string fault_;
};

}  // namespace horizons::rabbitmq
