// Random messages that are valid: for the property tests of every encoding, here and in other rooms.
#pragma once

#include <cmath>
#include <limits>
#include <random>
#include <string>

#include "messages/commands.hpp"
#include "messages/events.hpp"
#include "messages/trace.hpp"
#include "messages/ulid.hpp"

namespace horizons::testing {

class random_messages {
public:
  explicit random_messages(std::uint64_t seed) : generator_(seed) {}

  /// An event of any type.
  event any_event() {
    event e;
    const std::size_t wanted = below(std::variant_size_v<event_data>);
    std::size_t index = 0;
    for_each_event_type([&]<class T>() {
      if (index++ == wanted) e = event_of<T>();
    });
    return e;
  }

  template <class T>
  event event_of() {
    event e;
    T data;
    fill(data);
    e.data = data;
    e.time = time();
    e.event_id = ulid();
    e.position = coin() ? 0 : generator_();
    e.sequence = is_life_cycle(e.data) ? 1 + below(1u << 30) : 0;
    e.correlation_id = label();
    e.causation_id = coin() ? ulid() : "";
    e.user_id = label();
    e.tenant = name();
    e.job_id = name_of<T>().starts_with("job.") || coin() ? name() : "";
    e.traceparent = coin() ? to_string(trace()) : "";
    return e;
  }

  command any_command() {
    command c;
    static constexpr const char* names[] = {"submit", "cancel", "pause", "resume"};
    c.command_name = names[below(4)];
    c.job_id = c.command_name == "submit" && coin() ? "" : name();
    c.user_id = label();
    c.tenant = name();
    c.agent = name();
    c.dataset = label();
    c.params = object(0);
    c.priority = 1 + static_cast<int>(below(5));
    fill(c.wants);
    c.correlation_id = label();
    c.idempotency_key = label();
    return c;
  }

  std::uint64_t below(std::uint64_t limit) { return generator_() % limit; }
  bool coin() { return below(2) == 0; }

  /// Valid UTF-8 without NUL: plain letters, what JSON escapes, and characters of two, three and four bytes.
  std::string text(std::size_t characters_max = 40) {
    static constexpr const char* pieces[] = {"\x01",       "\x1f", "\"",     "\\",     "/",      "\n",
                                             "\t",         "\x7f", "\u00e9", "\u2028", "\ud7ff", "\U0001F52D",
                                             "\U0010FFFF", "{",    "[",      ",",      "\u00f1"};
    std::string out;
    for (std::uint64_t left = below(characters_max); left > 0; --left) {
      if (below(4) == 0)
        out += pieces[below(std::size(pieces))];
      else
        out += static_cast<char>('a' + below(26));
    }
    return out;
  }

  /// Any finite number: ordinary ones, whole ones, both zeros, the extremes, and random bits.
  double real() {
    using limit = std::numeric_limits<double>;
    static constexpr double special[] = {
        0.0, -0.0, 1.0, -1.0, 0.1, 1e-7, 1e21, 1e22, limit::max(), limit::lowest(), limit::min(), limit::denorm_min()};
    if (below(4) == 0) return special[below(std::size(special))];
    if (coin()) return static_cast<double>(below(1'000'000)) / 1000;
    const double bits = std::bit_cast<double>(generator_());
    return std::isfinite(bits) ? bits : 0.25;
  }
  double not_negative() { return std::fabs(real()); }

  json value(int depth) {
    switch (below(depth > 4 ? 6 : 8)) {
      case 0:
        return nullptr;
      case 1:
        return coin();
      case 2:
        return -static_cast<std::int64_t>(below(std::uint64_t{1} << 63));
      case 3:
        return generator_();
      case 4:
        return real();
      case 5:
        return text();
      case 6: {
        json list = json::array();
        for (std::uint64_t left = below(4); left > 0; --left) list.push_back(value(depth + 1));
        return list;
      }
      default:
        return object(depth + 1);
    }
  }

  json object(int depth) {
    json out = json::object();
    for (std::uint64_t left = below(4); left > 0; --left) out[text(8)] = value(depth + 1);
    return out;
  }

  std::string name() {
    static constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    std::string out(1, letters[below(62)]);
    for (std::uint64_t left = below(64); left > 0; --left) out += letters[below(letters.size())];
    return out;
  }

  std::string label() { return coin() ? name() : coin() ? "" : "user \u00e9 \"x\""; }
  timestamp time() { return timestamp{std::chrono::milliseconds{below(253'402'300'800'000)}}; }
  std::string ulid() { return make_ulid(time()); }

  trace_context trace() {
    trace_context t = new_trace();
    t.flags = static_cast<std::uint8_t>(below(2));
    return t;
  }

private:
  void fill(resources& r) {
    r.gpus = static_cast<int>(below(9));
    r.cpus = 1 + static_cast<int>(below(64));
    if (coin()) r.memory_gb = static_cast<double>(below(1000)) / 8;
    r.walltime_s = 1 + static_cast<std::int64_t>(below(86'400));
  }
  void fill(job_submitted& d) {
    d.agent = name();
    d.dataset = "file:///data/" + name();
    d.params = object(0);
    d.priority = 1 + static_cast<int>(below(5));
    fill(d.wants);
    if (coin()) d.estimated_cost_usd = not_negative();
    d.executor = text();
  }
  void fill(status_change& d) {
    d.old_status = text();
    d.new_status = text();
    d.reason = text();
    d.attempt = static_cast<int>(below(std::numeric_limits<int>::max()));
    d.node = text();
    d.device = text();
  }
  void fill(job_progress& d) {
    d.progress = coin() ? static_cast<double>(below(2)) : static_cast<double>(below(1001)) / 1000;
    d.stage = text();
    if (coin()) d.eta_s = not_negative();
  }
  void fill(job_completed& d) {
    d.old_status = text();
    d.execution_duration_s = not_negative();
    for (std::uint64_t left = below(4); left > 0; --left)
      d.results.push_back({name() + "/" + name() + ".fits", static_cast<std::int64_t>(below(1ull << 62)),
                           std::string(64, "0123456789abcdef"[below(16)])});
    d.metrics = object(0);
    if (coin()) d.cost_usd = not_negative();
  }
  void fill(failure_end& d) {
    d.old_status = text();
    d.new_status = text();
    d.error = {text(), text(), text(400)};
    d.error_class = text();
    d.attempt = static_cast<int>(below(100));
    d.execution_duration_s = not_negative();
  }
  void fill(job_cancelled& d) {
    d.old_status = text();
    d.by = text();
    d.reason = text();
  }
  void fill(job_metrics& d) {
    for (double* figure : {&d.cpu_percent, &d.gpu_percent, &d.memory_gb, &d.io_read_mb, &d.io_write_mb, &d.interval_s})
      *figure = not_negative();
  }
  template <class Notification>
  requires requires(Notification n) { n.notification_id; }
  void fill(Notification& d) {
    d.notification_id = ulid();
    d.channel = text();
    d.subject = text();
  }
  void fill(audit_recorded& d) { d = {"a" + text(), text(), text(), text(), text()}; }
  void fill(system_health& d) { d = {"c" + text(), text(), text()}; }
  void fill(alert& d) {
    d.component = "c" + text();
    d.status = text();
    d.detail = text();
    d.rule = text();
    d.value = real();
    d.threshold = real();
  }

  std::mt19937_64 generator_;
};

}  // namespace horizons::testing
