// Orders to actors over HTTP: who may, what is answered, what is audited. Routes called directly, without a socket.
#include <gtest/gtest.h>

#include <future>

#include "gateways/http/door.hpp"
#include "runtime/kit/system.hpp"
#include "runtime/supervision/supervisor.hpp"
#include "tests/runtime/kit/wait.hpp"

namespace horizons::http {
namespace {

using horizons::testing::eventually;
using namespace std::chrono_literals;

struct work {};
using worker_api = kit::accepts<work>;

class admin_routes : public ::testing::Test {
protected:
  std::atomic<int> started{0};
  std::atomic<bool> journal_works{true};
  std::mutex mutex;
  std::vector<std::string> audited;
  kit::system actors;
  services house;
  router routes;

  void SetUp() override {
    house.actors = &actors;
    house.audit = [this](const std::string& action, const std::string& actor, const std::string& type,
                         const std::string& id, const std::string& outcome, const callback<std::uint64_t>& then) {
      if (!journal_works) return then(failure(error_code::unavailable, "the journal has ended"));
      {
        const std::scoped_lock lock(mutex);
        audited.push_back(action + " " + actor + " " + type + " " + id + " " + outcome);
      }
      then(std::uint64_t{1});
    };
    add_admin_routes(routes, house);
    auto body = [this](kit::context&) {
      ++started;
      return kit::behavior{}.on<work>([](const work&) {});
    };
    actors.spawn<supervision::supervisor_api>(
        {.name = "node", .type = "supervisor"},
        supervision::supervisor(supervision::strategy::one_for_one, {.backoff_first = 0ms, .backoff_max = 0ms},
                                {{{.name = "device/0", .type = "device"}, body}}));
    ASSERT_TRUE(eventually([&] { return started == 1; }));
    handle().send(work{});
    ASSERT_TRUE(eventually([&] { return call("GET", device)["mailbox"]["handled"] == 1; }));
  }
  kit::handle<worker_api> handle() { return kit::handle<worker_api>(actors.find("/node/device/0").cell()); }

