#include "actors/jobs/content_digest.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <random>

#include "actors/agents/sha256.hpp"

namespace horizons::jobs {
namespace {

command imaging() {
  command c;
  c.agent = "image-reconstruction";
  c.dataset = "file:///data/3c286.ms";
  c.user_id = "jansky";
  c.params = {{"cell_arcsec", 1.0}, {"size", 1200}};
  c.wants = {.gpus = 1, .cpus = 4, .memory_gb = 16.0, .walltime_s = 3600};
  return c;
}

/// How the first journals made it.
std::string digest_of_tree(const command& c) {
  const json content = {{"agent", c.agent},
                        {"dataset", c.dataset},
                        {"params", c.params},
                        {"user_id", c.user_id},
                        {"tenant", c.tenant},
                        {"priority", c.priority},
                        {"gpus", c.wants.gpus},
                        {"cpus", c.wants.cpus},
                        {"walltime_s", c.wants.walltime_s},
                        {"memory_gb", c.wants.memory_gb ? json(*c.wants.memory_gb) : json(nullptr)}};
  return agents::sha256_of_text(content.dump());
}

TEST(content_digest, stays_as_released_journals_have_it) {
  EXPECT_EQ(content_digest(imaging()), "40d8d50e60f74f84b6f65642d540838bb5cc740d07dd599707a02e8c1d52d07e");
}

TEST(content_digest, every_kind_of_value_is_written_as_the_first_journals_did) {
  auto c = imaging();
  c.wants.memory_gb.reset();
  c.params = {
      {"quote\" \\ / \n \t \x01 \x1f \x7f µ", nullptr},
      {"list", {true, false, -1, 18446744073709551615u, json::array(), json::object()}},
      {"reals", {0.0, -0.0, 1e5, 100000.5, 1e15, 1e16, 1e21, 1e-4, 1e-5, 1e-7, 5e-324, 1.7976931348623157e308}}};
  EXPECT_EQ(content_digest(c), digest_of_tree(c));

  std::mt19937_64 random{286};
  for (int i = 0; i < 10'000; ++i) {
    c.params = {{"x", std::bit_cast<double>(random())},
                {"y", static_cast<double>(random() >> (random() % 64))},
                {"z", static_cast<double>(random() % 1'000'000) / 1000}};
    c.wants.memory_gb = static_cast<double>(random() % 1'000'000'000) / 4;
    ASSERT_EQ(content_digest(c), digest_of_tree(c)) << c.params.dump();
  }
}

TEST(content_digest, identifiers_do_not_count_and_content_does) {
  const auto digest = content_digest(imaging());
  auto c = imaging();
  c.job_id = "other";
  c.correlation_id = "other";
  c.idempotency_key = "other";
  EXPECT_EQ(content_digest(c), digest);
  const auto changed = [&](auto change) {
    auto other = imaging();
    change(other);
    EXPECT_NE(content_digest(other), digest);
  };
  changed([](command& o) { o.agent = "noop"; });
  changed([](command& o) { o.dataset += "x"; });
  changed([](command& o) { o.user_id = "reber"; });
  changed([](command& o) { o.tenant = "vla"; });
  changed([](command& o) { o.params["size"] = 1201; });
  changed([](command& o) { o.priority = 1; });
  changed([](command& o) { o.wants.gpus = 2; });
  changed([](command& o) { o.wants.cpus = 5; });
  changed([](command& o) { o.wants.walltime_s = 60; });
  changed([](command& o) { o.wants.memory_gb.reset(); });
}

}  // namespace
}  // namespace horizons::jobs
