#include "gateways/kafka/relay_metrics.hpp"

#include <sstream>

namespace horizons::kafka {

bridges::bridge_health relay_metrics::health() const {
  const std::lock_guard lock(mutex_);
  return health_;
}

void relay_metrics::set_health(bridges::bridge_health h) {
  const std::lock_guard lock(mutex_);
  health_ = std::move(h);
}

std::string relay_metrics::text() const {
  std::ostringstream out;
  const auto single = [&](const char* name, const char* kind, const char* doc, auto value) {
    out << "# HELP horizons_kafka_relay_" << name << ' ' << doc << "\n# TYPE horizons_kafka_relay_" << name << ' '
        << kind << "\nhorizons_kafka_relay_" << name << ' ' << value << '\n';
  };
  single("up", "gauge", "1 when the relay publishes.", health().ready ? 1 : 0);
  single("events_total", "counter", "Events acknowledged by the brokers.", events.load());
  single("refused_total", "counter", "Events that could not be published; each is audited.", refused.load());
  single("audit_heads_total", "counter", "Heads of the audit chain published.", heads.load());
  single("marks_total", "counter", "Positions stored in the journal.", marks.load());
  single("position_lag", "gauge", "Journal positions not yet acknowledged by the brokers.", lag());
  single("open_events", "gauge", "Events sent and not acknowledged.", open.load());
  const std::string name = "horizons_kafka_relay_delay_seconds";
  out << "# HELP " << name << " From the time of an event to its acknowledgement.\n# TYPE " << name << " histogram\n";
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < kit::duration_histogram::buckets; ++i) {
    total += delay.count(i);
    out << name << "_bucket{le=\"";
    if (i + 1 == kit::duration_histogram::buckets)
      out << "+Inf";
    else
      out << kit::duration_histogram::upper_seconds(i);
    out << "\"} " << total << '\n';
  }
  out << name << "_sum " << delay.sum_seconds() << '\n' << name << "_count " << total << '\n';
  return std::move(out).str() + producer->text("relay");
}

}  // namespace horizons::kafka