  /// The answer's body, with its status in "http".
  json call(const std::string& method, const std::string& target, const std::string& body = "",
            bool is_operator = true) {
    request r{.method = method, .target = target, .body = body};
    r.who = {.user_id = "ada", .is_operator = is_operator};
    EXPECT_TRUE(parse_target(r));
    const auto match = routes.find(r);
    if (!match.found) return {{"http", match.allowed.empty() ? 404 : 405}};
    std::promise<response> promise;
    match.found->answer(r, [&](response done) { promise.set_value(std::move(done)); });
    auto done = promise.get_future().get();
    auto value = json::parse(done.body);
    value["http"] = done.status;
    return value;
  }
  std::vector<std::string> records() {
    const std::scoped_lock lock(mutex);
    return std::exchange(audited, {});
  }
  const std::string device = "/api/actors/%2Fnode%2Fdevice%2F0";
};

TEST_F(admin_routes, the_list_is_filtered_and_limited) {
  const auto all = call("GET", "/api/actors");
  EXPECT_EQ(all["total"], 2);
  ASSERT_EQ(all["actors"].size(), 2u);
  EXPECT_EQ(all["actors"][1]["path"], "/node/device/0");
  EXPECT_EQ(all["actors"][1]["handled"], 1);
  const auto devices = call("GET", "/api/actors?type=device");
  ASSERT_EQ(devices["actors"].size(), 1u);
  EXPECT_EQ(call("GET", "/api/actors?below=%2Fnode%2Fdev")["total"], 0);  // a part of a name is no path
  EXPECT_EQ(call("GET", "/api/actors?below=%2Fnode%2Fdevice%2F0")["total"], 1);
  const auto busiest = call("GET", "/api/actors?limit=1");
  EXPECT_EQ(busiest["total"], 2);
  ASSERT_EQ(busiest["actors"].size(), 1u);
  EXPECT_EQ(busiest["actors"][0]["path"], "/node/device/0");
  EXPECT_EQ(call("GET", "/api/actors?limit=0")["http"], 400);
}

TEST_F(admin_routes, inspection) {
  const auto a = call("GET", device);
  EXPECT_EQ(a["http"], 200);
  EXPECT_EQ(a["state"], "running");
  EXPECT_EQ(a["supervisor"], "/node");
  EXPECT_EQ(a["restarts"], 0);
  EXPECT_EQ(a["mailbox"]["handled"], 1);
  EXPECT_EQ(a["of_type"]["handled"], 1);
  EXPECT_EQ(a["of_type"]["dead_letters"]["draining"], 0);
  EXPECT_EQ(call("GET", "/api/actors/node%2Fdevice%2F0")["path"], "/node/device/0");  // the first slash may be left out
  EXPECT_EQ(call("GET", "/api/actors/%2Fnobody")["http"], 404);
  EXPECT_TRUE(records().empty());  // looking is not an act
}

TEST_F(admin_routes, orders_are_carried_out_and_audited) {
  auto answer = call("POST", device + "/kill");
  EXPECT_EQ(answer["http"], 202);
  EXPECT_EQ(answer["audited"], true);
  EXPECT_TRUE(eventually([&] { return started == 2 && call("GET", device)["state"] == "running"; }));
  EXPECT_EQ(records(), std::vector<std::string>{"actor.kill ada actor /node/device/0 done"});

  EXPECT_EQ(call("POST", device + "/restart", "{}")["http"], 202);
  EXPECT_TRUE(eventually([&] { return started == 3 && call("GET", device)["state"] == "running"; }));
  EXPECT_EQ(records(), std::vector<std::string>{"actor.restart ada actor /node/device/0 done"});

  EXPECT_EQ(call("POST", device + "/drain")["http"], 202);
  EXPECT_EQ(call("GET", device)["state"], "draining");
  EXPECT_EQ(handle().send(work{}), kit::delivery::dead);
  EXPECT_EQ(call("POST", device + "/drain", R"({"then": "restart"})")["http"], 202);
  EXPECT_TRUE(eventually([&] { return started == 4 && call("GET", device)["state"] == "running"; }));
  EXPECT_EQ(records().size(), 2u);
}

TEST_F(admin_routes, refusals_are_audited_as_well) {
  EXPECT_EQ(call("POST", device + "/kill", "", false)["http"], 403);
  EXPECT_EQ(call("POST", "/api/actors/%2Fnobody/restart")["http"], 404);
  EXPECT_EQ(call("POST", "/api/actors/%2Fnode/kill")["http"], 409);  // the root
  EXPECT_EQ(records(), (std::vector<std::string>{
                           "actor.kill ada actor /node/device/0 refused", "actor.restart ada actor /nobody refused",
                           "actor.kill ada actor /node done", "actor.kill ada actor /node failed"}));
  EXPECT_EQ(call("POST", device + "/drain", R"({"then": "explode"})")["http"], 422);
  EXPECT_EQ(call("POST", device + "/drain", R"({"when": "now"})")["http"], 422);
  EXPECT_EQ(call("POST", device + "/drain", "{")["http"], 400);
  EXPECT_EQ(started, 1);
}

TEST_F(admin_routes, only_operators_look) {
  EXPECT_EQ(call("GET", "/api/actors", "", false)["http"], 403);
  EXPECT_EQ(call("GET", device, "", false)["http"], 403);
}

TEST_F(admin_routes, a_journal_that_hangs_does_not_protect_anybody) {
  journal_works = false;
  const auto answer = call("POST", device + "/kill");
  EXPECT_EQ(answer["http"], 202);
  EXPECT_EQ(answer["audited"], false);
  EXPECT_TRUE(eventually([&] { return started == 2; }));
}

TEST(admin_routes_absent, without_actors) {
  services house;
  router routes;
  add_admin_routes(routes, house);
  EXPECT_TRUE(routes.routes().empty());
}

}  // namespace
}  // namespace horizons::http
