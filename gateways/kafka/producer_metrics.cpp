#include "gateways/kafka/producer_metrics.hpp"

#include <sstream>

namespace horizons::kafka {

std::string producer_metrics::text(std::string_view client) const {
  std::ostringstream out;
  const std::string label = "{client=\"" + std::string(client) + "\"}";
  const auto single = [&](const char* name, const char* kind, const char* doc, auto value) {
    out << "# HELP horizons_kafka_" << name << ' ' << doc << "\n# TYPE horizons_kafka_" << name << ' ' << kind
        << "\nhorizons_kafka_" << name << label << ' ' << value << '\n';
  };
  single("produced_total", "counter", "Records acknowledged by the brokers.", acknowledged.load());
  single("produced_bytes_total", "counter", "Bytes of these records.", acknowledged_bytes.load());
  single("wire_bytes_total", "counter", "Bytes sent to the brokers, as compressed.", wire_bytes.load());
  single("refused_total", "counter", "Records that no broker will take (too large, invalid).", refused.load());
  single("producer_rebuilt_total", "counter", "Producers replaced after an error.", rebuilt.load());
  single("sent_again_total", "counter", "Records handed to a replaced producer once more.", sent_again.load());
  single("in_flight_records", "gauge", "Records sent and not acknowledged.", in_flight.load());
  single("in_flight_bytes", "gauge", "Bytes of these records.", in_flight_bytes.load());
  single("throttle_seconds", "gauge", "Longest delay a broker imposed in the last second.",
         static_cast<double>(throttle_ms.load()) / 1e3);
  single("round_trip_seconds", "gauge", "Average round trip to the slowest broker in the last second.",
         static_cast<double>(round_trip_us.load()) / 1e6);
  const std::string name = "horizons_kafka_produce_seconds";
  out << "# HELP " << name << " From send to acknowledgement.\n# TYPE " << name << " histogram\n";
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < kit::duration_histogram::buckets; ++i) {
    total += latency.count(i);
    out << name << "_bucket{client=\"" << client << "\",le=\"";
    if (i + 1 == kit::duration_histogram::buckets)
      out << "+Inf";
    else
      out << kit::duration_histogram::upper_seconds(i);
    out << "\"} " << total << '\n';
  }
  out << name << "_sum" << label << ' ' << latency.sum_seconds() << '\n'
      << name << "_count" << label << ' ' << total << '\n';
  return std::move(out).str();
}

}  // namespace horizons::kafka
