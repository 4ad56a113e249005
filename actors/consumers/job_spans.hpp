// The life of jobs as spans of their traces, folded from the journal's events: nothing else needs to know that there
// is tracing. A job is one span, with one below it for each time it waited and each time it ran.
#pragma once

#include <list>
#include <string>
#include <unordered_map>
#include <vector>

#include "messages/events.hpp"
#include "runtime/telemetry/tracing.hpp"

namespace horizons::consumers {

/// The traceparent under which a job's events travel: the submitter's own; without one (or with a wrong one) a new
/// trace whose root is the job's span.
std::string traceparent_of_job(std::string_view given, std::string_view tenant, std::string_view job_id);

/// Pure: no exporter, clock or thread.
class job_spans {
public:
  static constexpr std::size_t jobs_max = 100'000;  // in flight; the longest known is forgotten first

  /// What has ended with this event; none for a job without a trace, or one whose beginning was not seen.
  std::vector<telemetry::span> apply(const event& e);
  std::size_t size() const { return jobs_.size(); }

private:
  struct open_job {
    std::string trace_id, parent_span_id, span_id, agent;
    std::int64_t submitted_ns = 0;                       // Unix time
    std::int64_t waits_since_ns = 0, runs_since_ns = 0;  // 0: does not
    int attempt = 0;
    std::string device;
    std::list<std::string>::iterator place;
  };
  telemetry::span span_of(const open_job& j, const event& e, std::string name, std::int64_t began_ns) const;
  void end_part(open_job& j, const event& e, const std::string& trouble, std::vector<telemetry::span>& ended);

  std::unordered_map<std::string, open_job> jobs_;  // by tenant, NUL, job id
  std::list<std::string> order_;                    // the longest known first
};

}  // namespace horizons::consumers
