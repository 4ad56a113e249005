// Whole nodes in one thread under virtual time. A seeded scheduler picks who runs next; a simulated network between
// the nodes drops, delays, duplicates and partitions. The same seed gives the same run, event by event.
//
//   simulation sim(seed);
//   sim.boot("a", [](kit::system& node) { … });
//   sim.partition({"a"}, {"b"});
//   ASSERT_TRUE(sim.run_until([&] { return done; }, 60s)) << sim.summary();
//
// Not for measuring speed: time stands still while actors work.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/kit/simulated.hpp"

namespace horizons::simulation {

using kit::instant;
using kit::milliseconds;

/// What the network does to messages of one direction.
struct link_faults {
  double drop = 0, duplicate = 0;  // probabilities
  milliseconds delay_min{1}, delay_max{1};
};

class simulation {
public:
  explicit simulation(std::uint64_t seed);
  ~simulation();
  simulation(const simulation&) = delete;

  using setup = std::function<void(kit::system&)>;
  /// Starts node `name`; `on_boot` runs again at every restart. Anything durable is the caller's to keep.
  kit::system& boot(const std::string& name, setup on_boot = {});
  kit::system& node(const std::string& name);  // booted on first use
  bool alive(const std::string& name) const { return nodes_.contains(name) && nodes_.at(name).system; }
  void crash(const std::string& name);    // as kill -9
  void restart(const std::string& name);  // boots it again
  void jump_wall_time(const std::string& name, milliseconds by);
  /// A slow node runs one message where others run `factor`.
  void slow_down(const std::string& name, unsigned factor);

  // --- network ---
  using receiver = std::function<void(const std::string& from, const std::string& bytes)>;
  void listen(const std::string& name, receiver r);  // again after a restart
  void send(const std::string& from, const std::string& to, std::string bytes);
  void set_faults(const std::string& from, const std::string& to, link_faults f) { links_[{from, to}] = f; }
  void set_faults(link_faults f) { default_faults_ = f; }
  void partition(const std::set<std::string>& a, const std::set<std::string>& b);  // both directions
  void heal() { cut_.clear(); }

  // --- time ---
  instant now() const { return now_; }
  void run_for(milliseconds d);
  /// Runs until `done()`, checked after every step; false when `limit` of virtual time (or 10 million steps) has
  /// passed.
  bool run_until(const std::function<bool()>& done, milliseconds limit);
  template <class Api, kit::request_message M>
  result<typename M::reply> ask(const std::string& name, const kit::handle<Api>& to, M m, milliseconds timeout) {
    std::shared_ptr<result<typename M::reply>> answer;
    node(name).ask(to, std::move(m), timeout,
                   [&](auto r) { answer = std::make_shared<result<typename M::reply>>(std::move(r)); });
    run_until([&] { return answer != nullptr; }, timeout + milliseconds{1'000});
    if (!answer) return failure(error_code::timed_out, "the simulation ended before the answer");
    return std::move(*answer);
  }

  // --- what happened ---
  std::uint64_t seed() const { return seed_; }
  std::uint64_t random(std::uint64_t below) { return below ? random_() % below : 0; }
  void note(const std::string& text);  // into the log, with the time
  /// The last 10,000 events, oldest first, and a digest over all of them.
  const std::deque<std::string>& log() const { return log_; }
  std::uint64_t digest() const { return digest_; }
  std::string summary() const;  // seed, time, steps and the last events: for a failing test

private:
  struct node_state {
    std::shared_ptr<kit::virtual_clock> clock;
    std::unique_ptr<kit::system> system;
    setup on_boot;
    receiver receive;
    unsigned slowness = 1, turn = 0;
  };
  struct packet {
    std::string from, to, bytes;
  };
  bool step(instant limit);  // false: nothing to do up to `limit`
  bool chance(double p) { return p > 0 && static_cast<double>(random_() >> 11) * 0x1p-53 < p; }
  void start(const std::string& name, node_state& n);

  const std::uint64_t seed_;
  std::mt19937_64 random_;
  instant now_{std::chrono::hours{1}};
  std::map<std::string, node_state> nodes_;
  std::map<std::pair<std::string, std::string>, link_faults> links_;
  std::set<std::pair<std::string, std::string>> cut_;
  link_faults default_faults_;
  std::multimap<instant, packet> flying_;
  std::deque<std::string> log_;
  std::uint64_t digest_ = 0xcbf29ce484222325, steps_ = 0;
};

}  // namespace horizons::simulation
