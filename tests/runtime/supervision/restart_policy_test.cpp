// The scenarios of testdata/*.txt, and properties that hold for random children and exits.
#include "runtime/supervision/restart_policy.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>
#include <random>
#include <set>
#include <sstream>

namespace horizons::supervision {
namespace {

using kit::exit_cause;

std::string trim(std::string s) {
  s.erase(0, s.find_first_not_of(" \t"));
  s.erase(s.find_last_not_of(" \t") + 1);
  return s;
}

milliseconds duration(const std::string& s) {  // "0.1s", "50ms"
  auto value = std::stod(s);
  return milliseconds{std::llround(s.ends_with("ms") ? value : value * 1000)};
}

struct scenario {
  std::optional<restart_policy> policy;

  void declare(std::istream& words) {
    std::string how, word;
    words >> how;
    restart_limits limits{.jitter = 0};
    while (words >> word) {
      auto eq = word.find('=');
      auto key = word.substr(0, eq), value = word.substr(eq + 1);
      if (key == "restarts_max")
        limits.restarts_max = std::stoi(value);
      else if (key == "window")
        limits.window = duration(value);
      else if (key == "backoff_first")
        limits.backoff_first = duration(value);
      else if (key == "backoff_max")
        limits.backoff_max = duration(value);
      else
        FAIL() << "unknown limit " << key;
    }
    policy.emplace(how == "one_for_all"    ? strategy::one_for_all
                   : how == "rest_for_one" ? strategy::rest_for_one
                                           : strategy::one_for_one,
                   limits);
  }

  void child(std::istream& words) {
    std::string name, kind, significant;
    words >> name >> kind >> significant;
    policy->add(name,
                kind == "temporary"   ? kit::restart::temporary
                : kind == "transient" ? kit::restart::transient
                                      : kit::restart::permanent,
                significant == "significant");
  }

  void at(const std::string& event, const std::string& expected) {
    std::istringstream words(event);
    std::string time, name, verb, rest;
    words >> time >> name >> verb;
    std::getline(words, rest);
    rest = trim(rest);
    using kind = exit_cause::kind;
    auto how = verb == "fails"    ? kind::failed
               : verb == "ends"   ? kind::normal
               : rest == "killed" ? kind::killed
                                  : kind::shutdown;
    std::string got;
    auto effects = verb == "is" && rest == "renewed"
                       ? policy->renew(name)
                       : policy->step({name, {how, ""}}, instant{} + std::chrono::hours{1} + duration(time));
    for (auto& e : effects) got += (got.empty() ? "" : ", ") + to_string(e);
    EXPECT_EQ(got.empty() ? "nothing" : got, expected);
  }
};

TEST(restart_policy, scenarios) {
  int files = 0;
  for (auto& file : std::filesystem::directory_iterator(HORIZONS_SOURCE_DIR "/tests/runtime/supervision/testdata")) {
    ++files;
    std::ifstream in(file.path());
    scenario s;
    std::string line;
    for (int number = 1; std::getline(in, line); ++number) {
      SCOPED_TRACE(file.path().filename().string() + ":" + std::to_string(number));
      line = trim(line.substr(0, line.find('#')));
      std::istringstream words(line);
      std::string first;
      if (!(words >> first)) continue;
      if (first == "supervisor")
        s.declare(words);
      else if (first == "child")
        s.child(words);
      else {
        auto arrow = line.find("->");
        ASSERT_NE(arrow, std::string::npos);
        s.at(trim(line.substr(3, arrow - 3)), trim(line.substr(arrow + 2)));
      }
    }
  }
  EXPECT_GE(files, 8);
}

/// A world that obeys the policy at once and checks what it asks for.
TEST(restart_policy, random_exits_keep_the_rules) {
  for (unsigned seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    auto pick = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
    auto how = static_cast<strategy>(pick(3));
    restart_limits limits{.restarts_max = pick(5), .window = milliseconds{1000 * (1 + pick(10))}};
    restart_policy policy(how, limits, seed);
    std::vector<std::string> order;
    std::set<std::string> alive;
    for (int i = 0; i < 1 + pick(6); ++i) {
      order.push_back("c" + std::to_string(i));
      alive.insert(order.back());
      policy.add(order.back(), static_cast<kit::restart>(pick(3)));
    }
    auto place = [&](const std::string& c) { return std::find(order.begin(), order.end(), c) - order.begin(); };
    auto now = instant{} + std::chrono::hours{1};
    std::vector<instant> restarts;
    bool over = false;
    for (int n = 0; n < 60 && !alive.empty() && !over; ++n) {
      now += milliseconds{pick(3000)};
      auto victim = *std::next(alive.begin(), pick(static_cast<int>(alive.size())));
      alive.erase(victim);
      auto effects = policy.step({victim, {static_cast<exit_cause::kind>(pick(4)), "x"}}, now);
      std::string last_stop, last_start;
      for (auto& effect : effects) {
        if (auto* e = std::get_if<stop_child>(&effect)) {
          EXPECT_TRUE(alive.erase(e->child)) << "stops " << e->child << ", which does not live";
          EXPECT_TRUE(last_start.empty()) << "a stop after a start";
          EXPECT_TRUE(last_stop.empty() || place(e->child) < place(last_stop));
          EXPECT_TRUE(how != strategy::rest_for_one || place(e->child) > place(victim));
          last_stop = e->child;
          EXPECT_TRUE(policy.step({e->child, {exit_cause::kind::shutdown, ""}}, now).empty());
        } else if (auto* e = std::get_if<start_child>(&effect)) {
          EXPECT_TRUE(alive.insert(e->child).second) << "starts " << e->child << ", which lives";
          EXPECT_TRUE(last_start.empty() || place(e->child) > place(last_start));
          EXPECT_LE(e->delay, milliseconds{33'000});
          last_start = e->child;
        } else {
          over = true;
        }
      }
      if (!effects.empty()) restarts.push_back(now);
      auto in_window = std::count_if(restarts.begin(), restarts.end(), [&](auto t) { return now - t < limits.window; });
      EXPECT_EQ(in_window > limits.restarts_max, over);
    }
  }
}

TEST(restart_policy, jitter_spreads_and_repeats_with_its_seed) {
  auto delays = [](std::uint64_t seed) {
    restart_policy p(
        strategy::one_for_one,
        {.restarts_max = 100, .backoff_first = milliseconds{1000}, .backoff_max = milliseconds{1000}, .jitter = 0.1},
        seed);
    p.add("c", kit::restart::permanent);
    std::vector<std::int64_t> d;
    for (int i = 0; i < 50; ++i)
      for (auto& e : p.step({"c", {exit_cause::kind::failed, ""}}, instant{} + std::chrono::hours{1}))
        d.push_back(std::get<start_child>(e).delay.count());
    return d;
  };
  auto a = delays(1);
  EXPECT_EQ(a, delays(1));
  EXPECT_NE(a, delays(2));
  auto [low, high] = std::minmax_element(a.begin(), a.end());
  EXPECT_GE(*low, 900);
  EXPECT_LE(*high, 1100);
  EXPECT_GT(*high - *low, 100);
}

}  // namespace
}  // namespace horizons::supervision
