// The traps of CAF 0.17.6 by themselves, without the kit: when one of these fails, CAF has changed and its guard in
// caf_traps_test.cpp may go. Raw actors, so ThreadSanitizer is told to leave this file alone (tests/tsan.supp).
#include <gtest/gtest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <caf/all.hpp>
#include <csignal>
#include <functional>
#include <limits>

#include "tests/runtime/kit/wait.hpp"

namespace horizons::kit {
namespace {

using namespace std::chrono_literals;
using testing::eventually;

/// A raw actor from a function. Not by CAF's own spawn(function): its header dereferences an empty pointer, which the
/// undefined-behaviour sanitizer does not forgive.
class raw_actor final : public caf::event_based_actor {
public:
  using function = std::function<caf::behavior(caf::event_based_actor*)>;
  raw_actor(caf::actor_config& config, function f) : event_based_actor(config), function_(std::move(f)) {}
  caf::behavior make_behavior() override { return function_(this); }

private:
  function function_;
};

struct raw_system {
  caf::actor spawn(raw_actor::function f) { return sys.spawn<raw_actor>(std::move(f)); }
  caf::actor_system_config cfg;
  caf::actor_system sys;
  explicit raw_system(std::size_t threads = 2, std::size_t throughput = 50)
      : sys((cfg.set("scheduler.max-threads", threads), cfg.set("scheduler.max-throughput", throughput), cfg)) {}
};

/// Runs `f` in a process of its own for at most a second: whether it ended.
template <class F>
bool ends(F f) {
  auto child = fork();
  if (child == 0) {
    alarm(1);
    f();
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status);
}

TEST(raw_caf_trap, t0_serialising_infinity_never_returns) {
  EXPECT_FALSE(ends([] {
    std::vector<char> bytes;
    caf::binary_serializer sink(nullptr, bytes);
    auto x = std::numeric_limits<double>::infinity();
    if (sink(x)) _exit(1);
  }));
}

TEST(raw_caf_trap, t1_a_name_does_not_follow_a_restart) {
  raw_system raw;
  auto make = [&] { return raw.spawn([](caf::event_based_actor*) -> caf::behavior { return {[](int) {}}; }); };
  auto first = make(), second = make();
  raw.sys.registry().put(caf::atom("x"), first);
  raw.sys.registry().put(caf::atom("x"), second);
  EXPECT_EQ(raw.sys.registry().get(caf::atom("x")), caf::actor_cast<caf::strong_actor_ptr>(first));  // the old one
  caf::anon_send_exit(first, caf::exit_reason::kill);
  caf::anon_send_exit(second, caf::exit_reason::kill);
  raw.sys.registry().erase(caf::atom("x"));
}

TEST(raw_caf_trap, t3_a_lost_promise_is_no_answer) {
  raw_system raw;
  auto server = raw.spawn([](caf::event_based_actor* self) -> caf::behavior {
    return {[self](int) -> caf::result<int> {
      self->make_response_promise();  // dropped
      return caf::delegated<int>{};
    }};
  });
  caf::scoped_actor self(raw.sys);
  bool timed_out = false;
  self->request(server, 50ms, 1)
      .receive([](int) {}, [&](caf::error& e) { timed_out = e == caf::sec::request_timeout; });
  EXPECT_TRUE(timed_out);  // nothing but the timeout tells
  caf::anon_send_exit(server, caf::exit_reason::kill);
}

TEST(raw_caf_trap, t5_an_actor_nobody_holds_ends) {
  std::atomic<bool> raw_ended{false};
  raw_system raw;
  {
    auto a = raw.spawn([&](caf::event_based_actor* self) -> caf::behavior {
      self->attach_functor([&](const caf::error&) { raw_ended = true; });
      return {[](int) {}};
    });
  }
  EXPECT_TRUE(eventually([&] { return raw_ended.load(); }));  // "unreachable"
}

TEST(raw_caf_trap, t14_the_end_of_a_system_waits_for_ever) {
  EXPECT_FALSE(ends([] {  // an actor that nobody ends: CAF waits for ever
    raw_system raw;
    static auto kept = raw.spawn([](caf::event_based_actor*) -> caf::behavior { return {[](int) {}}; });
  }));
}

}  // namespace
}  // namespace horizons::kit
