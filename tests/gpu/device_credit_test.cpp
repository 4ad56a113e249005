// What a device takes, and how its credit shows.
#include "gpu/device.hpp"

#include <gtest/gtest.h>

#include <future>

#include "runtime/kit/actor_metrics.hpp"
#include "runtime/kit/system.hpp"
#include "tests/runtime/kit/wait.hpp"

namespace horizons::gpu {
namespace {

using namespace std::chrono_literals;
using testing::eventually;

std::int64_t credit_of(const kit::system& sys, std::string_view type) {
  for (const auto* m : sys.metrics()->all())
    if (m->type == type) return m->credit_outstanding;
  return -1;
}

TEST(device_credit, units_beyond_its_credit_are_lost_and_what_it_holds_shows) {
  std::promise<void> go;
  auto open = go.get_future().share();
  std::atomic<int> done{0}, lost{0};
  kit::system sys;
  auto device = sys.spawn<device_api>({.name = "device"}, device_actor({.id = "cpu/0"}, {.units_max = 2}));
  const auto run = [&](std::string id) {
    device.send(run_unit{.id = std::move(id),
                         .work = [open](std::stop_token) { open.wait(); },
                         .on_end = [&](unit_end how) { ++(how == unit_end::done ? done : lost); }});
  };
  for (auto* id : {"a", "b", "c"}) run(id);
  EXPECT_TRUE(eventually([&] { return lost == 1; }));
  EXPECT_EQ(credit_of(sys, "device"), 2);
  const auto status = sys.ask(device, device_status{}, 5s);
  ASSERT_TRUE(status);
  EXPECT_EQ(status->units, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(status->units_max, 2u);
  go.set_value();
  EXPECT_TRUE(eventually([&] { return done == 2; }));
  EXPECT_EQ(credit_of(sys, "device"), 0);
  run("d");
  EXPECT_TRUE(eventually([&] { return done == 3; }));
}

}  // namespace
}  // namespace horizons::gpu
