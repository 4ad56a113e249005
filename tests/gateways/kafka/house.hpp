// A small house behind the source: a real journal writer, and commands that become audit events of their job, stored
// with the record's mark. Whatever is lost, doubled or out of order shows in the journal.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "gateways/kafka/source.hpp"
#include "gateways/kafka/submission_handler.hpp"
#include "messages/make_event.hpp"
#include "runtime/journal/memory_store.hpp"
#include "runtime/kit/system.hpp"
#include "tests/gateways/kafka/brokers.hpp"

namespace horizons::kafka::testing {

class house {
public:
  explicit house(std::string journal = unique("memory:house"))
      : journal_(std::move(journal)), kept_(journal_.substr(journal_.find(':') + 1)) {
    writer_ = system.spawn_blocking<journal::writer_api>({.name = "journal"}, journal::journal_writer([url = journal_] {
                                                           return journal::open_store(url, {"node", "host", {}});
                                                         }));
    EXPECT_TRUE(eventually([&] {
      auto s = system.ask(writer_, journal::journal_status{}, 5s);
      if (s) id_ = s->id;
      return s.has_value();
    }));
  }

  bridges::services services() {
    bridges::services s;
    s.handle = [this](bridges::incoming in, bridges::callback<bridges::handled> then) {
      handle(std::move(in), std::move(then));
    };
    s.audit = [this](std::string action, std::string, std::string, std::string resource, std::string outcome,
                     bridges::callback<std::uint64_t> then) {
      const std::lock_guard lock(mutex_);
      audits_.push_back(action + " " + resource + " " + outcome);
      then(std::uint64_t{1});
    };
    s.writer = writer_;
    s.journal_id = id_;
    s.node_id = "node";
    s.intake.messages = intake;
    return s;
  }
  std::size_t intake = bridges::services{}.intake.messages;

  /// Asked before anything is done: an error is the answer.
  std::function<std::optional<error>(const bridges::incoming&)> refuse;

  dead_letter_sink sink() {
    return [this](failed_record r, bridges::callback<void> then) {
      if (sink_down) return then(failure(error_code::unavailable, "the dead letters are away"));
      {
        const std::lock_guard lock(mutex_);
        letters_.push_back(std::move(r));
      }
      then({});
    };
  }
  std::atomic<bool> sink_down{false};

  std::vector<failed_record> letters() {
    const std::lock_guard lock(mutex_);
    return letters_;
  }
  std::vector<std::string> audits() {
    const std::lock_guard lock(mutex_);
    return audits_;
  }

  /// One command as the journal has it: which job, its idempotency key, and where the record lay ("source@offset").
  struct entry {
    std::string job, number, place;
  };
  /// All of them, in the order they were stored.
  std::vector<entry> stored() {
    std::vector<entry> out;
    auto reader = journal::open_reader(journal_);
    EXPECT_TRUE(reader);
    journal::event_filter from;
    for (;;) {
      auto events = (*reader)->read(from, 10'000);
      EXPECT_TRUE(events);
      if (!events || events->empty()) return out;
      for (const auto& e : *events) {
        const auto& a = std::get<audit_recorded>(e.data);
        out.push_back({a.resource_id, a.outcome, a.resource_type});
        from.after_position = e.position;
      }
    }
  }
  std::size_t stored_count() { return stored_.load(); }
  std::map<std::string, journal::source_progress> progress() {
    auto reader = journal::open_reader(journal_);
    auto all = (*reader)->read_sources("kafka/");
    EXPECT_TRUE(all);
    return all.value_or(std::map<std::string, journal::source_progress>{});
  }

  void set_faults(journal::memory_faults faults) { kept_.set_faults(std::move(faults)); }
  const std::string& id() const { return id_; }
  const std::string& journal_url() const { return journal_; }

private:
  void handle(bridges::incoming in, bridges::callback<bridges::handled> then) {
    if (refuse)
      if (auto e = refuse(in)) return then(failure(*e));
    const auto job = in.what.job_id.empty() ? in.fallback_job_id : in.what.job_id;
    event_context context{.now = wall_now(), .traceparent = in.traceparent};
    auto e = make_event(context, audit_recorded{.action = in.what.command_name,
                                                .actor = in.what.user_id,
                                                .resource_type = place_of(in),
                                                .resource_id = job,
                                                .outcome = in.what.idempotency_key});
    EXPECT_TRUE(e) << e.error().text;
    // The same record is the same event, so that an append of unknown outcome may be repeated.
    e->event_id = derived_job_id("", place_of(in), 0, 0, timestamp{});
    journal::batch b;
    b.events.push_back(*e);
    if (in.mark) b.marks.push_back(*in.mark);
    system.ask(writer_, journal::append{std::move(b)}, 30s, [this, then](result<journal::append_outcome> r) {
      if (!r) return then(failure(r.error()));
      ++stored_;
      then(bridges::handled{.marked = true});
    });
  }

  static std::string place_of(const bridges::incoming& in) {
    if (!in.mark) return "nowhere";
    return in.mark->source + "@" + std::to_string(in.mark->offset - (in.mark->all_before ? 1 : 0));
  }

  std::string journal_;
  journal::memory_journal kept_;
  std::string id_;
  std::mutex mutex_;
  std::vector<failed_record> letters_;
  std::vector<std::string> audits_;
  std::atomic<std::size_t> stored_{0};

public:
  kit::system system;

private:
  kit::handle<journal::writer_api> writer_;
};

/// {"command":"pause","job_id":…,"user_id":"karl","idempotency_key":"7"}: an order about a job, the 7th.
inline std::string order_json(const std::string& job, int number) {
  return R"({"command":"pause","job_id":")" + job + R"(","user_id":"karl","idempotency_key":")" +
         std::to_string(number) + R"("})";
}

/// Whether every order of every job is there, in whatever order and however often: what to wait for.
inline bool all_there(house& h, int jobs, int orders) {
  std::set<std::pair<std::string, std::string>> seen;
  for (const auto& e : h.stored()) seen.emplace(e.job, e.number);
  return seen.size() >= static_cast<std::size_t>(jobs) * static_cast<std::size_t>(orders);
}

/// Every job has its orders from 0 to `orders` in order, and no record was done twice. What a producer wrote twice is
/// two records: readers drop the second.
inline void expect_complete(house& h, int jobs, int orders) {
  std::map<std::string, int> next;
  std::set<std::string> places;
  for (const auto& [job, number, place] : h.stored()) {
    ASSERT_TRUE(places.insert(place).second) << place << " was done twice";
    if (const int n = std::stoi(number); n >= next[job]) {
      ASSERT_EQ(n, next[job]++) << job << ", " << place;
    }
  }
  ASSERT_EQ(next.size(), static_cast<std::size_t>(jobs));
  for (const auto& [job, count] : next) ASSERT_EQ(count, orders) << job;
}

}  // namespace horizons::kafka::testing
