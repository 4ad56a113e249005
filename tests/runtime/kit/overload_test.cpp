// Ten times as much work as anybody can do, for seconds: queues stay within their declared limits, memory does not
// grow, and whoever asks over the control lane is answered. How fast is bench/runtime's business.
#include <gtest/gtest.h>

#include <malloc.h>

#include <cstdlib>
#include <fstream>
#include <thread>

#include "runtime/kit/actor_metrics.hpp"
#include "runtime/kit/credit.hpp"
#include "runtime/kit/system.hpp"
#include "runtime/supervision/supervisor.hpp"
#include "tests/runtime/kit/wait.hpp"

namespace horizons::kit {
namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;
using horizons::testing::eventually;

constexpr std::size_t payload_bytes = 4096;
constexpr lane_limits limits{.messages_max = 1'000, .bytes_max = 2 << 20};  // 512 payloads: bytes come first

struct work {
  std::string payload = std::string(payload_bytes, 'x');
  std::uint64_t key = 0;
  std::uint64_t conflate_key() const { return key; }
  friend std::size_t bytes_of(const work& w) { return sizeof(work) + w.payload.size(); }
};
struct reading {
  static constexpr auto lane = kit::lane::control;
  using reply = std::uint64_t;
};
using worker_api = accepts<work, reading>;

/// Works some 100 µs on each message; answers at once.
behavior slow_worker(context&) {
  auto done = std::make_shared<std::uint64_t>(0);
  return behavior{}
      .on<work>([done](const work& w) {
        for (const auto end = clock::now() + 100us; clock::now() < end;) {
        }
        *done += !w.payload.empty();
      })
      .on<reading>([done](const reading&) -> result<std::uint64_t> { return *done; });
}

#if defined(__SANITIZE_ADDRESS__)
constexpr std::size_t allocator_keeps_bytes = 512u << 20;  // the sanitizer holds freed memory back
#else
constexpr std::size_t allocator_keeps_bytes = 0;
#endif

std::size_t resident_bytes() {
  std::size_t size = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> size >> resident;
  return resident * 4096;
}

class overload : public ::testing::TestWithParam<overflow> {};

TEST_P(overload, memory_is_flat_and_control_is_answered) {
  const auto duration = std::getenv("HORIZONS_LONG") ? 60s : 3s;
  auto lane = limits;
  lane.on_overflow = GetParam();
  system sys;
  auto worker = sys.spawn<worker_api>({.name = "worker", .limits = lane}, slow_worker);

  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> sent{0}, refused{0};
  std::vector<std::thread> sources;
  for (int i = 0; i < 2; ++i)
    sources.emplace_back([&] {
      for (std::uint64_t n = 0; !stop; ++n) {
        if (worker.send(work{.key = n % 700}) != delivery::accepted) ++refused;
        ++sent;
        if (n % 64 == 0) std::this_thread::yield();
      }
    });

  std::uint64_t answers = 0, last = 0;
  std::size_t most_messages = 0, most_bytes = 0, early_resident = 0;
  const auto began = clock::now();
  while (clock::now() - began < duration) {
    auto done = sys.ask(worker, reading{}, 10s);
    ASSERT_TRUE(done) << done.error().text;
    EXPECT_GE(*done, last);
    last = *done;
    ++answers;
    for (auto& m : sys.mailboxes()) {
      most_messages = std::max(most_messages, m.messages);
      most_bytes = std::max(most_bytes, m.bytes);
    }
    if (!early_resident && clock::now() - began > duration / 3) early_resident = resident_bytes();
  }
  const auto late_resident = resident_bytes();
  stop = true;
  for (auto& t : sources) t.join();

  EXPECT_GT(sent.load(), 2 * last);  // it was an overload, however slow the machine
  EXPECT_GT(last, 0u);               // and work went on
  EXPECT_GT(answers, 0u);
  // Two sources may each be one message over while they are told so.
  EXPECT_LE(most_messages, limits.messages_max + 2);
  EXPECT_LE(most_bytes, limits.bytes_max + 2 * (sizeof(work) + payload_bytes));
  EXPECT_LT(late_resident, early_resident + (allocator_keeps_bytes + (32u << 20)));
  // Nothing is lost without being counted.
  std::uint64_t lost = 0;
  for (auto registry = sys.metrics(); auto* m : registry->all())
    for (auto& n : m->dead_letters) lost += n;
  EXPECT_TRUE(eventually([&] {
    const auto left = sys.mailboxes()[0].messages;
    return left == 0;
  }));
  EXPECT_EQ(*sys.ask(worker, reading{}, 10s) + lost, sent.load());
}

INSTANTIATE_TEST_SUITE_P(kit, overload, ::testing::Values(overflow::reject, overflow::drop_oldest, overflow::conflate),
                         [](auto& info) {
                           return info.param == overflow::reject        ? "reject"
                                  : info.param == overflow::drop_oldest ? "drop_oldest"
                                                                        : "conflate";
                         });

// Block by credit: the source waits instead of being refused, and nothing at all is lost.
struct granted {
  static constexpr auto lane = kit::lane::control;
  credit more;
};
struct item {
  std::string payload;
  handle<accepts<granted>> from;
  friend std::size_t bytes_of(const item& i) { return sizeof(item) + i.payload.size(); }
};

TEST(overload, credit_holds_the_source_back) {
  constexpr std::uint64_t total = 20'000;
  constexpr credit window{.messages = 50, .bytes = 50 * (sizeof(item) + payload_bytes)};
  system sys;
  std::atomic<std::uint64_t> done{0};
  std::atomic<std::size_t> most{0};
  using sink_api = accepts<item, reading>;
  auto sink = sys.spawn<sink_api>({.name = "sink", .limits = {.messages_max = 50}}, [&](context& self) {
    auto open = std::make_shared<credit_window>(window, gauge_of(self));
    return behavior{}
        .on<item>([&, open](const item& i) {
          open->received();
          most = std::max(most.load(), open->outstanding());
          ++done;
          if (auto more = open->done(bytes_of(i))) i.from.send(granted{*more});
        })
        .on<reading>([&](const reading&) -> result<std::uint64_t> { return done.load(); });
  });
  using source_api = accepts<granted>;
  std::atomic<std::uint64_t> refused{0};
  auto source = sys.spawn<source_api>({.name = "source"}, [&, sink](context& self) {
    auto balance = std::make_shared<credit_balance>(window.bytes);
    auto left = std::make_shared<std::uint64_t>(total);
    auto go_on = [&, sink, balance, left, me = self.self_as<source_api>()] {
      item next{std::string(payload_bytes, 'x'), me};
      for (; *left && balance->may_send(bytes_of(next)); --*left) {
        balance->sent(bytes_of(next));
        if (sink.send(next) != delivery::accepted) ++refused;
      }
    };
    return behavior{}.on<granted>([balance, go_on](const granted& g) {
      balance->grant(g.more);
      go_on();
    });
  });
  source.send(granted{window});
  EXPECT_TRUE(eventually([&] { return done == total; }, 60s));
  EXPECT_EQ(refused, 0u);
  EXPECT_TRUE(sys.ask(sink, reading{}, 5s));
}

}  // namespace
}  // namespace horizons::kit
