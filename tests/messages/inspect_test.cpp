#include "messages/inspect.hpp"

#include <gtest/gtest.h>

#include <any>

#include "tests/messages/random_events.hpp"

namespace horizons {
namespace {

/// Inspectors with the shape of CAF 0.17's: called with all fields of a message at once.
struct saver {
  using result_type = bool;
  static constexpr bool reads_state = true;
  static constexpr bool writes_state = false;
  std::vector<std::any> seen;

  template <class... Fields>
  bool operator()(Fields&... fields) {
    static_assert((!std::is_floating_point_v<Fields> && ...), "the framework hangs on an infinity");
    (seen.emplace_back(fields), ...);
    return true;
  }
};

struct loader {
  using result_type = bool;
  static constexpr bool reads_state = false;
  static constexpr bool writes_state = true;
  std::vector<std::any> seen;
  std::size_t next = 0;

  template <class... Fields>
  bool operator()(Fields&... fields) {
    ((fields = std::any_cast<Fields>(seen.at(next++))), ...);
    return true;
  }
};

template <class T>
T through_inspectors(T value) {
  saver save;
  EXPECT_TRUE(inspect(save, value));
  loader load{std::move(save.seen)};
  T out;
  EXPECT_TRUE(inspect(load, out));
  return out;
}

TEST(inspect, every_type_comes_back) {
  testing::random_messages random{11};
  for_each_event_type([&]<class T>() {
    for (int i = 0; i < 50; ++i) {
      const event e = random.event_of<T>();
      ASSERT_EQ(through_inspectors(std::get<T>(e.data)), std::get<T>(e.data)) << name_of<T>();
      ASSERT_EQ(through_inspectors(e), e);
    }
  });
  const command c = random.any_command();
  EXPECT_EQ(through_inspectors(c), c);
}

TEST(inspect, numbers_keep_every_bit) {
  for (const double value : {-0.0, std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()}) {
    const job_progress back = through_inspectors(job_progress{value, "", value});
    EXPECT_EQ(std::bit_cast<std::uint64_t>(back.progress), std::bit_cast<std::uint64_t>(value));
    EXPECT_EQ(std::bit_cast<std::uint64_t>(*back.eta_s), std::bit_cast<std::uint64_t>(value));
  }
}

}  // namespace
}  // namespace horizons
