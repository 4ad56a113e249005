// The events of the system: every fact that the journal keeps. Plain values, each described once.
// The outside form (JSON, MessagePack, Avro) is made by messages/codec from these descriptions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <nlohmann/json.hpp>
#include <nlohmann/json_fwd.hpp>

#include "messages/description.hpp"
#include "messages/timestamp.hpp"

namespace horizons {

/// A free-form JSON value inside a message (parameters, metrics). An object, unless a field says otherwise.
using json = nlohmann::json;

// -- parts ------------------------------------------------------------------------------------------------------

/// What a job asks of the machine.
struct resources {
  int gpus = 0;  // 0: any device, the CPU included
  int cpus = 1;
  std::optional<double> memory_gb;
  std::int64_t walltime_s = 86'400;

  static constexpr auto description() {
    return describe<resources>(
        "resources", 1, "What a job asks of the machine.",
        field<&resources::gpus>{"gpus", 1, "devices wanted; 0 means any device, the CPU included"},
        field<&resources::cpus>{"cpus", 1, "processor cores"},
        field<&resources::memory_gb>{"memory_gb", 1, "memory, 10^9 bytes; absent: what the agent estimates"},
        field<&resources::walltime_s>{"walltime_s", 1, "longest run, seconds"});
  }
  friend bool operator==(const resources&, const resources&) = default;
};

/// Why something failed, as in RFC 9457 problem details.
struct problem {
  std::string type;    // a short stable word: "dataset-unreadable"
  std::string title;   // one line for people
  std::string detail;  // field, value and what would be right

  static constexpr auto description() {
    return describe<problem>("problem", 1, "Why something failed (RFC 9457).",
                             field<&problem::type>{"type", 1, "a short stable word naming the kind of problem"},
                             field<&problem::title>{"title", 1, "one line for people"},
                             field<&problem::detail>{"detail", 1, "what is wrong and what would be right"});
  }
  friend bool operator==(const problem&, const problem&) = default;
};

/// One result file of a job.
struct result_file {
  std::string name;
  std::int64_t size = 0;  // bytes
  std::string sha256;     // 64 hexadecimal digits

  static constexpr auto description() {
    return describe<result_file>("result_file", 1, "One result file of a job.",
                                 field<&result_file::name>{"name", 1, "file name below the job's results"},
                                 field<&result_file::size>{"size", 1, "bytes"},
                                 field<&result_file::sha256>{"sha256", 1, "SHA-256 of the content, hexadecimal"});
  }
  friend bool operator==(const result_file&, const result_file&) = default;
};

// -- a job's life cycle -----------------------------------------------------------------------------------------

/// A job was accepted and is durable.
struct job_submitted {
  std::string agent;
  std::string dataset;
  json params = json::object();
  int priority = 3;
  resources wants;
  std::optional<double> estimated_cost_usd;
  std::string executor = "node";

  static constexpr auto description() {
    return describe<job_submitted>(
        "job.submitted", 1, "A job was accepted and is durable.",
        field<&job_submitted::agent>{"agent", 1, "which agent runs it"},
        field<&job_submitted::dataset>{"dataset", 1, "URI of the observation"},
        field<&job_submitted::params>{"params", 1, "the agent's parameters"},
        field<&job_submitted::priority>{"priority", 1, "1 (highest) to 5"},
        field<&job_submitted::wants>{"resources", 1, "what the job asks of the machine"},
        field<&job_submitted::estimated_cost_usd>{"estimated_cost_usd", 1, "estimate at submission"},
        field<&job_submitted::executor>{"executor", 1, "where it runs: node, or a batch system's name"});
  }
  friend bool operator==(const job_submitted&, const job_submitted&) = default;
};

/// The fields that every plain change of status carries.
struct status_change {
  std::string old_status;
  std::string new_status;
  std::string reason;
  int attempt = 0;     // starts so far
  std::string node;    // which node acted
  std::string device;  // which device runs it; empty: none

