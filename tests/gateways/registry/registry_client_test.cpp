// The registry client against a server that misbehaves in every way there is, and, when HORIZONS_KAFKA_REGISTRY names
// one, against a live registry.
#include "gateways/registry/registry_client.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <latch>
#include <thread>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "gateways/registry/schema_commands.hpp"
#include "messages/avro/resolution.hpp"
#include "tests/gateways/registry/http_stub.hpp"
#include "tests/messages/avro/random_schemas.hpp"

namespace horizons::registry {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using test::http_request;
using test::http_stub;

registry_options quick(const std::string& url) {
  return {.url = url,
          .connect_timeout = 500ms,
          .timeout = 300ms,
          .attempts_max = 3,
          .backoff_first = 1ms,
          .backoff_max = 2ms,
          .pause = 0ms};
}

std::string schema_reply(const std::string& schema) { return http_stub::reply(200, json{{"schema", schema}}.dump()); }

TEST(registry_client, keeps_what_it_has_seen) {
  http_stub server([](const http_request&) { return schema_reply(R"("int")"); });
  registry_client client(quick(server.url() + "/api/"));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(client.schema_by_id(7).value()->canonical(), R"("int")");
  EXPECT_EQ(server.requests(), 1);
  EXPECT_EQ(client.counts().cache_hits, 2u);
}

TEST(registry_client, asks_what_the_protocol_says) {
  std::vector<http_request> seen;
  http_stub server([&](const http_request& r) {
    seen.push_back(r);
    if (r.path.starts_with("/v7/compatibility"))
      return http_stub::reply(200, R"({"is_compatible":false,"messages":["field b"],"reason":null})");
    if (r.path.starts_with("/v7/config")) return http_stub::reply(200, R"({"compatibilityLevel":"FULL_TRANSITIVE"})");
    return http_stub::reply(200, R"({"id":5,"version":2})");
  });
  registry_client client(quick("http://me:s%40cret@" + server.url().substr(7) + "/v7"));
  EXPECT_EQ(client.register_schema("a/b c", R"("int")").value(), 5u);
  EXPECT_EQ(client.register_schema("a/b c", R"("int")").value(), 5u) << "known";
  EXPECT_EQ(client.look_up("s", R"("int")").value().version, 2);
  EXPECT_EQ(client.test("s", R"("int")").value().reasons, std::vector<std::string>{"field b"});
  EXPECT_EQ(client.mode().value(), avro::compatibility_mode::full_transitive);
  EXPECT_TRUE(client.set_mode(avro::compatibility_mode::full, "s"));
  EXPECT_EQ(client.schema_by_id(5).value()->canonical(), R"("int")") << "from registering it";
  ASSERT_EQ(seen.size(), 5u);
  EXPECT_EQ(seen[0].method + seen[0].path, "POST/v7/subjects/a%2Fb%20c/versions");
  EXPECT_EQ(json::parse(seen[0].body), (json{{"schema", R"("int")"}}));
  EXPECT_NE(seen[0].head.find("Authorization: Basic bWU6c0BjcmV0"), std::string::npos) << "me:s@cret";
  EXPECT_EQ(seen[1].method + seen[1].path, "POST/v7/subjects/s");
  EXPECT_EQ(seen[2].method + seen[2].path, "POST/v7/compatibility/subjects/s/versions/latest?verbose=true");
  EXPECT_EQ(seen[3].method + seen[3].path, "GET/v7/config");
  EXPECT_EQ(seen[4].method + seen[4].path + seen[4].body, R"(PUT/v7/config/s{"compatibility":"FULL"})");
}

TEST(registry_client, tries_again_what_may_pass) {
  int left = 2;
  http_stub server(
      [&](const http_request&) { return left-- > 0 ? http_stub::reply(503, "busy") : schema_reply(R"("int")"); });
  registry_client client(quick(server.url()));
  EXPECT_TRUE(client.schema_by_id(1));
  EXPECT_EQ(client.counts().retries, 2u);
}

TEST(registry_client, does_not_try_again_what_will_not) {
  struct refusal {
    int status;
    error_code code;
  };
  for (const auto& [status, code] : {refusal{409, error_code::conflict}, refusal{422, error_code::invalid_argument},
                                     refusal{404, error_code::not_found}, refusal{401, error_code::forbidden},
                                     refusal{302, error_code::invalid_argument}}) {
    http_stub server([status = status](const http_request&) {
      return http_stub::reply(status, R"({"error_code":1,"message":"be\nlong"})");
    });
    registry_client client(quick(server.url()));
    auto refused = client.register_schema("s", R"("int")");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, code) << status;
    EXPECT_NE(refused.error().text.find("be long"), std::string::npos) << refused.error().text;
    EXPECT_EQ(server.requests(), status == 409 ? 2 : 1) << "after a conflict it looks once whether it is there";
  }
  http_stub server([](const http_request&) { return http_stub::reply(500, ""); });
  registry_client client(quick(server.url()));
  auto refused = client.register_schema("s", "nonsense");
  EXPECT_EQ(refused.error().code, error_code::invalid_argument);
  EXPECT_EQ(server.requests(), 0) << "a schema that is none is not sent";
}

