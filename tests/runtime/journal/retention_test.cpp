// What the retention actor asks of a journal, and when.
#include "runtime/journal/retention.hpp"

#include <gtest/gtest.h>

#include "runtime/journal/sqlite.hpp"
#include "runtime/kit/system.hpp"
#include "tests/runtime/journal/sample.hpp"
#include "tests/runtime/kit/wait.hpp"

namespace horizons::journal {
namespace {

using namespace sample;
using namespace std::chrono_literals;
using testing::eventually;

TEST(retention, an_event_must_have_passed_every_relay) {
  std::map<std::string, source_progress> sources;
  sources["relay/kafka"].next = 501;
  sources["relay/rabbitmq"].next = 301;
  sources["relay/gone"].next = 1;
  EXPECT_EQ(passed_by({"relay/kafka"}, sources), 500u);
  EXPECT_EQ(passed_by({"relay/kafka", "relay/rabbitmq"}, sources), 300u);
  EXPECT_EQ(passed_by({"relay/kafka", "relay/new"}, sources), 0u) << "it has not begun";
  EXPECT_EQ(passed_by({}, sources), ~std::uint64_t{0});
}

TEST(retention, archives_what_is_old_and_passed) {
  const folder f;
  const auto url = "sqlite:" + (f / "journal.db");
  const auto now = std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
  constexpr std::size_t old = 9'000, young = 2'000;
  kit::system system({.threads = 2});
  const auto writer =
      system.spawn_blocking<writer_api>({.name = "writer"}, journal_writer([url]() { return open_store(url, me); }));
  const auto relay = system.ask(writer, claim_source{"relay/kafka"}, 10s).value().progress.epoch;
  const auto reader =
      system.spawn_blocking<reader_api>({.name = "reader"}, journal_reader([url] { return open_reader(url); }));
  for (std::size_t i = 0; i < old + young; i += 500) {
    std::vector<event> events;
    for (std::size_t k = 0; k < 500; ++k) events.push_back(health(now - (i < old ? 10 * 24h : 1h)));
    ASSERT_TRUE(system.ask(writer, append{of(std::move(events))}, 10s));
  }
  auto watch = open_reader(url).value();
  const auto rows = [&] {
    auto db = sqlite::connection::open(f / "journal.db", sqlite::access::read).value();
    return static_cast<std::size_t>(db.integer("select count(*) from events").value());
  };
  const auto passed = [&](std::uint64_t position) {
    batch b;
    b.marks.push_back({.source = "relay/kafka", .epoch = relay, .offset = position + 1, .all_before = true});
    return system.ask(writer, append{b}, 10s);
  };

  ASSERT_TRUE(passed(3'000));
  const auto keeper = system.spawn<kit::accepts<>>(
      {.name = "retention"},
      retention(
          {.keep = std::chrono::days(7), .relays = {"relay/kafka"}, .first_after = 1ms, .interval = 20ms, .pause = 1ms},
          writer, reader));
  EXPECT_TRUE(eventually([&] { return rows() == old + young - 3'000; })) << rows();
  ASSERT_TRUE(passed(old + young));
  constexpr std::size_t whole_blocks = (old >> 10) << 10;  // the block with the first young event stays whole
  EXPECT_TRUE(eventually([&] { return rows() == old + young - (whole_blocks - 1); })) << rows();
  EXPECT_EQ(read_all(*watch).size(), old + young);
  EXPECT_EQ(watch->verify(nullptr).value(), old + young);
}

}  // namespace
}  // namespace horizons::journal
