// Sends spans to a collector: OTLP over HTTP, JSON encoding. What a telemetry::tracer is handed as its `post`;
// queueing, batching and counting what is lost are the tracer's.
//
//   telemetry::tracer_options o{.node = id, .post = otlp::span_poster("http://127.0.0.1:4318")};
#pragma once

#include <chrono>
#include <functional>
#include <string>

namespace horizons::otlp {

struct poster_limits {
  std::chrono::milliseconds connect{1'000};
  std::chrono::milliseconds whole{2'000};  // the last batch is sent while the node stops
};

/// `endpoint` as in OTEL_EXPORTER_OTLP_ENDPOINT: "/v1/traces" is appended unless it ends so already; http or https, a
/// password in it is used and never logged. The function is true when the collector answered 2xx. One thread at a time;
/// keeps its connection. The first failure, and the first success after one, are logged.
std::function<bool(const std::string& body)> span_poster(std::string endpoint, poster_limits limits = {});

}  // namespace horizons::otlp
