#include "gateways/http/metrics.hpp"

#include <algorithm>
#include <numeric>
#include <sstream>

namespace horizons::http {

void http_metrics::request_done(const std::string& route, int status, std::chrono::nanoseconds took) {
  const double seconds = std::chrono::duration<double>(took).count();
  const auto bucket = std::ranges::lower_bound(bounds_s, seconds) - bounds_s.begin();
  const std::scoped_lock lock(mutex_);
  ++requests_[{route, status}];
  ++buckets_[static_cast<std::size_t>(bucket)];
  seconds_sum_ += seconds;
}

std::string http_metrics::text() const {
  std::ostringstream out;
  const auto head = [&](const char* name, const char* kind, const char* doc) {
    out << "# HELP " << name << ' ' << doc << "\n# TYPE " << name << ' ' << kind << '\n';
  };
  const auto single = [&](const char* name, const char* kind, const char* doc, auto value) {
    head(name, kind, doc);
    out << name << ' ' << value << '\n';
  };
  single("horizons_http_connections_open", "gauge", "Connections that are open now.", connections_open.load());
  single("horizons_http_connections_accepted_total", "counter", "Connections accepted.", connections_accepted.load());
  single("horizons_http_connections_refused_total", "counter", "Connections over the limit.",
         connections_refused.load());
  single("horizons_http_sent_bytes_total", "counter", "Bytes of answers sent.", bytes_sent.load());
  single("horizons_http_streams_cut_total", "counter", "Live streams cut because the reader was too slow.",
         streams_cut.load());
  const std::scoped_lock lock(mutex_);
  head("horizons_http_requests_total", "counter", "Requests answered.");
  for (const auto& [key, count] : requests_)
    out << "horizons_http_requests_total{route=\"" << key.first << "\",status=\"" << key.second << "\"} " << count
        << '\n';
  head("horizons_http_request_seconds", "histogram", "From the whole request read to its answer ready.");
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < bounds_s.size(); ++i)
    out << "horizons_http_request_seconds_bucket{le=\"" << bounds_s[i] << "\"} " << (total += buckets_[i]) << '\n';
  total += buckets_.back();
  out << "horizons_http_request_seconds_bucket{le=\"+Inf\"} " << total << "\nhorizons_http_request_seconds_sum "
      << seconds_sum_ << "\nhorizons_http_request_seconds_count " << total << '\n';
  return std::move(out).str();
}

}  // namespace horizons::http
