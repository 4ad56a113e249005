// A journal in memory with its real actors under a supervisor, and a bridge's services on it.
#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "gateways/bridges/services.hpp"
#include "messages/make_event.hpp"
#include "runtime/journal/memory_store.hpp"
#include "runtime/kit/system.hpp"
#include "runtime/supervision/supervisor.hpp"
#include "tests/gateways/kafka/brokers.hpp"
#include "tests/runtime/journal/sample.hpp"

namespace horizons::kafka::testing {

class with_journal : public with_brokers {
protected:
  void SetUp() override {
    with_brokers::SetUp();
    if (IsSkipped()) return;
    supervise(
        "/journal",
        {{{.name = "writer"},
          journal::journal_writer([u = url_] { return journal::open_store(u, journal::sample::me); }),
          {},
          true},
         {{.name = "reader"}, journal::journal_reader([u = url_] { return journal::open_reader(u); }), {}, true}});
    services.writer = kit::handle<journal::writer_api>(found("/journal/writer").cell());
    services.reader = kit::handle<journal::reader_api>(found("/journal/reader").cell());
    services.journal_id = system.ask(services.writer, journal::journal_status{}, 10s).value().id;
    services.node_id = "n1";
    services.audit = [this](std::string action, std::string actor, std::string type, std::string id,
                            std::string outcome, bridges::callback<std::uint64_t> then) {
      event_context context{.now = wall_now()};
      auto e = make_event(context, audit_recorded{action, actor, type, id, outcome});
      if (!e) return then(failure(e.error()));
      system.ask(services.writer, journal::append{journal::sample::of({*e})}, 10s,
                 [then](result<journal::append_outcome> r) {
                   if (r)
                     then(r->positions.at(0));
                   else
                     then(failure(r.error()));
                 });
    };
  }

  void TearDown() override { EXPECT_TRUE(system.shutdown(20s).empty()); }

  /// A supervisor "/<name>" over children that are restarted quickly.
  void supervise(std::string path, std::vector<supervision::child_spec> children) {
    system.spawn<supervision::supervisor_api>(
        {.name = path.substr(1)},
        supervision::supervisor(supervision::strategy::one_for_one,
                                {.restarts_max = 100, .backoff_first = 5ms, .backoff_max = 50ms}, std::move(children)));
  }
  kit::address found(const std::string& path) const {
    kit::address a;
    EXPECT_TRUE(eventually([&] { return static_cast<bool>(a = system.find(path)); })) << path;
    return a;
  }

  std::vector<event> commit(std::vector<event> events) {
    auto done = system.ask(services.writer, journal::append{journal::sample::of(events)}, 20s);
    EXPECT_TRUE(done) << done.error().text;
    for (std::size_t i = 0; done && i < events.size(); ++i) events[i].position = done->positions[i];
    return events;
  }

  /// `count` events of a job, from `first` on.
  static std::vector<event> of_job(const std::string& job, std::uint64_t first, std::uint64_t count) {
    std::vector<event> events;
    for (std::uint64_t i = 0; i < count; ++i) events.push_back(journal::sample::life_cycle(job, first + i, wall_now()));
    return events;
  }

  std::uint64_t stored_position(const std::string& source = "relay/kafka") {
    auto sources = system.ask(services.reader, journal::read_sources{source}, 10s);
    EXPECT_TRUE(sources);
    const auto at = sources->find(source);
    return at == sources->end() ? 0 : at->second.next;
  }
  std::uint64_t last_position() {
    return system.ask(services.writer, journal::journal_status{}, 10s).value().last_position;
  }
  std::vector<event> audits() {
    return system.ask(services.reader, journal::read_events{{.type = "audit.recorded"}, 10'000}, 10s).value().events;
  }

  const std::string name_ = unique("journal");
  const std::string url_ = "memory:" + name_;
  journal::memory_journal kept_{name_};
  kit::system system;
  bridges::services services;
};

}  // namespace horizons::kafka::testing
