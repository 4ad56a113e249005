// The metrics page: everything components register themselves, and what the kit counts per actor type, as Prometheus
// text. Not for logs (log.hpp) or spans (tracing.hpp).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <prometheus/collectable.h>
#include <prometheus/registry.h>

#include "runtime/kit/system.hpp"

namespace horizons::telemetry {

/// The kit's counters of one system as Prometheus families "horizons_actor_*", labelled by actor type.
class actor_collector final : public prometheus::Collectable {
public:
  explicit actor_collector(const kit::system& sys) : system_(&sys) {}
  std::vector<prometheus::MetricFamily> Collect() const override;

private:
  const kit::system* system_;  // outlives the page
};

class tracer;

/// What became of a tracer's spans: "horizons_spans_exported_total" and "horizons_spans_dropped_total".
class span_collector final : public prometheus::Collectable {
public:
  explicit span_collector(std::shared_ptr<const tracer> t) : tracer_(std::move(t)) {}
  std::vector<prometheus::MetricFamily> Collect() const override;

private:
  std::shared_ptr<const tracer> tracer_;
};

class metrics_page {
public:
  metrics_page() : registry_(std::make_shared<prometheus::Registry>()) { sources_.push_back(registry_); }

  /// For a component's own metrics.
  prometheus::Registry& registry() { return *registry_; }
  /// Before the page is served; not thread safe.
  void add(std::shared_ptr<const prometheus::Collectable> source) { sources_.push_back(std::move(source)); }

  /// Text exposition format 0.0.4.
  std::string prometheus_text() const;

private:
  std::shared_ptr<prometheus::Registry> registry_;
  std::vector<std::shared_ptr<const prometheus::Collectable>> sources_;
};

}  // namespace horizons::telemetry
