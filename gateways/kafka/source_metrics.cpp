#include "gateways/kafka/source_metrics.hpp"

#include <algorithm>
#include <limits>

namespace horizons::kafka {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

void latency_histogram::add(double seconds) {
  const auto at = std::lower_bound(upper_s.begin(), upper_s.end(), seconds) - upper_s.begin();
  counts_[static_cast<std::size_t>(at)].fetch_add(1, std::memory_order_relaxed);
  sum_ms_.fetch_add(static_cast<std::uint64_t>(std::max(seconds, 0.0) * 1000), std::memory_order_relaxed);
}

ClientMetric::Histogram latency_histogram::read() const {
  ClientMetric::Histogram h;
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    h.sample_count += counts_[i].load(std::memory_order_relaxed);
    const double upper = i < upper_s.size() ? upper_s[i] : std::numeric_limits<double>::infinity();
    h.bucket.push_back({.cumulative_count = h.sample_count, .upper_bound = upper});
  }
  h.sample_sum = static_cast<double>(sum_ms_.load(std::memory_order_relaxed)) / 1000;
  return h;
}

void source_metrics::set(std::map<partition_id, partition> now) {
  const std::lock_guard lock(mutex_);
  partitions_ = std::move(now);
}

std::vector<MetricFamily> source_metrics::Collect() const {
  std::vector<MetricFamily> out;
  const auto family = [&out](std::string name, std::string help, MetricType type) -> MetricFamily& {
    auto& f = out.emplace_back();
    f.name = "horizons_kafka_source_" + std::move(name);
    f.help = std::move(help);
    f.type = type;
    return f;
  };
  const auto count = [&family](std::string name, std::string help, const counter& c) {
    ClientMetric m;
    m.counter.value = static_cast<double>(c.load());
    family(std::move(name) + "_total", std::move(help), MetricType::Counter).metric.push_back(m);
  };
  const auto gauge = [&family](std::string name, std::string help, double value) {
    ClientMetric m;
    m.gauge.value = value;
    family(std::move(name), std::move(help), MetricType::Gauge).metric.push_back(m);
  };
  count("records", "Records taken to be worked on.", received);
  count("records_known", "Records that were dropped because they were finished or here already.", known);
  count("gaps", "Places where offsets were missing and were read again.", gaps);
  count("applied", "Records whose effects are stored.", applied);
  count("repeated", "Records that changed nothing.", repeated);
  count("dead_letters", "Records given to the dead letters.", dead_letters);
  count("retries", "Records that will be tried again.", retries);
  count("rebalances", "Assignments and revocations by the group.", rebalances);
  count("fenced", "Partitions that another owner took.", fenced);
  count("pauses", "Times a partition's reading was paused.", pauses);
  count("refused_full", "Records refused because the queue of jobs is full.", refused_full);
  count("lost", "Records that the topic no longer had when they were to be read.", lost);
  count("restarts", "Times that work stood still and the source started again.", restarts);
  gauge("throttle_seconds", "Longest time a broker made us wait in the last second.",
        static_cast<double>(throttle_ms.load()) / 1000);
  gauge("ready", "1: every partition given to this node is read.", ready ? 1 : 0);
  ClientMetric h;
  h.histogram = latency.read();
  family("latency_seconds", "From a record's timestamp to its effects being durable.", MetricType::Histogram)
      .metric.push_back(h);

  const std::lock_guard lock(mutex_);
  const auto each = [&](std::string name, std::string help, MetricType type, auto value) {
    auto& f = family(std::move(name), std::move(help), type);
    for (const auto& [id, p] : partitions_) {
      ClientMetric m;
      m.label = {{"topic", id.topic}, {"partition", std::to_string(id.number)}};
      (type == MetricType::Counter ? m.counter.value : m.gauge.value) = static_cast<double>(value(p));
      f.metric.push_back(std::move(m));
    }
  };
  constexpr auto g = MetricType::Gauge;
  each("lag", "Records up to the end that are not finished.", g, [](const partition& p) { return p.lag; });
  each("partition_finished_total", "Records finished.", MetricType::Counter,
       [](const partition& p) { return p.finished; });
  each("held", "Records between the lowest unfinished one and the newest.", g,
       [](const partition& p) { return p.held; });
  each("in_flight", "Records being worked on.", g, [](const partition& p) { return p.in_flight; });
  each("waiting", "Records that wait for their next try.", g, [](const partition& p) { return p.waiting; });
  each("parked_lanes", "Lanes that wait for an operator.", g, [](const partition& p) { return p.parked_lanes; });
  each("paused", "1: reading is paused.", g, [](const partition& p) { return p.paused ? 1 : 0; });
  each("reading", "1: the partition is read.", g, [](const partition& p) { return p.reading ? 1 : 0; });
  return out;
}

}  // namespace horizons::kafka
