#include "runtime/telemetry/metrics.hpp"

#include <limits>
#include <map>

#include <prometheus/text_serializer.h>

#include "runtime/kit/actor_metrics.hpp"
#include "runtime/telemetry/tracing.hpp"

namespace horizons::telemetry {

namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

ClientMetric labelled(const std::string& type, std::string_view extra = {}, std::string_view value = {}) {
  ClientMetric m;
  m.label.push_back({"type", type});
  if (!extra.empty()) m.label.push_back({std::string(extra), std::string(value)});
  return m;
}

struct family {
  family(std::string name, std::string help, MetricType type) {
    f.name = "horizons_actor_" + std::move(name);
    f.help = std::move(help);
    f.type = type;
  }
  void counter(ClientMetric m, std::uint64_t v) {
    m.counter.value = static_cast<double>(v);
    f.metric.push_back(std::move(m));
  }
  void gauge(ClientMetric m, double v) {
    m.gauge.value = v;
    f.metric.push_back(std::move(m));
  }
  void histogram(ClientMetric m, const kit::duration_histogram& h) {
    std::uint64_t total = 0;
    for (std::size_t i = 0; i < h.buckets; ++i) {
      total += h.count(i);
      auto upper = i + 1 == h.buckets ? std::numeric_limits<double>::infinity() : h.upper_seconds(i);
      m.histogram.bucket.push_back({.cumulative_count = total, .upper_bound = upper});
    }
    m.histogram.sample_count = total;
    m.histogram.sample_sum = h.sum_seconds();
    f.metric.push_back(std::move(m));
  }
  MetricFamily f;
};

constexpr std::array<std::string_view, 4> causes{"normal", "shutdown", "failed", "killed"};  // exit_cause::kind

struct of_type {
  double mailboxes = 0, messages = 0, bytes = 0, oldest_s = 0, running_s = 0;
};

}  // namespace

std::vector<MetricFamily> actor_collector::Collect() const {
  family alive("alive", "Actors that have an address in use.", MetricType::Gauge);
  family depth("mailbox_messages", "Messages queued in data lanes.", MetricType::Gauge);
  family bytes("mailbox_bytes", "Bytes queued in data lanes.", MetricType::Gauge);
  family oldest("oldest_message_seconds", "Age of the oldest queued message.", MetricType::Gauge);
  family running("running_handler_seconds", "Longest handler that runs now.", MetricType::Gauge);
  family longest("longest_handler_seconds", "Longest handler seen (sampled).", MetricType::Gauge);
  family credit("credit_outstanding", "Messages granted and not yet returned.", MetricType::Gauge);
  family spawned("spawned_total", "Actors started.", MetricType::Counter);
  family restarted("restarted_total", "Restarts by a supervisor.", MetricType::Counter);
  family stopped("stopped_total", "Ends by cause.", MetricType::Counter);
  family dead("dead_letters_total", "Messages that reached nobody, by reason.", MetricType::Counter);
  family handled("handled_total", "Messages handled.", MetricType::Counter);
  family waited("mailbox_wait_seconds", "Time from sending to handling (sampled).", MetricType::Histogram);
  family processed("processing_seconds", "Time in handlers (sampled).", MetricType::Histogram);

  std::map<std::string, of_type> now;
  for (auto& m : system_->mailboxes()) {
    auto& t = now[m.type];
    t.mailboxes += 1;
    t.messages += static_cast<double>(m.messages);
    t.bytes += static_cast<double>(m.bytes);
    t.oldest_s = std::max(t.oldest_s, static_cast<double>(m.oldest.count()) / 1000);
    t.running_s = std::max(t.running_s, static_cast<double>(m.handling_for.count()) / 1000);
  }
  auto registry = system_->metrics();
  for (auto* m : registry->all()) {
    auto& t = now[m->type];
    alive.gauge(labelled(m->type), t.mailboxes);
    depth.gauge(labelled(m->type), t.messages);
    bytes.gauge(labelled(m->type), t.bytes);
    oldest.gauge(labelled(m->type), t.oldest_s);
    running.gauge(labelled(m->type), t.running_s);
    longest.gauge(labelled(m->type), 1e-9 * static_cast<double>(m->longest_handler_ns.load()));
    credit.gauge(labelled(m->type), static_cast<double>(m->credit_outstanding.load()));
    spawned.counter(labelled(m->type), m->spawned);
    restarted.counter(labelled(m->type), m->restarted);
    for (std::size_t i = 0; i < causes.size(); ++i)
      stopped.counter(labelled(m->type, "cause", causes[i]), m->stopped[i]);
    for (std::size_t i = 0; i < kit::dead_letter_names.size(); ++i)
      dead.counter(labelled(m->type, "reason", kit::dead_letter_names[i]), m->dead_letters[i]);
    handled.counter(labelled(m->type), m->handled);
    waited.histogram(labelled(m->type), m->waited);
    processed.histogram(labelled(m->type), m->processed);
  }
  std::vector<MetricFamily> r;
  for (auto* f : {&alive, &depth, &bytes, &oldest, &running, &longest, &credit, &spawned, &restarted, &stopped, &dead,
                  &handled, &waited, &processed})
    r.push_back(std::move(f->f));
  return r;
}

std::vector<MetricFamily> span_collector::Collect() const {
  std::vector<MetricFamily> r;
  for (auto& [name, help, value] :
       {std::tuple("exported", "Spans the collector has taken.", tracer_->exported()),
        std::tuple("dropped", "Spans lost: the queue was full or the collector did not take them.",
                   tracer_->dropped())}) {
    MetricFamily f{std::string("horizons_spans_") + name + "_total", help, MetricType::Counter, {}};
    ClientMetric m;
    m.counter.value = static_cast<double>(value);
    f.metric.push_back(std::move(m));
    r.push_back(std::move(f));
  }
  return r;
}

std::string metrics_page::prometheus_text() const {
  std::vector<MetricFamily> families;
  for (auto& s : sources_)
    for (auto& f : s->Collect()) families.push_back(std::move(f));
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace horizons::telemetry
