// Our side of kafka_bench: a bridge with handlers of the bench's own.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "bench/gateways/kafka_bare.hpp"
#include "gateways/kafka/source.hpp"
#include "runtime/kit/system.hpp"

namespace horizons::bench {

using namespace std::chrono_literals;

/// A journal, the source on one topic, and a handler of the bench's own.
struct bridge {
  bridge(const kafka::kafka_options& options, const std::string& topic, const std::string& journal,
         std::function<std::shared_ptr<kafka::record_handler>(bridge&, kit::context&)> handler,
         std::size_t in_flight_max = bridges::services{}.intake.messages) {
    writer = system.spawn_blocking<journal::writer_api>({.name = "journal"}, journal::journal_writer([journal] {
                                                          return journal::open_store(journal, {"bench", "bench", {}});
                                                        }));
    const auto status = bare::must(system.ask(writer, journal::journal_status{}, 30s));
    services.writer = writer;
    services.journal_id = status.id;
    services.intake.messages = in_flight_max;  // kafka.in_flight_max
    services.audit = [](auto, auto, auto, auto, auto, auto then) { then(std::uint64_t{0}); };
    kafka::kafka_source_options o{.kafka = options};
    o.kafka.group = bare::unique("bridge");
    o.topics = {{topic, [this, handler](kit::context& self) { return handler(*this, self); }}};
    system.spawn_blocking<kafka::source_api>(
        {.name = "source"}, kafka::kafka_source(o, services, [](const kafka::failed_record& r, const auto&) {
          bare::die("a dead letter: " + r.error);
        }));
  }
  /// Some records are done; the first one starts the clock.
  void count(std::size_t records = 1) {
    if (done.fetch_add(records) == 0) start();
  }
  void start() {
    bool expected = false;
    if (!started.compare_exchange_strong(expected, true)) return;
    meter.emplace();
  }
  rate wait(std::size_t total) const {
    while (done < total) std::this_thread::sleep_for(200us);
    return meter->of(total);
  }

  std::atomic<std::size_t> done{0};
  std::atomic<bool> started{false};
  std::optional<cost_meter> meter;  // from the first record on
  bridges::services services;
  kit::system system;
  kit::handle<journal::writer_api> writer;
};

/// Says how old each record is, in ms, and whose it is (the byte behind the stamp); on the source's thread.
class age_handler : public kafka::record_handler {
public:
  using note = std::function<void(double ms, char whose)>;
  age_handler(bridge& b, note n) : bridge_(b), note_(std::move(n)) {}
  result<kafka::task> read(const kafka::received& r) override {
    std::int64_t stamp = 0;
    std::memcpy(&stamp, r.value->data(), sizeof stamp);
    kafka::task t;
    t.lane.assign(*r.key);
    t.run = [this, stamp, whose = r.value->at(sizeof stamp)](const kafka::record_mark&, const kafka::completion& then) {
      note_(bare::age_ms(&stamp), whose);
      ++bridge_.done;
      then(true);
    };
    return t;
  }

private:
  bridge& bridge_;
  note note_;
};

}  // namespace horizons::bench