  friend bool operator==(const status_change&, const status_change&) = default;

protected:
  template <class Event>
  static constexpr auto describe_change(std::string_view name, std::string_view doc) {
    return describe<Event>(name, 1, doc, field<&Event::old_status>{"old_status", 1, "status before"},
                           field<&Event::new_status>{"new_status", 1, "status after"},
                           field<&Event::reason>{"reason", 1, "why; empty: the normal course"},
                           field<&Event::attempt>{"attempt", 1, "starts of the job so far"},
                           field<&Event::node>{"node", 1, "the node that acted"},
                           field<&Event::device>{"device", 1, "the device that runs it"});
  }
};

/// The job waits for its turn.
struct job_queued : status_change {
  static constexpr auto description() {
    return describe_change<job_queued>("job.queued", "The job waits for its turn.");
  }
};

/// An attempt started on a device.
struct job_running : status_change {
  static constexpr auto description() { return describe_change<job_running>("job.running", "An attempt started."); }
};

/// An attempt failed and another one will be made.
struct job_retrying : status_change {
  static constexpr auto description() {
    return describe_change<job_retrying>("job.retrying", "An attempt failed; another one will be made.");
  }
};

/// The job is held until somebody resumes it.
struct job_paused : status_change {
  static constexpr auto description() { return describe_change<job_paused>("job.paused", "The job is held."); }
};

/// A held job goes on.
struct job_resumed : status_change {
  static constexpr auto description() { return describe_change<job_resumed>("job.resumed", "A held job goes on."); }
};

/// How far the running attempt is.
struct job_progress {
  double progress = 0;  // 0 to 1
  std::string stage;
  std::optional<double> eta_s;

  static constexpr auto description() {
    return describe<job_progress>("job.progress", 1, "How far the running attempt is.",
                                  field<&job_progress::progress>{"progress", 1, "0 to 1"},
                                  field<&job_progress::stage>{"stage", 1, "what is being done"},
                                  field<&job_progress::eta_s>{"eta_s", 1, "seconds to the end, estimated"});
  }
  friend bool operator==(const job_progress&, const job_progress&) = default;
};

/// The job finished and its results are durable.
struct job_completed {
  std::string old_status;
  std::string new_status = "COMPLETED";
  double execution_duration_s = 0;
  std::vector<result_file> results;
  json metrics = json::object();
  std::optional<double> cost_usd;

  static constexpr auto description() {
    return describe<job_completed>(
        "job.completed", 1, "The job finished and its results are durable.",
        field<&job_completed::old_status>{"old_status", 1, "status before"},
        field<&job_completed::new_status>{"new_status", 1, "COMPLETED"},
        field<&job_completed::execution_duration_s>{"execution_duration_s", 1, "seconds of the last attempt"},
        field<&job_completed::results>{"results", 1, "the result files"},
        field<&job_completed::metrics>{"metrics", 1, "figures of the run"},
        field<&job_completed::cost_usd>{"cost_usd", 1, "what it cost"});
  }
  friend bool operator==(const job_completed&, const job_completed&) = default;
};

/// The fields of an end without a result.
struct failure_end {
  std::string old_status;
  std::string new_status;
  problem error;
  std::string error_class;
  int attempt = 0;
  double execution_duration_s = 0;

