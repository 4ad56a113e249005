// The house behind a bridge, small but real: a journal in memory with its actors, and a `handle` that stores each
// submission once, by the journal's own claims. Answers can be asked for.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "gateways/bridges/services.hpp"
#include "messages/codec/json.hpp"
#include "messages/make_event.hpp"
#include "messages/ulid.hpp"
#include "runtime/journal/journal_actor.hpp"
#include "runtime/journal/memory_store.hpp"
#include "runtime/kit/system.hpp"

namespace horizons::rabbitmq::testing {

class house {
public:
  explicit house(const std::string& name) : kept_(name), url_("memory:" + name) {
    writer_ = system.spawn_blocking<journal::writer_api>({.name = "journal"}, writer_body());
    reader_ = system.spawn_blocking<journal::reader_api>(
        {.name = "reader"}, journal::journal_reader([u = url_] { return journal::open_reader(u); }));
  }
  ~house() { system.shutdown(std::chrono::seconds(10)); }

  kit::actor_body writer_body() const {
    return journal::journal_writer([u = url_] { return journal::open_store(u, {"test", "localhost", {}}); });
  }

  bridges::services services() {
    bridges::services s;
    s.handle = [this](bridges::incoming in, bridges::callback<bridges::handled> then) {
      handle(std::move(in), std::move(then));
    };
    s.audit = [this](const std::string& action, const std::string& actor, const std::string& type,
                     const std::string& id, const std::string& outcome, const bridges::callback<std::uint64_t>& then) {
      append({event_of({}, audit_recorded{action, actor, type, id, outcome})}, {},
             [then](auto r) { r ? then(r->positions.at(0)) : then(failure(r.error())); });
    };
    s.writer = writer_;
    s.reader = reader_;
    s.journal_id = "01JD0000000000000000000000";
    s.node_id = "test";
    return s;
  }

  /// Asked before anything is stored; an error is the answer.
  std::function<result<void>(const bridges::incoming&)> before;

  bool keeps_commands = true;
  std::vector<bridges::incoming> handled_commands() const {
    const std::lock_guard lock(mutex_);
    return commands_;
  }
  std::size_t commands() const {
    const std::lock_guard lock(mutex_);
    return commands_.size();
  }
  std::atomic<std::uint64_t> applied{0}, repeated{0};

  event event_of(const std::string& job_id, event_data data, std::uint64_t sequence = 0) {
    event e;
    e.event_id = make_ulid(system.utc());
    e.time = system.utc();
    e.job_id = job_id;
    e.sequence = sequence;
    e.user_id = "ada";
    e.data = std::move(data);
    return e;
  }
  void append(std::vector<event> events, std::vector<journal::identity_claim> claims,
              std::function<void(result<journal::append_outcome>)> then) {
    journal::batch b;
    b.events = std::move(events);
    b.claims = std::move(claims);
    system.ask(writer_, journal::append{std::move(b)}, std::chrono::seconds(20), std::move(then));
  }
  bool append(std::vector<event> events) {
    journal::batch b;
    b.events = std::move(events);
    const auto r = system.ask(writer_, journal::append{std::move(b)}, std::chrono::seconds(20));
    if (!r) ADD_FAILURE() << r.error().text;
    return r.has_value();
  }
  journal::source_progress progress(const std::string& source) {
    auto r = system.ask(reader_, journal::read_sources{source}, std::chrono::seconds(20));
    return r && !r->empty() ? r->begin()->second : journal::source_progress{};
  }
  std::vector<event> events(const std::string& type) {
    std::vector<event> all;
    for (std::uint64_t after = 0;;) {
      auto r = system.ask(reader_, journal::read_events{{.after_position = after, .type = type}, 5'000},
                          std::chrono::seconds(20));
      if (!r || r->events.empty()) return all;
      after = r->events.back().position;
      all.insert(all.end(), r->events.begin(), r->events.end());
    }
  }

  kit::system system;

private:
  void handle(bridges::incoming in, bridges::callback<bridges::handled> then) {
    if (keeps_commands) {
      const std::lock_guard lock(mutex_);
      commands_.push_back(in);
    }
    if (before)
      if (auto no = before(in); !no) return then(failure(no.error()));
    command c = in.what;
    if (c.job_id.empty()) c.job_id = in.fallback_job_id;
    json job{{"job_id", c.job_id}, {"agent", c.agent}, {"priority", c.priority}, {"status", "SUBMITTED"}};
    if (c.command_name != "submit") {
      ++applied;
      return then(bridges::handled{bridges::handled::outcome::applied, false, std::move(job)});
    }
    const std::string digest = to_json(c);
    append({event_of(c.job_id, job_submitted{.agent = c.agent, .dataset = c.dataset, .priority = c.priority}, 1)},
           {{c.tenant, c.user_id, c.job_id, c.idempotency_key, digest}},
           [this, then = std::move(then), job = std::move(job), digest](result<journal::append_outcome> r) {
             if (!r) return then(failure(r.error()));
             if (!r->conflict) {
               ++applied;
               return then(bridges::handled{bridges::handled::outcome::applied, false, job});
             }
             if (r->conflict->digest != digest)
               return then(failure(error_code::conflict, "job " + r->conflict->job_id + " exists with other content"));
             ++repeated;
             then(bridges::handled{bridges::handled::outcome::repeated, false, job});
           });
  }

  journal::memory_journal kept_;
  std::string url_;
  kit::handle<journal::writer_api> writer_;
  kit::handle<journal::reader_api> reader_;
  mutable std::mutex mutex_;
  std::vector<bridges::incoming> commands_;
};

}  // namespace horizons::rabbitmq::testing
