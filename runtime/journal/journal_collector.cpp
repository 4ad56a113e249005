#include "runtime/journal/journal_collector.hpp"

#include <prometheus/metric_family.h>

#include <limits>

namespace horizons::journal {

namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

MetricFamily family(std::string name, std::string help, MetricType type) {
  MetricFamily f;
  f.name = "horizons_journal_" + std::move(name);
  f.help = std::move(help);
  f.type = type;
  return f;
}

MetricFamily gauge(std::string name, std::string help, std::uint64_t value) {
  auto f = family(std::move(name), std::move(help), MetricType::Gauge);
  f.metric.emplace_back().gauge.value = static_cast<double>(value);
  return f;
}

MetricFamily counter(std::string name, std::string help, std::uint64_t value) {
  auto f = family(std::move(name), std::move(help), MetricType::Counter);
  f.metric.emplace_back().counter.value = static_cast<double>(value);
  return f;
}

using outcomes = std::initializer_list<std::pair<const char*, std::uint64_t>>;

MetricFamily by_outcome(std::string name, std::string help, outcomes values) {
  auto f = family(std::move(name), std::move(help), MetricType::Counter);
  for (const auto& [outcome, value] : values) {
    auto& m = f.metric.emplace_back();
    m.label.push_back({"outcome", outcome});
    m.counter.value = static_cast<double>(value);
  }
  return f;
}

MetricFamily histogram(std::string name, std::string help, const kit::duration_histogram& h) {
  auto f = family(std::move(name), std::move(help), MetricType::Histogram);
  auto& m = f.metric.emplace_back();
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < h.buckets; ++i) {
    total += h.count(i);
    const auto upper = i + 1 == h.buckets ? std::numeric_limits<double>::infinity() : h.upper_seconds(i);
    m.histogram.bucket.push_back({.cumulative_count = total, .upper_bound = upper});
  }
  m.histogram.sample_count = total;
  m.histogram.sample_sum = h.sum_seconds();
  return f;
}

}  // namespace

std::vector<MetricFamily> journal_collector::Collect() const {
  const auto& m = *metrics_;
  return {
      by_outcome("appends_total", "Batches appended, by outcome.",
                 {{"committed", m.batches}, {"conflict", m.conflicts}, {"fenced", m.fenced}, {"refused", m.refused}}),
      by_outcome("commits_total", "Commits, each of many batches, by outcome.",
                 {{"committed", m.commits}, {"failed", m.commits_failed}}),
      histogram("commit_seconds", "Time a commit took until it was on disk.", m.commit_times),
      counter("events_total", "Events committed.", m.events),
      counter("repeated_events_total", "Events appended again that were stored already.", m.repeats),
      gauge("last_position", "Position of the last event.", m.last_position),
      gauge("size_bytes", "Size on disk, indexes included.", m.size_bytes),
      gauge("archived_position", "Events up to here were archived; 0: none since the node started.", m.archived_to),
      counter("archived_events_total", "Events that left the table of events for an archive.", m.rows_archived),
      gauge("subscribers", "Subscribers of the event stream.", m.subscribers),
      counter("subscribers_fell_behind_total", "Times a subscriber's full lane sent it back to reading the journal.",
              m.subscribers_fell_behind),
  };
}

}  // namespace horizons::journal
