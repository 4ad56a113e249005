// Events, batches and folders for the tests of the journal.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <string>

#include "messages/ulid.hpp"
#include "runtime/journal/journal.hpp"

namespace horizons::journal::sample {

inline const timestamp noon = std::chrono::sys_days{std::chrono::year{2026} / 11 / 21} + std::chrono::hours{12};
inline const owner_info me{"node-1", "vla", noon};

/// The event of a job's life cycle at `sequence`: 1 is its submission.
inline event life_cycle(const std::string& job, std::uint64_t sequence, timestamp time = noon) {
  event e;
  e.event_id = make_ulid(time);
  e.time = time;
  e.sequence = sequence;
  e.job_id = job;
  e.user_id = "karl";
  e.correlation_id = "c-" + job;
  if (sequence == 1)
    e.data = job_submitted{.agent = "image-reconstruction", .dataset = "file:///data/m87.uvfits"};
  else
    e.data = job_progress{.progress = 0.25, .stage = "gridding", .eta_s = 12.5};
  return e;
}

inline event health(timestamp time = noon) {
  event e;
  e.event_id = make_ulid(time);
  e.time = time;
  e.data = system_health{"journal", "up", "\u00b5 is fine"};
  return e;
}

inline batch of(std::vector<event> events, std::uint64_t epoch = 0) {
  batch b;
  if (!events.empty()) b.shard = shard_of(events[0].tenant, events[0].job_id);
  b.epoch = epoch;
  b.events = std::move(events);
  return b;
}

inline batch submission(const std::string& job, const std::string& digest, const std::string& key = "") {
  auto b = of({life_cycle(job, 1)});
  b.claims.push_back({"default", "karl", job, key, digest});
  return b;
}

inline source_mark finished(const std::string& source, std::uint64_t epoch, std::uint64_t offset) {
  return {.source = source, .epoch = epoch, .offset = offset};
}

/// Appends one batch; the outer error and the batch's own are one.
inline result<append_outcome> append_one(store& s, const batch& b) {
  auto outcomes = s.append(std::span(&b, 1));
  if (!outcomes) return failure(outcomes.error());
  return (*outcomes)[0];
}

inline std::vector<event> read_all(store& s, const event_filter& filter = {}, std::size_t page = 10'000) {
  std::vector<event> all;
  event_filter f = filter;
  for (;;) {
    auto events = s.read(f, page);
    EXPECT_TRUE(events) << events.error().text;
    if (!events || events->empty()) return all;
    f.after_position = events->back().position;
    all.insert(all.end(), events->begin(), events->end());
  }
}

/// A folder of its own, removed at the end.
class folder {
public:
  folder() {
    std::string name = (std::filesystem::temp_directory_path() / "journal-test-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  folder(const folder&) = delete;
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

private:
  std::string path_;
};

}  // namespace horizons::journal::sample
