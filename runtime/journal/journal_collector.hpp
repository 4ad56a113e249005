// The journal's metrics as Prometheus families "horizons_journal_*", for the metrics page.
#pragma once

#include <prometheus/collectable.h>

#include <memory>
#include <vector>

#include "runtime/journal/journal_metrics.hpp"

namespace horizons::journal {

class journal_collector final : public prometheus::Collectable {
public:
  explicit journal_collector(std::shared_ptr<const journal_metrics> metrics) : metrics_(std::move(metrics)) {}
  std::vector<prometheus::MetricFamily> Collect() const override;

private:
  std::shared_ptr<const journal_metrics> metrics_;
};

}  // namespace horizons::journal
