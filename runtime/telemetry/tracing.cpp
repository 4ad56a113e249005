#include "runtime/telemetry/tracing.hpp"

#include <random>

#include <nlohmann/json.hpp>

namespace horizons::telemetry {

namespace {

constexpr std::size_t attributes_max = 32;
constexpr std::chrono::seconds last_round_max{3};  // a node stops in 15 s, and not for its spans

std::string random_hex(std::size_t digits) {
  static thread_local std::mt19937_64 random{std::random_device{}()};
  static constexpr char hex[] = "0123456789abcdef";
  std::string r;
  for (std::uint64_t bits = 0; r.size() < digits; bits >>= 4) {
    if (r.size() % 16 == 0) bits = random() | 1;  // all zeros would be an invalid id
    r += hex[bits & 15];
  }
  return r;
}

std::int64_t unix_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

nlohmann::json attribute(std::string_view key, std::string_view value) {
  return {{"key", key}, {"value", {{"stringValue", value}}}};
}

}  // namespace

std::string to_otlp_json(const std::vector<span>& spans, std::string_view service, std::string_view node) {
  auto list = nlohmann::json::array();
  for (auto& s : spans) {
    nlohmann::json j{{"traceId", s.context.trace_id},
                     {"spanId", s.context.span_id},
                     {"name", s.name},
                     {"kind", 1},  // internal
                     {"startTimeUnixNano", std::to_string(s.start_unix_ns)},
                     {"endTimeUnixNano", std::to_string(s.end_unix_ns)}};
    if (!s.parent_span_id.empty()) j["parentSpanId"] = s.parent_span_id;
    if (s.failed) j["status"] = {{"code", 2}, {"message", s.message}};
    for (auto& [k, v] : s.attributes) j["attributes"].push_back(attribute(k, v));
    list.push_back(std::move(j));
  }
  auto resource = nlohmann::json::array({attribute("service.name", service)});
  if (!node.empty()) resource.push_back(attribute("service.instance.id", node));
  nlohmann::json scope{{"scope", {{"name", "horizons"}}}, {"spans", std::move(list)}};
  nlohmann::json one{{"resource", {{"attributes", std::move(resource)}}},
                     {"scopeSpans", nlohmann::json::array({std::move(scope)})}};
  return nlohmann::json{{"resourceSpans", nlohmann::json::array({std::move(one)})}}.dump(
      -1, ' ', false, nlohmann::json::error_handler_t::replace);
}

active_span& active_span::operator=(active_span&& o) noexcept {
  if (this != &o) {
    end();
    tracer_ = std::exchange(o.tracer_, nullptr);
    span_ = std::move(o.span_);
  }
  return *this;
}

void active_span::set(std::string name, std::string value) {
  if (tracer_ && span_.attributes.size() < attributes_max)
    span_.attributes.emplace_back(std::move(name), std::move(value));
}

void active_span::fail(std::string message) {
  span_.failed = true;
  span_.message = std::move(message);
}

void active_span::end() {
  auto* t = std::exchange(tracer_, nullptr);
  if (!t) return;
  span_.end_unix_ns = unix_ns();
  t->add(std::move(span_));
}

tracer::tracer(tracer_options o) : options_(std::move(o)) {
  if (options_.post) thread_ = std::thread([this] { run(); });
}

tracer::~tracer() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

active_span tracer::start(std::string name, const span_context& parent) {
  active_span a;
  a.span_.context = {parent.valid() ? parent.trace_id : random_hex(32), random_hex(16)};
  if (!options_.post) return a;  // ids still flow, nothing is recorded
  a.tracer_ = this;
  if (parent.valid()) a.span_.parent_span_id = parent.span_id;
  a.span_.name = std::move(name);
  a.span_.start_unix_ns = unix_ns();
  return a;
}

void tracer::add(span s) {
  if (!options_.post) return;
  std::lock_guard lock(mutex_);
  if (queue_.size() >= options_.queue_max) {
    ++dropped_;
    return;
  }
  queue_.push_back(std::move(s));
  if (queue_.size() >= options_.batch_max) changed_.notify_one();
}

void tracer::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait_for(lock, options_.interval, [&] { return stop_ || queue_.size() >= options_.batch_max; });
    bool last = stop_;
    const auto began = std::chrono::steady_clock::now();
    while (!queue_.empty() && !(stop_ && std::chrono::steady_clock::now() - began > last_round_max)) {
      auto n = std::min(queue_.size(), options_.batch_max);
      std::vector<span> batch(std::make_move_iterator(queue_.begin()),
                              std::make_move_iterator(queue_.begin() + static_cast<std::ptrdiff_t>(n)));
      queue_.erase(queue_.begin(), queue_.begin() + static_cast<std::ptrdiff_t>(n));
      lock.unlock();
      bool taken = options_.post(to_otlp_json(batch, options_.service, options_.node));
      lock.lock();
      (taken ? exported_ : dropped_) += n;
      if (!taken) break;  // the collector is away: the next round tries with newer spans
    }
    if (!last) continue;
    dropped_ += queue_.size();
    return;
  }
}

}  // namespace horizons::telemetry
