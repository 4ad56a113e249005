// What a message must hold beyond its form: grammar, ranges, what belongs together.
#include <cstdlib>

#include "messages/check.hpp"
#include "messages/codec/json.hpp"
#include "messages/commands.hpp"
#include "messages/make_event.hpp"
#include "messages/trace.hpp"
#include "messages/ulid.hpp"

namespace horizons {

bool value_check::free_form(const json& value, std::size_t depth) {
  if (++values_ > limits::values_max)
    return site_.refuse(error_code::limit_exceeded,
                        "holds more than " + std::to_string(limits::values_max) + " values");
  switch (value.type()) {
    case json::value_t::string:
      return bounded(value.get_ref<const std::string&>(), limits::text_bytes_max);
    case json::value_t::number_float:
      return (*this)(value.get<double>());
    case json::value_t::binary:
    case json::value_t::discarded:
      return site_.refuse(error_code::invalid_argument, "holds binary data, which JSON cannot say");
    case json::value_t::array:
    case json::value_t::object:
      break;
    default:
      bytes_ += 8;
      return true;
  }
  if (depth > limits::free_depth_max)
    return site_.refuse(error_code::limit_exceeded,
                        "is nested more than " + std::to_string(limits::free_depth_max) + " deep");
  bytes_ += 8;
  if (value.is_array()) {
    std::size_t index = 0;
    for (const json& element : value) {
      if (!free_form(element, depth + 1)) return site_.at(index);
      ++index;
    }
    return true;
  }
  for (const auto& [key, element] : value.get_ref<const json::object_t&>()) {
    if (!bounded(key, limits::text_bytes_max)) return false;
    if (!free_form(element, depth + 1)) return site_.within(is_name(key) ? key : quote(key));
  }
  return true;
}

namespace {

bool refuse(fault& site, std::string_view field, std::string reason) {
  site.refuse(error_code::invalid_argument, std::move(reason));
  return site.within(field);
}

bool in_range(fault& site, std::string_view field, double value, double low, double high) {
  if (value >= low && value <= high) return true;
  return refuse(site, field,
                number_text(value) + " is out of range; expected " + number_text(low) + " to " + number_text(high));
}

bool at_least(fault& site, std::string_view field, double value, double low) {
  return value >= low ||
         refuse(site, field, number_text(value) + " is out of range; expected " + number_text(low) + " or more");
}

bool not_negative(fault& site, std::string_view field, const std::optional<double>& value) {
  return !value || at_least(site, field, *value, 0);
}

bool is_label(fault& site, std::string_view field, const std::string& text) {
  if (text.size() <= limits::label_bytes_max) return true;
  site.refuse(error_code::limit_exceeded,
              "has " + std::to_string(text.size()) + " bytes; at most " + std::to_string(limits::label_bytes_max));
  return site.within(field);
}

bool names(fault& site, std::string_view field, const std::string& text) {
  return is_name(text) || refuse(site, field, quote(text) + " is not a name; expected [A-Za-z0-9][A-Za-z0-9._-]{0,63}");
}

bool is_uri(fault& site, std::string_view field, const std::string& text) {
  if (text.size() > limits::uri_bytes_max) {
    site.refuse(error_code::limit_exceeded,
                "has " + std::to_string(text.size()) + " bytes; at most " + std::to_string(limits::uri_bytes_max));
    return site.within(field);
  }
  for (const char c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F)
      return refuse(site, field, quote(text) + " holds a control character; expected a URI");
  return true;
}

bool is_object(fault& site, std::string_view field, const json& value) {
  return value.is_object() ||
         refuse(site, field,
                "is " + std::string(value.is_null() ? "null" : value.type_name()) + "; expected an object");
}

bool check(fault& site, const resources& r) {
  return in_range(site, "gpus", r.gpus, 0, 4096) && in_range(site, "cpus", r.cpus, 0, 65'536) &&
         (!r.memory_gb || in_range(site, "memory_gb", *r.memory_gb, 0, 1e6)) &&
         in_range(site, "walltime_s", static_cast<double>(r.walltime_s), 1, 366.0 * 86'400);
}

bool check(fault& site, const result_file& file) {
  if (file.name.empty() || file.name.size() > limits::uri_bytes_max || file.name[0] == '/')
    return refuse(site, "name", quote(file.name) + " is not a file name below the job's results");
  for (std::size_t at = 0; at != std::string::npos;) {  // a part ".." would lead out of the results
    const std::size_t end = file.name.find('/', at);
    if (file.name.substr(at, end == std::string::npos ? end : end - at) == "..")
      return refuse(site, "name", quote(file.name) + " leads out of the job's results");
    at = end == std::string::npos ? end : end + 1;
  }
  if (file.sha256.size() != 64 || file.sha256.find_first_not_of("0123456789abcdef") != std::string::npos)
    return refuse(site, "sha256", quote(file.sha256) + " is not a SHA-256; expected 64 lower-case hexadecimal digits");
  return at_least(site, "size", static_cast<double>(file.size), 0);
}

bool check(fault& site, const status_change& c) { return at_least(site, "attempt", c.attempt, 0); }

bool check(fault& site, const failure_end& end) {
  return at_least(site, "attempt", end.attempt, 0) &&
         at_least(site, "execution_duration_s", end.execution_duration_s, 0);
}

bool check_notification(fault& site, const std::string& id) {
  return is_ulid(id) || refuse(site, "notification_id", quote(id) + " is not a ULID");
}

/// What each type of event means beyond its fields' forms.
bool check(fault& site, const event_data& data) {
  return std::visit(
      overloaded{
          [&](const job_submitted& d) {
            return names(site, "agent", d.agent) && is_uri(site, "dataset", d.dataset) &&
                   is_object(site, "params", d.params) && in_range(site, "priority", d.priority, 1, 5) &&
                   (check(site, d.wants) || site.within("resources")) &&
                   not_negative(site, "estimated_cost_usd", d.estimated_cost_usd);
          },
          [&](const status_change& d) { return check(site, d); },
          [&](const job_progress& d) {
            return in_range(site, "progress", d.progress, 0, 1) && not_negative(site, "eta_s", d.eta_s);
          },
          [&](const job_completed& d) {
            for (std::size_t i = 0; i < d.results.size(); ++i)
              if (!check(site, d.results[i])) return site.at(i), site.within("results");
            return at_least(site, "execution_duration_s", d.execution_duration_s, 0) &&
                   is_object(site, "metrics", d.metrics) && not_negative(site, "cost_usd", d.cost_usd);
          },
          [&](const failure_end& d) { return check(site, d); },
          [&](const job_cancelled&) { return true; },
          [&](const job_metrics& d) {
            return at_least(site, "cpu_percent", d.cpu_percent, 0) && at_least(site, "gpu_percent", d.gpu_percent, 0) &&
                   at_least(site, "memory_gb", d.memory_gb, 0) && at_least(site, "io_read_mb", d.io_read_mb, 0) &&
                   at_least(site, "io_write_mb", d.io_write_mb, 0) && at_least(site, "interval_s", d.interval_s, 0);
          },
          [&](const notification_sent& d) { return check_notification(site, d.notification_id); },
          [&](const notification_read& d) { return check_notification(site, d.notification_id); },
          [&](const audit_recorded& d) { return !d.action.empty() || refuse(site, "action", "is empty"); },
          [&](const system_health& d) { return !d.component.empty() || refuse(site, "component", "is empty"); },
          [&](const alert& d) { return !d.component.empty() || refuse(site, "component", "is empty"); },
      },
      data);
}

bool check_envelope(fault& site, const event& e) {
  const bool of_a_job = type_of(e.data).starts_with("job.");
  if (!is_ulid(e.event_id)) return refuse(site, "event_id", quote(e.event_id) + " is not a ULID");
  if (!names(site, "tenant", e.tenant)) return false;
  if ((of_a_job || !e.job_id.empty()) && !is_job_id(e.job_id))
    return refuse(site, "job_id", quote(e.job_id) + " is not a job id; expected [A-Za-z0-9][A-Za-z0-9._-]{0,63}");
  if (!e.traceparent.empty() && !is_traceparent(e.traceparent))
    return refuse(site, "traceparent",
                  quote(e.traceparent) + " is not a traceparent; expected 00-<32 hex>-<16 hex>-<2 hex>");
  if (e.sequence != 0 && !is_life_cycle(e.data))
    return refuse(site, "sequence",
                  std::to_string(e.sequence) + " on " + std::string(type_of(e.data)) +
                      "; only a job's life-cycle events have one");
  return is_label(site, "user_id", e.user_id) && is_label(site, "correlation_id", e.correlation_id) &&
         is_label(site, "causation_id", e.causation_id);
}

template <class Message>
result<void> within_size(fault& site, const value_check& values, const Message& message) {
  // JSON can spend six bytes on one (\u0001), and 32 or so on a number: only a large message is measured exactly.
  if (values.bytes() <= limits::message_bytes_max / 8) return {};
  const std::size_t bytes = to_json(message).size();
  if (bytes <= limits::built_bytes_max) return {};
  site.refuse(error_code::limit_exceeded,
              "has " + std::to_string(bytes) + " bytes as JSON; at most " + std::to_string(limits::built_bytes_max));
  return site.failure();
}

}  // namespace

result<std::size_t> checked_size(const event& e) {
  fault site;
  value_check values{site};
  const auto good = [&](std::string_view field, const auto& value) { return values(value) || site.within(field); };
  if (!good("timestamp", e.time) || !check_envelope(site, e) || !good("user_id", e.user_id) ||
      !good("correlation_id", e.correlation_id) || !good("causation_id", e.causation_id))
    return site.failure();
  if (!std::visit([&](const auto& data) { return values(data); }, e.data) || !check(site, e.data)) {
    site.within("data");
    return site.failure();
  }
  if (auto ok = within_size(site, values, e); !ok) return failure(std::move(ok.error()));
  return values.bytes();
}

result<void> validate(const event& e) {
  if (auto size = checked_size(e); !size) return failure(std::move(size.error()));
  return {};
}

bool is_job_id(std::string_view text) { return is_name(text); }

result<void> validate(const command& c) {
  fault site;
  value_check values{site};
  const bool submit = c.command_name == "submit";
  if (!values(c)) return site.failure();
  if (!submit && c.command_name != "cancel" && c.command_name != "pause" && c.command_name != "resume") {
    refuse(site, "command", quote(c.command_name) + " is unknown; expected submit, cancel, pause or resume");
    return site.failure();
  }
  if (c.job_id.empty() ? !submit : !is_job_id(c.job_id)) {
    refuse(site, "job_id",
           c.job_id.empty() ? "is missing; " + c.command_name + " needs the job's id"
                            : quote(c.job_id) + " is not a job id; expected [A-Za-z0-9][A-Za-z0-9._-]{0,63}");
    return site.failure();
  }
  if (submit && c.agent.empty()) {
    refuse(site, "agent", "is missing; submit needs the agent that runs the job");
    return site.failure();
  }
  const bool good = names(site, "tenant", c.tenant) && (c.agent.empty() || names(site, "agent", c.agent)) &&
                    is_uri(site, "dataset", c.dataset) && is_object(site, "params", c.params) &&
                    in_range(site, "priority", c.priority, 1, 5) &&
                    (check(site, c.wants) || site.within("resources")) && is_label(site, "user_id", c.user_id) &&
                    is_label(site, "correlation_id", c.correlation_id) &&
                    is_label(site, "idempotency_key", c.idempotency_key);
  if (!good) return site.failure();
  return within_size(site, values, c);
}

}  // namespace horizons
