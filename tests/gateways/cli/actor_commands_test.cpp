// `horizons actor …` and `horizons top` against a served house with living actors.
#include "gateways/cli/actor_commands.hpp"

#include <gtest/gtest.h>

#include "gateways/cli/top.hpp"
#include "gateways/http/server.hpp"
#include "runtime/kit/system.hpp"
#include "runtime/supervision/supervisor.hpp"
#include "tests/gateways/http/fake_house.hpp"
#include "tests/runtime/kit/wait.hpp"

namespace horizons::cli {
namespace {

using horizons::testing::eventually;
using namespace std::chrono_literals;

struct work {};

class actor_commands : public ::testing::Test {
protected:
  std::atomic<int> started{0};
  kit::system actors;
  http::fake_house house;
  std::unique_ptr<http::http_server> server;
  std::string out, err;

  void SetUp() override {
    auto body = [this](kit::context&) {
      ++started;
      return kit::behavior{}.on<work>([](const work&) {});
    };
    actors.spawn<supervision::supervisor_api>(
        {.name = "node", .type = "supervisor"},
        supervision::supervisor(supervision::strategy::one_for_one, {.backoff_first = 0ms, .backoff_max = 0ms},
                                {{{.name = "device", .type = "device"}, body},
                                 {{.name = "probe", .type = "probe"}, body, {.restart = kit::restart::temporary}}}));
    ASSERT_TRUE(eventually([&] { return started == 2; }));
    auto services = house.doors();
    services.actors = &actors;
    services.audit = [](auto, auto, auto, auto, auto, const http::callback<std::uint64_t>& then) { then(1); };
    auto listening = http::http_server::start({.listen = "127.0.0.1:0", .data_dir = house.directory}, services);
    ASSERT_TRUE(listening) << listening.error().text;
    server = std::move(*listening);
  }
  ~actor_commands() override {
    if (server) server->stop(100ms);
  }

  int horizons(std::vector<std::string> words) {
    words.insert(words.end(), {"--node", server->url()});
    CLI::App app("horizons");
    client_options o;
    int status = done;
    add_global_options(app, o);
    add_actor_commands(app, o, status);
    std::vector<const char*> argv{"horizons"};
    for (const auto& word : words) argv.push_back(word.c_str());
    ::testing::internal::CaptureStdout();
    ::testing::internal::CaptureStderr();
    const int result = run(app, static_cast<int>(argv.size()), argv.data(), status);
    out = ::testing::internal::GetCapturedStdout();
    err = ::testing::internal::GetCapturedStderr();
    return result;
  }
  static bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }
};

TEST_F(actor_commands, list_and_inspect) {
  EXPECT_EQ(horizons({"actor", "list"}), done) << err;
  EXPECT_TRUE(has(out, "/node/device") && has(out, "/node/probe")) << out;
  EXPECT_EQ(horizons({"actor", "list", "/node/device"}), done);
  EXPECT_FALSE(has(out, "/node/probe")) << out;
  EXPECT_EQ(horizons({"actor", "inspect", "/node/device"}), done) << err;
  EXPECT_TRUE(has(out, "state") && has(out, "running") && has(out, "supervisor")) << out;
  EXPECT_EQ(horizons({"actor", "inspect", "/node/device", "--json"}), done);
  EXPECT_EQ(json::parse(out)["path"], "/node/device");
  EXPECT_EQ(horizons({"actor", "inspect", "/nobody"}), failed);
  EXPECT_TRUE(has(err, "/nobody")) << err;
}

TEST_F(actor_commands, orders_are_followed_to_their_end) {
  EXPECT_EQ(horizons({"actor", "restart", "/node/device"}), done) << err;
  EXPECT_EQ(started, 3);
  EXPECT_TRUE(has(out, "/node/device  running")) << out;
  EXPECT_EQ(horizons({"actor", "kill", "/node/device"}), done) << err;
  EXPECT_EQ(started, 4);
  EXPECT_EQ(horizons({"actor", "drain", "/node/device"}), done) << err;
  EXPECT_TRUE(has(out, "/node/device  draining")) << out;
  EXPECT_EQ(horizons({"actor", "drain", "/node/device", "--then", "restart", "--json"}), done) << err;
  EXPECT_EQ(json::parse(out)["settled"], true);
  EXPECT_EQ(started, 5);
  EXPECT_EQ(horizons({"actor", "kill", "/node/probe"}), done) << err;  // temporary: it stays away
  EXPECT_TRUE(has(out, "/node/probe  ended")) << out;
}

TEST_F(actor_commands, refusals) {
  EXPECT_EQ(horizons({"actor", "restart", "/node"}), failed);
  EXPECT_TRUE(has(err, "root")) << err;
  EXPECT_EQ(horizons({"actor", "restart", "/node/probe"}), failed);
  EXPECT_TRUE(has(err, "temporary")) << err;
  EXPECT_EQ(horizons({"actor"}), bad_arguments);
  EXPECT_EQ(horizons({"actor", "drain", "/node/device", "--then", "explode"}), bad_arguments);
  server->stop(100ms);
  EXPECT_EQ(horizons({"actor", "list"}), unreachable);
}

TEST_F(actor_commands, top_is_one_table_when_there_is_no_terminal) {
  EXPECT_EQ(horizons({"top", "--interval", "0.1"}), done) << err;
  EXPECT_TRUE(has(out, "MAILBOX") && has(out, "/node/device")) << out;
  EXPECT_FALSE(has(out, "\033")) << out;
  EXPECT_EQ(horizons({"top", "--interval", "0.1", "--json"}), done) << err;
  EXPECT_EQ(json::parse(out)["actors"].size(), 3u);
  EXPECT_TRUE(json::parse(out)["actors"][0].contains("rate_per_s"));
}

TEST(top, rates_and_order) {
  const json before = {{"at_unix_ms", 1'000},
                       {"actors", {{{"path", "/a"}, {"handled", 10}}, {{"path", "/b"}, {"handled", 0}}}}};
  const json now = {{"at_unix_ms", 3'000},
                    {"total", 5},
                    {"actors",
                     {{{"path", "/a"}, {"type", "t"}, {"handled", 30}, {"messages", 0}},
                      {{"path", "/b"}, {"type", "t"}, {"handled", 200}, {"messages", 0}},
                      {{"path", "/c"},
                       {"type", "u"},
                       {"handled", 7},
                       {"messages", 3},
                       {"oldest_ms", 1'500},
                       {"handling", "horizons::jobs::offer"},
                       {"handling_ms", 0}}}}};
  const auto rated = with_rates(before, now);
  EXPECT_EQ(rated["actors"][0]["path"], "/c");       // the longest mailbox
  EXPECT_EQ(rated["actors"][0]["rate_per_s"], 0.0);  // not seen before
  EXPECT_EQ(rated["actors"][1]["path"], "/b");
  EXPECT_EQ(rated["actors"][1]["rate_per_s"], 100.0);
  EXPECT_EQ(rated["actors"][2]["rate_per_s"], 10.0);
  EXPECT_EQ(draw_top(rated, 2),
            "PATH  TYPE  MAILBOX  RATE/S  OLDEST  HANDLER\n"
            "/c    u     3                1.5 s   offer 1 ms\n"
            "/b    t              100             \n"
            "3 more, less busy\n");
  EXPECT_EQ(with_rates(now, before)["actors"][0]["rate_per_s"], 0.0);  // a clock that went back
}

}  // namespace
}  // namespace horizons::cli
