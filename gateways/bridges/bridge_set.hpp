// All bridges that a configuration asks for, put together: what a node's supervisor starts, and what its doors ask of
// them. Brokers need not be there: the actors connect by themselves, and say so while they cannot.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <prometheus/collectable.h>

#include "gateways/bridges/dead_letters.hpp"
#include "gateways/bridges/services.hpp"
#include "runtime/config/config.hpp"
#include "runtime/kit/system.hpp"
#include "runtime/supervision/supervisor.hpp"

namespace horizons::bridges {

struct bridge_set {
  std::vector<supervision::child_spec> children;  // of "<root>"; empty: no bridge is configured
  std::vector<std::shared_ptr<const prometheus::Collectable>> metrics;
  std::vector<std::function<std::string()>> metrics_text;  // more of the same, as Prometheus text
  std::shared_ptr<dead_letter_box> dead_letters;           // null: none
  /// "kafka/source" … and how each is; asks the running actors.
  std::function<void(callback<std::vector<std::pair<std::string, bridge_health>>>)> health;
  /// kafka::adopt_partitions; {"partitions": […]}. Empty: there is no Kafka bridge.
  std::function<void(std::string from, std::string by, callback<json>)> adopt;
};

/// `root`: the path of the supervisor that will start the children ("/node/bridges"). Errors: invalid_argument, what of
/// the configuration cannot be used.
result<bridge_set> make_bridges(const configuration& config, const services& s, kit::system& system,
                                const std::string& root);

/// Under which names the journal keeps how far the relays of these bridges have come.
std::vector<std::string> relay_sources(const configuration& config);

}  // namespace horizons::bridges