  friend bool operator==(const failure_end&, const failure_end&) = default;

protected:
  template <class Event>
  static constexpr auto describe_end(std::string_view name, std::string_view doc) {
    return describe<Event>(
        name, 1, doc, field<&Event::old_status>{"old_status", 1, "status before"},
        field<&Event::new_status>{"new_status", 1, "status after"}, field<&Event::error>{"error", 1, "what went wrong"},
        field<&Event::error_class>{"error_class", 1, "transient, permanent, timeout, crashed or invalid"},
        field<&Event::attempt>{"attempt", 1, "starts of the job so far"},
        field<&Event::execution_duration_s>{"execution_duration_s", 1, "seconds of the last attempt"});
  }
};

/// The job ended without a result.
struct job_failed : failure_end {
  static constexpr auto description() {
    return describe_end<job_failed>("job.failed", "The job ended without a result.");
  }
};

/// A readable submission that was refused.
struct job_rejected : failure_end {
  static constexpr auto description() {
    return describe_end<job_rejected>("job.rejected", "A readable submission that was refused.");
  }
};

/// Somebody stopped the job.
struct job_cancelled {
  std::string old_status;
  std::string new_status = "CANCELLED";
  std::string by;
  std::string reason;

  static constexpr auto description() {
    return describe<job_cancelled>("job.cancelled", 1, "Somebody stopped the job.",
                                   field<&job_cancelled::old_status>{"old_status", 1, "status before"},
                                   field<&job_cancelled::new_status>{"new_status", 1, "CANCELLED"},
                                   field<&job_cancelled::by>{"by", 1, "who"},
                                   field<&job_cancelled::reason>{"reason", 1, "why"});
  }
  friend bool operator==(const job_cancelled&, const job_cancelled&) = default;
};

// -- beside the life cycle --------------------------------------------------------------------------------------

/// What a running job uses.
struct job_metrics {
  double cpu_percent = 0;
  double gpu_percent = 0;
  double memory_gb = 0;
  double io_read_mb = 0;
  double io_write_mb = 0;
  double interval_s = 0;

  static constexpr auto description() {
    return describe<job_metrics>(
        "job.metrics", 1, "What a running job uses.",
        field<&job_metrics::cpu_percent>{"cpu_percent", 1, "100 is one core"},
        field<&job_metrics::gpu_percent>{"gpu_percent", 1, "0 to 100"},
        field<&job_metrics::memory_gb>{"memory_gb", 1, "resident, 10^9 bytes"},
        field<&job_metrics::io_read_mb>{"io_read_mb", 1, "read in the interval, 10^6 bytes"},
        field<&job_metrics::io_write_mb>{"io_write_mb", 1, "written in the interval, 10^6 bytes"},
        field<&job_metrics::interval_s>{"interval_s", 1, "length of the interval"});
  }
  friend bool operator==(const job_metrics&, const job_metrics&) = default;
};

/// A user was told something.
struct notification_sent {
  std::string notification_id;
  std::string channel;
  std::string subject;

  static constexpr auto description() {
    return describe<notification_sent>("notification.sent", 1, "A user was told something.",
                                       field<&notification_sent::notification_id>{"notification_id", 1, "a ULID"},
                                       field<&notification_sent::channel>{"channel", 1, "inbox, mail or web"},
                                       field<&notification_sent::subject>{"subject", 1, "one line"});
  }
  friend bool operator==(const notification_sent&, const notification_sent&) = default;
};

/// A user read a notification.
struct notification_read {
  std::string notification_id;
  std::string channel;
  std::string subject;

  static constexpr auto description() {
    return describe<notification_read>("notification.read", 1, "A user read a notification.",
                                       field<&notification_read::notification_id>{"notification_id", 1, "a ULID"},
                                       field<&notification_read::channel>{"channel", 1, "inbox, mail or web"},
                                       field<&notification_read::subject>{"subject", 1, "one line"});
  }
  friend bool operator==(const notification_read&, const notification_read&) = default;
};

/// An administrative act or a refusal.
struct audit_recorded {
  std::string action;
  std::string actor;
  std::string resource_type;
  std::string resource_id;
  std::string outcome;

