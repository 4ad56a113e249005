// Spans: what took how long, across actors and nodes; exported as OTLP/HTTP JSON (opentelemetry-proto
// trace/v1, JSON mapping). The sender is handed in: this room knows no HTTP. Not for metrics or logs.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "messages/timestamp.hpp"

namespace horizons::telemetry {

/// Identity of a span; crosses actors and nodes as text (W3C trace-context: 32 and 16 hexadecimal digits).
struct span_context {
  std::string trace_id, span_id;
  bool valid() const { return trace_id.size() == 32 && span_id.size() == 16; }
};

struct span {
  span_context context;
  std::string parent_span_id;  // empty: a root
  std::string name;
  std::int64_t start_unix_ns = 0, end_unix_ns = 0;
  bool failed = false;
  std::string message;
  std::vector<std::pair<std::string, std::string>> attributes;  // at most 32
};

/// One OTLP ExportTraceServiceRequest.
std::string to_otlp_json(const std::vector<span>& spans, std::string_view service, std::string_view node);

struct tracer_options {
  std::string service = "horizons", node;
  std::size_t queue_max = 4'096;  // more are dropped and counted: telemetry must not hold up work
  std::size_t batch_max = 512;
  std::chrono::milliseconds interval{2'000};
  /// Posts one request body to the collector's /v1/traces; false: it was not taken (the batch is lost and counted).
  /// Runs on the exporter's thread and may block.
  std::function<bool(const std::string& body)> post{};  // empty: tracing is off and costs nothing
};

class tracer;

/// A running span: ends when destroyed. Movable, used by one thread at a time.
class active_span {
public:
  active_span() = default;
  active_span(active_span&& o) noexcept : tracer_(std::exchange(o.tracer_, nullptr)), span_(std::move(o.span_)) {}
  active_span& operator=(active_span&& o) noexcept;
  ~active_span() { end(); }
  const span_context& context() const { return span_.context; }
  void set(std::string name, std::string value);
  void fail(std::string message);
  void end();

private:
  friend class tracer;
  tracer* tracer_ = nullptr;
  span span_;
};

class tracer {
public:
  explicit tracer(tracer_options o);
  ~tracer();  // sends what is queued, once, for some 3 s at most

  /// With an invalid parent: a new trace.
  active_span start(std::string name, const span_context& parent = {});
  void add(span s);
  std::uint64_t dropped() const { return dropped_; }
  std::uint64_t exported() const { return exported_; }

private:
  void run();
  const tracer_options options_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<span> queue_;
  bool stop_ = false;
  std::atomic<std::uint64_t> dropped_{0}, exported_{0};
  std::thread thread_;
};

}  // namespace horizons::telemetry