TEST(registry_client, a_conflict_with_who_registered_the_same_meanwhile_is_none) {
  http_stub server([](const http_request& r) {
    if (r.path.ends_with("/versions")) return http_stub::reply(409, R"({"message":"version 'null' already exists"})");
    return http_stub::reply(200, R"({"id":7,"version":1,"subject":"s","schema":"\"int\""})");
  });
  registry_client client(quick(server.url()));
  const auto id = client.register_schema("s", R"("int")");
  ASSERT_TRUE(id) << id.error().text;
  EXPECT_EQ(*id, 7u);
  EXPECT_EQ(client.register_schema("s", R"("int")").value(), 7u);
  EXPECT_EQ(server.requests(), 2) << "it is known from then on";
}

TEST(registry_client, faults_are_values) {
  struct fault_case {
    const char* what;
    std::string answer;
    error_code code;
  };
  const fault_case cases[] = {
      {"silent", "", error_code::unavailable},
      {"5xx", http_stub::reply(500, std::string(5'000, 'x')), error_code::unavailable},
      {"no HTTP", "garbage\r\n\r\n", error_code::unavailable},
      {"cut off", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", error_code::unavailable},
      {"huge", http_stub::reply(200, std::string(3 << 20, ' ')), error_code::limit_exceeded},
      {"no JSON", http_stub::reply(200, "<html>"), error_code::unreadable},
      {"no object", http_stub::reply(200, "[1]"), error_code::unreadable},
      {"no schema", http_stub::reply(200, "{}"), error_code::unreadable},
      {"wrong type", http_stub::reply(200, R"({"schema":7})"), error_code::unreadable},
      {"a bad schema", schema_reply("{"), error_code::unreadable},
      {"another kind", http_stub::reply(200, R"({"schema":"x","schemaType":"PROTOBUF"})"), error_code::unreadable},
  };
  for (const auto& c : cases) {
    http_stub server([&](const http_request&) { return c.answer; });
    auto options = quick("http://user:hunter2@" + server.url().substr(7));
    options.timeout = 100ms;
    options.attempts_max = 2;
    registry_client client(options);
    auto got = client.schema_by_id(1);
    ASSERT_FALSE(got) << c.what;
    EXPECT_EQ(got.error().code, c.code) << c.what << ": " << got.error().text;
    EXPECT_EQ(got.error().text.find("hunter2"), std::string::npos) << got.error().text;
    EXPECT_LT(got.error().text.size(), 1'000u);
    EXPECT_EQ(server.requests(), c.code == error_code::unavailable ? 2 : 1) << c.what;
  }
  http_stub bad_id([](const http_request&) { return http_stub::reply(200, R"({"id":-1})"); });
  registry_client client(quick(bad_id.url()));
  EXPECT_EQ(client.register_schema("s", R"("int")").error().code, error_code::unreadable);
}

TEST(registry_client, when_the_registry_is_down_known_ids_go_on) {
  std::atomic<bool> up = true;
  http_stub server([&](const http_request& r) {
    if (!up) return http_stub::reply(503, "");
    return r.method == "POST" ? http_stub::reply(200, R"({"id":9})") : schema_reply(R"("long")");
  });
  auto options = quick(server.url());
  options.pause = 60s;
  registry_client client(options);
  ASSERT_TRUE(client.schema_by_id(1));
  up = false;
  EXPECT_TRUE(client.schema_by_id(1)) << "cached";
  EXPECT_EQ(client.schema_by_id(2).error().code, error_code::unavailable) << "the caller pauses";
  const int asked = server.requests();
  EXPECT_EQ(client.schema_by_id(3).error().code, error_code::unavailable);
  EXPECT_EQ(client.register_schema("s", R"("int")").error().code, error_code::unavailable);
  EXPECT_EQ(server.requests(), asked) << "it is left alone for a while";
  EXPECT_TRUE(client.schema_by_id(1));

  // After the pause registering the same again gives the id: nothing was lost.
  options.pause = 0ms;
  registry_client later(options);
  EXPECT_FALSE(later.register_schema("s", R"("int")"));
  up = true;
  EXPECT_EQ(later.register_schema("s", R"("int")").value(), 9u);
}

TEST(registry_client, nobody_listens) {
  std::string url;
  {
    http_stub gone([](const http_request&) { return std::string(); });
    url = gone.url();
  }
  auto got = registry_client(quick(url)).schema_by_id(1);
  EXPECT_EQ(got.error().code, error_code::unavailable);
}

TEST(registry_client, the_cache_has_a_limit_and_forgets_the_oldest) {
  http_stub server([](const http_request& r) {
    return r.path.ends_with("/404") ? http_stub::reply(404, R"({"error_code":40403,"message":"Schema not found"})")
                                    : schema_reply(R"("int")");
  });
  auto options = quick(server.url());
  options.cache_entries_max = 2;
  registry_client client(options);
  ASSERT_TRUE(client.schema_by_id(1));
  ASSERT_TRUE(client.schema_by_id(2));
  ASSERT_TRUE(client.schema_by_id(1));
  ASSERT_TRUE(client.schema_by_id(3));  // 2 goes
  EXPECT_EQ(server.requests(), 3);
  ASSERT_TRUE(client.schema_by_id(1));
  EXPECT_EQ(server.requests(), 3);
  ASSERT_TRUE(client.schema_by_id(2));
  EXPECT_EQ(server.requests(), 4);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(client.schema_by_id(404).error().code, error_code::not_found);
  EXPECT_EQ(server.requests(), 5) << "an id that does not exist is not asked for with every record";
}

TEST(registry_client, secrets_stay_out_of_texts) {
  EXPECT_EQ(without_secrets("https://a:b@h:1/p@q"), "https://h:1/p@q");
  EXPECT_EQ(without_secrets("http://h/a@b"), "http://h/a@b");
  EXPECT_EQ(without_secrets("a:b@h"), "h");
  EXPECT_EQ(without_secrets(""), "");
}

TEST(schema_commands, check_and_register_report) {
  auto report = schema_check(std::filesystem::path(HORIZONS_SOURCE_DIR) / "docs/schemas/avro");
  ASSERT_TRUE(report) << report.error().text;
  EXPECT_TRUE(report->good()) << report->text();
  EXPECT_NE(report->text().find("FULL_TRANSITIVE: compatible"), std::string::npos);
  auto none = schema_check("/nonexistent/schemas").value();
  EXPECT_FALSE(none.good());
  EXPECT_EQ(json::parse(none.json_text())["problems"][0]["rule"], "not_committed");

  std::uint32_t next = 1;
  http_stub server([&](const http_request& r) {
    if (r.path.find("job.Paused") != std::string::npos)
      return http_stub::reply(409, R"({"error_code":409,"message":"field a"})");
    return r.method == "POST" ? http_stub::reply(200, json{{"id", next++}}.dump()) : http_stub::reply(200, "{}");
  });
  registry_client client(quick(server.url()));
  auto registered = schema_register(client);
  ASSERT_TRUE(registered) << registered.error().text;
  EXPECT_EQ(registered->rows.size(), avro::message_schemas().size());
  EXPECT_FALSE(registered->good());
  EXPECT_NE(registered->text().find("horizons.job.Paused"), std::string::npos);
  EXPECT_NE(registered->text().find("refused: "), std::string::npos);
  EXPECT_EQ(json::parse(registered->json_text())["schemas"][0]["subject"], "horizons.job.Submitted");
}

// -- live ------------------------------------------------------------------------------------------------------------

class live_registry : public ::testing::Test {
protected:
  void SetUp() override {
    const char* url = std::getenv("HORIZONS_KAFKA_REGISTRY");
    if (url == nullptr) GTEST_SKIP() << "no registry: HORIZONS_KAFKA_REGISTRY is not set (./dev services up registry)";
    client = std::make_unique<registry_client>(registry_options{.url = url});
    run = std::to_string(std::chrono::system_clock::now().time_since_epoch().count());
  }
  std::unique_ptr<registry_client> client;
  std::string run;  // makes the subjects of this run its own
};

TEST_F(live_registry, who_register_the_same_at_once_get_the_same_id) {
  constexpr int nodes = 8, subjects = 6;
  std::vector<std::vector<result<std::uint32_t>>> ids(nodes);
  {
    std::latch together(nodes);
    std::vector<std::jthread> threads;
    threads.reserve(nodes);
    for (auto& mine : ids)
      threads.emplace_back([&] {
        registry_client own({.url = std::getenv("HORIZONS_KAFKA_REGISTRY")});
        together.arrive_and_wait();
        for (int s = 0; s < subjects; ++s) {
          const auto name = "T" + run + "_" + std::to_string(s);
          mine.push_back(own.register_schema(
              "horizons.test." + name,
              R"({"type":"record","name":")" + name + R"(","fields":[{"name":"a","type":"int"}]})"));
        }
      });
  }
  for (const auto& mine : ids)
    for (int s = 0; s < subjects; ++s) {
      ASSERT_TRUE(mine[std::size_t(s)]) << mine[std::size_t(s)].error().text;
      EXPECT_EQ(*mine[std::size_t(s)], *ids[0][std::size_t(s)]);
    }
}

TEST_F(live_registry, registers_looks_up_and_refuses) {
  const auto subject = "horizons.test.R" + run;
  const std::string one = R"({"type":"record","name":"R)" + run + R"(","fields":[{"name":"a","type":"int"}]})";
  const std::string two =
      R"({"type":"record","name":"R)" + run + R"(","fields":[{"name":"a","type":"int"},{"name":"b","type":"string"}]})";
  const auto id = client->register_schema(subject, one);
  ASSERT_TRUE(id) << id.error().text;
  ASSERT_TRUE(client->set_mode(avro::compatibility_mode::backward, subject));
  EXPECT_EQ(client->mode(subject).value(), avro::compatibility_mode::backward);
  EXPECT_EQ(client->look_up(subject, one).value().id, *id);
  EXPECT_EQ(client->look_up(subject, two).error().code, error_code::not_found);
  EXPECT_FALSE(client->test(subject, two).value().compatible);
  EXPECT_EQ(client->register_schema(subject, two).error().code, error_code::conflict);
  registry_client fresh({.url = std::getenv("HORIZONS_KAFKA_REGISTRY")});
  EXPECT_EQ(fresh.schema_by_id(*id).value()->canonical(), avro::schema::parse(one).value().canonical());
  EXPECT_EQ(fresh.schema_by_id(4'000'000).error().code, error_code::not_found);
  EXPECT_TRUE(client->test("horizons.test.none" + run, one).value().compatible);
}

TEST_F(live_registry, takes_all_our_schemas_twice) {
  const auto first = schema_register(*client);
  ASSERT_TRUE(first) << first.error().text;
  EXPECT_TRUE(first->good()) << first->text();
  registry_client again({.url = std::getenv("HORIZONS_KAFKA_REGISTRY")});
  EXPECT_EQ(schema_register(again).value().text(), first->text());
}

TEST_F(live_registry, gives_the_same_verdict_on_random_pairs) {
  avro::test::random_schemas random(7);
  const int pairs = std::getenv("HORIZONS_LONG") ? 3'000 : 400;  // some 10 ms each
  int asked = 0, compatible = 0;
  for (int i = 0; asked < pairs; ++i) {
    const auto w = random.any(), r = random.relative_of(w);
    const auto writer = avro::schema::parse(w.dump()), reader = avro::schema::parse(r.dump());
    if (!writer || !reader || writer->canonical() == reader->canonical()) continue;
    const auto subject = "horizons.test.pair" + run + "." + std::to_string(i);
    const auto id = client->register_schema(subject, w.dump());
    ASSERT_TRUE(id) << id.error().text << "\n" << w.dump();
    ASSERT_TRUE(client->set_mode(avro::compatibility_mode::backward, subject));
    const auto theirs = client->test(subject, r.dump());
    ASSERT_TRUE(theirs) << theirs.error().text << "\n" << r.dump();
    const bool ours = avro::can_read(*reader, *writer).compatible();
    EXPECT_EQ(ours, theirs->compatible) << "writer " << w.dump() << "\nreader " << r.dump() << "\n"
                                        << (theirs->reasons.empty() ? "" : theirs->reasons[0]);
    compatible += ours;
    ++asked;
  }
  EXPECT_GT(compatible, pairs / 8);
  EXPECT_LT(compatible, pairs * 7 / 8);
}

}  // namespace
}  // namespace horizons::registry
