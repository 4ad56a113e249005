// The journal on the metrics page.
#include "runtime/journal/journal_collector.hpp"

#include <gtest/gtest.h>

#include "runtime/telemetry/metrics.hpp"

namespace horizons::journal {
namespace {

TEST(journal_collector, shows_what_the_writer_counts) {
  auto metrics = std::make_shared<journal_metrics>();
  metrics->batches = 7;
  metrics->fenced = 2;
  metrics->events = 40;
  metrics->size_bytes = 8192;
  metrics->archived_to = 4096;
  metrics->commit_times.add(3'000'000, 1);  // 3 ms
  telemetry::metrics_page page;
  page.add(std::make_shared<journal_collector>(metrics));
  const auto text = page.prometheus_text();
  for (const char* line :
       {"# TYPE horizons_journal_commit_seconds histogram", "horizons_journal_appends_total{outcome=\"committed\"} 7",
        "horizons_journal_appends_total{outcome=\"fenced\"} 2", "horizons_journal_events_total 40",
        "horizons_journal_archived_position 4096", "horizons_journal_size_bytes 8192",
        "horizons_journal_commit_seconds_bucket{le=\"0.001024\"} 0",
        "horizons_journal_commit_seconds_bucket{le=\"0.004096\"} 1", "horizons_journal_commit_seconds_sum 0.003"})
    EXPECT_NE(text.find(line), std::string::npos) << line << "\n" << text;
  metrics->events = 41;
  EXPECT_NE(page.prometheus_text().find("horizons_journal_events_total 41"), std::string::npos) << "read at each visit";
}

}  // namespace
}  // namespace horizons::journal