  static constexpr auto description() {
    return describe<audit_recorded>("audit.recorded", 1, "An administrative act or a refusal.",
                                    field<&audit_recorded::action>{"action", 1, "what was done or asked for"},
                                    field<&audit_recorded::actor>{"actor", 1, "who"},
                                    field<&audit_recorded::resource_type>{"resource_type", 1, "what kind of thing"},
                                    field<&audit_recorded::resource_id>{"resource_id", 1, "which one"},
                                    field<&audit_recorded::outcome>{"outcome", 1, "done, refused or failed"});
  }
  friend bool operator==(const audit_recorded&, const audit_recorded&) = default;
};

/// How a component is.
struct system_health {
  std::string component;
  std::string status;
  std::string detail;

  static constexpr auto description() {
    return describe<system_health>("system.health", 1, "How a component is.",
                                   field<&system_health::component>{"component", 1, "path in the tree"},
                                   field<&system_health::status>{"status", 1, "up, degraded or down"},
                                   field<&system_health::detail>{"detail", 1, "why"});
  }
  friend bool operator==(const system_health&, const system_health&) = default;
};

/// The fields of every alert.
struct alert {
  std::string component;
  std::string status;
  std::string detail;
  std::string rule;
  double value = 0;
  double threshold = 0;

  friend bool operator==(const alert&, const alert&) = default;

protected:
  template <class Event>
  static constexpr auto describe_alert(std::string_view name, std::string_view doc) {
    return describe<Event>(
        name, 1, doc, field<&Event::component>{"component", 1, "path in the tree"},
        field<&Event::status>{"status", 1, "up, degraded or down"}, field<&Event::detail>{"detail", 1, "why"},
        field<&Event::rule>{"rule", 1, "name of the rule"}, field<&Event::value>{"value", 1, "the measured value"},
        field<&Event::threshold>{"threshold", 1, "the rule's limit"});
  }
};

/// A rule's limit was crossed.
struct alert_raised : alert {
  static constexpr auto description() {
    return describe_alert<alert_raised>("alert.raised", "A rule's limit was crossed.");
  }
};

/// Somebody has seen the alert.
struct alert_acknowledged : alert {
  static constexpr auto description() {
    return describe_alert<alert_acknowledged>("alert.acknowledged", "Somebody has seen the alert.");
  }
};

/// The rule holds again.
struct alert_cleared : alert {
  static constexpr auto description() {
    return describe_alert<alert_cleared>("alert.cleared", "The rule holds again.");
  }
};

// -- the union --------------------------------------------------------------------------------------------------

using event_data =
    std::variant<job_submitted, job_queued, job_running, job_retrying, job_paused, job_resumed, job_progress,
                 job_completed, job_failed, job_rejected, job_cancelled, job_metrics, notification_sent,
                 notification_read, audit_recorded, system_health, alert_raised, alert_acknowledged, alert_cleared>;

/// One fact. The envelope's fields come first on the wire, then `data`.
struct event {
  std::string event_id;  // ULID, kept through every retry of an append
  timestamp time{};
  std::uint64_t position = 0;  // in the journal; 0: not appended yet
  std::uint64_t sequence = 0;  // per job from 1, life-cycle types only; 0: none
  std::string correlation_id;
  std::string causation_id;
  std::string user_id;
  std::string tenant = "default";
  std::string job_id;
  std::string traceparent;
  event_data data;

  friend bool operator==(const event&, const event&) = default;
};

/// "job.submitted" and so on: the name of what the event holds, and the version of its schema.
std::string_view type_of(const event_data& data);
int schema_version_of(const event_data& data);

/// Whether the type takes part in the gapless per-job sequence.
bool is_life_cycle(const event_data& data);

/// Calls a visitor with every alternative's type in turn: `for_each_event_type([]<class T>() { … })`.
template <class F>
constexpr void for_each_event_type(F&& f) {
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    (f.template operator()<std::variant_alternative_t<I, event_data>>(), ...);
  }
  (std::make_index_sequence<std::variant_size_v<event_data>>{});
}

template <class... F>
struct overloaded : F... {
  using F::operator()...;
};
template <class... F>
overloaded(F...) -> overloaded<F...>;  // clang 14 does not deduce it by itself

}  // namespace horizons
