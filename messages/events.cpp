#include "messages/events.hpp"

namespace horizons {

std::string_view type_of(const event_data& data) {
  return std::visit([]<class T>(const T&) { return name_of<T>(); }, data);
}

int schema_version_of(const event_data& data) {
  return std::visit([]<class T>(const T&) { return T::description().version; }, data);
}

bool is_life_cycle(const event_data& data) {
  return std::visit(overloaded{
                        [](const job_submitted&) { return true; },      [](const job_queued&) { return true; },
                        [](const job_running&) { return true; },        [](const job_retrying&) { return true; },
                        [](const job_paused&) { return true; },         [](const job_resumed&) { return true; },
                        [](const job_progress&) { return true; },       [](const job_completed&) { return true; },
                        [](const job_failed&) { return true; },         [](const job_rejected&) { return true; },
                        [](const job_cancelled&) { return true; },      [](const job_metrics&) { return false; },
                        [](const notification_sent&) { return false; }, [](const notification_read&) { return false; },
                        [](const audit_recorded&) { return false; },    [](const system_health&) { return false; },
                        [](const alert_raised&) { return false; },      [](const alert_acknowledged&) { return false; },
                        [](const alert_cleared&) { return false; },
                    },
                    data);
}

}  // namespace horizons
