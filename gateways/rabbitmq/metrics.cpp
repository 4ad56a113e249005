#include "gateways/rabbitmq/metrics.hpp"

#include <prometheus/metric_family.h>

#include <functional>

namespace horizons::rabbitmq {

void confirm_histogram::observe(std::chrono::nanoseconds took) {
  const double s = std::chrono::duration<double>(took).count();
  std::size_t bucket = 0;
  while (bucket < buckets && s > bound_s(bucket)) ++bucket;
  ++counts[bucket];
  sum_ns += static_cast<std::uint64_t>(took.count());
}

void metrics::set_depth(const std::string& queue, std::uint64_t messages) {
  std::lock_guard lock(mutex_);
  depths_[queue] = messages;
}

std::map<std::string, std::uint64_t> metrics::depths() const {
  std::lock_guard lock(mutex_);
  return depths_;
}

namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

class families {
public:
  void begin(const std::string& name, const std::string& help, MetricType type) {
    all_.push_back({"horizons_rabbitmq_" + name, help, type, {}});
  }
  void value(double v, const std::string& label = {}, const std::string& of = {}) {
    ClientMetric m;
    if (!label.empty()) m.label.push_back({label, of});
    (all_.back().type == MetricType::Counter ? m.counter.value : m.gauge.value) = v;
    all_.back().metric.push_back(std::move(m));
  }
  void one(const std::string& name, const std::string& help, MetricType type, double v) {
    begin(name, help, type);
    value(v);
  }
  void histogram(const confirm_histogram& h) {
    ClientMetric m;
    std::uint64_t count = 0;
    for (std::size_t i = 0; i < confirm_histogram::buckets; ++i) {
      count += h.counts[i];
      m.histogram.bucket.push_back({count, confirm_histogram::bound_s(i)});
    }
    m.histogram.sample_count = count + h.counts[confirm_histogram::buckets];
    m.histogram.sample_sum = static_cast<double>(h.sum_ns) * 1e-9;
    all_.back().metric.push_back(std::move(m));
  }
  std::vector<MetricFamily> take() { return std::move(all_); }

private:
  std::vector<MetricFamily> all_;
};

}  // namespace

std::vector<MetricFamily> collector::Collect() const {
  families out;
  const auto per_link = [&](const std::string& name, const std::string& help, MetricType type,
                            const std::function<double(const link_metrics&)>& value) {
    out.begin(name, help, type);
    out.value(value(of_->source), "link", "source");
    out.value(value(of_->relay), "link", "relay");
    out.value(value(of_->dead_letters), "link", "dead_letters");
  };
  const auto counter = [&](const std::string& name, const std::string& help, auto member) {
    per_link(name, help, MetricType::Counter, [=](const link_metrics& l) { return static_cast<double>(l.*member); });
  };
  per_link("connected", "1 while connected.", MetricType::Gauge,
           [](const link_metrics& l) { return l.connected ? 1.0 : 0.0; });
  counter("connects_total", "Connections made.", &link_metrics::connects);
  counter("connection_losses_total", "Connections lost, or not to be had.", &link_metrics::losses);
  counter("cuts_total", "Sockets cut because the broker did not answer.", &link_metrics::cuts);
  per_link("blocked_seconds_total", "Time in which the broker refused publishes (memory or disk alarm).",
           MetricType::Counter, [](const link_metrics& l) { return static_cast<double>(l.blocked_ns) * 1e-9; });
  counter("published_total", "Messages published.", &link_metrics::published);
  counter("confirmed_total", "Publishes that the broker confirmed.", &link_metrics::confirmed);
  counter("nacked_total", "Publishes that the broker refused; they are repeated.", &link_metrics::nacked);
  counter("returned_total", "Mandatory publishes that no queue took.", &link_metrics::returned);
  counter("delivered_total", "Messages received.", &link_metrics::delivered);
  counter("redelivered_total", "Of these, delivered before.", &link_metrics::redelivered);
  counter("acked_total", "Messages acknowledged.", &link_metrics::acked);
  counter("requeued_total", "Messages given back.", &link_metrics::requeued);
  per_link("unconfirmed", "Publishes on their way.", MetricType::Gauge,
           [](const link_metrics& l) { return static_cast<double>(l.unconfirmed); });
  per_link("unacked", "Messages being worked on.", MetricType::Gauge,
           [](const link_metrics& l) { return static_cast<double>(l.unacked); });
  out.begin("confirm_seconds", "From publish to confirm, relay.", MetricType::Histogram);
  out.histogram(of_->relay_confirms);
  out.begin("submissions_total", "What became of submissions.", MetricType::Counter);
  out.value(static_cast<double>(of_->applied), "outcome", "applied");
  out.value(static_cast<double>(of_->repeated), "outcome", "repeated");
  out.value(static_cast<double>(of_->rejected), "outcome", "rejected");
  out.value(static_cast<double>(of_->dead_lettered), "outcome", "dead_lettered");
  out.value(static_cast<double>(of_->dropped), "outcome", "dropped");
  out.one("replies_total", "Answers to reply-to queues.", MetricType::Counter, static_cast<double>(of_->replies));
  out.one("congested_total", "Times that the queue of jobs was full.", MetricType::Counter,
          static_cast<double>(of_->congested));
  out.one("consumer_cancels_total", "Consumers that the broker ended.", MetricType::Counter,
          static_cast<double>(of_->consumer_cancels));
  out.one("relay_position", "Journal position up to which events are confirmed.", MetricType::Gauge,
          static_cast<double>(of_->relay_position));
  out.begin("queue_messages", "Messages in a queue, as last seen.", MetricType::Gauge);
  for (const auto& [queue, messages] : of_->depths()) out.value(static_cast<double>(messages), "queue", queue);
  return out.take();
}

}  // namespace horizons::rabbitmq
