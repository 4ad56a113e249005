// The framework's own serialisers carry every described message, an infinity included (T0), through the inspection that
// messages/inspect.hpp derives.
#include "messages/inspect.hpp"

#include <gtest/gtest.h>

#include <limits>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/binary_deserializer.hpp>
#include <caf/binary_serializer.hpp>

#include "tests/messages/random_events.hpp"

namespace horizons {
namespace {

class inspection : public ::testing::Test {
protected:
  template <class T>
  void expect_same(T message) {
    std::vector<char> bytes;
    caf::binary_serializer sink(system_, bytes);
    ASSERT_FALSE(sink(message));
    T back;
    caf::binary_deserializer source(system_, bytes);
    ASSERT_FALSE(source(back));
    EXPECT_EQ(back, message);
  }

  caf::actor_system_config config_;
  caf::actor_system system_{config_};
  testing::random_messages random_{1};
};

TEST_F(inspection, carries_every_type) {
  for (int i = 0; i < 20; ++i) {
    for_each_event_type([&]<class T>() {
      auto e = random_.event_of<T>();
      expect_same(std::get<T>(e.data));
      expect_same(e);
    });
    expect_same(random_.any_command());
  }
}

TEST_F(inspection, an_infinity_neither_hangs_nor_changes) {
  job_progress p;
  p.eta_s = std::numeric_limits<double>::infinity();
  p.progress = -0.0;
  expect_same(p);
}

}  // namespace
}  // namespace horizons
